// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/admin"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube/remote"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/static"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// feed is a source that is on.
type feed interface {
	// start reads what must be there before anything is stamped, on the caller's goroutine. The engine does not run yet.
	start() error
	// run reads until the context ends.
	run(ctx context.Context)
	// check says what is wrong with the source now; nil if nothing is. The engine calls it at each tick.
	check(now time.Time) error
	// status tells the admin port how the source fares.
	status() []admin.Source
	// counters are the totals of requests to API servers.
	counters() kube.Counters
}

// staticFeed is the source static.
type staticFeed struct {
	engine *engine
	source *static.Source
	config *StaticConfig
	ctx    context.Context
	// bad is what is wrong with the file since when it is; nil while it is good.
	bad   atomic.Pointer[badFile]
	good  atomic.Int64
	known []string
}

type badFile struct {
	err   error
	since time.Time
}

func newStaticFeed(e *engine, config *StaticConfig) *staticFeed {
	f := &staticFeed{engine: e, config: config}
	f.source = static.New(static.Settings{
		File: config.File, Interval: config.ReloadInterval, Emit: f.emit, Report: f.report, Now: e.now,
		Limits: topology.Limits{
			MaxClusters: e.config.MaxClusters, MaxPods: e.config.MaxPods,
		},
	})
	e.again[originStatic] = func(string) { f.source.Again() }
	return f
}

func (f *staticFeed) start() error { return f.source.Load() }

func (f *staticFeed) run(ctx context.Context) {
	f.ctx = ctx
	f.source.Run(ctx)
}

func (f *staticFeed) emit(deltas []*topology.Delta, gone []string) {
	f.good.Store(f.engine.now().UnixNano())
	take := func() {
		for _, name := range gone {
			if c := f.engine.clusters[name]; c != nil && c.origin == originStatic {
				f.engine.forget(name)
			}
		}
		f.known = f.known[:0]
		for _, d := range deltas {
			f.known = append(f.known, d.Cluster)
			f.engine.apply(originStatic, d)
		}
	}
	if f.ctx == nil {
		// The start: the engine is this goroutine's.
		take()
		return
	}
	// It fails at the shutdown alone.
	_ = f.engine.enqueue(f.ctx, take)
}

func (f *staticFeed) report(err error) {
	e, ctx := f.engine, context.Background()
	if err == nil {
		f.bad.Store(nil)
		e.telemetry.ExtensionMeshTopologyReloads.Add(ctx, 1, succeeded)
		e.logger.Info("topology file read again", zap.String("file", f.config.File))
		_ = e.enqueue(f.ctx, func() { f.markFresh() })
		return
	}
	since := time.Unix(0, f.good.Load())
	f.bad.Store(&badFile{err, since})
	e.telemetry.ExtensionMeshTopologyReloads.Add(ctx, 1, failed)
	e.logger.Error("topology file could not be read again, keeping the last good content", zap.Error(err), zap.Time("good", since))
	_ = e.enqueue(f.ctx, func() { f.markStale(since, err) })
}

func (f *staticFeed) markStale(since time.Time, err error) {
	for _, name := range f.known {
		if c := f.engine.clusters[name]; c != nil && c.origin == originStatic && !c.stale {
			c.stale = true
			f.engine.markStale(name, originStatic, since, err.Error())
		}
	}
}

func (f *staticFeed) markFresh() {
	for _, name := range f.known {
		if c := f.engine.clusters[name]; c != nil && c.origin == originStatic && c.stale {
			c.stale = false
			f.engine.fresh(name)
		}
	}
}

func (f *staticFeed) check(time.Time) error {
	if bad := f.bad.Load(); bad != nil {
		return bad.err
	}
	return nil
}

func (f *staticFeed) status() []admin.Source {
	confirmed := time.Unix(0, f.good.Load()).UTC()
	s := admin.Source{Source: originStatic.String(), Ready: true, Detail: "file " + f.config.File, Confirmed: &confirmed}
	if bad := f.bad.Load(); bad != nil {
		s.Detail = bad.err.Error()
	}
	return []admin.Source{s}
}

