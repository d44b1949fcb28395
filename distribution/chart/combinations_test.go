// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/otelcol-mesh/otelcol-mesh/distribution/chart/charttest"
)

// combined are values that work with each other, whatever is in place of the two verbs: roles and TLS.
const combined = `
image: {repository: registry.example/otelcol-mesh, pullSecrets: [pull]}
cluster: {name: aks-westeurope}
spire: {helperImage: registry.example/spiffe-helper}
monitoring: {serviceMonitor: {enabled: true}}
networkPolicy: {metricsFrom: [{namespaceSelector: {}}]}
link: {endpoint: "hub.example:14317"}
hub:
  azure: {connectionString: {secretName: application-insights}, routes: {secretName: teams}}
  networkPolicyFrom: [{namespaceSelector: {}}]
  config: {exporters: {debug: {}}}
  podLabels: {team: telemetry}
  podAnnotations: {note: "a: b"}
  analysis: {enabled: true, token: {secretName: token}, tls: {secretName: analysis}, networkPolicyFrom: [{namespaceSelector: {}}]}
agent: {logFiles: {enabled: true}, env: {NOTE: "a: \"b\""}, podAnnotations: {note: "a: b"}}
`

// TestCombinations renders roles, ways to certificates and address families with each other: what comes out is YAML without a key
// twice, each object once, with every volume mounted, every mount a volume, and limits for every container.
func TestCombinations(t *testing.T) {
	roles := map[string]string{
		"spoke": "agent: {enabled: true}\ninventory: {enabled: true}", "hub": "hub: {enabled: true}",
		"tier":   "agent: {enabled: true}\nmetricsTier: {enabled: true}",
		"scaled": "hub: {enabled: true, replicas: 3}\nrouter: {enabled: true}",
		"all":    "agent: {enabled: true, storage: {type: emptyDir}}\ninventory: {enabled: true}\nhub: {enabled: true, autoscaling: {enabled: true}}\nrouter: {enabled: true, autoscaling: {enabled: true}}",
	}
	certificates := map[string]string{
		"secret": "{secretName: certificate}", "volume": "{volume: {csi: {driver: secrets-store.csi.k8s.io, readOnly: true}}}", "spire": "{spire: true}", "none": "",
	}
	for roleName, role := range roles {
		for way, certificate := range certificates {
			if certificate == "" && roleName == "tier" {
				continue // It is refused.
			}
			for _, family := range []string{"IPv4", "IPv6", "DualStack"} {
				t.Run(roleName+"/"+way+"/"+family, func(t *testing.T) {
					tls := fmt.Sprintf("link: {tls: %s}\nmetricsTier: {tls: %s}\nhub: {tls: %s}\nrouter: {tls: %s}", certificate, certificate, certificate, certificate)
					if certificate == "" {
						tls = "link: {insecure: true}\nhub: {insecure: true, identity: {unverified: accept}}"
					}
					args := []string{"template", "otelcol-mesh", ".", "--set", "ipFamily=" + family}
					for i, text := range []string{combined, role, tls} {
						file := filepath.Join(t.TempDir(), strconv.Itoa(i))
						require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
						args = append(args, "-f", file)
					}
					out, err := charttest.Helm(t, args...)
					require.NoError(t, err)
					whole(t, out, family)
				})
			}
		}
	}
}

// whole looks at everything that is rendered.
func whole(t *testing.T, manifests, family string) {
	t.Helper()
	seen := map[string]bool{}
	for _, document := range regexp.MustCompile(`(?m)^---\s*$`).Split(manifests, -1) {
		var o object
		require.NoError(t, yaml.UnmarshalStrict([]byte(document), &o), document)
		if len(o) == 0 {
			continue
		}
		assert.False(t, seen[rightID(o)], "%s is there twice", rightID(o))
		seen[rightID(o)] = true
		if o["kind"] == "Service" && o.at("spec", "clusterIP") == "None" && family != "IPv4" {
			assert.Equal(t, "SingleStack", o.at("spec", "ipFamilyPolicy"), "%s: each pod once", o.id())
		}
	}
	for _, w := range workloads(parse(t, manifests)) {
		mounted := map[string]bool{}
		inits, _ := w.spec["initContainers"].([]any)
		for _, c := range append(inits, w.spec["containers"].([]any)...) {
			container := object(c.(map[string]any))
			assert.NotNil(t, container.at("resources", "limits", "memory"), container["name"])
			assert.Equal(t, true, container.at("securityContext", "readOnlyRootFilesystem"), container["name"])
			assert.Equal(t, false, container.at("securityContext", "allowPrivilegeEscalation"), container["name"])
			for _, m := range container["volumeMounts"].([]any) {
				mounted[m.(map[string]any)["name"].(string)] = true
			}
			names := map[string]bool{}
			variables, _ := container["env"].([]any)
			for _, v := range variables {
				name := v.(map[string]any)["name"].(string)
				assert.False(t, names[name], "%s is there twice", name)
				names[name] = true
			}
		}
		volumes := map[string]bool{}
		for name := range w.volumes() {
			volumes[name] = true
		}
		if w.name == "otelcol-mesh-hub" || w.name == "otelcol-mesh-metrics-tier" {
			volumes["storage"] = true // of volumeClaimTemplates
		}
		assert.Equal(t, volumes, mounted, w.name)
	}
}

// TestAChangeStartsThePodsAnew: the collector and spiffe-helper read their files once.
func TestAChangeStartsThePodsAnew(t *testing.T) {
	sums := func(more ...string) []string {
		var all []string
		for _, w := range workloads(parse(t, charttest.Named(t, "spoke-ambient").Render(t, more...))) {
			sum, _ := w.pod.at("metadata", "annotations", "otelcol-mesh/config").(string)
			require.Len(t, strings.Trim(sum, "0123456789abcdef"), 0)
			all = append(all, sum)
		}
		return all
	}
	before := sums()
	require.NotEmpty(t, before)
	assert.Equal(t, before, sums())
	for _, change := range []string{"spire.socket=api.sock", "agent.config.processors.x.y=1,inventory.config.processors.x.y=1"} {
		for i, sum := range sums("--set", change) {
			assert.NotEqual(t, before[i], sum, change)
		}
	}
}
