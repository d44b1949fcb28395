// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	meshtopology "github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

var update = flag.Bool("update", false, "write the expected files anew; read every difference before committing it")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const topologyFile = "../testdata/topology.yaml"

func explained(t testing.TB, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

// TestCases explains each input of testdata with the options in args, one a line, as text and as JSON.
func TestCases(t *testing.T) {
	inputs, err := filepath.Glob(filepath.Join("testdata", "*", "input.*"))
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	for _, input := range inputs {
		folder := filepath.Dir(input)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			args := []string{"--topology", topologyFile, input}
			if more, err := os.ReadFile(filepath.Join(folder, "args")); err == nil {
				args = append(args, strings.Fields(string(more))...)
			}
			code, text, errs := explained(t, "", args...)
			require.Equal(t, ExitOK, code, errs)
			require.Empty(t, errs)
			compare(t, filepath.Join(folder, "expected.txt"), text)
			code, lines, errs := explained(t, "", append(args, "--json")...)
			require.Equal(t, ExitOK, code, errs)
			compare(t, filepath.Join(folder, "expected.json"), indented(t, lines))
		})
	}
}

// indented writes each JSON line so that differences are readable.
func indented(t *testing.T, lines string) string {
	t.Helper()
	var out bytes.Buffer
	for line := range strings.Lines(lines) {
		require.NoError(t, json.Indent(&out, []byte(line), "", " "))
	}
	return out.String()
}

func compare(t *testing.T, file, actual string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(actual), 0o600))
	}
	expected, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(expected), actual)
}

const inboundLine = `[2022-11-03T18:22:51.440Z] "GET /x HTTP/1.1" 200 - - - "-" 0 1 2 - "-" "-" "-" "-" "127.0.0.1:9080" inbound|9080|| 127.0.0.6:1 127.1.0.31:9080 127.1.0.21:64843 - default`

func TestCommandLine(t *testing.T) {
	tests := []struct {
		name  string
		stdin string
		args  []string
		code  int
		want  string
	}{
		{"help", "", []string{"--help"}, ExitOK, "usage:"},
		{"nothing", "", nil, ExitUsage, "--topology is missing"},
		{"no input", "", []string{"--topology", topologyFile}, ExitUsage, "no input"},
		{"two inputs", "", []string{"--topology", topologyFile, "a", "b"}, ExitUsage, `two inputs, "a" and "b"`},
		{"a signal of no kind", "", []string{"--topology", topologyFile, "--signal", "spans", "-"}, ExitUsage, "write traces, logs or metrics"},
		{"a pod without a namespace", "", []string{"--topology", topologyFile, "--pod", "web", "-"}, ExitUsage, "write <namespace>/<name>"},
		{"an option of another command", "", []string{"--config", "x"}, ExitUsage, "-config"},
		{"no topology file", "", []string{"--topology", "no-such-file", "-"}, ExitFailed, "--topology no-such-file: no such file"},
		{"no input file", "", []string{"--topology", topologyFile, "no-such-file"}, ExitFailed, "cannot open the input"},
		{"a cluster of another mesh", "{}", []string{"--topology", topologyFile, "--cluster", "aks-x", "-"}, ExitFailed, `--cluster "aks-x" is not in the topology, which has aks-northeurope, aks-uksouth, aks-westeurope`},
		{"empty", " \n", []string{"--topology", topologyFile, "-"}, ExitFailed, "the standard input: the input is empty"},
		{"broken JSON", "{\"resourceSpans\": [}", []string{"--topology", topologyFile, "-"}, ExitFailed, "line 1: invalid character"},
		{"half of a document", "{}\n{\"resourceSpans\": [", []string{"--topology", topologyFile, "-"}, ExitFailed, "line 2: the JSON ends early"},
		{"not OTLP", `{"resourceSpans": 3}`, []string{"--topology", topologyFile, "-"}, ExitFailed, "not OTLP JSON of traces"},
		{"not an object", `[{}, 3]`, []string{"--topology", topologyFile, "-"}, ExitFailed, "not a JSON object"},
		{"another signal", inboundLine, []string{"--topology", topologyFile, "--signal", "traces", "-"}, ExitFailed, "it holds logs, and --signal says traces"},
		{"no call", "hello", []string{"--topology", topologyFile, "-"}, ExitNothing, "nothing in the input tells of a call"},
		{"options after the input", inboundLine, []string{"-", "--signal", "logs", "--topology", topologyFile}, ExitOK, "log record"},
		{"as an agent", inboundLine, []string{"--topology", topologyFile, "-", "--cluster", "aks-westeurope"}, ExitOK, "told by ip"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := explained(t, tt.stdin, tt.args...)
			assert.Equal(t, tt.code, code)
			assert.Contains(t, stdout+stderr, tt.want)
			if code == ExitOK {
				assert.Empty(t, stderr)
			}
		})
	}
}

