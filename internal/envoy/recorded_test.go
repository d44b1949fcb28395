// SPDX-License-Identifier: Apache-2.0

package envoy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recordings are what real Envoys sent, see test/recordings/README.md.
const recordings = "../../test/recordings/testdata/*/*.json"

// TestRecordings reads each text of a recording that is of a known format, by the key it stands under: all must be read,
// and written the same again.
func TestRecordings(t *testing.T) {
	files, err := filepath.Glob(recordings)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	read := make(map[string]int)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var tree any
		require.NoError(t, json.Unmarshal(data, &tree), file)
		visit(tree, "", func(key, text string) {
			check, known := recorded[key]
			if !known || text == "" || text == "-" {
				return
			}
			read[key]++
			check(t, text)
		})
	}
	for key := range recorded {
		assert.Positive(t, read[key], key)
	}
}

// recorded are the checks of a text, by its key in the recordings.
var recorded = map[string]func(t *testing.T, text string){
	"node_id": func(t *testing.T, text string) { readsNodeID(t, text) },
	"id":      func(t *testing.T, text string) { readsNodeID(t, text) },
	"upstream_cluster": func(t *testing.T, text string) {
		c, err := ParseClusterName(text)
		assert.NoError(t, err, text)
		assert.Equal(t, text, c.String())
	},
	"upstream_cluster.name": func(t *testing.T, text string) {
		c, err := ParseClusterName(text)
		assert.NoError(t, err, text)
		assert.NotEqual(t, DirectionUnknown, c.Direction)
	},
	"upstreamCluster": func(t *testing.T, text string) {
		c, err := ParseClusterName(text)
		assert.NoError(t, err, text)
		assert.Contains(t, text, c.Host)
		assert.Contains(t, []Direction{Inbound, Outbound}, c.Direction, text)
	},
	"requested_server_name": func(t *testing.T, text string) {
		c, err := ParseClusterName(text)
		assert.NoError(t, err, text)
		assert.Equal(t, Outbound, c.Direction)
	},
	"mesh.upstream.host": func(t *testing.T, text string) { readsAddress(t, text) },
	"peer.address":       func(t *testing.T, text string) { readsAddress(t, text) },
	"upstream_address":   func(t *testing.T, text string) { readsAddress(t, text) },
	"upstream_host":      func(t *testing.T, text string) { readsAddress(t, text) },
	"mesh.upstream.workload": func(t *testing.T, text string) {
		m, err := ParseEndpointMetadata(text)
		assert.NoError(t, err, text)
		assert.NotEmpty(t, m.Cluster, text)
		assert.Equal(t, text, m.String())
	},
	"mesh.upstream.principal": func(t *testing.T, text string) { readsSPIFFE(t, text) },
	"uri":                     func(t *testing.T, text string) { readsSPIFFE(t, text) },
	"response_flags": func(t *testing.T, text string) {
		assert.Equal(t, text, ParseResponseFlags(text).String())
	},
}

func readsNodeID(t *testing.T, text string) {
	id, err := ParseNodeID(text)
	assert.NoError(t, err, text)
	assert.Equal(t, text, id.String())
}

func readsAddress(t *testing.T, text string) {
	_, _, ok := ParseAddress(text)
	assert.True(t, ok, text)
}

func readsSPIFFE(t *testing.T, text string) {
	id, err := ParseSPIFFE(text)
	assert.NoError(t, err, text)
	assert.Equal(t, text, id.String())
	assert.NotEmpty(t, id.ServiceAccount, text)
}

// visit calls with each text, and with the name of its field or, in OTLP, the key of its attribute.
func visit(node any, key string, call func(key, text string)) {
	switch n := node.(type) {
	case string:
		call(key, n)
	case []any:
		for _, element := range n {
			visit(element, key, call)
		}
	case map[string]any:
		name, isAttribute := n["key"].(string)
		for field, value := range n {
			switch {
			case isAttribute && field == "value", field == "stringValue":
				visit(value, attributeKey(name, key), call)
			default:
				visit(value, field, call)
			}
		}
	}
}

// attributeKey returns the key of an attribute, or within its value the one that was found before.
func attributeKey(name, before string) string {
	if name == "" {
		return before
	}
	return name
}
