// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"crypto/x509"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/identity"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
	"github.com/otelcol-mesh/otelcol-mesh/distribution/chart/charttest"
)

// merged is the configuration that a workload's arguments make, as the collector merges it: maps by their keys, all else replaced.
// Variables are those of the workload.
func merged(t *testing.T, w workload, files map[string]any) object {
	t.Helper()
	all := map[string]any{}
	for _, arg := range w.container["args"].([]any) {
		text := files[filepath.Base(arg.(string))].(string)
		text = regexp.MustCompile(`\$\{env:([A-Za-z0-9_]+)(?::-([^}]*))?\}`).ReplaceAllStringFunc(text, func(use string) string {
			name, otherwise, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(use, "${env:"), "}"), ":-")
			if value, ok := w.env[name]; ok {
				return value
			}
			return otherwise
		})
		var one map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(text), &one), arg)
		overlay(all, one)
	}
	return all
}

func overlay(below, above map[string]any) {
	for key, value := range above {
		inner, ok := value.(map[string]any)
		under, both := below[key].(map[string]any)
		if ok && both {
			overlay(under, inner)
			continue
		}
		below[key] = value
	}
}

// TestHubsBelieveCertificatesAlone prevents that an overlay or a value takes away what compares a sender with its certificate, or
// puts it behind a queue, where nobody knows any more who sent what.
func TestHubsBelieveCertificatesAlone(t *testing.T) {
	hubs := 0
	for _, e := range charttest.Examples(t) {
		objects := parse(t, e.Render(t))
		for _, w := range workloads(objects) {
			if w.name != "otelcol-mesh-hub" && w.name != "otelcol-mesh-router" {
				continue
			}
			hubs++
			config := merged(t, w, configMaps(objects)[w.name])
			assert.Contains(t, config.at("service", "extensions"), "cluster_identity", e.Name)
			for name, pipeline := range config.at("service", "pipelines").(map[string]any) {
				if inside(config, object(pipeline.(map[string]any))) {
					continue
				}
				processors := pipeline.(map[string]any)["processors"].([]any)
				assert.Equal(t, []any{"memory_limiter", "cluster_identity"}, processors[:2], "%s of %s", name, e.Name)
			}
			if e.Name == "one-cluster" {
				assert.Equal(t, "accept", config.at("processors", "cluster_identity", "unverified"))
				continue
			}
			assert.Equal(t, "reject", config.at("processors", "cluster_identity", "unverified"), e.Name)
			assert.Equal(t, "cluster_identity", config.at("receivers", "otlp", "protocols", "grpc", "auth", "authenticator"), e.Name)
			assert.Equal(t, "/etc/otelcol-mesh-tls/ca.crt", config.at("extensions", "cluster_identity", "receiver_tls", "client_ca_file"), e.Name)
			assert.NotEmpty(t, config.at("extensions", "cluster_identity", "rules"), e.Name)
		}
	}
	assert.GreaterOrEqual(t, hubs, 6)
}

// inside says whether a pipeline gets only what another one has let through.
func inside(config, pipeline object) bool {
	connectors, _ := config["connectors"].(map[string]any)
	for _, receiver := range pipeline["receivers"].([]any) {
		if _, ok := connectors[receiver.(string)]; !ok {
			return false
		}
	}
	return true
}

// rulesOf compiles the rules that a hub runs with.
func rulesOf(t *testing.T, more ...string) *identity.Rules {
	t.Helper()
	objects := parse(t, charttest.Named(t, "hub-connection-string").Render(t, more...))
	raw, err := yaml.Marshal(merged(t, workloads(objects)[0], configMaps(objects)["otelcol-mesh-hub"]).at("extensions", "cluster_identity", "rules"))
	require.NoError(t, err)
	var list []struct {
		SPIFFE     string   `json:"spiffe"`
		DNS        string   `json:"dns"`
		CommonName string   `json:"common_name"`
		Clusters   []string `json:"clusters"`
		Issuers    []string `json:"issuers"`
	}
	require.NoError(t, yaml.UnmarshalStrict(raw, &list))
	var rules []identity.Rule
	for _, r := range list {
		rules = append(rules, identity.Rule{SPIFFE: r.SPIFFE, DNS: r.DNS, CommonName: r.CommonName, Clusters: r.Clusters, Issuers: r.Issuers})
	}
	compiled, err := identity.Compile(rules)
	require.NoError(t, err)
	return compiled
}

