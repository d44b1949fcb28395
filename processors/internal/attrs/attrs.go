// SPDX-License-Identifier: Apache-2.0

// Package attrs appends several texts to the attributes of an item at once.
//
// pcommon.Map has one way to add an attribute: search the whole map for the key, allocate a value of sixteen bytes, append.
// For a processor that has read the map and adds twenty attributes, that is twenty searches for what is known to be
// absent, twenty allocations, and most of its time. [Append] does no search and allocates all values at once; [Share] makes
// them once for many items.
package attrs

import "go.opentelemetry.io/collector/pdata/pcommon"

// Append appends attributes to a map, each a key and its text. **None of the keys may be in the map already**, which is
// not checked: it would then be there twice. It panics for a map that may not be changed, as pdata does, and unless there
// are as many values as keys.
func Append(m pcommon.Map, keys, values []string) {
	_ = values[:len(keys)]
	// Also asserts that the map may be changed.
	m.EnsureCapacity(m.Len() + len(keys))
	if !appendDirectly(m, keys, values) {
		for i, key := range keys {
			m.PutStr(key, values[i])
		}
	}
}
