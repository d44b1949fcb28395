// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// Decode returns what the message says. It keeps nothing of the body, takes time and memory in proportion to it, and
// at most [MaxItems] objects. more says that the update goes on in the next message. The error wraps [ErrSchema] or
// [ErrInvalid] and says where.
func Decode(m *Message) (u *Update, more bool, err error) {
	if err := m.check(); err != nil {
		return nil, false, err
	}
	d := decoder{base: baseOf(m.At), update: &Update{}}
	d.update.Cluster, d.update.At, d.update.Full = m.Cluster, m.At, m.Kind == KindSnapshot
	if m.Kind == KindHeartbeat {
		return d.update, false, nil
	}
	if len(m.Body) > MaxBodyBytes {
		return nil, false, m.invalid("the body has %d bytes, more than %d", len(m.Body), MaxBodyBytes)
	}
	if err := d.body(m.Body); err != nil {
		return nil, false, m.invalid("%s", err)
	}
	if _, d.update.Made, err = d.bounds(moment{}, d.made, fieldNames[inventoryMade]); err != nil {
		return nil, false, m.invalid("%s", err)
	}
	if err := d.checkKind(m.Kind); err != nil {
		return nil, false, err
	}
	return d.update, d.more, nil
}

// decoder decodes one body.
type decoder struct {
	base      int64
	strings   []string
	workloads []workloadKey
	counts    [inventoryFields]int
	update    *Update
	more      bool
	made      moment
}

// checkKind refuses what a message of the kind cannot hold.
func (d *decoder) checkKind(kind Kind) error {
	switch {
	case kind == KindSnapshot && d.counts[inventoryGoneNodes]+d.counts[inventoryGoneServices]+d.counts[inventoryGonePods] > 0:
		return fmt.Errorf("%w of cluster %q: a snapshot holds gone objects, which only a delta has", ErrInvalid, clip(d.update.Cluster))
	case kind == KindDelta && d.counts[inventoryPastPods] > 0:
		return fmt.Errorf("%w of cluster %q: a delta holds past_pods, which only a snapshot has", ErrInvalid, clip(d.update.Cluster))
	}
	return nil
}

