// SPDX-License-Identifier: Apache-2.0

package attrs

import "go.opentelemetry.io/collector/pdata/pcommon"

// entrySize is what an attribute takes beside its key and what its value points to.
const entrySize = 16

// Size estimates how many bytes attributes take, nested ones included. It is for ceilings on memory: what a sender may
// write must count, of whatever type it is.
func Size(m pcommon.Map) int {
	size := 0
	for key, value := range m.All() {
		size += entrySize + len(key) + sizeOf(value)
	}
	return size
}

// ScopeSize is [Size] for a scope.
func ScopeSize(scope pcommon.InstrumentationScope) int {
	return len(scope.Name()) + len(scope.Version()) + Size(scope.Attributes())
}

func sizeOf(value pcommon.Value) int {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return len(value.Str())
	case pcommon.ValueTypeBytes:
		return value.Bytes().Len()
	case pcommon.ValueTypeMap:
		return Size(value.Map())
	case pcommon.ValueTypeSlice:
		size := 0
		for _, element := range value.Slice().All() {
			size += entrySize + sizeOf(element)
		}
		return size
	}
	return 0
}
