// SPDX-License-Identifier: Apache-2.0

// Package gitops_test holds the examples for Argo CD and Flux to the CRDs, to the chart, and to their promise that adding a spoke is
// adding one file.
package gitops_test

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/otelcol-mesh/otelcol-mesh/distribution/chart/charttest"
)

// folder is the name under which the examples expect a copy of this folder in the user's repository.
const folder = "otelcol-mesh"

type object map[string]any

// at returns what is at a path of keys, or nil.
func (o object) at(path ...string) any {
	var v any = map[string]any(o)
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

func (o object) text(path ...string) string {
	s, _ := o.at(path...).(string)
	return s
}

func parse(t *testing.T, text string) []object {
	t.Helper()
	var objects []object
	for _, document := range regexp.MustCompile(`(?m)^---\s*$`).Split(text, -1) {
		var o object
		require.NoError(t, yaml.UnmarshalStrict([]byte(document), &o), document)
		if len(o) > 0 {
			objects = append(objects, o)
		}
	}
	return objects
}

func read(t *testing.T, file string) []object {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	return parse(t, string(raw))
}

// named returns the object of a kind and name.
func named(t *testing.T, objects []object, kind, name string) object {
	t.Helper()
	for _, o := range objects {
		if o["kind"] == kind && o.text("metadata", "name") == name {
			return o
		}
	}
	require.Failf(t, "missing", "%s %s", kind, name)
	return nil
}

// valid holds objects to the schemas of their CRDs.
func valid(t *testing.T, objects []object) {
	t.Helper()
	for _, o := range objects {
		gvk := o.text("apiVersion") + " " + o.text("kind")
		if gvk == "v1 ServiceAccount" {
			continue
		}
		s, known := schemas(t)[gvk]
		require.True(t, known, gvk)
		assert.Empty(t, s.check("", map[string]any(o)), "%s %s", gvk, o.text("metadata", "name"))
	}
}

// values writes values to a file for helm.
func values(t *testing.T, v any) string {
	t.Helper()
	raw, err := yaml.Marshal(v)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "values.yaml")
	require.NoError(t, os.WriteFile(file, raw, 0o600))
	return file
}

// render is helm template of a chart of the repository, seen from distribution/chart.
func render(t *testing.T, chart, release string, files ...string) []object {
	t.Helper()
	args := []string{"template", release, chart, "--namespace", "otelcol-mesh"}
	for _, file := range files {
		absolute, err := filepath.Abs(file)
		require.NoError(t, err)
		args = append(args, "-f", absolute)
	}
	// Helm is another process: what it reads go test has to see too, or it keeps an old result.
	require.NoError(t, filepath.WalkDir("certificates", func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			_, err = os.Stat(path)
		}
		return err
	}))
	out, err := charttest.Helm(t, args...)
	require.NoError(t, err)
	return parse(t, out)
}

const (
	meshChart        = "."
	certificateChart = "../gitops/certificates"
)

// spoke is what the two ways must agree about.
type spoke struct {
	mesh, issued, fetched []object
}

// check holds the parts of a spoke together: the agents' certificate is the one that is made for the cluster, carried under one
// name, and one that the hub's shipped rule takes for it.
func (s spoke) check(t *testing.T, cluster, hubName string) {
	t.Helper()
	valid(t, s.issued)
	valid(t, s.fetched)
	agent := named(t, s.mesh, "DaemonSet", "otelcol-mesh-agent")
	env := env(agent)
	assert.Equal(t, cluster, env["MESH_CLUSTER"])
	assert.Equal(t, hubName+":14317", env["MESH_HUB_ENDPOINT"])
	named(t, s.mesh, "Deployment", "otelcol-mesh-inventory")

	certificate := named(t, s.issued, "Certificate", "otelcol-mesh-client-"+cluster)
	assert.Equal(t, []any{"spiffe://otelcol-mesh/cluster/" + cluster + "/agent"}, certificate.at("spec", "uris"))
	push := named(t, s.issued, "PushSecret", "otelcol-mesh-client-"+cluster)
	assert.Equal(t, certificate.text("spec", "secretName"), push.text("spec", "selector", "secret", "name"))
	remote := object(push.at("spec", "data").([]any)[0].(map[string]any)).text("match", "remoteRef", "remoteKey")

	fetch := named(t, s.fetched, "ExternalSecret", "otelcol-mesh-client")
	assert.Equal(t, remote, object(fetch.at("spec", "dataFrom").([]any)[0].(map[string]any)).text("extract", "key"))
	assert.Contains(t, secrets(agent), fetch.text("spec", "target", "name"))
	named(t, s.fetched, "SecretStore", fetch.text("spec", "secretStoreRef", "name"))
}