// body reads the tables first, wherever they are, and then what refers to them.
func (d *decoder) body(b []byte) error {
	if err := d.count(b); err != nil {
		return err
	}
	d.allocate()
	var seen [inventoryFields]int
	for _, pass := range []func(protowire.Number, []byte) error{d.table, d.workload, d.object} {
		clear(seen[:])
		err := fields(b, func(f field) error {
			if f.num <= 0 || f.num >= inventoryFields {
				return nil
			}
			if f.num == inventoryMore && f.typ == protowire.VarintType {
				d.more = f.value != 0
			}
			if f.num == inventoryMade {
				return f.moment(&d.made)
			}
			if f.typ != protowire.BytesType {
				return nil
			}
			at := seen[f.num]
			seen[f.num]++
			if err := pass(f.num, f.bytes); err != nil {
				return fmt.Errorf("%s[%d]%w", fieldNames[f.num], at, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// fieldNames are the names in inventory.proto, for errors.
var fieldNames = [inventoryFields]string{
	"", "strings", "workloads", "facts", "gateways", "failovers", "nodes", "gone_nodes", "services", "gone_services",
	"pods", "gone_pods", "past_pods", "more", "made_ms",
}

// count counts the entries of the lists before any of them is allocated.
func (d *decoder) count(b []byte) error {
	err := fields(b, func(f field) error {
		if f.typ == protowire.BytesType && f.num > 0 && f.num < inventoryFields {
			d.counts[f.num]++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if n := d.counts[inventoryStrings]; n > MaxStrings {
		return fmt.Errorf("%d strings in the table, more than %d", n, MaxStrings)
	}
	items := 0
	for num, n := range d.counts {
		if protowire.Number(num) != inventoryStrings {
			items += n
		}
	}
	if items > MaxItems {
		return fmt.Errorf("%d objects, more than %d", items, MaxItems)
	}
	return nil
}

func (d *decoder) allocate() {
	u := d.update
	d.strings = make([]string, 0, d.counts[inventoryStrings])
	d.workloads = make([]workloadKey, 0, d.counts[inventoryWorkloads])
	u.Nodes = sized[topology.NodeSpec](d.counts[inventoryNodes])
	u.GoneNodes = sized[string](d.counts[inventoryGoneNodes])
	u.Services = sized[topology.ServiceSpec](d.counts[inventoryServices])
	u.GoneServices = sized[topology.ObjectName](d.counts[inventoryGoneServices])
	u.Pods = sized[topology.PodState](d.counts[inventoryPods])
	u.GonePods = sized[topology.PodEnd](d.counts[inventoryGonePods])
	u.Past = sized[PastPod](d.counts[inventoryPastPods])
}

// sized returns an empty slice with room for n, nil for none.
func sized[T any](n int) []T {
	if n == 0 {
		return nil
	}
	return make([]T, 0, n)
}

func (d *decoder) table(num protowire.Number, b []byte) error {
	if num != inventoryStrings {
		return nil
	}
	s, err := text(b)
	d.strings = append(d.strings, s)
	return err
}

func (d *decoder) workload(num protowire.Number, b []byte) error {
	if num != inventoryWorkloads {
		return nil
	}
	var w workloadKey
	err := fields(b, func(f field) error {
		switch f.num {
		case workloadNamespace:
			return d.index(&w.namespace, f, "namespace")
		case workloadName:
			return d.index(&w.name, f, "name")
		case workloadKind:
			return d.index(&w.kind, f, "kind")
		case workloadService:
			return d.index(&w.service, f, "service")
		case workloadVersion:
			return d.index(&w.version, f, "version")
		case workloadServiceAccount:
			return d.index(&w.serviceAccount, f, "service_account")
		case workloadWaypoint:
			if f.typ == protowire.VarintType {
				w.waypoint = f.value != 0
			}
		case workloadRevision:
			return d.index(&w.revision, f, "revision")
		}
		return nil
	})
	d.workloads = append(d.workloads, w)
	return err
}

// object reads everything but the tables.
func (d *decoder) object(num protowire.Number, b []byte) error {
	u := d.update
	switch num {
	case inventoryFacts:
		return d.facts(b)
	case inventoryGateways:
		if u.Gateways == nil {
			u.Gateways = []topology.GatewaySpec{}
		}
		return d.list(b, d.gateway)
	case inventoryFailovers:
		if u.Failovers == nil {
			u.Failovers = []topology.FailoverSpec{}
		}
		return d.list(b, d.failover)
	case inventoryNodes:
		return d.node(b)
	case inventoryGoneNodes:
		name, err := text(b)
		u.GoneNodes = append(u.GoneNodes, name)
		return err
	case inventoryServices:
		return d.service(b)
	case inventoryGoneServices:
		return d.goneService(b)
	case inventoryPods:
		u.Pods = append(u.Pods, topology.PodState{})
		return d.pod(b, &u.Pods[len(u.Pods)-1], nil)
	case inventoryGonePods:
		return d.gonePod(b)
	case inventoryPastPods:
		u.Past = append(u.Past, PastPod{})
		past := &u.Past[len(u.Past)-1]
		return d.pod(b, &past.PodState, past)
	}
	return nil
}

// list reads a Gateways or Failovers message. Each entry counts as an object: the count of lists alone does not bound
// them.
func (d *decoder) list(b []byte, entry func([]byte) error) error {
	n := 0
	return fields(b, func(f field) error {
		if f.num != listItems || f.typ != protowire.BytesType {
			return nil
		}
		if n++; n+len(d.update.Gateways)+len(d.update.Failovers) > MaxItems {
			return fmt.Errorf(": more than %d objects", MaxItems)
		}
		return entry(f.bytes)
	})
}

// field is one field of a protobuf message.
type field struct {
	num   protowire.Number
	typ   protowire.Type
	value uint64 // of a varint
	bytes []byte // of a length-delimited field
}

// fields calls each for every field of the message.
func fields(b []byte, each func(field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf(": %w", protowire.ParseError(n))
		}
		f := field{num: num, typ: typ}
		b = b[n:]
		switch typ {
		case protowire.VarintType:
			f.value, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return fmt.Errorf(": field %d: %w", num, protowire.ParseError(n))
		}
		if err := each(f); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// text checks and copies a string.
func text(b []byte) (string, error) {
	if err := checkText(b); err != nil {
		return "", err
	}
	return string(b), nil
}

func checkText(b []byte) error {
	if len(b) > MaxStringBytes {
		return fmt.Errorf(": a text of %d bytes, more than %d", len(b), MaxStringBytes)
	}
	if !utf8.Valid(b) {
		return errNotUTF8
	}
	return nil
}
