// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
	"github.com/otelcol-mesh/otelcol-mesh/demo/supervise"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
	"github.com/otelcol-mesh/otelcol-mesh/test/collectortest"
)

// within is how long anything may take on a busy machine.
const within = 90 * time.Second

// rig is what one test runs: roles as processes, and the endpoint in this process.
type rig struct {
	t      *testing.T
	dir    string
	net    int
	server *ingestiontest.Server
}

// newRig starts the endpoint. number is the part of the loopback that the test has for itself.
func newRig(t *testing.T, number int, config ingestiontest.Config) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), net: number}
	server, err := ingestiontest.Listen(r.host(3)+":8080", config)
	require.NoError(t, err)
	r.server = server
	t.Cleanup(func() {
		server.DropConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		assert.NoError(t, server.Shutdown(ctx))
	})
	return r
}

func (r *rig) host(last int) string { return fmt.Sprintf("127.11.%d.%d", r.net, last) }

// hubHost is the address of the hub.
func (r *rig) hubHost() string { return r.host(2) }

// role is one collector.
type role struct {
	t          *testing.T
	name, host string
	process    *supervise.Process
	log        string
}

// spec says what to start: files of distribution/, texts that are merged over them, variables.
type spec struct {
	name, host             string
	configs, overlays, env []string
}

func (r *rig) start(s spec) *role {
	t := r.t
	t.Helper()
	var args []string
	for _, file := range s.configs {
		args = append(args, "--config", filepath.Join("../../distribution", file))
	}
	for i, text := range s.overlays {
		args = append(args, "--config", r.file(fmt.Sprintf("%s-%d.yaml", s.name, i), text))
	}
	storage := filepath.Join(r.dir, "storage-"+s.name)
	require.NoError(t, os.MkdirAll(storage, 0o700))
	o := &role{t: t, name: s.name, host: s.host, log: filepath.Join(r.dir, s.name+".log")}
	process, err := supervise.Start(supervise.Spec{
		Name: s.name, Path: collectortest.Binary(t), Args: args, LogFile: o.log, Log: slog.New(slog.DiscardHandler),
		Env: collectortest.Environment(collectortest.Clean(os.Environ()), s.host, storage, s.env...),
	})
	require.NoError(t, err)
	o.process = process
	t.Cleanup(func() {
		o.stop()
		if t.Failed() {
			t.Log(o.tail())
		}
	})
	o.eventually("it is ready", func() bool { return o.get("13133", "/", nil) == nil })
	return o
}

