// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

var errNoMessage = errors.New("no protobuf message")

// leanPod is a pod that is decoded without what the source does not read: a pod of a mesh has some 10 kB, most of it the
// containers' environment and the managed fields, and to decode them is most of the work of reading a cluster.
type leanPod struct{ corev1.Pod }

// DeepCopyObject is [corev1.Pod.DeepCopyObject].
func (p *leanPod) DeepCopyObject() runtime.Object { return &leanPod{*p.DeepCopy()} }

// Unmarshal decodes the protobuf form. It overwrites the data.
func (p *leanPod) Unmarshal(data []byte) error {
	lean, ok := podFields.keep(data)
	if !ok {
		return errNoMessage
	}
	return p.Pod.Unmarshal(lean)
}

// leanPodList is a page of pods.
type leanPodList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []leanPod `json:"items"`
}

// DeepCopyObject returns a shallow copy: nobody changes a decoded object.
func (l *leanPodList) DeepCopyObject() runtime.Object { c := *l; return &c }

// Reset empties the list.
func (l *leanPodList) Reset() { *l = leanPodList{} }

// Unmarshal decodes the protobuf form. It overwrites the data.
func (l *leanPodList) Unmarshal(data []byte) error {
	list := corev1.PodList{}
	lean, ok := podListFields.keep(data)
	if !ok {
		return errNoMessage
	}
	if err := list.Unmarshal(lean); err != nil {
		return err
	}
	l.ListMeta = list.ListMeta
	l.Items = make([]leanPod, len(list.Items))
	for i := range list.Items {
		l.Items[i].Pod = list.Items[i]
	}
	return nil
}

// podOf returns the pod that an object is, nil if none.
func podOf(obj runtime.Object) *corev1.Pod {
	switch o := obj.(type) {
	case *leanPod:
		return &o.Pod
	case *corev1.Pod:
		return o
	}
	return nil
}

// fields are the fields of a message to keep, by number; a nil value keeps the whole field.
type fields map[protowire.Number]*filter

// filter says what to keep of a message.
type filter struct {
	fields fields
	// test decides about the whole message by its content; nil keeps it.
	test func(content []byte) bool
}

// The numbers are those of the messages in k8s.io/api/core/v1 and k8s.io/apimachinery/pkg/apis/meta/v1.
var (
	objectMetaFields = &filter{fields: fields{
		1: nil, 3: nil, 5: nil, 6: nil, 8: nil, 9: nil, 10: nil, 11: nil, 13: nil,
		// The one annotation that counts ends the initial objects of a stream.
		12: {test: mentions(metav1.InitialEventsAnnotationKey)},
	}}
	// Of the containers that of istiod counts, of their states those that ended, of the conditions one.
	containerFields       = &filter{fields: fields{1: nil, 2: nil}, test: mentions(containerDiscovery)}
	containerStatusFields = &filter{fields: fields{2: nil}, test: terminated}
	conditionFields       = &filter{test: mentions(string(corev1.PodReadyToStartContainers))}
	podFields             = &filter{fields: fields{
		1: objectMetaFields,
		2: {fields: fields{2: containerFields, 8: nil, 10: nil, 11: nil}},
		3: {fields: fields{1: nil, 2: conditionFields, 6: nil, 7: nil, 8: containerStatusFields, 10: containerStatusFields, 12: nil}},
	}}
	podListFields = &filter{fields: fields{1: nil, 2: podFields}}
)

// mentions is a test for a text. It may be true of more than what is looked for.
func mentions(text string) func([]byte) bool {
	return func(content []byte) bool { return bytes.Contains(content, []byte(text)) }
}

// terminated says whether the status of a container tells that it ended.
func terminated(status []byte) bool {
	ended := false
	return eachBytes(status, func(number protowire.Number, state []byte) bool {
		return number != 2 || eachBytes(state, func(number protowire.Number, _ []byte) bool {
			ended = ended || number == 3
			return true
		})
	}) && ended
}

// keep moves the fields to keep to the front of data and returns them. It is false for what is no protobuf message, and
// the data is of no use then.
func (f *filter) keep(data []byte) ([]byte, bool) {
	if f.fields == nil {
		return data, true
	}
	out := 0
	for in := 0; in < len(data); {
		number, kind, tag := protowire.ConsumeTag(data[in:])
		if tag < 0 {
			return nil, false
		}
		size := protowire.ConsumeFieldValue(number, kind, data[in+tag:])
		if size < 0 {
			return nil, false
		}
		field := data[in : in+tag+size]
		in += len(field)
		inner, wanted := f.fields[number]
		if !wanted {
			continue
		}
		if inner != nil && kind == protowire.BytesType {
			var ok bool
			if field, ok = inner.keepField(field, tag); !ok {
				return nil, false
			}
		}
		out += copy(data[out:], field)
	}
	return data[:out], true
}

// keepField filters a field that holds a message. The shorter field is written over the old one.
func (f *filter) keepField(field []byte, tag int) ([]byte, bool) {
	content, n := protowire.ConsumeBytes(field[tag:])
	if n < 0 {
		return nil, false
	}
	if f.test != nil && !f.test(content) {
		return nil, true
	}
	kept, ok := f.keep(content)
	if !ok {
		return nil, false
	}
	// A shorter message has no longer length, so this writes over nothing that is still to be read.
	return append(protowire.AppendVarint(field[:tag], uint64(len(kept))), kept...), true
}
