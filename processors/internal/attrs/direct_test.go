// SPDX-License-Identifier: Apache-2.0

//go:build !purego

package attrs

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// TestTheMemoryIsKnown fails where a new version of pdata took the fast way away: Append is right then, and slow.
func TestTheMemoryIsKnown(t *testing.T) {
	assert.NotNil(t, textKind)
	keys, values := some(8)
	fresh := make([]pcommon.Map, 101)
	for i := range fresh {
		fresh[i] = pcommon.NewMap()
	}
	i := 0
	assert.Equal(t, 2.0, testing.AllocsPerRun(100, func() { Append(fresh[i], keys, values); i++ }), "the room for the entries, and the texts")
}

// TestOtherMemoryIsNotTouched: whatever pdata may become, what is not the known layout is not taken for it.
func TestOtherMemoryIsNotTouched(t *testing.T) {
	type value struct{ Value any }
	type state struct{}
	type keyValue struct {
		Key      string
		Value    value
		Strindex int32
	}
	assert.True(t, known(reflect.TypeFor[struct {
		orig  *[]keyValue
		state *state
	}]()))
	type longer struct {
		keyValue
		More int64
	}
	type reordered struct {
		Value    value
		Key      string
		Strindex int32
	}
	type narrower struct {
		Key   string
		Value value
	}
	type methods struct {
		Key      string
		Value    struct{ Value error }
		Strindex int32
	}
	type wider struct {
		Key      string
		Value    value
		Strindex int64
	}
	for name, other := range map[string]reflect.Type{
		"no struct": reflect.TypeFor[*[]keyValue](),
		"no state":  reflect.TypeFor[struct{ orig *[]keyValue }](),
		"the slice itself": reflect.TypeFor[struct {
			orig  []keyValue
			state *state
		}](),
		"pointers to entries": reflect.TypeFor[struct {
			orig  *[]*keyValue
			state *state
		}](),
		"no slice": reflect.TypeFor[struct {
			orig  *keyValue
			state *state
		}](),
		"longer entries": reflect.TypeFor[struct {
			orig  *[]longer
			state *state
		}](),
		"reordered entries": reflect.TypeFor[struct {
			orig  *[]reordered
			state *state
		}](),
		"shorter entries": reflect.TypeFor[struct {
			orig  *[]narrower
			state *state
		}](),
		"values with methods": reflect.TypeFor[struct {
			orig  *[]methods
			state *state
		}](),
		"another kind of a field": reflect.TypeFor[struct {
			orig  *[]wider
			state *state
		}](),
	} {
		assert.False(t, known(other), name)
	}
}
