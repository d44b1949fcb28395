// SPDX-License-Identifier: Apache-2.0

//go:build !purego

package attrs

import (
	"reflect"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// The memory of a pcommon.Map as of pdata v1.67. Nothing is assumed of another version: [known] compares it, type by
// type, before the first use, and where it differs in anything the slow way is taken. Build with the tag purego to take
// that always.
type (
	memory struct {
		entries *[]entry
		state   unsafe.Pointer
	}
	entry struct {
		key string
		// value holds a pointer to a struct of one string, if the attribute is a text.
		value    any
		strindex int32
	}
	// face is an interface without methods.
	face struct{ kind, data unsafe.Pointer }
)

// textKind is the type of the pointer in the value of a text; nil if the memory is not the known one.
var textKind = func() unsafe.Pointer {
	m := pcommon.NewMap()
	m.PutStr("key", "value")
	if !known(reflect.TypeOf(m)) {
		return nil
	}
	value := (*(*memory)(unsafe.Pointer(&m)).entries)[0].value
	text := reflect.TypeOf(value)
	if text.Kind() != reflect.Pointer || !isStruct(text.Elem(), reflect.String) || text.Elem().Size() != unsafe.Sizeof("") {
		return nil
	}
	return (*face)(unsafe.Pointer(&value)).kind
}()

// known says whether a map is a pointer to a slice of entries and a pointer, and an entry a string, an interface without
// methods and a number.
func known(m reflect.Type) bool {
	if !isStruct(m, reflect.Pointer, reflect.Pointer) || m.Size() != unsafe.Sizeof(memory{}) || m.Field(0).Type.Elem().Kind() != reflect.Slice {
		return false
	}
	e := m.Field(0).Type.Elem().Elem()
	if !isStruct(e, reflect.String, reflect.Struct, reflect.Int32) || e.Size() != unsafe.Sizeof(entry{}) ||
		e.Field(1).Offset != unsafe.Offsetof(entry{}.value) || e.Field(2).Offset != unsafe.Offsetof(entry{}.strindex) {
		return false
	}
	value := e.Field(1).Type
	return isStruct(value, reflect.Interface) && value.Field(0).Type.NumMethod() == 0
}

// isStruct says whether the type is a struct of fields of these kinds.
func isStruct(t reflect.Type, kinds ...reflect.Kind) bool {
	if t.Kind() != reflect.Struct || t.NumField() != len(kinds) {
		return false
	}
	for i, kind := range kinds {
		if t.Field(i).Type.Kind() != kind {
			return false
		}
	}
	return true
}

func appendDirectly(m pcommon.Map, keys, values []string) bool {
	if textKind == nil {
		return false
	}
	// A struct of one string is that string in memory. All of them live as long as one of them does: they are of one item.
	texts := make([]string, len(keys))
	copy(texts, values)
	entries := (*memory)(unsafe.Pointer(&m)).entries
	grown := *entries
	for i, key := range keys {
		e := entry{key: key}
		*(*face)(unsafe.Pointer(&e.value)) = face{textKind, unsafe.Pointer(&texts[i])}
		grown = append(grown, e)
	}
	*entries = grown
	return true
}

// mayShare says whether two items may point to the same value: pdata must not change one where it stands.
func mayShare() bool {
	if textKind == nil {
		return false
	}
	set, copied, other := pcommon.NewMap(), pcommon.NewMap(), pcommon.NewMap()
	for _, m := range [...]pcommon.Map{set, copied} {
		m.PutStr("text", "value")
		m.PutBool("boolean", true)
	}
	values := [...]unsafe.Pointer{valueOf(set, 0), valueOf(set, 1), valueOf(copied, 0), valueOf(copied, 1)}
	set.PutInt("text", 1)
	set.PutStr("boolean", "other")
	other.CopyTo(copied)
	return *(*string)(values[0]) == "value" && *(*bool)(values[1]) && *(*string)(values[2]) == "value" && *(*bool)(values[3])
}

// valueOf returns where the value of the attribute at that place is.
func valueOf(m pcommon.Map, at int) unsafe.Pointer {
	return (*face)(unsafe.Pointer(&(*(*memory)(unsafe.Pointer(&m)).entries)[at].value)).data
}

// appendShared appends entries that point to the same values.
func appendShared(m, made pcommon.Map) {
	entries := (*memory)(unsafe.Pointer(&m)).entries
	*entries = append(*entries, *(*memory)(unsafe.Pointer(&made)).entries...)
}
