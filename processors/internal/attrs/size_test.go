// SPDX-License-Identifier: Apache-2.0

package attrs

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

func TestSize(t *testing.T) {
	scope := pcommon.NewInstrumentationScope()
	scope.SetName("envoy")
	scope.SetVersion("1.40")
	m := scope.Attributes()
	assert.Zero(t, Size(m))
	m.PutStr("text", "12345")
	m.PutInt("number", 1)
	m.PutEmptyBytes("bytes").FromRaw(make([]byte, 100))
	nested := m.PutEmptyMap("map").PutEmptySlice("list")
	nested.AppendEmpty().SetStr("1234567")
	nested.AppendEmpty().SetBool(true)
	want := (16 + 4 + 5) + (16 + 6) + (16 + 5 + 100) + (16 + 3) + (16 + 4) + (16 + 7) + 16
	assert.Equal(t, want, Size(m))
	assert.Equal(t, want+5+4, ScopeSize(scope))
}
