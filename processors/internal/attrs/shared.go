// SPDX-License-Identifier: Apache-2.0

package attrs

import "go.opentelemetry.io/collector/pdata/pcommon"

// Shared are attributes that are made once and that many items have: an item that gets them points to the same values as
// the others. Nobody notices, because pdata never changes a text, number or boolean where it stands: whoever sets an
// attribute makes a new value, and only the item that is set points to that. Its zero value is none.
//
// The exception is pdata's feature gate pdata.useProtoPooling, which clears values to use them again. [Share] sees
// whether that is so.
type Shared struct{ made pcommon.Map }

// Share returns the attributes of the map, each of which must be a text, a number or a boolean. The map is the Shared's
// from then on: the caller may not change it. ok is false if values cannot be shared in this process; then use [Append].
func Share(made pcommon.Map) (s Shared, ok bool) {
	if !mayShare() {
		return Shared{}, false
	}
	return Shared{made}, true
}

// AppendTo appends the attributes to the map of an item. **None of the keys may be in it already**, which is not
// checked. It panics for a map that may not be changed, as pdata does.
func (s Shared) AppendTo(m pcommon.Map) {
	if s == (Shared{}) || s.made.Len() == 0 {
		return
	}
	// Also asserts that the map may be changed.
	m.EnsureCapacity(m.Len() + s.made.Len())
	appendShared(m, s.made)
}
