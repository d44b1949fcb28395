// SPDX-License-Identifier: Apache-2.0

package fakeapi

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	typeJSON     = "application/json"
	typeProtobuf = "application/vnd.kubernetes.protobuf"
	// magic begins each protobuf object that stands for itself.
	magic = "k8s\x00"
)

// format is how a client wants its objects.
type format struct {
	protobuf bool
	// metadata asks for PartialObjectMetadata in place of the object.
	metadata bool
}

// negotiate picks the first format of an Accept header that the resource has, as a real API server does. ok is false if
// there is none.
func negotiate(accept string, r *resourceKind) (f format, ok bool) {
	if accept == "" {
		return format{}, true
	}
	for clause := range strings.SplitSeq(accept, ",") {
		name, rest, _ := strings.Cut(strings.TrimSpace(clause), ";")
		f := format{metadata: strings.Contains(rest, "as=PartialObjectMetadata")}
		if !f.metadata && strings.Contains(rest, "as=") {
			continue
		}
		switch name {
		case typeProtobuf:
			f.protobuf = true
			if f.metadata || !r.custom {
				return f, true
			}
		case typeJSON, "*/*", "application/*":
			return f, true
		}
	}
	return format{}, false
}

func (f format) contentType() string {
	if f.protobuf {
		return typeProtobuf
	}
	return typeJSON
}

func (f format) watchType() string {
	if f.protobuf {
		return typeProtobuf + ";stream=watch"
	}
	return typeJSON
}

// kind is what the objects of a resource are called in the format.
func (f format) kind(r *resourceKind) (apiVersion, kind string) {
	if f.metadata {
		return "meta.k8s.io/v1", "PartialObjectMetadata"
	}
	return r.apiVersion(), r.kind
}

// item encodes an object as it stands in a list.
func (f format) item(o runtime.Object) ([]byte, error) {
	if f.metadata {
		m, err := meta.Accessor(o)
		if err != nil {
			return nil, err
		}
		o = meta.AsPartialObjectMetadata(m)
	}
	if !f.protobuf {
		return json.Marshal(o)
	}
	m, ok := o.(interface{ Marshal() ([]byte, error) })
	if !ok {
		return nil, fmt.Errorf("%T has no protobuf form", o)
	}
	return m.Marshal()
}

// whole makes of an item an object that stands for itself.
func (f format) whole(item []byte, apiVersion, kind string) []byte {
	if !f.protobuf {
		if strings.HasPrefix(string(item[:min(len(item), 16)]), `{"apiVersion"`) {
			return item
		}
		head := `{"kind":` + strconv.Quote(kind) + `,"apiVersion":` + strconv.Quote(apiVersion)
		if len(item) > len("{}") {
			head += ","
		}
		return append([]byte(head), item[1:]...)
	}
	b := make([]byte, 0, len(item)+len(magic)+len(apiVersion)+len(kind)+24)
	return append(unknownHead(b, apiVersion, kind, len(item)), item...)
}

// unknownHead writes a runtime.Unknown up to its raw bytes.
func unknownHead(b []byte, apiVersion, kind string, raw int) []byte {
	var t []byte
	t = protowire.AppendTag(t, 1, protowire.BytesType)
	t = protowire.AppendString(t, apiVersion)
	t = protowire.AppendTag(t, 2, protowire.BytesType)
	t = protowire.AppendString(t, kind)
	b = append(b, magic...)
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendBytes(b, t)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	return protowire.AppendVarint(b, uint64(raw))
}

// frame encodes one event of a watch.
func (f format) frame(event string, object []byte) []byte {
	if !f.protobuf {
		b := append(make([]byte, 0, len(object)+32), `{"type":"`+event+`","object":`...)
		return append(append(b, object...), "}\n"...)
	}
	raw := len(object) + protowire.SizeTag(1) + protowire.SizeBytes(len(object)) - len(object)
	b := make([]byte, 4, len(object)+48)
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendString(b, event)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(raw))
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendBytes(b, object)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// list returns what comes before, between and after the items of a list; each item of a protobuf list has a head of its
// own besides.
func (f format) list(r *resourceKind, m *metav1.ListMeta, items [][]byte) (head, tail []byte, err error) {
	apiVersion, kind := f.kind(r)
	kind += "List"
	if !f.protobuf {
		b, err := json.Marshal(m)
		if err != nil {
			return nil, nil, err
		}
		return []byte(`{"kind":` + strconv.Quote(kind) + `,"apiVersion":` + strconv.Quote(apiVersion) + `,"metadata":` + string(b) + `,"items":[`), []byte("]}\n"), nil
	}
	encoded, err := m.Marshal()
	if err != nil {
		return nil, nil, err
	}
	var inner []byte
	inner = protowire.AppendTag(inner, 1, protowire.BytesType)
	inner = protowire.AppendBytes(inner, encoded)
	size := len(inner)
	for _, item := range items {
		size += protowire.SizeTag(2) + protowire.SizeBytes(len(item))
	}
	return append(unknownHead(nil, apiVersion, kind, size), inner...), nil, nil
}

// encodings keeps the objects of a resource in the forms that were asked for.
type encodings struct {
	mu    sync.Mutex
	forms map[format][]kept
}

type kept struct {
	version string
	bytes   []byte
}

func (e *encodings) get(f format, i int, version string) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	if form := e.forms[f]; form != nil && form[i].version == version {
		return form[i].bytes
	}
	return nil
}

func (e *encodings) put(f format, i, count int, version string, b []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.forms[f] == nil {
		e.forms[f] = make([]kept, count)
	}
	e.forms[f][i] = kept{version, b}
}

// encoded is the object of a number in the form of a list's item. The cluster must be locked for reading.
func (c *Cluster) encoded(r *resourceKind, f format, i int) ([]byte, error) {
	version := c.version(r.id, i)
	if r.kept != nil {
		if b := r.kept.get(f, i, version); b != nil {
			return b, nil
		}
	}
	b, err := f.item(r.object(i))
	if err == nil && r.kept != nil {
		r.kept.put(f, i, r.count, version, b)
	}
	return b, err
}
