// SPDX-License-Identifier: Apache-2.0

package wholepath_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/demo/supervise"
	"github.com/otelcol-mesh/otelcol-mesh/test/collectortest"
)

// agent is a running agent. What it sends to the hub is in a file too.
type agent struct {
	*stage
	process *supervise.Process
	host    string
	spans   int
}

// startAgent starts an agent with the shipped configuration and returns when it is healthy. Its hub does not exist. The
// overlay is merged last.
func (c *agentCluster) startAgent(t *testing.T, name, host, overlay string, env ...string) *agent {
	t.Helper()
	a := &agent{stage: &stage{t: t, dir: t.TempDir(), binary: collectortest.Binary(t)}, host: host}
	configs := []string{"agent.yaml"}
	if overlay != "" {
		configs = append(configs, overlay)
	}
	a.process = a.start(name, host, configs, c.overlay(t, a.dir), append([]string{
		"MESH_CLUSTER=" + c.Name, "MESH_NODE_NAME=" + c.nodes[0].Name, "MESH_KUBECONFIG=" + c.kubeconfig,
		// As the head of agent.yaml advises.
		"KUBE_FEATURE_WatchListClient=false",
		"MESH_METRICS_INTERVAL=1s",
		"MESH_HUB_ENDPOINT=" + net.JoinHostPort(host, "9"), "MESH_HUB_INSECURE=true",
	}, env...)...)
	return a
}

// overlay is what a test has to change: discovery reads a kubeconfig, as there is no pod whose service account it could be;
// every scrape goes to one page, told which pod is meant, as the pods' addresses lead nowhere; and there are files to read, one for
// each signal: the exporter of files shares its file between signals, and is closed for all when the first of them ends.
func (c *agentCluster) overlay(t *testing.T, dir string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "..", "distribution", "config", "agent.yaml"))
	require.NoError(t, err)
	var shipped struct {
		Receivers struct {
			Prometheus struct {
				Config struct {
					Jobs []map[string]any `yaml:"scrape_configs"`
				} `yaml:"config"`
			} `yaml:"prometheus"`
		} `yaml:"receivers"`
	}
	require.NoError(t, yaml.Unmarshal(raw, &shipped))
	jobs := shipped.Receivers.Prometheus.Config.Jobs
	require.Len(t, jobs, 2)
	for _, job := range jobs {
		for _, discovery := range job["kubernetes_sd_configs"].([]any) {
			discovery.(map[string]any)["kubeconfig_file"] = c.discovery
		}
		job["relabel_configs"] = append(job["relabel_configs"].([]any),
			// As it would be without the next rule. A dollar sign is two in a configuration.
			map[string]any{"source_labels": []string{"__address__"}, "target_label": "instance"},
			map[string]any{"source_labels": []string{"__meta_kubernetes_pod_name"}, "target_label": "__param_pod"},
			map[string]any{"replacement": c.proxies.address, "target_label": "__address__"},
		)
	}
	toFile := func(signal string) map[string]any {
		return map[string]any{"exporters": []string{"otlp_grpc/hub", "file/" + signal}}
	}
	file := func(signal string) map[string]any {
		return map[string]any{"path": outputFile(dir, signal), "flush_interval": "100ms"}
	}
	text, err := json.Marshal(map[string]any{
		"receivers": map[string]any{"prometheus": map[string]any{"config": map[string]any{"scrape_configs": jobs}}},
		"exporters": map[string]any{"file/" + spans: file(spans), "file/" + metrics: file(metrics)},
		"service":   map[string]any{"pipelines": map[string]any{"traces": toFile(spans), "metrics/scrape": toFile(metrics)}},
	})
	require.NoError(t, err)
	return string(text)
}

// spans and metrics are what the output of an agent calls its signals.
const spans, metrics = "resourceSpans", "resourceMetrics"

func outputFile(dir, signal string) string { return filepath.Join(dir, signal+".jsonl") }

// ask asks the agent's topology.
func (a *agent) ask(path string, query url.Values, into any) error {
	return get(a.t, "http://"+net.JoinHostPort(a.host, portAdmin)+path+"?"+query.Encode(), into)
}

