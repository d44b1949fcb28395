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
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/api"
)

func (e *engine) sources() api.Sources {
	return api.Sources{
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
		client, err := peers.ToClient(ctx, host.GetExtensions(), g.set.TelemetrySettings)
		if err == nil {
			sources.Peers, err = api.NewPeers(client, peers.Endpoint)
		}
		if err != nil {
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
	g.run(host, server, listener)
	return nil
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
