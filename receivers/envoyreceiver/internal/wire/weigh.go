// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Errors of [Scale.Weigh].
var (
	// ErrTooManyObjects reports a message that decodes to more objects than allowed.
	ErrTooManyObjects = errors.New("message holds too many objects")
	// ErrTooDeep reports a message that nests deeper than allowed.
	ErrTooDeep = errors.New("message nests too deeply")
	// ErrMalformed reports bytes that are not a protobuf message.
	ErrMalformed = errors.New("message is not valid protobuf")
)

// maxDepth bounds recursion. Envoy's own messages nest about ten deep; a Struct in them a few more.
const maxDepth = 64

// Scale counts the objects a message of one type decodes to. It is immutable and safe for concurrent use.
type Scale struct {
	root *plan
}

// plan says what each field of a message type decodes to, by field number.
type plan struct {
	fields []field
}

// field says how many objects an element of a field decodes to, and what is within it.
type field struct {
	cost   int
	within *plan
}

// NewScale builds the scale for a message type and all types within it.
func NewScale(descriptor protoreflect.MessageDescriptor) Scale {
	return Scale{root: buildPlan(descriptor, make(map[protoreflect.FullName]*plan))}
}

func buildPlan(descriptor protoreflect.MessageDescriptor, seen map[protoreflect.FullName]*plan) *plan {
	if p, ok := seen[descriptor.FullName()]; ok {
		return p
	}
	p := &plan{}
	seen[descriptor.FullName()] = p
	fields := descriptor.Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		for len(p.fields) <= int(f.Number()) {
			p.fields = append(p.fields, field{})
		}
		p.fields[f.Number()].cost = cost(f, descriptor.IsMapEntry())
		if f.Message() != nil {
			p.fields[f.Number()].within = buildPlan(f.Message(), seen)
		}
	}
	return p
}

// cost returns how many objects an element of a field decodes to. The value of a map entry counts with the entry, as it
// comes to be even if the entry leaves it out.
func cost(f protoreflect.FieldDescriptor, inMapEntry bool) int {
	text := f.Kind() == protoreflect.StringKind || f.Kind() == protoreflect.BytesKind
	switch {
	case inMapEntry:
		return 0
	case f.IsMap() && f.MapValue().Message() != nil:
		return 2
	case f.Message() != nil, f.IsList() && text:
		return 1
	default:
		return 0
	}
}

// Weigh returns how many messages, map entries and repeated texts the bytes decode to, or an error as soon as there
// are more than limit. It allocates nothing.
func (s Scale) Weigh(data []byte, limit int) (int, error) {
	left := limit
	err := s.root.weigh(data, &left, maxDepth)
	return limit - left, err
}

func (p *plan) weigh(data []byte, left *int, depth int) error {
	if depth == 0 {
		return ErrTooDeep
	}
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return ErrMalformed
		}
		data = data[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
				return ErrMalformed
			}
			data = data[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(data)
		if n < 0 {
			return ErrMalformed
		}
		data = data[n:]
		if err := p.weighField(number, value, left, depth); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) weighField(number protowire.Number, value []byte, left *int, depth int) error {
	if int(number) >= len(p.fields) {
		return nil
	}
	f := p.fields[number]
	if *left -= f.cost; *left < 0 {
		*left = 0
		return ErrTooManyObjects
	}
	if f.within == nil {
		return nil
	}
	return f.within.weigh(value, left, depth-1)
}
