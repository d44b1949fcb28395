// SPDX-License-Identifier: Apache-2.0

package gitops_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// build does what Flux does with a spoke's file: the folder, its patches, its substitutions.
func build(t *testing.T, kustomization object) map[string]object {
	t.Helper()
	name, found := strings.CutPrefix(kustomization.text("spec", "path"), "./")
	require.True(t, found)
	raw, err := os.ReadFile(filepath.Join(path(t, name), "release.yaml"))
	require.NoError(t, err)
	substitutes := kustomization.at("spec", "postBuild", "substitute").(map[string]any)
	text := os.Expand(string(raw), func(name string) string {
		value, known := substitutes[name].(string)
		require.True(t, known, name)
		return value
	})
	built := map[string]object{}
	objects := parse(t, text)
	valid(t, objects)
	patched := 0
	patches, _ := kustomization.at("spec", "patches").([]any)
	for _, o := range objects {
		for _, p := range patches {
			patch := object(p.(map[string]any))
			key, value, _ := strings.Cut(patch.text("target", "labelSelector"), "=")
			if patch.text("target", "kind") == o.text("kind") && o.text("metadata", "labels", key) == value {
				merge(o.at("spec").(map[string]any), parse(t, patch.text("patch"))[0].at("spec").(map[string]any))
				patched++
			}
		}
		built[o.text("metadata", "name")] = o
	}
	assert.Equal(t, len(patches), patched, "each patch meets one object")
	return built
}

func merge(into, from map[string]any) {
	for key, value := range from {
		inner, isMap := value.(map[string]any)
		if there, both := into[key].(map[string]any); isMap && both {
			merge(there, inner)
			continue
		}
		into[key] = value
	}
}

func release(t *testing.T, o object) []object {
	t.Helper()
	chart := meshChart
	if name := o.text("spec", "chart", "spec", "chart"); name != "" {
		assert.Equal(t, "./"+folder+"/certificates", name)
		chart = certificateChart
	} else {
		assert.Equal(t, "OCIRepository otelcol-mesh", o.text("spec", "chartRef", "kind")+" "+o.text("spec", "chartRef", "name"))
	}
	assert.Equal(t, "otelcol-mesh", o.text("spec", "targetNamespace"))
	return render(t, chart, o.text("spec", "releaseName"), values(t, o.at("spec", "values")))
}

// TestFlux does what Flux does, with the files that are there and with one more.
func TestFlux(t *testing.T) {
	root := read(t, "flux/otelcol-mesh.yaml")
	valid(t, root)
	named(t, root, "OCIRepository", "otelcol-mesh")
	all := named(t, root, "Kustomization", "otelcol-mesh-spokes")
	assert.Equal(t, "./"+folder+"/flux/spokes", all.text("spec", "path"))

	hub := read(t, "flux/hub/release.yaml")
	valid(t, hub)
	installed := release(t, named(t, hub, "HelmRelease", "otelcol-mesh-hub"))
	named(t, installed, "StatefulSet", "otelcol-mesh-hub")
	certificates := release(t, named(t, hub, "HelmRelease", "otelcol-mesh-certificates"))
	hubName := named(t, certificates, "Certificate", "otelcol-mesh-hub").at("spec", "dnsNames").([]any)[0].(string)

	files, err := filepath.Glob("flux/spokes/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, 2)
	raw, err := os.ReadFile("flux/spokes/aks-westeurope.yaml")
	require.NoError(t, err)
	added := filepath.Join(t.TempDir(), "aks-swedencentral.yaml")
	require.NoError(t, os.WriteFile(added, []byte(strings.ReplaceAll(string(raw), "aks-westeurope", "aks-swedencentral")), 0o600))
	for _, file := range append(files, added) {
		cluster := strings.TrimSuffix(filepath.Base(file), ".yaml")
		objects := read(t, file)
		valid(t, objects)
		require.Len(t, objects, 1)
		built := build(t, objects[0])
		require.Len(t, built, 3)
		for name, o := range built {
			remote := cluster + "-kubeconfig"
			if name == "otelcol-mesh-certificate-"+cluster {
				remote = "" // the hub's own cluster
			}
			assert.Equal(t, remote, o.text("spec", "kubeConfig", "secretRef", "name"), name)
		}
		spoke{
			mesh:    release(t, built["otelcol-mesh-"+cluster]),
			issued:  release(t, built["otelcol-mesh-certificate-"+cluster]),
			fetched: release(t, built["otelcol-mesh-certificates-"+cluster]),
		}.check(t, cluster, hubName)
	}
}

// TestFluxHasTheSharedValues holds the values that are written in Flux's files to those of the folder values.
func TestFluxHasTheSharedValues(t *testing.T) {
	hub := named(t, read(t, "flux/hub/release.yaml"), "HelmRelease", "otelcol-mesh-hub")
	assert.Equal(t, map[string]any(read(t, "values/hub.yaml")[0]), hub.at("spec", "values"))
	spoke := named(t, read(t, "flux/spoke/release.yaml"), "HelmRelease", "otelcol-mesh-${cluster}").at("spec", "values").(map[string]any)
	delete(spoke, "cluster")
	assert.Equal(t, map[string]any(read(t, "values/spokes.yaml")[0]), spoke)
}

// TestTheSchemasFindMistakes shows that a key and a value that the CRDs do not know are found.
func TestTheSchemasFindMistakes(t *testing.T) {
	app := read(t, "argocd/hub.yaml")[0]
	s := schemas(t)["argoproj.io/v1alpha1 Application"]
	require.Empty(t, s.check("", map[string]any(app)))
	app["spec"].(map[string]any)["projects"] = "default"
	app["spec"].(map[string]any)["sources"].([]any)[0].(map[string]any)["path"] = 1.0
	assert.ElementsMatch(t, []string{".spec: projects is not known", ".spec.sources[0].path: a number, wanted string"}, s.check("", map[string]any(app)))
}