// TestTheHubTakesTheseCertificates holds the trust domain of the certificates to the rule of the shipped hub.
func TestTheHubTakesTheseCertificates(t *testing.T) {
	raw, err := os.ReadFile("../config/hub.yaml")
	require.NoError(t, err)
	assert.Contains(t, string(raw), "- spiffe: spiffe://${env:MESH_HUB_TRUST_DOMAIN:-otelcol-mesh}/cluster/{cluster}/*")
}

// TestRoutersHaveTheirCertificate holds the routers' certificate to the name that spokes call, to the rule of the replicas, and the
// replicas' certificate to the name that routers call.
func TestRoutersHaveTheirCertificate(t *testing.T) {
	rendered := render(t, certificateChart, "c", values(t, map[string]any{"hub": map[string]any{"dnsName": "hub.example", "router": true}}))
	valid(t, rendered)
	router := named(t, rendered, "Certificate", "otelcol-mesh-router")
	assert.Equal(t, []any{"hub.example"}, router.at("spec", "dnsNames"))
	assert.Equal(t, []any{"spiffe://otelcol-mesh/router"}, router.at("spec", "uris"))
	assert.Subset(t, router.at("spec", "usages"), []any{"server auth", "client auth"})
	raw, err := os.ReadFile("../examples/hub-routed.yaml")
	require.NoError(t, err)
	assert.Contains(t, string(raw), "- spiffe: spiffe://${env:MESH_HUB_TRUST_DOMAIN:-otelcol-mesh}/router")

	scaled := parse(t, charttest.Named(t, "hub-scaled").Render(t))
	workload := named(t, scaled, "Deployment", "otelcol-mesh-router")
	assert.Contains(t, secrets(workload), router.text("spec", "secretName"))
	hub := named(t, rendered, "Certificate", "otelcol-mesh-hub")
	assert.Contains(t, hub.at("spec", "dnsNames"), env(workload)["MESH_HUB_SERVER_NAME"])
}

// TestTheMetricsTierHasItsCertificate holds the tier's certificate to the name that agents call, to the hub's rule for its cluster, and to
// the Secret that the chart mounts, from where it is made to where it is fetched.
func TestTheMetricsTierHasItsCertificate(t *testing.T) {
	const cluster = "aks-westeurope"
	issued := render(t, certificateChart, "c", values(t, map[string]any{"issue": map[string]any{"clusters": []string{cluster}, "metricsTier": true}}))
	fetched := render(t, certificateChart, "c", values(t, map[string]any{"fetch": map[string]any{"cluster": cluster, "metricsTier": true}}))
	mesh := parse(t, charttest.Named(t, "spoke-metrics-tier").Render(t))
	// The agents' is as it is without a tier.
	valid(t, issued)
	valid(t, fetched)
	named(t, issued, "Certificate", "otelcol-mesh-client-"+cluster)
	named(t, issued, "PushSecret", "otelcol-mesh-client-"+cluster)

	certificate := named(t, issued, "Certificate", "otelcol-mesh-metrics-tier-"+cluster)
	host, _, found := strings.Cut(env(named(t, mesh, "DaemonSet", "otelcol-mesh-agent"))["MESH_TIER_ENDPOINT"], ":")
	require.True(t, found)
	assert.Equal(t, []any{host}, certificate.at("spec", "dnsNames"))
	assert.Equal(t, []any{"spiffe://otelcol-mesh/cluster/" + cluster + "/metrics-tier"}, certificate.at("spec", "uris"))
	assert.ElementsMatch(t, []any{"digital signature", "server auth", "client auth"}, certificate.at("spec", "usages"))
	agents := named(t, issued, "Certificate", "otelcol-mesh-client-"+cluster)
	for _, key := range []string{"duration", "renewBefore", "privateKey", "issuerRef"} {
		assert.Equal(t, agents.at("spec", key), certificate.at("spec", key), key)
	}

	push := named(t, issued, "PushSecret", "otelcol-mesh-metrics-tier-"+cluster)
	assert.Equal(t, certificate.text("spec", "secretName"), push.text("spec", "selector", "secret", "name"))
	remote := object(push.at("spec", "data").([]any)[0].(map[string]any)).text("match", "remoteRef", "remoteKey")
	fetch := named(t, fetched, "ExternalSecret", "otelcol-mesh-metrics-tier")
	assert.Equal(t, remote, object(fetch.at("spec", "dataFrom").([]any)[0].(map[string]any)).text("extract", "key"))
	assert.Equal(t, []string{fetch.text("spec", "target", "name")}, secrets(named(t, mesh, "StatefulSet", "otelcol-mesh-metrics-tier")))
	named(t, fetched, "ExternalSecret", "otelcol-mesh-client")

	other := render(t, certificateChart, "c", values(t, map[string]any{"issue": map[string]any{"clusters": []string{cluster}, "metricsTier": true, "namespace": "telemetry"}}))
	assert.Equal(t, []any{"otelcol-mesh-metrics-tier.telemetry.svc"}, named(t, other, "Certificate", "otelcol-mesh-metrics-tier-"+cluster).at("spec", "dnsNames"))
	for _, o := range render(t, certificateChart, "c", values(t, map[string]any{"issue": map[string]any{"clusters": []string{cluster}}})) {
		assert.NotContains(t, o.text("metadata", "name"), "tier", "nobody asked for it")
	}
}