// TestForms: the same span, in every form in which people have one.
func TestForms(t *testing.T) {
	span := `{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","kind":2,"startTimeUnixNano":"1767225600000000000","attributes":[
	  {"key":"node_id","value":{"stringValue":"sidecar~127.1.0.31~reviews-v1-1.bookinfo~d"}},{"key":"upstream_cluster","value":{"stringValue":"inbound|9080||"}},
	  {"key":"peer.address","value":{"stringValue":"127.1.0.21"}}]}`
	scope := `{"scope":{"name":"envoy"},"spans":[` + span + `]}`
	resource := `{"resource":{},"scopeSpans":[` + scope + `]}`
	document := `{"resourceSpans":[` + resource + `]}`
	oneLine := strings.NewReplacer("\n", "", "\t", "").Replace(document)
	for _, tt := range []struct {
		name, input string
		items       int
	}{
		{"a span", span, 1},
		{"a scope", scope, 1},
		{"a resource", resource, 1},
		{"a document", document, 1},
		{"a document a line", oneLine + "\n" + oneLine + "\n", 2},
		{"documents over many lines", document + "\n" + document, 2},
		{"a list", "[" + document + ",\n" + span + "]", 2},
		{"with a byte order mark", "\ufeff" + document, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := explained(t, tt.input, "--topology", topologyFile, "-")
			require.Equal(t, ExitOK, code, stderr)
			assert.Equal(t, tt.items, strings.Count(stdout, "workload=productpage-v1 service=productpage version=v1 principal=spiffe://west.mesh/ns/bookinfo/sa/bookinfo-productpage (told by ip)"), stdout)
		})
	}
}

