// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/api"
)

func (e *engine) sources() api.Sources {
	return api.Sources{
		Replica:       e.config.Replica.served(),
		Graph:         e.graph.Snapshot,
		Failovers:     e.history.Published,
		Cost:          e.ledger.Report,
		Posture:       func() any { return e.posture.Report() },
		ControlPlanes: func() any { return e.planes.Document() },
		Window:        e.window,
	}
}

// serve opens the ports.
func (g *meshGraph) serve(ctx context.Context, host component.Host) error {
	sources := g.engine.sources()
	if endpoint := g.config.Admin.Endpoint; endpoint != "" {
		listener, err := net.Listen("tcp", endpoint)
		if err != nil {
			return fmt.Errorf("'admin::endpoint' %s cannot be listened on: write one that is free, or \"\" for none: %w", endpoint, err)
		}
		g.run(host, api.Server(g.counted(api.Admin(sources))), listener)
	}
	config := g.config.Analysis.Get()
	if config == nil {
		return nil
	}
	if peers := g.config.AnalysisPeers.Get(); peers != nil {
		var err error
		if sources.Peers, err = g.peers(ctx, host, peers); err != nil {
			return errors.Join(fmt.Errorf("analysis_peers::%w", err), g.unserve(ctx))
		}
	}
	server, err := config.ToServer(ctx, host.GetExtensions(), g.set.TelemetrySettings, g.counted(api.Analysis(sources)))
	if err != nil {
		return errors.Join(fmt.Errorf("'analysis' is of no use: %w", err), g.unserve(ctx))
	}
	listener, err := config.ToListener(ctx)
	if err != nil {
		return errors.Join(fmt.Errorf("'analysis::endpoint' %s cannot be listened on: %w", config.NetAddr.Endpoint, err), g.unserve(ctx))
	}
	if sources.Peers != nil {
		server.RegisterOnShutdown(sources.Peers.Close)
	}
	g.run(host, server, listener)
	return nil
}

// peers makes the client that asks the other replicas. The collector reads the authorities of a client when it is made, so it is made
// anew as often as tls::reload_interval says.
func (g *meshGraph) peers(ctx context.Context, host component.Host, config *confighttp.ClientConfig) (*api.Peers, error) {
	// It is asked for longer than the start takes.
	ctx = context.WithoutCancel(ctx)
	fresh := func() (*http.Client, error) {
		return config.ToClient(ctx, host.GetExtensions(), g.set.TelemetrySettings)
	}
	client, err := fresh()
	if err != nil {
		return nil, err
	}
	peers, err := api.NewPeers(client, config.Endpoint)
	if err != nil {
		return nil, err
	}
	peers.Renew(config.TLS.ReloadInterval, func() (*http.Client, error) {
		client, err := fresh()
		if err != nil {
			g.log.Warn("'analysis_peers::tls' cannot be read anew; what was read before stays.", zap.Error(err))
		}
		return client, err
	})
	return peers, nil
}

func (g *meshGraph) run(host component.Host, server *http.Server, listener net.Listener) {
	g.servers, g.addresses = append(g.servers, server), append(g.addresses, listener.Addr())
	g.log.Info("The graph is served.", zap.Stringer("address", listener.Addr()))
	g.serving.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			componentstatus.ReportStatus(host, componentstatus.NewRecoverableErrorEvent(err))
			g.log.Error("A port of the graph is closed.", zap.Error(err))
		}
	})
}

// unserve closes the ports.
func (g *meshGraph) unserve(ctx context.Context) error {
	var errs []error
	for _, server := range g.servers {
		if err := server.Shutdown(ctx); err != nil {
			errs = append(errs, server.Close())
		}
	}
	g.serving.Wait()
	g.servers = nil
	return errors.Join(errs...)
}