// TestTheAnalysisPortHasItsCertificate holds the certificate of the port that Argo Rollouts asks to the names by which it and the other
// replicas call, and to the Secret that the chart mounts.
func TestTheAnalysisPortHasItsCertificate(t *testing.T) {
	rendered := render(t, certificateChart, "c", values(t, map[string]any{"hub": map[string]any{"dnsName": "hub.example", "analysis": true}}))
	valid(t, rendered)
	certificate := named(t, rendered, "Certificate", "otelcol-mesh-hub-analysis")
	hub := named(t, rendered, "Certificate", "otelcol-mesh-hub")
	for _, key := range []string{"duration", "renewBefore", "privateKey", "issuerRef"} {
		assert.Equal(t, hub.at("spec", key), certificate.at("spec", key), key)
	}
	assert.ElementsMatch(t, []any{"digital signature", "server auth"}, certificate.at("spec", "usages"), "it is nobody's client")
	assert.Nil(t, certificate.at("spec", "uris"), "it speaks for no cluster")

	mesh := parse(t, charttest.Named(t, "hub-analysis").Render(t))
	assert.Contains(t, secrets(named(t, mesh, "StatefulSet", "otelcol-mesh-hub")), certificate.text("spec", "secretName"))
	names := certificate.at("spec", "dnsNames").([]any)
	require.Len(t, names, 1)
	named(t, mesh, "Service", strings.Split(names[0].(string), ".")[0])
	config := named(t, mesh, "ConfigMap", "otelcol-mesh-hub").text("data", "values.yaml")
	assert.Contains(t, config, "server_name_override: "+names[0].(string))
	raw, err := os.ReadFile("../examples/argo-rollouts/analysis-template.yaml")
	require.NoError(t, err)
	assert.Contains(t, string(raw), "otelcol-mesh-hub-analysis", "what Argo Rollouts calls")
	for _, o := range render(t, certificateChart, "c", values(t, map[string]any{"hub": map[string]any{"dnsName": "hub.example"}})) {
		assert.NotContains(t, o.text("metadata", "name"), "analysis", "nobody asked for it")
	}
}

// TestCertificatesThatCannotBe: what would make nothing, or nothing that works, is refused with the key and what to write.
func TestCertificatesThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		values map[string]any
		says   string
	}{
		{map[string]any{"hub": map[string]any{"router": true}}, "hub.router is true, and hub.dnsName is empty"},
		{map[string]any{"hub": map[string]any{"analysis": true}}, "hub.analysis is true, and hub.dnsName is empty"},
		{map[string]any{"issue": map[string]any{"metricsTier": true}}, "issue.metricsTier is true, and issue.clusters is empty"},
		{map[string]any{"fetch": map[string]any{"metricsTier": true}}, "fetch.metricsTier is true, and fetch.cluster is empty"},
		{map[string]any{"issue": map[string]any{"namespace": "A b"}}, "issue"},
		{map[string]any{"hub": map[string]any{"analyses": true}}, "analyses"},
		{map[string]any{"hub": map[string]any{"dnsName": "h", "analysis": "yes"}}, "analysis"},
	} {
		_, err := charttest.Helm(t, "template", "c", certificateChart, "-f", values(t, c.values))
		require.ErrorContains(t, err, c.says)
	}
}

func env(workload object) map[string]string {
	found := map[string]string{}
	for _, c := range workload.at("spec", "template", "spec", "containers").([]any) {
		for _, e := range c.(map[string]any)["env"].([]any) {
			variable := object(e.(map[string]any))
			found[variable.text("name")] = variable.text("value")
		}
	}
	return found
}

