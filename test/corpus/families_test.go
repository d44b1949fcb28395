// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/encode"
	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/world"
)

// noon is when the calls of the corpus happen.
var noon = time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)

// worlds are what really is there where a topology is known, which may be more than the collectors know.
var worlds = sync.OnceValue(func() map[string]*world.World {
	out := map[string]*world.World{}
	for name, files := range map[string][]string{
		"two-networks": {"two-networks", "two-networks-unlisted"}, "flat": nil, "three-regions": nil, "ambient": nil, "gloo": nil,
		"every-kubernetes": nil, "vms": nil, "dual-stack": nil, "host-network": nil, "demo": nil, "kiali": nil,
		"half-described":   {"half-described", "half-described-unlisted"},
		"unmarked-gateway": {"unmarked-gateway", "unmarked-gateway-unlisted"},
		"ip-reuse-before":  {"ip-reuse-before", "ip-reuse-after"},
	} {
		if files == nil {
			files = []string{name}
		}
		var paths []string
		for _, f := range files {
			paths = append(paths, topologyFile(f))
		}
		w, err := world.Read(paths...)
		if err != nil {
			panic(err)
		}
		out[name] = w
	}
	return out
})

func (c *testCase) world() *world.World { return worlds()[c.Topology] }

// made is a case that a family makes: the case.yaml but for its misses, and the inputs.
type made struct {
	testCase
	path  string
	files map[string][]byte
}

// family collects the cases of one topology.
type family struct {
	topology string
	all      *[]made
}

func (f family) pod(ref string) *world.Place {
	p := worlds()[f.topology].Pod(ref)
	return &p
}

// through returns the call as one through an east/west gateway.
func (f family) through(c encode.Call, ref string) encode.Call {
	c.ThroughCluster, c.Through = worlds()[f.topology].Gateway(ref)
	return c
}

// http returns an ordinary request to a service of the mesh.
func (f family) http(from, to, host string, port int) encode.Call {
	c := encode.Call{
		Host: host, Port: port, Protocol: "HTTP/1.1", Method: "GET", Path: "/", Status: 200, At: noon,
	}
	if from != "" {
		c.From = f.pod(from)
	}
	if to != "" {
		c.To = f.pod(to)
	}
	return c
}

// truthOf returns what a call really was.
func truthOf(c *encode.Call) call {
	out := call{TLS: "mutual"}
	if c.Plain {
		out.TLS = "none"
	}
	if c.From != nil {
		out.Source.End = c.From.End()
	}
	out.Destination = calledEnd(c)
	if c.To == nil && c.Waypoint == nil {
		out.TLS = "unknown"
	}
	if c.Through != nil {
		out.Via = c.ThroughCluster.Name + "/" + c.Through.Namespace + "/" + c.Through.Name
	}
	return out
}

func calledEnd(c *encode.Call) (e end) {
	service, rest, _ := strings.Cut(c.Host, ".")
	namespace, domain, _ := strings.Cut(rest, ".")
	inMesh := strings.HasPrefix(domain, "svc.")
	if c.To == nil {
		// Nothing answered, or something outside: what is true is the name that was called.
		if inMesh {
			e.Service, e.Namespace = service, namespace
		} else {
			e.Service = c.Host
		}
		return e
	}
	e.End = c.To.End()
	if inMesh && service != e.Service {
		e.Called = service
	}
	if !inMesh && c.Host != "" && c.Host != e.Service {
		e.Called = c.Host
	}
	return e
}

// shot is one way to look at a call.
type shot struct {
	name, about string
	style       encode.Style
	// hubOnly says that the input comes to the hub without an agent before it.
	hubOnly bool
	// failure is the word of case.yaml, "none" if empty.
	failure string
	then    *then
}

