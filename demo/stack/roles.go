// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/goccy/go-yaml"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
	"github.com/otelcol-mesh/otelcol-mesh/demo/supervise"
)

// Ports of the roles, the defaults of distribution/config.
const (
	portOTLP   = "4317"
	portHTTP   = "4318"
	portEnvoy  = "18090"
	portHub    = "14317"
	portHealth = "13133"
	portZPages = "55679"
	portPprof  = "1777"
	// portTopology is the topology's JSON.
	portTopology = "13134"
	portOwn      = "8888"
)

// Addresses of what belongs to no cluster.
const (
	hubHost      = "127.3.0.2"
	insightsHost = "127.3.0.3:8080"
)

// role is one collector process.
type role struct {
	// name is "hub" or "agent-<cluster>"; its configuration files come in the order they are merged.
	name    string
	configs []string
	host    string
	env     []string
	ports   []string
}

// agentHost is where the agent of a cluster listens: the address of a node, not of a pod.
func agentHost(c layout.Cluster) string { return c.Prefix + ".0.2" }

func (s *Stack) hubRole() role {
	cert, key := s.certificates().pair("hub")
	return role{
		name:    "hub",
		configs: append([]string{s.config("hub.yaml"), s.example("hub-mtls.yaml"), s.example("static-topology.yaml")}, s.opts.Hub...),
		host:    hubHost,
		ports:   []string{portHub},
		env: []string{
			"APPLICATION_INSIGHTS_CONNECTION_STRING=" + s.insights.ConnectionString(),
			"MESH_HUB_SERVER_CERT_FILE=" + cert,
			"MESH_HUB_SERVER_KEY_FILE=" + key,
			"MESH_HUB_CLIENT_CA_FILE=" + s.certificates().authority(),
		},
	}
}

func (s *Stack) agentRole(c layout.Cluster, overlay string) role {
	name := "agent-" + c.Name
	cert, key := s.certificates().pair(name)
	return role{
		name:    name,
		configs: []string{s.config("agent.yaml"), s.example("static-topology.yaml"), overlay},
		host:    agentHost(c),
		ports:   []string{portOTLP, portHTTP, portEnvoy},
		env: []string{
			"MESH_CLUSTER=" + c.Name,
			// As often as it scrapes.
			"MESH_METRICS_INTERVAL=" + cmp.Or(s.opts.Report, scrapeInterval),
			"MESH_HUB_ENDPOINT=" + net.JoinHostPort(hubHost, portHub),
			"MESH_HUB_CA_FILE=" + s.certificates().authority(),
			"MESH_HUB_CERT_FILE=" + cert,
			"MESH_HUB_KEY_FILE=" + key,
		},
	}
}

func (s *Stack) config(name string) string { return filepath.Join(s.opts.Configs, name) }

// example is a shipped overlay: mutual TLS, and the topology from a file for those who have no Kubernetes, as the demo.
func (s *Stack) example(name string) string {
	return filepath.Join(s.opts.Configs, "..", "examples", name)
}

func (s *Stack) certificates() certificates {
	return certificates{filepath.Join(s.opts.Dir, "certificates")}
}

// scrapeInterval is shorter than the shipped one: who watches a demo does not wait for a minute.
const scrapeInterval = "5s"

// scrapeOverlay replaces the other thing that needs Kubernetes in agent.yaml, the discovery of the node's pods, by the
// addresses of the cluster's proxies. It is merged over the shipped file.
func scrapeOverlay(file, interval string, targets []string) error {
	overlay := map[string]any{"receivers": map[string]any{"prometheus": map[string]any{"config": map[string]any{
		"scrape_configs": []any{map[string]any{
			"job_name":        "istio-proxies",
			"scrape_interval": interval,
			"metrics_path":    "/stats/prometheus",
			"static_configs":  []any{map[string]any{"targets": targets}},
		}},
	}}}}
	raw, err := yaml.Marshal(overlay)
	if err != nil {
		return fmt.Errorf("writing the scrape targets: %w", err)
	}
	return os.WriteFile(file, raw, 0o644)
}

// start runs the role under supervision with the shipped configuration; all that differs is in its environment.
func (s *Stack) start(r role) error {
	if err := portsFree(r); err != nil {
		return err
	}
	args := make([]string, 0, 2*len(r.configs))
	for _, c := range r.configs {
		args = append(args, "--config", c)
	}
	storage := filepath.Join(s.opts.Dir, "storage", r.name)
	if err := os.MkdirAll(storage, 0o755); err != nil {
		return fmt.Errorf("making the storage folder of %s: %w", r.name, err)
	}
	env := append(cleanEnvironment(),
		"MESH_LISTEN_HOST="+r.host, "MESH_ADMIN_HOST="+r.host, "MESH_DEBUG_HOST="+r.host, "MESH_STORAGE_DIR="+storage,
		"MESH_TOPOLOGY_FILE="+s.TopologyFile())
	p, err := supervise.Start(supervise.Spec{
		Name:    r.name,
		Path:    s.opts.Binary,
		Args:    args,
		Env:     append(env, r.env...),
		LogFile: filepath.Join(s.opts.Dir, "logs", r.name+".log"),
		Log:     s.opts.Log.With("role", r.name),
	})
	if err != nil {
		return err
	}
	s.roles[r.name] = &running{role: r, process: p}
	s.order = append(s.order, r.name)
	return nil
}

// cleanEnvironment is the parent's without what would change a role: the user's own MESH_* settings, and Microsoft's
// variable that overrides every Azure Monitor exporter in the process.
func cleanEnvironment() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "MESH_") && !strings.HasPrefix(kv, "APPLICATIONINSIGHTS_") && !strings.HasPrefix(kv, "APPLICATION_INSIGHTS_") {
			env = append(env, kv)
		}
	}
	return env
}

// portsFree returns an error that names the first address of the role which something else listens on.
func portsFree(r role) error {
	for _, port := range append([]string{portHealth, portZPages, portPprof, portTopology, portOwn}, r.ports...) {
		address := net.JoinHostPort(r.host, port)
		l, err := net.Listen("tcp", address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("%s: address %s is in use: is another demo running?", r.name, address)
		}
		if err != nil {
			return fmt.Errorf("%s: listening on %s: %w", r.name, address, err)
		}
		l.Close()
	}
	return nil
}
