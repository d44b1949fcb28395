// SPDX-License-Identifier: Apache-2.0

// Package mesh runs a two-region Istio mesh on one machine from real Envoys: two clusters with an ingress gateway, an
// east/west gateway and bookinfo each, every pod on its own loopback address with its own Envoy, in the configuration
// Istio would give it. See README.md for the layout and for what differs from a real mesh.
package mesh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/bookinfo"
	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/bootstrap"
	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
)

// AgentAddresses is where one cluster's proxies send their telemetry.
type AgentAddresses = bootstrap.Agent

// Options say how to build a mesh.
type Options struct {
	// Envoy is the path of an Envoy 1.40 binary (see internal/envoybin). Required.
	Envoy string
	// Dir holds configurations, certificates and logs (Dir/logs/<pod>.log). Empty means a temporary folder that Stop
	// removes.
	Dir string
	// Agents is the telemetry destination of each cluster, by cluster name. A cluster that is not named gets
	// DefaultAgents's. Nothing has to listen there: Envoy drops what it cannot send.
	Agents map[string]AgentAddresses
	// Wait makes Start wait, until its ctx ends, for another mesh on this machine to stop. Without it Start fails at once.
	Wait bool
	// Logger reports crashes and restarts. Nil means slog.Default().
	Logger *slog.Logger
}

// Mesh is one mesh. It is safe for concurrent use.
type Mesh struct {
	options Options
	log     *slog.Logger

	ledger  bookinfo.Ledger
	mu      sync.Mutex
	dir     string
	running bool
	proxies map[string]*proxy
	apps    []*bookinfo.Server
	// claim is held for as long as the mesh runs: see claimMachine.
	claim net.Listener
}

// DefaultAgents are the addresses of the first node of each cluster: OTLP on port 4317 and Envoy's own services (access
// log and metrics) on port 18090.
func DefaultAgents() map[string]AgentAddresses {
	agents := map[string]AgentAddresses{}
	for _, c := range layout.Clusters() {
		node := c.Nodes()[0].Address
		agents[c.Name] = AgentAddresses{OTLP: node + ":4317", ALS: node + ":18090"}
	}
	return agents
}

// New checks the options and returns a mesh that Start can run.
func New(options Options) (*Mesh, error) {
	if options.Envoy == "" {
		return nil, errors.New("mesh: Options.Envoy is empty: give the path of an Envoy binary, for example from envoybin.Path")
	}
	agents := DefaultAgents()
	for name, agent := range options.Agents {
		if _, ok := agents[name]; !ok {
			return nil, fmt.Errorf("mesh: Options.Agents names cluster %q, which is none of aks-westeurope, aks-northeurope", name)
		}
		agents[name] = agent
	}
	options.Agents = agents
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	return &Mesh{options: options, log: options.Logger}, nil
}

// Start checks that every address is free, writes certificates and configurations, and starts the applications and the
// Envoys. It fails if Envoy cannot be executed, and does not wait until the Envoys serve: see Ready. After an error
// nothing is left running. A stopped mesh can be started again.
func (m *Mesh) Start(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running {
		return errors.New("mesh: already running")
	}
	if err := m.claimMachine(ctx); err != nil {
		return err
	}
	if err := checkFree(ctx, layout.Pods()); err != nil {
		return errors.Join(err, m.cleanup())
	}
	if err := m.prepare(); err != nil {
		return errors.Join(err, m.cleanup())
	}
	if err := m.startPods(ctx); err != nil {
		return errors.Join(err, m.stopPods(ctx), m.cleanup())
	}
	m.running = true
	return nil
}

// Ledger is what the applications themselves know of who called whom, over all starts of the mesh.
func (m *Mesh) Ledger() *bookinfo.Ledger { return &m.ledger }