// base returns the case about a call, as the role's proxy writes it, without its input.
func (f family) base(signal string, role encode.Role, c *encode.Call, s *shot) made {
	reporter := c.Proxy
	switch {
	case reporter != nil:
	case role == encode.SidecarInbound:
		reporter = c.To
	default:
		reporter = c.From
	}
	m := made{
		testCase: testCase{
			About: s.about, Signal: signal, Role: role, Istio: encode.Version(s.style.Istio),
			Settings: settingsOf(&s.style), Failure: s.failure,
			Topology: f.topology, Then: s.then, Calls: []call{truthOf(c)},
			Items: []item{{Call: 0, Reporter: reporter.Cluster.Name + "/" + reporter.Pod.Name}},
		},
		path:  filepath.Join("cases", signal, string(role), s.name),
		files: map[string][]byte{},
	}
	if m.Failure == "" {
		m.Failure = "none"
	}
	in := input{}
	if !s.hubOnly {
		in.Agent = &agent{reporter.Cluster.Name, reporter.Pod.Node}
		in.Connection = reporter.IP()
	}
	m.Inputs = []input{in}
	return m
}

// settingsOf says what the mesh is told beyond Istio's defaults.
func settingsOf(s *encode.Style) string {
	switch {
	case s.Guide:
		return "guide"
	case s.HostTag:
		return "mesh.upstream.host"
	case s.WorkloadTag:
		return "mesh.upstream.workload"
	case s.Peers:
		return "peer metadata"
	}
	return "none"
}

func (f family) add(m made, file, form string, content []byte) {
	m.Inputs[0].File, m.Inputs[0].Form = file, form
	m.files[file] = content
	*f.all = append(*f.all, m)
}

// span adds a case of one span.
func (f family) span(of encode.SpanOf, c encode.Call, s shot) { //nolint:gocritic // a call is a value: families change copies of it
	c.Name = "span/" + string(of.Role) + "/" + s.name
	m := f.base("span", of.Role, &c, &s)
	td := ptrace.NewTraces()
	encode.Span(td, of, &c, &s.style)
	f.add(m, "input.json", "otlp_spans", spansJSON(td))
}

// als adds a case of one access log entry over Envoy's service.
func (f family) als(role encode.Role, c encode.Call, s shot) {
	c.Name = "als/" + string(role) + "/" + s.name
	m := f.base("als", role, &c, &s)
	text, err := protojson.Marshal(encode.ALS(role, &c, &s.style))
	if err != nil {
		panic(err)
	}
	f.add(m, "input.json", "als", prettied(text))
}

// otlp adds a case of one access log record over OTLP, with labels or without.
func (f family) otlp(role encode.Role, c encode.Call, s shot, labels bool) {
	signal := map[bool]string{true: "otlp_labels", false: "otlp_text"}[labels]
	c.Name = signal + "/" + string(role) + "/" + s.name
	m := f.base(signal, role, &c, &s)
	ld := plog.NewLogs()
	if labels {
		encode.OTLPLabels(ld, role, &c, &s.style)
	} else {
		encode.OTLPText(ld, role, &c, &s.style)
	}
	f.add(m, "input.json", "otlp_logs", logsJSON(ld))
}

// lines adds a case of a line in a log file: the text or JSON format of an Istio proxy, or ztunnel's.
func (f family) lines(signal, form string, role encode.Role, c encode.Call, s shot, line func(c *encode.Call, s *encode.Style) string) {
	c.Name = signal + "/" + string(role) + "/" + s.name
	m := f.base(signal, role, &c, &s)
	reporter := c.Proxy
	switch {
	case reporter != nil:
	case role == encode.SidecarInbound:
		reporter = c.To
	default:
		reporter = c.From
	}
	m.Inputs[0].Connection = ""
	m.Inputs[0].Resource = yaml.MapSlice{
		{Key: "k8s.namespace.name", Value: reporter.Workload.Namespace},
		{Key: "k8s.pod.name", Value: reporter.Pod.Name},
		{Key: "k8s.container.name", Value: "istio-proxy"},
	}
	f.add(m, "input.txt", form, []byte(line(&c, &s.style)+"\n"))
}

// json adds a case of a line in Istio's JSON format, parsed by the reader of the file or not.
func (f family) json(role encode.Role, c encode.Call, s shot, parsed bool) {
	form := map[bool]string{true: "json_bodies", false: "lines"}[parsed]
	f.lines("json", form, role, c, s, func(c *encode.Call, s *encode.Style) string { return encode.JSON(role, c, s) })
}