// speaksFor returns the cluster that rules find in a certificate; nothing if none.
func speaksFor(t *testing.T, rules *identity.Rules, authority *pkitest.Authority, leaf pkitest.Leaf) string {
	t.Helper()
	certificate, err := x509.ParseCertificate(authority.Issue(t, leaf).TLS.Certificate[0])
	require.NoError(t, err)
	id, err := rules.Identify([][]*x509.Certificate{{certificate, authority.Cert}}, time.Now())
	if err != nil {
		return ""
	}
	return id.Sole()
}

// TestIdentityValues holds what the values of hub.identity mean.
func TestIdentityValues(t *testing.T) {
	root := pkitest.New(t, "root")
	spiffe := pkitest.Leaf{URIs: []string{"spiffe://otelcol-mesh/cluster/aks-1/agent"}}
	ours := rulesOf(t)
	assert.Equal(t, "aks-1", speaksFor(t, ours, root, spiffe))
	assert.Equal(t, "aks-1", speaksFor(t, ours, root, pkitest.Leaf{DNS: []string{"aks-1.agents.otelcol-mesh"}}))
	assert.Empty(t, speaksFor(t, ours, root, pkitest.Leaf{URIs: []string{"spiffe://cluster.local/ns/otelcol-mesh/sa/otelcol-mesh-agent"}}))

	others := rulesOf(t, "--set", "hub.identity.trustDomain=mesh.example,hub.identity.agentDomain=agents.example")
	assert.Equal(t, "aks-1", speaksFor(t, others, root, pkitest.Leaf{URIs: []string{"spiffe://mesh.example/cluster/aks-1/agent"}}))
	assert.Equal(t, "aks-1", speaksFor(t, others, root, pkitest.Leaf{DNS: []string{"aks-1.agents.example"}}))
	assert.Empty(t, speaksFor(t, others, root, spiffe))

	own := rulesOf(t, "--set-json", `hub.identity.rules=[{"common_name":"agent-{cluster}"}]`)
	assert.Equal(t, "aks-1", speaksFor(t, own, root, pkitest.Leaf{CommonName: "agent-aks-1"}))
	assert.Empty(t, speaksFor(t, own, root, spiffe), "they take the place of the others")
}

// TestReadmesCertificates holds the manifests of the README to the rules that the hub comes with, and to the names of the presets.
func TestReadmesCertificates(t *testing.T) {
	raw, err := os.ReadFile("README.md")
	require.NoError(t, err)
	root := pkitest.New(t, "root")
	kinds := map[string]int{}
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(raw), -1) {
		for _, o := range documents(t, block[1]) {
			kind, _ := o["kind"].(string)
			kinds[kind]++
			switch kind {
			case "Certificate":
				assert.Equal(t, "otelcol-mesh-client", o.at("spec", "secretName"))
				uri := o.at("spec", "uris").([]any)[0].(string)
				assert.Equal(t, "aks-westeurope", speaksFor(t, rulesOf(t), root, pkitest.Leaf{URIs: []string{uri}}))
			case "ClusterSPIFFEID":
				id := strings.ReplaceAll(o.at("spec", "spiffeIDTemplate").(string), "{{ .TrustDomain }}", "mesh.example")
				assert.Equal(t, "aks-westeurope", speaksFor(t, rulesOf(t, "--set", "hub.identity.trustDomain=mesh.example"), root, pkitest.Leaf{URIs: []string{id}}))
			case "SecretProviderClass":
				assert.Equal(t, "otelcol-mesh-client", o.at("metadata", "name"))
				for _, file := range []string{"ca.pem", "client.pem"} {
					assert.Contains(t, o.at("spec", "parameters", "objects"), "objectAlias: "+file)
				}
			case "":
				values, err := yaml.Marshal(o.at("hub", "identity", "rules"))
				require.NoError(t, err)
				assert.Equal(t, "aks-westeurope", speaksFor(t, rulesOf(t, "--set-json", "hub.identity.rules="+issuedBy(t, values, root)), root,
					pkitest.Leaf{URIs: []string{"spiffe://cluster.local/ns/otelcol-mesh/sa/otelcol-mesh-agent"}}))
			}
		}
	}
	assert.Equal(t, map[string]int{"Certificate": 1, "ClusterSPIFFEID": 1, "SecretProviderClass": 1, "": 1}, kinds)
}

