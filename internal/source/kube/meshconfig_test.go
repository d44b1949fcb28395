// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// meshMaps answers requests for one ConfigMap: a list of what is there, then a watch with events.
func meshMaps(name string, listed []corev1.ConfigMap, events <-chan string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		switch {
		case r.URL.Path == "/api/v1/namespaces/"+uidNamespace:
			cut(`{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"kube-system","uid":"u1"}}`)(w, r)
		case r.URL.Path != "/api/v1/namespaces/istio-system/configmaps" || query.Get("fieldSelector") != "metadata.name="+name:
			refuse(w, r)
		case query.Get("watch") == "":
			raw := event("", corev1.ConfigMapList{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMapList"}, ListMeta: metav1.ListMeta{ResourceVersion: "5"}, Items: listed,
			})
			cut(strings.TrimSuffix(strings.TrimPrefix(raw, `{"type":"","object":`), "}"))(w, r)
		default:
			cut()(w, r)
			for {
				select {
				case e := <-events:
					cut(e)(w, r)
				case <-r.Context().Done():
					return
				}
			}
		}
	}
}

func meshEvent(kind, name, trustDomain, rv string) string {
	m := meshMap(name, "trustDomain: "+trustDomain+"\n", "")
	m.TypeMeta, m.ResourceVersion = metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, rv
	return event(kind, m)
}

// runNode runs a source of the node scope, with a server that has no more than the mesh configurations of a name.
func runNode(t *testing.T, revision, name string, events <-chan string, listed ...corev1.ConfigMap) (h *harness, resolved <-chan string) {
	page := `{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"5"},"items":[]}`
	f := newFakeAPI(t, cut(page))
	f.other = meshMaps(name, listed, events)
	over := make(chan string, 100)
	found := make(chan topology.Finding, 100)
	source, err := New(Settings{
		Cluster: "c1", NodeName: "n1", IstioRevision: revision, Client: ClientSettings{Config: &rest.Config{Host: f.URL}},
		Report: func(f topology.Finding) {
			if f.Kind != topology.KindKubernetesForbidden {
				found <- f
			}
		},
		Resolve: func(kind, subject string) { over <- kind + " " + subject },
	})
	require.NoError(t, err)
	h = follow(t, source)
	h.findings = found
	return h, over
}

func TestNodeScopeReadsTheMeshConfigurationOfItsRevision(t *testing.T) {
	for revision, name := range map[string]string{"": "istio", "default": "istio", "1-27": "istio-1-27"} {
		t.Run("revision "+revision, func(t *testing.T) {
			h, _ := runNode(t, revision, name, nil, *meshMap(name, "trustDomain: mesh.example\ndefaultConfig: {meshId: m1}\n", ""))
			d := h.next()
			require.NotNil(t, d.Facts)
			assert.Equal(t, "mesh.example", d.Facts.TrustDomain)
			assert.Equal(t, "m1", d.Facts.MeshID)
			assert.Empty(t, h.findings)
		})
	}
}

func TestAMissingMeshConfigurationIsFound(t *testing.T) {
	events := make(chan string)
	h, resolved := runNode(t, "1-28", "istio-1-28", events)
	assert.Empty(t, h.next().Facts.TrustDomain)
	missing := func() {
		t.Helper()
		found := h.finding()
		assert.Equal(t, KindMeshConfigMissing, found.Kind)
		assert.Equal(t, "c1", found.Cluster)
		assert.Equal(t, "configmap istio-system/istio-1-28", found.Subject)
		assert.Contains(t, found.Detail, "there is no ConfigMap istio-1-28 in the namespace istio-system")
		assert.Contains(t, found.Detail, "istio_revision")
	}
	over := func() {
		t.Helper()
		select {
		case what := <-resolved:
			assert.Equal(t, KindMeshConfigMissing+" configmap istio-system/istio-1-28", what)
		case <-time.After(patience):
			t.Fatal("it is not over")
		}
	}
	missing()
	h.source.repeatOnce()
	missing()
	events <- meshEvent("ADDED", "istio-1-28", "mesh.example", "6")
	over()
	assert.Equal(t, "mesh.example", h.next().Facts.TrustDomain)
	events <- meshEvent("DELETED", "istio-1-28", "mesh.example", "7")
	missing()
	assert.Empty(t, h.next().Facts.TrustDomain)
	// One that cannot be read is there, and found to be invalid.
	events <- meshEvent("ADDED", "istio-1-28", "{", "8")
	over()
	assert.Equal(t, topology.KindInvalidObject, h.finding().Kind)
}

// The cluster scope goes by the control planes that it sees.
func TestTheClusterScopeMissesNoMeshConfiguration(t *testing.T) {
	b := newBench(t)
	w := b.watcher("configmaps")
	w.listing = 1
	b.full()
	b.drop("configmaps", "istio-system", "istio")
	assert.Empty(t, b.findings)
}

func TestRevisions(t *testing.T) {
	for revision, valid := range map[string]bool{
		"1-27": true, "default": true, "asm-1-27": true, strings.Repeat("a", 63): true,
		"": false, "1.27": false, "Canary": false, "-a": false, "a-": false, "a/b": false, strings.Repeat("a", 64): false,
	} {
		assert.Equal(t, valid, ValidRevision(revision), revision)
	}
	_, err := New(Settings{Cluster: "c", NodeName: "n", IstioRevision: "1.27"})
	assert.ErrorIs(t, err, errRevision)
}