func (*staticFeed) counters() kube.Counters { return kube.Counters{} }

// kubeSource is a [kube.Source], other than in tests.
type kubeSource interface {
	Run(ctx context.Context, emit func(*topology.Delta)) error
	State() kube.State
	Counters() kube.Counters
}

// kubernetesFeed is the source kubernetes.
type kubernetesFeed struct {
	engine *engine
	config *KubernetesConfig
	open   func() (kubeSource, error)
	anew   chan struct{}

	mu     sync.Mutex
	source kubeSource
	// before are the totals of the sources that this one replaces.
	before kube.Counters
}

func newKubernetesFeed(e *engine, config *KubernetesConfig, version string, open func(kube.Settings) (kubeSource, error)) *kubernetesFeed {
	f := &kubernetesFeed{engine: e, config: config, anew: make(chan struct{}, 1)}
	f.open = func() (kubeSource, error) {
		return open(kube.Settings{
			Cluster: config.Cluster, Scope: kube.ScopeNode, NodeName: config.NodeName, SystemNamespace: config.SystemNamespace,
			IstioRevision: config.IstioRevision,
			Client:        kube.ClientSettings{Kubeconfig: config.Kubeconfig, Context: config.Context, Version: version},
			Logger:        slog.New(zapslog.NewHandler(e.logger.Core())), Report: e.report, Now: e.now,
			Resolve: func(kind, subject string) { e.findings.Resolve(kind, config.Cluster, subject) },
		})
	}
	e.again[originKubernetes] = func(string) {
		select {
		case f.anew <- struct{}{}:
		default:
		}
	}
	return f
}

func (f *kubernetesFeed) start() error {
	source, err := f.open()
	if err != nil {
		return fmt.Errorf("'kubernetes': %w", err)
	}
	f.source = source
	return nil
}

func (f *kubernetesFeed) run(ctx context.Context) {
	for {
		f.runOnce(ctx)
		for {
			if ctx.Err() != nil {
				return
			}
			if err := f.replace(); err == nil {
				break
			} else {
				f.engine.logger.Error("the source kubernetes cannot start again, it is tried every 10 s", zap.Error(err))
			}
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Second):
			}
		}
	}
}

// runOnce runs one source until the context ends or its whole content is wanted again.
func (f *kubernetesFeed) runOnce(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var done sync.WaitGroup
	done.Go(func() {
		_ = f.source.Run(ctx, func(d *topology.Delta) {
			_ = f.engine.enqueue(ctx, func() { f.engine.apply(originKubernetes, d) })
		})
	})
	select {
	case <-ctx.Done():
	case <-f.anew:
	}
	cancel()
	done.Wait()
}

// replace puts a new source in the place of one that ran: a source runs once.
func (f *kubernetesFeed) replace() error {
	next, err := f.open()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = sum(f.before, f.source.Counters())
	f.source = next
	return nil
}

func (f *kubernetesFeed) state() kube.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.source == nil {
		return kube.State{}
	}
	return f.source.State()
}

// answers says whether an API server that was out of reach is there again, with everything that is watched.
func answers(s kube.State) bool { return s.Synced && s.LastError == "" && s.Live == s.Watches }

var errNotSynced = errors.New("the API server has not told everything yet")

func (f *kubernetesFeed) check(time.Time) error {
	state := f.state()
	if answers(state) {
		f.engine.findings.ResolveCluster(topology.KindKubernetesUnreachable, f.config.Cluster)
	}
	if state.Synced {
		return nil
	}
	if state.LastError != "" {
		return fmt.Errorf("'kubernetes': %w: %s", errNotSynced, state.LastError)
	}
	return fmt.Errorf("'kubernetes': %w", errNotSynced)
}

func (f *kubernetesFeed) status() []admin.Source {
	return []admin.Source{sourceOf(originKubernetes, f.config.Cluster, f.state())}
}