// file writes a file of the rig.
func (r *rig) file(name, text string) string {
	path := filepath.Join(r.dir, name)
	require.NoError(r.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// stop ends the process as a kubelet does; a second call does nothing.
func (o *role) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	assert.NoError(o.t, o.process.Stop(ctx), o.name)
}

func (o *role) tail() string {
	return "the last lines of " + o.name + ":\n" + collectortest.Tail(o.log, 12, nil)
}

// lines are those of the log that contain the text.
func (o *role) lines(text string) (found []string) {
	raw, err := os.ReadFile(o.log)
	require.NoError(o.t, err)
	for line := range strings.Lines(string(raw)) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

func (o *role) logged(text string) int { return len(o.lines(text)) }

func (o *role) get(port, path string, use func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return collectortest.Read(ctx, o.host, port, path, use)
}

// metric returns the sum of one of the collector's own metrics over all labels that contain each of the texts; 0 if there is
// none.
func (o *role) metric(name string, labels ...string) float64 {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	sum, _, err := collectortest.Metric(ctx, o.host, name, labels...)
	require.NoError(o.t, err)
	return sum
}

// topology asks the hub's admin address.
func (o *role) topology(path string, into any) {
	o.t.Helper()
	require.NoError(o.t, o.get("13134", path, func(body io.Reader) error { return json.NewDecoder(body).Decode(into) }))
}

// eventually asks until ask says yes, or fails the test.
func (o *role) eventually(what string, ask func() bool) {
	o.t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(within); !ask(); <-ticker.C {
		if time.Now().After(deadline) {
			require.Fail(o.t, "it never happened: "+what, o.tail())
		}
	}
}

// files are the folders with the certificates of a role: its own, and the authorities that it trusts.
type files struct{ own, trust string }

func newFiles(t *testing.T) files { return files{t.TempDir(), t.TempDir()} }

// hubFiles issues the hub's certificate.
func (r *rig) hubFiles(by *pkitest.Authority, trusts ...*pkitest.Authority) files {
	f := newFiles(r.t)
	by.Issue(r.t, r.hubLeaf()).Write(r.t, f.own)
	pkitest.WriteBundle(r.t, f.trust, trusts...)
	return f
}

func (r *rig) hubLeaf() pkitest.Leaf {
	return pkitest.Leaf{CommonName: "hub", Addresses: []string{r.hubHost()}}
}

// agentLeaf is what an agent's certificate says by the shipped rules.
func agentLeaf(cluster string) pkitest.Leaf {
	return pkitest.Leaf{URIs: []string{"spiffe://otelcol-mesh/cluster/" + cluster + "/agent"}}
}

// silentGraph keeps what a hub tells by itself once a minute away from the endpoint, where a test looks at everything.
const silentGraph = "connectors: {mesh_graph: {metrics_interval: 1h}}\n"

// startHub starts the hub with mutual TLS, over gRPC and HTTP.
func (r *rig) startHub(f files, overlays ...string) *role {
	overlays = append([]string{silentGraph}, overlays...)
	return r.start(spec{
		name: "hub", host: r.hubHost(), configs: []string{"config/hub.yaml", "examples/hub-mtls.yaml", "examples/hub-mtls-http.yaml"}, overlays: overlays,
		env: []string{
			"APPLICATION_INSIGHTS_CONNECTION_STRING=" + r.server.ConnectionString(),
			"MESH_HUB_SERVER_CERT_FILE=" + f.own + "/tls.crt", "MESH_HUB_SERVER_KEY_FILE=" + f.own + "/tls.key", "MESH_HUB_CLIENT_CA_FILE=" + f.trust + "/ca.crt",
		},
	})
}

// link are the variables of what sends to the hub.
func (r *rig) link(cluster string, f files) []string {
	return []string{
		"MESH_CLUSTER=" + cluster, "MESH_HUB_ENDPOINT=" + net.JoinHostPort(r.hubHost(), "14317"),
		"MESH_HUB_CA_FILE=" + f.trust + "/ca.crt", "MESH_HUB_CERT_FILE=" + f.own + "/tls.crt", "MESH_HUB_KEY_FILE=" + f.own + "/tls.key",
	}
}

// startAgent starts an agent without Kubernetes: what it would read there is in a file, and it scrapes nothing.
func (r *rig) startAgent(last int, cluster string, f files) *role {
	topology := r.file("topology-"+cluster+".yaml", fmt.Sprintf("clusters: [{name: %s, region: westeurope, network: vnet}]\n", cluster))
	return r.start(spec{
		name: "agent-" + cluster, host: r.host(last), configs: []string{"config/agent.yaml", "examples/static-topology.yaml"},
		overlays: []string{"receivers: {prometheus: {config: {scrape_configs: [{job_name: none, static_configs: []}]}}}\n"},
		env:      append(r.link(cluster, f), "MESH_TOPOLOGY_FILE="+topology, "MESH_NODE_NAME=node"),
	})
}

// startInventory starts an inventory that does not watch an API server but is given the messages over OTLP, and has a port
// to count its goroutines at.
func (r *rig) startInventory(last int, cluster string, f files) *role {
	overlay := fmt.Sprintf("receivers: {otlp: {protocols: {grpc: {endpoint: \"%[1]s:4317\"}}}}\nextensions: {pprof: {endpoint: \"%[1]s:1777\"}}\n"+
		"service: {extensions: [health_check, queue_storage, cluster_identity, pprof], pipelines: {logs: {receivers: [otlp]}}}\n", r.host(last))
	return r.start(spec{
		name: "inventory-" + cluster, host: r.host(last), configs: []string{"config/inventory.yaml"}, overlays: []string{overlay},
		env: append(r.link(cluster, f), "MESH_NAMESPACE=none"),
	})
}
