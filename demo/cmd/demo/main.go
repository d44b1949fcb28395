// SPDX-License-Identifier: Apache-2.0

// Command demo runs the two-region mesh, an agent per cluster, the hub and a local Application Insights endpoint, and
// prints what arrives. `make demo` builds the distribution and runs it. DEMO_SECONDS limits its time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/demo/stack"
	"github.com/otelcol-mesh/otelcol-mesh/internal/envoybin"
)

const (
	readyWithin = 90 * time.Second
	printEvery  = 5 * time.Second
	// tracerFlush is how long an Envoy may hold finished spans back (tracing.opentelemetry.flush_interval_ms is 5 s).
	// One that is stopped earlier takes them with it.
	tracerFlush = 6 * time.Second
)

func main() {
	binary := flag.String("binary", "build/distribution/otelcol-mesh", "the built distribution")
	configs := flag.String("configs", "distribution/config", "folder of the shipped configurations")
	rps := flag.Float64("rps", 10, "requests a second through the two ingress gateways")
	keep := flag.String("dir", "", "folder for logs and queues that is kept (default: a temporary one, removed at the end)")
	flag.Parse()
	if err := run(*binary, *configs, *keep, *rps); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(binary, configs, dir string, rps float64) (err error) {
	limit, err := timeLimit(os.Getenv("DEMO_SECONDS"))
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	started := false
	if dir == "" {
		if dir, err = os.MkdirTemp("", "otelcol-mesh-demo-"); err != nil {
			return err
		}
		defer func() { err = removeUnlessFailed(dir, started, err) }()
	}
	opts, err := options(ctx, binary, configs, dir)
	if err != nil {
		return err
	}
	fmt.Println("starting 16 Envoys, two agents, the hub and the local Application Insights endpoint …")
	s, err := stack.Start(ctx, opts)
	if err != nil {
		return err
	}
	started = true
	stopped := sync.OnceValue(s.Stop)
	defer func() { err = errors.Join(err, stopped()) }()

	ready, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if err := s.Ready(ready); err != nil {
		return interrupted(ctx, err)
	}
	control, err := s.ServeControl()
	if err != nil {
		return err
	}
	defer control.Close()
	printFlows(os.Stdout, s)

	load, err := watch(ctx, s, rps, limit)
	if err != nil {
		return err
	}
	fmt.Println("stopping: mesh, agents, hub; what is under way still arrives …")
	if err := stopped(); err != nil {
		return err
	}
	return printSummary(os.Stdout, s.Insights().Summary(), load)
}

// removeUnlessFailed removes the temporary folder, except after a run that failed: its logs say why.
func removeUnlessFailed(dir string, started bool, err error) error {
	if err != nil && started {
		return fmt.Errorf("%w\nThe logs are kept in %s", err, filepath.Join(dir, "logs"))
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// interrupted turns the error of a cancelled wait into none: Ctrl-C during the start is no failure.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func options(ctx context.Context, binary, configs, dir string) (stack.Options, error) {
	var opts stack.Options
	path, err := filepath.Abs(binary)
	if err != nil {
		return opts, err
	}
	if _, err := os.Stat(path); err != nil {
		return opts, fmt.Errorf("the distribution is not built, run 'make build' first: %w", err)
	}
	if configs, err = filepath.Abs(configs); err != nil {
		return opts, err
	}
	if _, err := os.Stat(filepath.Join(configs, "hub.yaml")); err != nil {
		return opts, fmt.Errorf("no shipped configurations, run the demo from the repository's root or give -configs: %w", err)
	}
	envoy, err := envoybin.Path(ctx)
	if err != nil {
		return opts, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	return stack.Options{
		Binary: path, Envoy: envoy, Configs: configs, Dir: dir, Log: log,
		// Shipped are ten minutes and two: nobody watches a demo for so long.
		Hub: []string{"yaml:connectors::mesh_graph::failover::learn: 20s", "yaml:connectors::mesh_graph::failover::end_after: 20s"},
	}, nil
}

func timeLimit(seconds string) (time.Duration, error) {
	if seconds == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(seconds)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("DEMO_SECONDS=%q: write a whole number of seconds, 1 or more", seconds)
	}
	return time.Duration(n) * time.Second, nil
}

// watch drives the load and prints the counts until the time is up or the user interrupts.
func watch(ctx context.Context, s *stack.Stack, rps float64, limit time.Duration) (mesh.LoadSummary, error) {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	type result struct {
		summary mesh.LoadSummary
		err     error
	}
	done := make(chan result, 1)
	go func() {
		summary, err := s.Mesh().Load(ctx, rps, nil)
		done <- result{summary, err}
	}()
	ticker := time.NewTicker(printEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			printCounts(os.Stdout, s.Insights().Summary())
		case r := <-done:
			if r.err == nil {
				time.Sleep(tracerFlush)
			}
			return r.summary, r.err
		}
	}
}