// text adds a case of a line in Istio's text format in a log file.
func (f family) text(role encode.Role, c encode.Call, s shot) {
	f.lines("file_text", "lines", role, c, s, func(c *encode.Call, s *encode.Style) string { return encode.Text(role, c, s) })
}

// metric adds a case of one sample.
func (f family) metric(role encode.Role, reporter encode.Reporter, c encode.Call, s shot) {
	c.Name = "metric/" + string(role) + "/" + s.name
	m := f.base("metric", role, &c, &s)
	place := worlds()[f.topology].Pod(m.Items[0].Reporter)
	m.Inputs[0].Connection = ""
	m.Inputs[0].Scraped = place.IP() + ":15020"
	sample := encode.Metric(reporter, &c, &s.style)
	if role == encode.Ztunnel {
		sample = encode.ZtunnelMetric(reporter, &c, &s.style)
	}
	f.add(m, "input.txt", "prometheus", []byte(sample+"\n"))
}

func spansJSON(td ptrace.Traces) []byte {
	text, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	if err != nil {
		panic(err)
	}
	return prettied(text)
}

func logsJSON(ld plog.Logs) []byte {
	text, err := (&plog.JSONMarshaler{}).MarshalLogs(ld)
	if err != nil {
		panic(err)
	}
	return prettied(text)
}

func prettied(text []byte) []byte {
	out, err := pretty(text)
	if err != nil {
		panic(err)
	}
	return out
}

// families makes all cases but those written by hand.
func families() []made {
	var all []made
	of := func(topology string) family { return family{topology, &all} }
	spanFamilies(of)
	gatewaySpanFamilies(of)
	accessLogFamilies(of)
	fileFamilies(of)
	metricFamilies(of)
	ambientFamilies(of)
	pairFamilies(of)
	mixedFamilies(of)
	halfFamilies(of)
	recordedFamilies(of)
	return all
}

// TestFamilies holds the folders to the families: a case that somebody changed by hand, or whose family is gone, is found.
func TestFamilies(t *testing.T) {
	if *update {
		writeFamilies(t)
	}
	expected := map[string]bool{}
	for _, m := range families() {
		require.False(t, expected[m.path], "two cases have the folder %s", m.path)
		expected[m.path] = true
		m.check(t)
	}
	cases, err := readCases()
	require.NoError(t, err)
	for _, c := range cases {
		assert.True(t, expected[c.folder] || c.HandWritten, "no family makes %s", c.folder)
	}
}

// writeFamilies writes the folders of all families, and removes those that no family makes.
func writeFamilies(t *testing.T) {
	t.Helper()
	expected := map[string]bool{}
	for _, m := range families() {
		expected[m.path] = true
		m.write(t)
	}
	cases, err := readCases()
	require.NoError(t, err)
	for _, c := range cases {
		if !expected[c.folder] && !c.HandWritten {
			require.NoError(t, os.RemoveAll(c.folder))
		}
	}
}

// write writes the folder, keeping the misses that it lists.
func (m *made) write(t *testing.T) {
	t.Helper()
	require.NoError(t, os.MkdirAll(m.path, 0o755))
	if old, err := readCase(m.path); err == nil && len(old.Items) == len(m.Items) {
		for i := range m.Items {
			m.Items[i].Misses = old.Items[i].Misses
		}
	}
	text, err := m.marshal()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(m.path, "case.yaml"), text, 0o644))
	for name, content := range m.files {
		require.NoError(t, os.WriteFile(filepath.Join(m.path, name), content, 0o644))
	}
}

func (m *made) check(t *testing.T) {
	t.Helper()
	there, err := readCase(m.path)
	require.NoError(t, err, "go test ./test/corpus -update")
	for i := range there.Items {
		there.Items[i].Misses = nil
	}
	for i := range m.Items {
		m.Items[i].Misses = nil
	}
	want, err := m.marshal()
	require.NoError(t, err)
	got, err := there.marshal()
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), m.path)
	for name, content := range m.files {
		// Protobuf's JSON is not stable from build to build in its white space, which pretty makes one; the rest is.
		got, err := os.ReadFile(filepath.Join(m.path, name))
		require.NoError(t, err)
		assert.Equal(t, string(content), string(got), "%s/%s", m.path, name)
	}
}
