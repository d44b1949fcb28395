// SPDX-License-Identifier: Apache-2.0

package meshbalancingexporter

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/internal/replicas"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/meshbalancingexporter/internal/metadata"
)

// errNobody is not permanent: the sender keeps what it has.
var errNobody = errors.New("no replica of the hub is ready")

// balancer gives each point to one replica. It keeps nothing: it answers when all replicas have that have a part of a request.
type balancer struct {
	config *Config
	set    exporter.Settings
	count  *metadata.TelemetryBuilder
	source replicas.Source
	id     attribute.KeyValue
	// Set by start.
	host  component.Host
	ended sync.WaitGroup

	mu   sync.Mutex
	all  map[string]*replica
	ring *ring
}

func newBalancer(set exporter.Settings, c *Config) (*balancer, error) {
	count, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	b := &balancer{
		config: c, set: set, count: count, source: c.Resolver.Source(), id: attribute.String("exporter", set.ID.String()),
		all: map[string]*replica{}, ring: newRing(nil),
	}
	return b, count.RegisterExporterMeshBalancingReplicasCallback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(int64(len(b.now().replicas)), metric.WithAttributes(b.id))
		return nil
	})
}

func (b *balancer) start(_ context.Context, host component.Host) error {
	b.host = host
	return b.source.Start(b.told)
}

func (b *balancer) shutdown(context.Context) error {
	if b.host != nil {
		b.source.Stop()
		b.told(nil)
		b.ended.Wait()
	}
	b.count.Shutdown()
	return nil
}

// now returns the replicas that are ready.
func (b *balancer) now() *ring {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ring
}

// told makes the replicas those that are ready of what the resolver found. One that is gone ends when nobody uses it any more.
func (b *balancer) told(found map[string]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for endpoint, r := range b.all {
		if !found[endpoint] {
			delete(b.all, endpoint)
			b.ended.Go(r.end)
		}
	}
	ready := make([]*replica, 0, len(found))
	for endpoint, is := range found {
		if !is {
			continue
		}
		r := b.all[endpoint]
		if r == nil {
			r = &replica{b: b, endpoint: endpoint}
			b.all[endpoint] = r
		}
		ready = append(ready, r)
	}
	b.ring = newRing(ready)
}

// consume gives each replica its part, to all at once. An answer after which the sender may try again counts more than one that
// is final: else what the one could not take now would be dropped for what another one never takes.
func (b *balancer) consume(ctx context.Context, md pmetric.Metrics) error {
	r := b.now()
	if len(r.replicas) == 0 {
		return errNobody
	}
	parts := split(md, r)
	errs := make([]error, len(parts))
	var sending sync.WaitGroup
	for i := range parts {
		if !parts[i].empty() {
			sending.Go(func() { errs[i] = r.replicas[i].send(ctx, &parts[i]) })
		}
	}
	sending.Wait()
	var final []error
	for _, err := range errs {
		switch {
		case err == nil:
		case consumererror.IsPermanent(err):
			final = append(final, err)
		default:
			return err
		}
	}
	return errors.Join(final...)
}

// replica is one of them.
type replica struct {
	b        *balancer
	endpoint string

	// using is held for reading by those who send, so that the connection ends behind the last.
	using sync.RWMutex
	mu    sync.Mutex
	// exporter is upstream's, nil until it is needed and could be made. gone says that there will be none.
	exporter exporter.Metrics
	gone     bool
}

// send gives the replica its part.
func (r *replica) send(ctx context.Context, p *part) error {
	r.using.RLock()
	defer r.using.RUnlock()
	own, err := r.open()
	if err == nil {
		err = own.ConsumeMetrics(ctx, p.md)
	}
	outcome := "taken"
	switch {
	case err == nil:
	case consumererror.IsPermanent(err):
		outcome = "refused"
		r.b.set.Logger.Error("A replica of the hub refuses metrics for good.", zap.String("replica", r.endpoint), zap.Int("points", p.points), zap.Error(err))
	default:
		outcome = "again"
	}
	r.b.count.ExporterMeshBalancingPoints.Add(ctx, int64(p.points),
		metric.WithAttributes(r.b.id, attribute.String("replica", r.endpoint), attribute.String("outcome", outcome)))
	return err
}

// open makes the replica's exporter if there is none. It fails while a certificate is being written, for example.
func (r *replica) open() (exporter.Metrics, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone {
		return nil, fmt.Errorf("the replica %s is not ready any more", r.endpoint)
	}
	if r.exporter != nil {
		return r.exporter, nil
	}
	// Not the request's context, which ends before the connection.
	ctx := context.Background()
	factory, set, config := r.b.config.Protocol.Settings(r.b.set, r.endpoint)
	own, err := factory.CreateMetrics(ctx, set, config)
	if err == nil {
		own, err = replicas.Begin(ctx, own, r.b.host)
	}
	if err != nil {
		return nil, err
	}
	r.exporter = own
	return own, nil
}

// end closes the connection when nobody sends any more.
func (r *replica) end() {
	r.using.Lock()
	defer r.using.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = true
	if r.exporter == nil {
		return
	}
	if err := r.exporter.Shutdown(context.Background()); err != nil {
		r.b.set.Logger.Debug("The connection to a replica did not end well.", zap.String("replica", r.endpoint), zap.Error(err))
	}
}