// sourceOf describes an API server for the admin port.
func sourceOf(from origin, cluster string, state kube.State) admin.Source {
	out := admin.Source{
		Source: from.String(), Cluster: cluster, Ready: state.Synced, Watches: state.Watches, LiveWatches: state.Live, Detail: state.LastError,
	}
	if !state.Confirmed.IsZero() {
		confirmed := state.Confirmed.UTC()
		out.Confirmed = &confirmed
	}
	return out
}

func (f *kubernetesFeed) counters() kube.Counters {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.source == nil {
		return f.before
	}
	return sum(f.before, f.source.Counters())
}

func sum(a, b kube.Counters) kube.Counters {
	return kube.Counters{
		Requests: a.Requests + b.Requests, Lists: a.Lists + b.Lists, Watches: a.Watches + b.Watches, Events: a.Events + b.Events,
		Deltas: a.Deltas + b.Deltas, Failures: a.Failures + b.Failures, Invalid: a.Invalid + b.Invalid,
		BytesRead: a.BytesRead + b.BytesRead, BytesWritten: a.BytesWritten + b.BytesWritten,
	}
}

// remoteFeed is the source remote_secrets.
type remoteFeed struct {
	engine  *engine
	config  *RemoteSecretsConfig
	version string
	manager *remote.Manager
	ctx     context.Context
}

func newRemoteFeed(e *engine, config *RemoteSecretsConfig, version string) *remoteFeed {
	f := &remoteFeed{engine: e, config: config, version: version}
	e.again[originRemote] = func(cluster string) { f.manager.Again(cluster) }
	return f
}

func (f *remoteFeed) start() error {
	e := f.engine
	manager, err := remote.New(remote.Settings{
		Client:    kube.ClientSettings{Kubeconfig: f.config.Kubeconfig, Context: f.config.Context, Version: f.version},
		Namespace: f.config.Namespace, OwnCluster: f.config.OwnCluster, MaxClusters: e.config.MaxClusters,
		Logger: slog.New(zapslog.NewHandler(e.logger.Core())), Report: e.report, Resolve: func(kind, cluster, subject string) { e.findings.Resolve(kind, cluster, subject) },
		Now: e.now, Emit: f.emit,
	})
	if err != nil {
		return fmt.Errorf("'remote_secrets': %w", err)
	}
	f.manager = manager
	return nil
}

func (f *remoteFeed) emit(d *topology.Delta) {
	_ = f.engine.enqueue(f.ctx, func() { f.engine.apply(originRemote, d) })
}

func (f *remoteFeed) run(ctx context.Context) {
	f.ctx = ctx
	if err := f.manager.Run(ctx); err != nil && ctx.Err() == nil {
		f.engine.logger.Error("reading remote clusters ended", zap.Error(err))
	}
}

func (f *remoteFeed) check(time.Time) error {
	clusters, watching := f.manager.State()
	for _, c := range clusters {
		if answers(c.Source) {
			f.engine.findings.ResolveCluster(topology.KindKubernetesUnreachable, c.Cluster)
		}
	}
	if !watching {
		return fmt.Errorf("'remote_secrets': the secrets of namespace %s cannot be read", f.config.Namespace)
	}
	for _, c := range clusters {
		if !c.Source.Synced && !c.Rejected {
			return fmt.Errorf("'remote_secrets': cluster %q: %w", c.Cluster, errNotSynced)
		}
	}
	return nil
}

func (f *remoteFeed) status() []admin.Source {
	clusters, watching := f.manager.State()
	out := []admin.Source{{Source: originRemote.String(), Ready: watching, Detail: "secrets of namespace " + f.config.Namespace}}
	for _, c := range clusters {
		s := sourceOf(originRemote, c.Cluster, c.Source)
		switch {
		case c.Rejected:
			s.Detail = "secret " + c.Secret + ": the newest kubeconfig was refused, see the findings"
		case s.Detail == "":
			s.Detail = "secret " + c.Secret
		}
		out = append(out, s)
	}
	return out
}

func (f *remoteFeed) counters() kube.Counters { return f.manager.Counters() }
