// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// leanNegotiator decodes protobuf in place: client-go's decoders copy an event twice, and a page once, before they look
// at it. While a cluster is read, these copies are most of what is allocated, and what is allocated while the garbage
// collector runs counts as live, so that the heap grows to twice of it.
type leanNegotiator struct {
	runtime.NegotiatedSerializer
	types []runtime.SerializerInfo
}

func newLeanNegotiator(all runtime.NegotiatedSerializer) leanNegotiator {
	// The list is the other's own, which all callers share.
	n := leanNegotiator{all, slices.Clone(all.SupportedMediaTypes())}
	for i := range n.types {
		info := &n.types[i]
		if info.MediaType != protobuf {
			continue
		}
		info.Serializer = leanSerializer{info.Serializer}
		if info.StreamSerializer != nil {
			lean := *info.StreamSerializer
			lean.Serializer = leanEvents{lean.Serializer}
			info.StreamSerializer = &lean
		}
	}
	return n
}

// SupportedMediaTypes are those of the embedded negotiator.
func (n leanNegotiator) SupportedMediaTypes() []runtime.SerializerInfo { return n.types }

// leanSerializer decodes pods and pages of pods itself.
type leanSerializer struct{ runtime.Serializer }

// envelope begins each protobuf object of Kubernetes.
var envelope = []byte("k8s\x00")

// Decode overwrites the data of pods. What it returns does not refer to the data.
func (s leanSerializer) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	kind, raw, ok := opened(data)
	if into != nil || !ok {
		return s.Serializer.Decode(data, defaults, into)
	}
	var object interface {
		runtime.Object
		Unmarshal(data []byte) error
	}
	switch kind {
	case "Pod":
		object = &leanPod{}
	case "PodList":
		object = &leanPodList{}
	default:
		return s.Serializer.Decode(data, defaults, into)
	}
	gvk := schema.GroupVersionKind{Version: "v1", Kind: kind}
	if err := object.Unmarshal(raw); err != nil {
		return nil, &gvk, err
	}
	object.GetObjectKind().SetGroupVersionKind(gvk)
	return object, &gvk, nil
}

// opened returns the kind and the content of an object of the core group. It is false for all else.
func opened(data []byte) (kind string, raw []byte, ok bool) {
	data, ok = bytes.CutPrefix(data, envelope)
	if !ok {
		return "", nil, false
	}
	var version []byte
	// The numbers are those of k8s.io/apimachinery/pkg/runtime.Unknown and TypeMeta.
	ok = eachBytes(data, func(number protowire.Number, value []byte) bool {
		switch number {
		case 1:
			return eachBytes(value, func(number protowire.Number, value []byte) bool {
				switch number {
				case 1:
					version = value
				case 2:
					kind = string(value)
				}
				return true
			})
		case 2:
			raw = value
		case 3:
			// An encoding of the content.
			return len(value) == 0
		}
		return true
	})
	return kind, raw, ok && string(version) == "v1"
}

// leanEvents decodes the frames of a watch.
type leanEvents struct{ runtime.Serializer }

// Decode leaves the object of an event in the data, which the caller decodes before it reads the next frame.
func (s leanEvents) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	event, ok := into.(*metav1.WatchEvent)
	if !ok {
		return s.Serializer.Decode(data, defaults, into)
	}
	var read metav1.WatchEvent
	// The numbers are those of WatchEvent and RawExtension.
	ok = eachBytes(data, func(number protowire.Number, value []byte) bool {
		switch number {
		case 1:
			read.Type = string(value)
		case 2:
			return eachBytes(value, func(number protowire.Number, value []byte) bool {
				if number == 1 {
					read.Object.Raw = value
				}
				return true
			})
		}
		return true
	})
	if !ok {
		return s.Serializer.Decode(data, defaults, into)
	}
	*event = read
	return event, nil, nil
}

// eachBytes calls f with each field of a message that has bytes. It is false for what is no message, and once f is.
func eachBytes(data []byte, f func(number protowire.Number, value []byte) bool) bool {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return false
		}
		data = data[n:]
		if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
			return false
		}
		if kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(data[:n])
			if !f(number, value) {
				return false
			}
		}
		data = data[n:]
	}
	return true
}
