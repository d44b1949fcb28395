// SPDX-License-Identifier: Apache-2.0

// Package stack runs the whole path on one machine: the two-region mesh of real Envoys, an agent per cluster, the hub,
// and a local Application Insights endpoint. The demo and the end-to-end tests share it, so that what users see is what
// is tested. The entry points are [Start], [Stack.Ready] and [Stack.Stop].
package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
	"github.com/otelcol-mesh/otelcol-mesh/demo/supervise"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// stopGrace is how long a collector may take to hand over what it holds and end.
const stopGrace = 20 * time.Second

// Options says where the parts are. Binary, Envoy, Configs and Dir are required.
type Options struct {
	// Binary is the built distribution, Envoy the Envoy executable.
	Binary, Envoy string
	// Configs is the folder of the shipped configurations (distribution/config).
	Configs string
	// Dir is an empty folder for logs, certificates, queues and generated files.
	Dir string
	// Insights configures the local Application Insights endpoint; the zero value does.
	Insights ingestiontest.Config
	// Log receives what happens to the processes; nil discards it.
	Log *slog.Logger
	// Hub are configurations that are merged over the hub's: files, or yaml:… as the collector takes them.
	Hub []string
	// Scrape is how often the agents scrape, such as 1s; empty for the demo's interval.
	Scrape string
	// Report is how often the agents report, such as 1m; empty for the demo's interval.
	Report string
}

// Stack is the running whole.
type Stack struct {
	opts     Options
	insights *ingestiontest.Server
	mesh     *mesh.Mesh
	roles    map[string]*running
	order    []string // of starting; stopping goes backwards
}

type running struct {
	role    role
	process *supervise.Process
}

// Start starts everything and returns when all processes run; they may not be ready yet, see [Stack.Ready]. On an error
// whatever had been started is stopped.
func Start(ctx context.Context, opts Options) (*Stack, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Stack{opts: opts, roles: map[string]*running{}}
	if err := s.startAll(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Stack) startAll(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Join(s.opts.Dir, "logs"), 0o755); err != nil {
		return fmt.Errorf("making the demo's folder: %w", err)
	}
	agents := map[string]mesh.AgentAddresses{}
	for _, c := range layout.Clusters() {
		agents[c.Name] = mesh.AgentAddresses{
			OTLP: net.JoinHostPort(agentHost(c), portOTLP),
			ALS:  net.JoinHostPort(agentHost(c), portEnvoy),
		}
	}
	m, err := mesh.New(mesh.Options{Envoy: s.opts.Envoy, Dir: filepath.Join(s.opts.Dir, "mesh"), Agents: agents, Logger: s.opts.Log})
	if err != nil {
		return err
	}
	topology, err := mesh.Topology()
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.TopologyFile(), topology, 0o644); err != nil {
		return fmt.Errorf("writing the topology file: %w", err)
	}
	s.insights, err = ingestiontest.Listen(insightsHost, s.opts.Insights)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("local Application Insights endpoint: address %s is in use: is another demo running?", insightsHost)
	}
	if err != nil {
		return fmt.Errorf("local Application Insights endpoint: %w", err)
	}
	if err := s.certificates().make(); err != nil {
		return err
	}
	if err := s.start(s.hubRole()); err != nil {
		return err
	}
	for _, c := range layout.Clusters() {
		overlay := filepath.Join(s.opts.Dir, "scrape-"+c.Name+".yaml")
		if err := scrapeOverlay(overlay, cmp.Or(s.opts.Scrape, scrapeInterval), mesh.ScrapeTargets(c.Name)); err != nil {
			return err
		}
		if err := s.start(s.agentRole(c, overlay)); err != nil {
			return err
		}
	}
	if err := m.Start(ctx); err != nil {
		return err
	}
	s.mesh = m
	return nil
}

// TopologyFile is the static topology that all collectors read.
func (s *Stack) TopologyFile() string { return filepath.Join(s.opts.Dir, "topology.yaml") }

// Insights is the local Application Insights endpoint with all that arrived.
func (s *Stack) Insights() *ingestiontest.Server { return s.insights }

// Mesh is the two-region mesh.
func (s *Stack) Mesh() *mesh.Mesh { return s.mesh }

// Roles returns the names of the collector processes, in the order they were started.
func (s *Stack) Roles() []string { return slices.Clone(s.order) }

// Host returns the address the role listens on.
func (s *Stack) Host(name string) string { return s.roles[name].role.host }

// Kill sends SIGKILL to a collector; it is started again as a kubelet would.
func (s *Stack) Kill(name string) error {
	r, ok := s.roles[name]
	if !ok {
		return fmt.Errorf("no collector named %q, there are %v", name, s.order)
	}
	return r.process.Kill()
}

// PID returns the process id of a collector, 0 while it is being started again.
func (s *Stack) PID(name string) int { return s.roles[name].process.PID() }

// Ready returns when every collector answers its health check and every Envoy is ready, or an error that names the first
// that is not when ctx ends.
func (s *Stack) Ready(ctx context.Context) error {
	for _, name := range s.order {
		if err := s.RoleReady(ctx, name); err != nil {
			return err
		}
	}
	return s.mesh.Ready(ctx)
}

// RoleReady returns when the collector answers its health check.
func (s *Stack) RoleReady(ctx context.Context, name string) error {
	url := "http://" + net.JoinHostPort(s.roles[name].role.host, portHealth)
	for {
		if healthy(ctx, url) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready (its log: %s): %w", name, filepath.Join(s.opts.Dir, "logs", name+".log"), ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func healthy(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Stop ends everything in the order in which data flows, so that what is under way still arrives: mesh, agents, hub,
// endpoint. It returns what did not end as asked. It may be called on a stack that did not start whole.
func (s *Stack) Stop() error {
	var errs []error
	within := func(stop func(context.Context) error) {
		ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
		defer cancel()
		errs = append(errs, stop(ctx))
	}
	if s.mesh != nil {
		within(s.mesh.Stop)
	}
	for _, name := range slices.Backward(s.order) {
		within(s.roles[name].process.Stop)
	}
	if s.insights != nil {
		within(s.insights.Shutdown)
	}
	return errors.Join(errs...)
}
