// SPDX-License-Identifier: Apache-2.0

// Command mesh runs the demo's two-region mesh alone, with load, until it is interrupted.
//
//	mesh -rps 10 -agent-westeurope 127.1.0.250:4317,127.1.0.250:18090
//	curl -X POST 'http://127.0.0.1:18600/fail?cluster=aks-westeurope&service=reviews'
//	curl -X POST 'http://127.0.0.1:18600/heal?cluster=aks-westeurope&service=reviews'
//	curl -X POST 'http://127.0.0.1:18600/kill?pod=127.1.0.31'
//	curl 'http://127.0.0.1:18600/topology'
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/internal/envoybin"
)

const (
	readyTimeout = 30 * time.Second
	stopTimeout  = 10 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mesh:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("mesh", flag.ContinueOnError)
	dir := flags.String("dir", "", "folder for configurations and logs (default: a temporary one)")
	rps := flags.Float64("rps", 4, "requests a second through both ingress gateways; 0 is none")
	control := flags.String("control", "127.0.0.1:18600", "address of the control endpoint")
	west := flags.String("agent-westeurope", "", "OTLP and ALS address of westeurope's agent: ip:port,ip:port")
	north := flags.String("agent-northeurope", "", "OTLP and ALS address of northeurope's agent: ip:port,ip:port")
	if err := flags.Parse(args); err != nil {
		return err
	}
	agents, err := agentFlags(map[string]string{"aks-westeurope": *west, "aks-northeurope": *north})
	if err != nil {
		return err
	}
	envoy, err := envoybin.Path(ctx)
	if err != nil {
		return err
	}
	m, err := mesh.New(mesh.Options{Envoy: envoy, Dir: *dir, Agents: agents})
	if err != nil {
		return err
	}
	if err := m.Start(ctx); err != nil {
		return err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err = errors.Join(err, m.Stop(stopping))
	}()
	return serve(ctx, m, *control, *rps)
}

func agentFlags(values map[string]string) (map[string]mesh.AgentAddresses, error) {
	agents := map[string]mesh.AgentAddresses{}
	for cluster, value := range values {
		if value == "" {
			continue
		}
		otlp, als, ok := strings.Cut(value, ",")
		if !ok {
			return nil, fmt.Errorf("agent of %s is %q: write two addresses, ip:port,ip:port", cluster, value)
		}
		agents[cluster] = mesh.AgentAddresses{OTLP: otlp, ALS: als}
	}
	return agents, nil
}

// serve waits until the mesh is ready, sends load and answers the control endpoint until ctx ends.
func serve(ctx context.Context, m *mesh.Mesh, control string, rps float64) error {
	ready, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := m.Ready(ready); err != nil {
		return err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", control)
	if err != nil {
		return fmt.Errorf("control endpoint: %w", err)
	}
	server := &http.Server{Handler: handler(m), ReadHeaderTimeout: stopTimeout}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	slog.Info("mesh is ready", "control", "http://"+control, "ingress", []string{mesh.IngressURL("aks-westeurope"), mesh.IngressURL("aks-northeurope")})
	if rps > 0 {
		summary, loadErr := m.Load(ctx, rps, nil)
		err = loadErr
		slog.Info("load ended", "sent", summary.Sent, "ok", summary.OK, "skipped", summary.Skipped, "by_status", fmt.Sprint(summary.ByStatus))
	} else {
		<-ctx.Done()
	}
	err = errors.Join(err, server.Close())
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

func handler(m *mesh.Mesh) http.Handler {
	mux := http.NewServeMux()
	act := func(pattern string, action func(*http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := action(r); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
			}
		})
	}
	act("POST /fail", func(r *http.Request) error { return m.Fail(r.FormValue("cluster"), r.FormValue("service")) })
	act("POST /heal", func(r *http.Request) error {
		return m.Heal(r.Context(), r.FormValue("cluster"), r.FormValue("service"))
	})
	act("POST /kill", func(r *http.Request) error { return m.KillEnvoy(r.FormValue("pod")) })
	mux.HandleFunc("GET /topology", func(w http.ResponseWriter, _ *http.Request) {
		topology, err := mesh.Topology()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/yaml")
		// The client may be gone; there is nobody to tell.
		_, _ = w.Write(topology)
	})
	return mux
}
