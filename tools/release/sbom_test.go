// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// programsDir has the built programs; `make test` says where.
func programsDir() string {
	if binary := os.Getenv("OTELCOL_MESH_BINARY"); binary != "" {
		return filepath.Dir(binary)
	}
	return "../../build/distribution"
}

// schema is CycloneDX's own, which comes with its Go module.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	for file, id := range map[string]string{
		"bom-1.6.schema.json":   "http://cyclonedx.org/schema/bom-1.6.schema.json",
		"spdx.schema.json":      "http://cyclonedx.org/schema/spdx.schema.json",
		"jsf-0.82.schemax.json": "http://cyclonedx.org/schema/jsf-0.82.schema.json",
	} {
		raw, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "schema", file))
		require.NoError(t, err)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		require.NoError(t, err)
		require.NoError(t, compiler.AddResource(id, doc))
	}
	s, err := compiler.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	require.NoError(t, err)
	return s
}

type billOf struct {
	Components []struct {
		Ref        string `json:"bom-ref"`
		Name       string `json:"name"`
		Version    string `json:"version"`
		PackageURL string `json:"purl"`
	} `json:"components"`
	Dependencies []struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn"`
	} `json:"dependencies"`
}

// TestBillOfMaterials prevents a bill that scanners refuse, or that leaves out what is in the programs of the distribution.
func TestBillOfMaterials(t *testing.T) {
	r := made(t, programsDir())
	raw, err := r.sbom(r.platforms[0])
	require.NoError(t, err)
	again, err := r.sbom(r.platforms[0])
	require.NoError(t, err)
	assert.Equal(t, string(raw), string(again))

	s := schema(t)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	require.NoError(t, err)
	require.NoError(t, s.Validate(doc))
	broken, err := jsonschema.UnmarshalJSON(strings.NewReader(strings.Replace(string(raw), `"type": "library"`, `"type": "thing"`, 1)))
	require.NoError(t, err)
	require.Error(t, s.Validate(broken), "the schema judges")

	var bill billOf
	require.NoError(t, json.Unmarshal(raw, &bill))
	byRef := map[string]string{}
	for _, c := range bill.Components {
		require.NotContains(t, byRef, c.Ref, "one component, one reference")
		require.NotEmpty(t, c.Version, c.Ref)
		require.NotEqual(t, "unknown", c.Version, c.Ref)
		require.NotContains(t, c.PackageURL, "../", c.Ref)
		byRef[c.Ref] = c.Version
	}
	depends := map[string][]string{}
	for _, d := range bill.Dependencies {
		depends[d.Ref] = d.DependsOn
		for _, on := range d.DependsOn {
			require.Contains(t, byRef, on)
		}
	}
	assert.ElementsMatch(t, []string{"otelcol-mesh", "otelcol-mesh-doctor", "otelcol-mesh-explain", "otelcol-mesh-init", rootsPath}, depends["image"])
	for _, program := range programs {
		info, err := buildinfo.ReadFile(filepath.Join(programsDir(), program.name))
		require.NoError(t, err)
		assert.Len(t, depends[program.name], len(info.Deps)+1, "%s: its modules and the standard library", program.name)
		assert.Contains(t, depends[program.name], "pkg:golang/stdlib@"+strings.TrimPrefix(info.GoVersion, "go"))
	}
	assert.Contains(t, depends[name], "pkg:golang/"+ownModule+"@v"+r.version)
	assert.Greater(t, len(bill.Components), 200)
}
