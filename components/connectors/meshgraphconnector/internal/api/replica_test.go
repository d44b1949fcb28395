// SPDX-License-Identifier: Apache-2.0

package api

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAPartSaysSo: each answer of one of several replicas says which one it is and what it has, and is otherwise what it was. That of
// the only one says nothing of it.
func TestAPartSaysSo(t *testing.T) {
	s := sources(t, store(t))
	s.ControlPlanes = func() any { return struct{}{} }
	alone := Admin(s)
	s.Replica = &Replica{Name: "otelcol-mesh-hub-1"}
	one := Admin(s)
	said := map[string]bool{}
	for _, path := range []string{"graph", "failovers", "cost", "posture", "control-planes"} {
		whole, part := ask(alone, "/api/v1/"+path), ask(one, "/api/v1/"+path)
		require.Equal(t, http.StatusOK, part.Code, path)
		assert.True(t, json.Valid(part.Body.Bytes()), path)
		got, want := object(t, part), object(t, whole)
		assert.NotContains(t, want, "replica", path)
		replica, ok := got["replica"].(map[string]any)
		require.True(t, ok, path)
		assert.Equal(t, "otelcol-mesh-hub-1", replica["name"], path)
		assert.Equal(t, true, replica["of_several"], path)
		assert.Contains(t, replica["has"], "replica", path)
		said[replica["has"].(string)] = true
		delete(got, "replica")
		assert.Equal(t, want, got, path)
	}
	assert.Len(t, said, 5, "each says what it has")
	// A service is whole at its replica.
	assert.NotContains(t, object(t, ask(one, "/api/v1/versions?namespace=shop&service=reviews")), "replica")
}