// startPods starts the applications and then the Envoys. After an error some may run.
func (m *Mesh) startPods(ctx context.Context) error {
	for _, pod := range layout.Pods() {
		if pod.Kind != layout.Sidecar {
			continue
		}
		app, err := bookinfo.Start(ctx, pod, &m.ledger)
		if err != nil {
			return err
		}
		m.apps = append(m.apps, app)
	}
	m.proxies = map[string]*proxy{}
	for _, pod := range layout.Pods() {
		p, err := m.startProxy(pod)
		if err != nil {
			return err
		}
		m.proxies[pod.Name] = p
	}
	return nil
}

// stopPods ends what startPods started.
func (m *Mesh) stopPods(ctx context.Context) error {
	errs := []error{m.stopProxies(ctx)}
	for _, app := range m.apps {
		errs = append(errs, app.Stop())
	}
	m.apps = nil
	return errors.Join(errs...)
}

// Stop ends every Envoy and application and waits for them; an Envoy that does not end within three seconds, or before
// ctx ends, is killed. Stopping a mesh that does not run does nothing.
func (m *Mesh) Stop(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.running {
		return nil
	}
	m.running = false
	return errors.Join(m.stopPods(ctx), m.cleanup())
}

// prepare writes everything the Envoys read.
func (m *Mesh) prepare() error {
	m.dir = m.options.Dir
	if m.dir == "" {
		dir, err := os.MkdirTemp("", "otelcol-mesh-demo-")
		if err != nil {
			return err
		}
		m.dir = dir
	}
	for _, sub := range []string{"logs", "config"} {
		if err := os.MkdirAll(filepath.Join(m.dir, sub), 0o700); err != nil {
			return err
		}
	}
	certs := filepath.Join(m.dir, "certs")
	if err := layout.WriteCerts(certs); err != nil {
		return fmt.Errorf("mesh certificates: %w", err)
	}
	for _, pod := range layout.Pods() {
		config, err := bootstrap.JSON(bootstrap.Params{Pod: pod, CertDir: certs, Agent: m.options.Agents[pod.Cluster.Name]})
		if err != nil {
			return err
		}
		if err := os.WriteFile(m.configPath(pod), config, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// cleanup undoes claimMachine and prepare.
func (m *Mesh) cleanup() error {
	err := m.claim.Close()
	m.claim = nil
	if m.options.Dir != "" || m.dir == "" {
		return err
	}
	dir := m.dir
	m.dir = ""
	return errors.Join(err, os.RemoveAll(dir))
}

func (m *Mesh) configPath(p layout.Pod) string {
	return filepath.Join(m.dir, "config", p.Name+".json")
}

func (m *Mesh) logPath(p layout.Pod) string { return filepath.Join(m.dir, "logs", p.Name+".log") }

// claimAddress is listened on, and never served, by the one mesh that runs on a machine: a lock that the kernel
// releases however the process ends.
const claimAddress = "127.1.0.2:15999"

// claimMachine makes this the only mesh on the machine, waiting for its turn if Options.Wait says so.
func (m *Mesh) claimMachine(ctx context.Context) error {
	var config net.ListenConfig
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	for {
		listener, err := config.Listen(ctx, "tcp", claimAddress)
		if err == nil {
			m.claim = listener
			return nil
		}
		err = explainListen(claimAddress, "the mesh's lock", err)
		if !m.options.Wait {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-ticker.C:
		}
	}
}

// checkFree finds out before anything starts whether an address is taken: Envoy shares ports between processes, so a
// second mesh would silently take half of the first one's connections.
func checkFree(ctx context.Context, pods []layout.Pod) error {
	var config net.ListenConfig
	for _, pod := range pods {
		for _, port := range pod.Ports() {
			address := net.JoinHostPort(pod.IP, strconv.Itoa(port))
			listener, err := config.Listen(ctx, "tcp", address)
			if err != nil {
				return explainListen(address, pod.Name, err)
			}
			if err := listener.Close(); err != nil {
				return err
			}
		}
	}
	return nil
}

func explainListen(address, owner string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("address %s (%s) in use: is another demo or `make test` running?", address, owner)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("address %s (%s) is not local: the demo needs all of 127.0.0.0/8 on the loopback interface, as on Linux", address, owner)
	default:
		return fmt.Errorf("address %s (%s): %w", address, owner, err)
	}
}
