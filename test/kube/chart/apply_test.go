// SPDX-License-Identifier: Apache-2.0

// Package chart_test applies what the chart renders to a real API server, and runs the roles as it says.
package chart_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"

	"github.com/otelcol-mesh/otelcol-mesh/distribution/chart/charttest"
	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
)

// within bounds every wait; it matters only when something is broken.
const within = 120 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// monitoring stands for the Prometheus operator's definitions, of which only the names count here.
const monitoring = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {plural: servicemonitors, singular: servicemonitor, kind: ServiceMonitor, listKind: ServiceMonitorList}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: prometheusrules.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {plural: prometheusrules, singular: prometheusrule, kind: PrometheusRule, listKind: PrometheusRuleList}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`

// warnings collects what the API server warns of.
type warnings struct {
	mu   sync.Mutex
	said []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, text)
}

func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	said := w.said
	w.said = nil
	return said
}

// applier applies objects by server-side apply with strict validation of fields.
type applier struct {
	client   dynamic.Interface
	mapper   meta.RESTMapper
	warnings *warnings
}

func newApplier(t *testing.T, c *kubetest.Cluster) *applier {
	t.Helper()
	a := &applier{warnings: &warnings{}, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.Client.Discovery()))}
	config := c.AdminConfig()
	config.WarningHandler = a.warnings
	var err error
	a.client, err = dynamic.NewForConfig(config)
	require.NoError(t, err)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	return a
}

// apply returns what the API server warned of, by object.
func (a *applier) apply(t *testing.T, manifests string, dryRun ...string) map[string][]string {
	t.Helper()
	warned := map[string][]string{}
	for _, document := range regexp.MustCompile(`(?m)^---\s*$`).Split(manifests, -1) {
		var object unstructured.Unstructured
		require.NoError(t, yaml.UnmarshalStrict([]byte(document), &object.Object))
		if len(object.Object) == 0 {
			continue
		}
		id := object.GetKind() + "/" + object.GetName()
		kind := object.GroupVersionKind()
		mapping, err := a.mapper.RESTMapping(kind.GroupKind(), kind.Version)
		require.NoError(t, err, id)
		var resources dynamic.ResourceInterface = a.client.Resource(mapping.Resource)
		if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
			require.NotEmpty(t, object.GetNamespace(), id)
			resources = a.client.Resource(mapping.Resource).Namespace(object.GetNamespace())
		}
		raw, err := json.Marshal(&object)
		require.NoError(t, err)
		_, err = resources.Patch(t.Context(), object.GetName(), types.ApplyPatchType, raw, metav1.PatchOptions{
			FieldManager: "helm", FieldValidation: metav1.FieldValidationStrict, DryRun: dryRun,
		})
		require.NoError(t, err, id)
		if said := a.warnings.take(); len(said) > 0 {
			warned[id] = said
		}
	}
	return warned
}

// TestExamplesApply applies every example in a namespace that warns of everything that the Pod Security Standard "restricted"
// would refuse. What is left is the agent's: folders of the node, and the container that gives one of them over.
func TestExamplesApply(t *testing.T) {
	// Services of both families.
	c := kubetest.Start(t, kubetest.Options{APIServerFlags: []string{"--service-cluster-ip-range=10.0.0.0/16,fd00:10::/112"}})
	c.Apply(t, monitoring)
	a := newApplier(t, c)
	agents := map[string][]string{
		"spoke-sidecar":      {"hostPath", "runAsNonRoot", "runAsUser=0", "CHOWN"},
		"spoke-metrics-tier": {"hostPath", "runAsNonRoot", "runAsUser=0", "CHOWN"},
		"spoke-gloo":         {"hostPath", "runAsNonRoot", "runAsUser=0", "CHOWN"},
		"spoke-ambient":      {"hostPath", "hostPort"},
	}
	for _, e := range charttest.Examples(t) {
		t.Run(e.Name, func(t *testing.T) {
			// A namespace each, so that nothing is only changed.
			namespace := "mesh-" + e.Name
			c.Namespace(t, namespace, map[string]string{"pod-security.kubernetes.io/warn": "restricted"})
			c.Namespace(t, "istio-of-"+e.Name, nil)
			rendered := e.Render(t, "--namespace", namespace, "--set", "istio.namespace=istio-of-"+e.Name)
			for _, dryRun := range [][]string{{metav1.DryRunAll}, nil} {
				warned := a.apply(t, rendered, dryRun...)
				expected := agents[e.Name]
				said := strings.Join(warned["DaemonSet/otelcol-mesh-agent"], "\n")
				for _, word := range expected {
					assert.Contains(t, said, word)
				}
				if len(expected) > 0 {
					delete(warned, "DaemonSet/otelcol-mesh-agent")
					assert.Equal(t, slices.Contains(expected, "CHOWN"), strings.Contains(said, "container \"storage\""), said)
					assert.NotContains(t, said, "container \"otelcol-mesh\" must set")
				}
				assert.Empty(t, warned)
			}
			// Once more, as an upgrade that changes nothing.
			a.apply(t, rendered)
		})
	}
	for family, want := range map[string][]core.IPFamily{
		"IPv4": {core.IPv4Protocol}, "IPv6": {core.IPv6Protocol}, "DualStack": {core.IPv4Protocol, core.IPv6Protocol},
	} {
		t.Run(family, func(t *testing.T) {
			namespace := "mesh-" + strings.ToLower(family)
			c.Namespace(t, namespace, nil)
			c.Namespace(t, "istio-system", nil)
			a.apply(t, charttest.Named(t, "one-cluster").Render(t, "--namespace", namespace, "--set", "ipFamily="+family))
			for _, name := range []string{"otelcol-mesh-agent", "otelcol-mesh-hub"} {
				service, err := c.Client.CoreV1().Services(namespace).Get(t.Context(), name, metav1.GetOptions{})
				require.NoError(t, err)
				assert.Equal(t, want, service.Spec.IPFamilies, name)
			}
		})
	}
	t.Run("a field that does not exist", func(t *testing.T) {
		// So that strict validation is seen to be on.
		raw := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"dataa":{}}`
		configMaps := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
		_, err := a.client.Resource(configMaps).Namespace("default").Patch(t.Context(), "x", types.ApplyPatchType,
			[]byte(raw), metav1.PatchOptions{FieldManager: "helm", FieldValidation: metav1.FieldValidationStrict})
		require.Error(t, err)
	})
}
