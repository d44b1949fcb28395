// SPDX-License-Identifier: Apache-2.0

package clusteridentityextension

import (
	"context"
	"crypto/tls"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

// rereadAfter is how often files are read at most: whoever opens connections must not make the hub read all the time.
const rereadAfter = time.Second

// side is the end of a connection.
type side string

const (
	receiverSide side = "receiver"
	exporterSide side = "exporter"
)

// reloading is a TLS configuration that follows its files. Files are read when a connection begins: nothing watches them,
// so nothing can miss a change, and no goroutine or descriptor is held. While the files cannot be used, such as a new
// certificate beside the old key, the last good ones stay in use. Safe for concurrent use: whoever comes while another one
// reads gets the last good ones, so that a disk that hangs holds up one connection and not all.
type reloading struct {
	e    *clusterIdentity
	side side
	load func() (*tls.Config, error)
	// atMost is the time between two readings.
	atMost time.Duration

	mu   sync.Mutex
	good *tls.Config
	read time.Time
	// busy says that somebody reads.
	busy bool
}

// newReloading reads the files for the first time, when they have to be good.
func newReloading(e *clusterIdentity, at side, atMost time.Duration, load func() (*tls.Config, error)) (*reloading, error) {
	good, err := load()
	if err != nil {
		return nil, err
	}
	return &reloading{e: e, side: at, load: load, atMost: atMost, good: good, read: e.now()}, nil
}

// current returns the configuration, which nobody may change. It is nil where the settings ask for no TLS.
func (r *reloading) current() *tls.Config {
	now := r.e.now()
	good, due := r.begin(now)
	if !due {
		return good
	}
	next, err := r.load()
	if err != nil {
		r.e.telemetry.ExtensionClusterIdentityReloadErrors.Add(context.Background(), 1, r.e.at(r.side))
		// Not the throttle of connections, which whoever connects can fill.
		if r.e.refusals.Allow("files of the "+string(r.side), now) {
			r.e.logger.Warn("the certificate files cannot be used; the last good ones stay in use, until they expire",
				zap.String("of", string(r.side)+"_tls"), zap.Error(err))
		}
		next = good
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.good, r.busy = next, false
	return next
}

// begin says whether the caller has to read the files, and then to tell; good are the last good ones.
func (r *reloading) begin(now time.Time) (good *tls.Config, due bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy || now.Sub(r.read) < r.atMost {
		return r.good, false
	}
	r.read, r.busy = now, true
	return r.good, true
}

// at returns the attributes of a measurement about connections.
func (e *clusterIdentity) at(which side, more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(more, attribute.String("authenticator", e.id), attribute.String("side", string(which)))...))
}
