// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	goyaml "github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// schema is what this test reads of a JSON schema.
type schema struct {
	Description          string
	Type                 any
	Enum                 []string
	Properties           map[string]*schema
	Items                *schema
	AdditionalProperties any
}

func (s *schema) leaf() bool { return len(s.Properties) == 0 }

func readSchema(t *testing.T) *schema {
	t.Helper()
	raw, err := os.ReadFile("values.schema.json")
	require.NoError(t, err)
	var s schema
	require.NoError(t, json.Unmarshal(raw, &s))
	return &s
}

// TestTheSchemaRefusesUnknownKeys looks at every object of the schema. What may have any key is in the words of Kubernetes or of
// the collector, and is theirs to refuse.
func TestTheSchemaRefusesUnknownKeys(t *testing.T) {
	open := []string{
		"global", "link.tls.volume", "metricsTier.tls.volume", "router.tls.volume", "hub.tls.volume", "hub.analysis.tls.volume",
		"agent.config", "inventory.config", "metricsTier.config", "router.config", "hub.config",
		"agent.affinity", "inventory.affinity", "metricsTier.affinity", "router.affinity", "hub.affinity",
	}
	var found []string
	var walk func(path string, s *schema)
	walk = func(path string, s *schema) {
		if s.Type == "object" && s.AdditionalProperties != false {
			// A map of strings has a schema of its own for them.
			if _, ok := s.AdditionalProperties.(map[string]any); !ok {
				found = append(found, path)
			}
		}
		for key, p := range s.Properties {
			walk(strings.TrimPrefix(path+"."+key, "."), p)
		}
	}
	walk("", readSchema(t))
	assert.ElementsMatch(t, open, found)
}

const (
	tableBegins = "<!-- values: from values.schema.json and values.yaml, by go test ./distribution/chart -update -->\n"
	tableEnds   = "<!-- end of values -->\n"
)

// TestReadmeListsEveryValue holds schema, defaults and README to each other.
func TestReadmeListsEveryValue(t *testing.T) {
	raw, err := os.ReadFile("values.yaml")
	require.NoError(t, err)
	var defaults goyaml.MapSlice
	require.NoError(t, goyaml.UnmarshalWithOptions(raw, &defaults, goyaml.UseOrderedMap()))
	var table strings.Builder
	table.WriteString("| value | default | meaning |\n|---|---|---|\n")
	root := readSchema(t)
	delete(root.Properties, "global")
	rows(t, &table, "", defaults, root)

	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	head, rest, found := strings.Cut(string(readme), tableBegins)
	require.True(t, found)
	_, tail, found := strings.Cut(rest, tableEnds)
	require.True(t, found)
	want := head + tableBegins + table.String() + tableEnds + tail
	if *update {
		require.NoError(t, os.WriteFile("README.md", []byte(want), 0o644))
		return
	}
	assert.Equal(t, want, string(readme), "go test ./distribution/chart -update writes it anew")
}

// rows writes a row for each value, in the order of values.yaml.
func rows(t *testing.T, table *strings.Builder, path string, defaults goyaml.MapSlice, s *schema) {
	t.Helper()
	seen := map[string]bool{}
	for _, item := range defaults {
		key := item.Key.(string)
		seen[key] = true
		p := s.Properties[key]
		if !assert.NotNil(t, p, "values.schema.json has no %s%s", path, key) {
			continue
		}
		if inner, ok := item.Value.(goyaml.MapSlice); ok && !p.leaf() {
			rows(t, table, path+key+".", inner, p)
			continue
		}
		value, err := goyaml.MarshalWithOptions(item.Value, goyaml.JSON())
		require.NoError(t, err)
		assert.NotEmpty(t, p.Description, path+key)
		fmt.Fprintf(table, "| `%s%s` | `%s` | %s |\n", path, key, strings.TrimSpace(string(value)), p.Description)
	}
	for key := range s.Properties {
		// Requests and limits may be left out.
		if !seen[key] && !strings.HasSuffix(path, "resources.limits.") {
			assert.Fail(t, "values.yaml has no "+path+key)
		}
	}
}