// secrets returns the names of the Secrets that a workload mounts.
func secrets(workload object) []string {
	var names []string
	for _, v := range workload.at("spec", "template", "spec", "volumes").([]any) {
		if name := object(v.(map[string]any)).text("secret", "secretName"); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// path returns the file of this folder that a path of the user's repository names.
func path(t *testing.T, name string) string {
	t.Helper()
	rest, found := strings.CutPrefix(name, folder+"/")
	require.True(t, found, name)
	return rest
}

// fill does what Argo CD does with a template for a file of the generator.
func fill(t *testing.T, set object, file string) object {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	var parameters map[string]any
	require.NoError(t, yaml.UnmarshalStrict(raw, &parameters))
	parameters["path"] = map[string]any{"path": folder + "/argocd/spokes", "filename": filepath.Base(file)}
	app, err := yaml.Marshal(set.at("spec", "template"))
	require.NoError(t, err)
	tmpl, err := template.New("").Option("missingkey=error").Parse(string(app))
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, tmpl.Execute(&out, parameters))
	return parse(t, out.String())[0]
}

// sources renders the sources of an Application that have a chart, by the names of their releases.
func sources(t *testing.T, app object, spokes string) map[string][]object {
	t.Helper()
	rendered := map[string][]object{}
	for _, s := range app.at("spec", "sources").([]any) {
		source := object(s.(map[string]any))
		if source.text("ref") != "" {
			assert.Equal(t, "platform", source.text("ref"))
			continue
		}
		var files []string
		names, _ := source.at("helm", "valueFiles").([]any)
		for _, name := range names {
			own, found := strings.CutPrefix(name.(string), "$platform/")
			require.True(t, found, name)
			file := path(t, own)
			if base, isSpoke := strings.CutPrefix(file, "argocd/spokes/"); isSpoke {
				file = filepath.Join(spokes, base)
			}
			files = append(files, file)
		}
		if v := source.at("helm", "valuesObject"); v != nil {
			files = append(files, values(t, v))
		}
		chart := meshChart
		if source.text("path") != "distribution/chart" {
			assert.Equal(t, "certificates", path(t, source.text("path")))
			chart = certificateChart
		}
		release := source.text("helm", "releaseName")
		require.NotEmpty(t, release)
		rendered[release] = render(t, chart, release, files...)
	}
	return rendered
}

// TestArgoCD does what Argo CD's generator does, with the files that are there and with one more.
func TestArgoCD(t *testing.T) {
	hub, sets := read(t, "argocd/hub.yaml"), read(t, "argocd/spokes.yaml")
	valid(t, hub)
	valid(t, sets)
	installed := sources(t, hub[0], "")
	named(t, installed["otelcol-mesh"], "StatefulSet", "otelcol-mesh-hub")
	certificate := named(t, installed["otelcol-mesh-certificates"], "Certificate", "otelcol-mesh-hub")
	valid(t, installed["otelcol-mesh-certificates"])
	hubName := certificate.at("spec", "dnsNames").([]any)[0].(string)

	spokes := t.TempDir()
	require.NoError(t, os.CopyFS(spokes, os.DirFS("argocd/spokes")))
	added := filepath.Join(spokes, "aks-swedencentral.yaml")
	require.NoError(t, os.WriteFile(added, []byte("cluster: {name: aks-swedencentral}\n"), 0o600))
	files, err := filepath.Glob(filepath.Join(spokes, "*.yaml"))
	require.NoError(t, err)
	require.Len(t, files, 3)
	for _, set := range sets {
		git := set.at("spec", "generators").([]any)[0].(map[string]any)["git"]
		assert.Equal(t, []any{map[string]any{"path": folder + "/argocd/spokes/*.yaml"}}, object(git.(map[string]any)).at("files"))
	}
	for _, file := range files {
		cluster := strings.TrimSuffix(filepath.Base(file), ".yaml")
		app := fill(t, named(t, sets, "ApplicationSet", "otelcol-mesh-spokes"), file)
		assert.Equal(t, cluster, app.text("spec", "destination", "name"))
		atSpoke := sources(t, app, spokes)
		app = fill(t, named(t, sets, "ApplicationSet", "otelcol-mesh-certificates"), file)
		assert.Equal(t, hub[0].text("spec", "destination", "name"), app.text("spec", "destination", "name"))
		atHub := sources(t, app, spokes)
		assert.Equal(t, []string{"otelcol-mesh-certificate-" + cluster}, slices.Collect(maps.Keys(atHub)))
		spoke{
			mesh: atSpoke["otelcol-mesh"], issued: atHub["otelcol-mesh-certificate-"+cluster],
			fetched: atSpoke["otelcol-mesh-certificates"],
		}.check(t, cluster, hubName)
	}
}