// agentSource is what the topology says of the agent's source.
type agentSource struct {
	Source    string
	Ready     bool
	Detail    string
	Confirmed *time.Time
	Watches   int
	Live      int `json:"live_watches"`
}

func (a *agent) overview() (pods int, source agentSource) {
	var said struct {
		Counts  struct{ Pods int }
		Sources []agentSource
	}
	require.NoError(a.t, a.ask("/topology", nil, &said))
	require.Len(a.t, said.Sources, 1)
	return said.Counts.Pods, said.Sources[0]
}

func (a *agent) source() agentSource {
	_, source := a.overview()
	return source
}

// knows says whether the agent is synced and knows so many pods.
func (a *agent) knows(n int) bool {
	pods, source := a.overview()
	return source.Ready && source.Watches > 0 && source.Live == source.Watches && pods == n
}

// who returns the pod that the agent names for an address, as namespace/name, or "".
func (a *agent) who(address string) string {
	var said struct {
		Networks []struct {
			Pod *struct{ Namespace, Name string }
		}
	}
	require.NoError(a.t, a.ask("/topology/address", url.Values{"address": {address}}, &said))
	for _, n := range said.Networks {
		if n.Pod != nil {
			return n.Pod.Namespace + "/" + n.Pod.Name
		}
	}
	return ""
}

// span sends a span as a pod that knows its address alone, and returns the resource that comes out.
func (a *agent) span(address string) map[string]string {
	a.t.Helper()
	a.spans++
	marker := "call-" + strconv.Itoa(a.spans)
	now := time.Now().UnixNano()
	body := fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"k8s.pod.ip","value":{"stringValue":%q}},{"key":"marker","value":{"stringValue":%q}}]},`+
		`"scopeSpans":[{"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","name":"call","kind":3,`+
		`"startTimeUnixNano":"%d","endTimeUnixNano":"%d"}]}]}]}`, address, marker, now-1e6, now)
	request, err := http.NewRequestWithContext(a.t.Context(), http.MethodPost, "http://"+net.JoinHostPort(a.host, "4318")+"/v1/traces", strings.NewReader(body))
	require.NoError(a.t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(a.t, err)
	require.NoError(a.t, response.Body.Close())
	require.Equal(a.t, http.StatusOK, response.StatusCode)
	var said map[string]string
	a.eventually("the span comes out", func() bool {
		for _, resource := range a.resources(spans) {
			if resource["marker"] == marker {
				said = resource
				return true
			}
		}
		return false
	})
	return said
}

// resources returns the string attributes of all resources of one signal that came out.
func (a *agent) resources(signal string) []map[string]string {
	raw, err := os.ReadFile(outputFile(a.dir, signal))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	require.NoError(a.t, err)
	var all []map[string]string
	for line := range bytes.Lines(raw) {
		if !bytes.HasSuffix(line, []byte("\n")) { // still being written
			break
		}
		var batch map[string][]struct {
			Resource struct {
				Attributes []struct {
					Key   string
					Value struct{ StringValue string }
				}
			}
		}
		require.NoError(a.t, json.Unmarshal(line, &batch))
		for _, r := range batch[signal] {
			resource := map[string]string{}
			for _, attribute := range r.Resource.Attributes {
				resource[attribute.Key] = attribute.Value.StringValue
			}
			all = append(all, resource)
		}
	}
	return all
}

// proxyPages plays the statistics page of every proxy, and keeps whose was asked for.
type proxyPages struct {
	address string
	mu      sync.Mutex
	pods    map[string]bool
}

func newProxyPages(t *testing.T) *proxyPages {
	t.Helper()
	p := &proxyPages{}
	p.forget()
	server := httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.9.3.9:0")
	require.NoError(t, err)
	assert.NoError(t, server.Listener.Close())
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	p.address = listener.Addr().String()
	return p
}

func (p *proxyPages) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.pods[r.URL.Query().Get("pod")] = true
	p.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	// Cumulative sums: from the second page on there is a difference to tell.
	fmt.Fprintf(w, "# TYPE istio_requests_total counter\nistio_requests_total{reporter=\"source\",response_code=\"200\"} %d\n", time.Now().Unix())
}

func (p *proxyPages) seen() map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.pods)
}

func (p *proxyPages) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pods = map[string]bool{}
}