func documents(t *testing.T, text string) []object {
	t.Helper()
	var all []object
	for _, document := range regexp.MustCompile(`(?m)^---\s*$`).Split(text, -1) {
		var o object
		require.NoError(t, yaml.Unmarshal([]byte(document), &o))
		all = append(all, o)
	}
	return all
}

// issuedBy is rules as JSON, with an authority's key in place of the first that they list.
func issuedBy(t *testing.T, rules []byte, authority *pkitest.Authority) string {
	t.Helper()
	found := regexp.MustCompile(`[0-9a-f]{64}`).Find(rules)
	require.NotNil(t, found)
	raw, err := yaml.YAMLToJSON([]byte(strings.Replace(string(rules), string(found), authority.KeyHash(), 1)))
	require.NoError(t, err)
	return string(raw)
}

// TestCertificatePresets renders agents and inventory with each way to certificates.
func TestCertificatePresets(t *testing.T) {
	presets, err := filepath.Glob("presets/certificates-*.yaml")
	require.NoError(t, err)
	require.Len(t, presets, 3)
	for _, preset := range presets {
		rendered := charttest.Named(t, "spoke-sidecar").Render(t, "-f", preset, "--set", "link.tls.secretName=,spire.helperImage=registry.example/spiffe-helper:1")
		for _, w := range workloads(parse(t, rendered)) {
			files := map[string]bool{}
			for _, name := range []string{"MESH_HUB_CA_FILE", "MESH_HUB_CERT_FILE", "MESH_HUB_KEY_FILE"} {
				assert.Equal(t, "/etc/otelcol-mesh-tls", filepath.Dir(w.env[name]), "%s of %s", name, preset)
				files[filepath.Base(w.env[name])] = true
			}
			assert.Contains(t, w.volumes(), "tls")
			switch filepath.Base(preset) {
			case "certificates-istio.yaml":
				assert.Equal(t, map[string]bool{"root-cert.pem": true, "cert-chain.pem": true, "key.pem": true}, files, "Istio's names")
				assert.Equal(t, "true", w.pod.at("metadata", "labels", "sidecar.istio.io/inject"))
				assert.Contains(t, w.volumes()["tls"], "emptyDir")
			case "certificates-spire.yaml":
				assert.Equal(t, []string{"certificates", "certificates-renewal"}, w.initContainers()[len(w.initContainers())-2:])
				assert.Contains(t, configMaps(parse(t, rendered))[w.name+"-spire"]["helper.conf"], `svid_key_file_name = "tls.key"`)
			default:
				assert.Contains(t, w.volumes()["tls"], "csi")
			}
		}
	}
}

func (w workload) volumes() map[string]map[string]any {
	all := map[string]map[string]any{}
	for _, v := range w.spec["volumes"].([]any) {
		volume := maps.Clone(v.(map[string]any))
		all[volume["name"].(string)] = volume
	}
	return all
}

func (w workload) initContainers() []string {
	var names []string
	list, _ := w.spec["initContainers"].([]any)
	for _, c := range list {
		names = append(names, c.(map[string]any)["name"].(string))
	}
	return names
}