// TestDiskCopy: a hub's copy tells as much as the file that it was made of, the past included.
func TestDiskCopy(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w := topology.NewWriter(topology.WriterSettings{History: time.Hour, Now: func() time.Time { return start.Add(time.Minute) }})
	pod := func(name, address string, since time.Time) topology.PodState {
		return topology.PodState{
			PodSpec:   topology.PodSpec{Name: name, Addresses: []netip.Addr{netip.MustParseAddr(address)}},
			Namespace: "shop", Workload: name, Kind: "deployment", Since: since, Seen: since,
		}
	}
	w.Apply(&topology.Delta{Cluster: "a", At: start, Full: true, Facts: &topology.ClusterFacts{Region: "r", Network: "n"}, Pods: []topology.PodState{
		pod("web", "10.0.0.1", time.Time{}), pod("gone", "10.0.0.2", time.Time{}),
	}})
	w.Apply(&topology.Delta{Cluster: "a", At: start.Add(time.Minute), GonePods: []topology.PodEnd{
		{Namespace: "shop", Name: "gone", Earliest: start.Add(30 * time.Second), Latest: start.Add(31 * time.Second)},
	}})
	var copied bytes.Buffer
	position := inventory.Position{Cluster: "a", ClusterUID: "u", Epoch: 1, Sequence: 1, At: start.Add(time.Minute), Complete: true}
	require.NoError(t, inventory.Save(&copied, w.Publish(), []inventory.Position{position}))
	file := filepath.Join(t.TempDir(), "mesh_topology.inventory")
	require.NoError(t, os.WriteFile(file, copied.Bytes(), 0o600))

	span := func(at string) string {
		return `{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","kind":2,"startTimeUnixNano":"` + at + `","attributes":[
		 {"key":"node_id","value":{"stringValue":"sidecar~10.0.0.1~web.shop~d"}},{"key":"istio.cluster_id","value":{"stringValue":"a"}},
		 {"key":"upstream_cluster","value":{"stringValue":"inbound|9080||"}},{"key":"peer.address","value":{"stringValue":"10.0.0.2"}}]}`
	}
	code, stdout, stderr := explained(t, span("1767225610000000000"), "--topology", file, "-")
	require.Equal(t, ExitOK, code, stderr)
	assert.Contains(t, stdout, "source: cluster=a region=r network=n namespace=shop workload=gone", "then")
	code, stdout, _ = explained(t, span("1767225655000000000"), "--topology", file, "-")
	require.Equal(t, ExitOK, code)
	assert.Contains(t, stdout, "source: - (unknown:address_not_found", "later")

	require.NoError(t, os.WriteFile(file, copied.Bytes()[:copied.Len()-4], 0o600))
	code, _, stderr = explained(t, span("1767225610000000000"), "--topology", file, "-")
	assert.Contains(t, stderr, "damaged")
	assert.Contains(t, []int{ExitOK, ExitFailed}, code)
	require.NoError(t, os.WriteFile(file, copied.Bytes()[:12], 0o600))
	code, _, stderr = explained(t, span("1767225610000000000"), "--topology", file, "-")
	assert.Equal(t, ExitFailed, code)
	assert.Contains(t, stderr, "nothing of the disk copy can be read")
}

// TestEveryReasonHasWords: an explanation must not end in silence.
func TestEveryReasonHasWords(t *testing.T) {
	for r := range mesh.ResolutionCount {
		if !r.Known() {
			assert.NotEmpty(t, reasons[r], r.String())
		}
	}
	for r := range advice {
		assert.NotEmpty(t, reasons[r], r.String())
	}
	for c := rules.ClueReporter; c <= rules.ClueTopology; c++ {
		assert.NotEqual(t, rules.ClueUnnamed.String(), c.String())
	}
}

func FuzzInput(f *testing.F) {
	f.Add([]byte(inboundLine))
	f.Add([]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"upstream_cluster","value":{"stringValue":"inbound|1||"}}]}]}]}]}`))
	f.Add([]byte(`[{"upstream_cluster":"outbound|80||a.b.svc.cluster.local","upstream_host":"127.1.0.31:80"},{"scopeLogs":[{}]}]`))
	f.Add([]byte("{\"metrics\":[{\"name\":\"istio_requests_total\",\"sum\":{\"dataPoints\":[{\"attributes\":[{\"key\":\"reporter\",\"value\":{\"stringValue\":\"source\"}}]}]}}]}\n{}"))
	snapshot, _, err := loadTopology(topologyFile, time.Unix(0, 0))
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, data []byte) {
		parts, err := parseInput(data, "bookinfo/reviews-v1-1")
		if err != nil {
			return
		}
		explainAll(t, snapshot, parts)
	})
}

func explainAll(t *testing.T, snapshot *topology.Snapshot, parts []*part) {
	t.Helper()
	explainer, err := meshtopology.NewExplainer(snapshot, "")
	require.NoError(t, err)
	var out bytes.Buffer
	for _, p := range parts {
		explanations, err := p.explain(explainer)
		if err != nil {
			continue
		}
		for _, e := range explanations {
			require.NoError(t, printText(&out, e))
			require.NoError(t, printJSON(&out, e))
		}
	}
}
