// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/identity"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/throttle"
	"github.com/otelcol-mesh/otelcol-mesh/processors/clusteridentityprocessor/internal/metadata"
)

const (
	// repeatAfter is how often what one sender claims for one reason is logged at most, mostLogged how many such pairs are
	// remembered.
	repeatAfter = time.Minute
	mostLogged  = 1024
)

// clusterIdentity handles one signal.
type clusterIdentity struct {
	config   *Config
	signal   signal
	logger   *zap.Logger
	counter  *counter
	uids     *uids
	findings *throttle.Throttle
	now      func() time.Time
	stop     sync.Once
}

func newClusterIdentity(set processor.Settings, config *Config, s signal) (*clusterIdentity, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("creating the processor's metrics: %w", err)
	}
	return &clusterIdentity{
		config: config, signal: s, logger: set.Logger, counter: newCounter(telemetry, s), uids: newUIDs(config.ClusterUIDs),
		findings: throttle.New(repeatAfter, mostLogged), now: time.Now,
	}, nil
}

func (p *clusterIdentity) start(context.Context, component.Host) error {
	if p.config.Unverified == Accept {
		p.logger.Warn("'unverified' is accept: who reaches the receiver may report about any cluster; use it on one machine only, and elsewhere " +
			"mutual TLS with the cluster_identity extension")
	}
	return nil
}

func (p *clusterIdentity) shutdown(context.Context) error {
	p.stop.Do(p.counter.telemetry.Shutdown)
	return nil
}

// senderOf returns who sent the batch; nil if nobody verified that.
func senderOf(ctx context.Context) *identity.Identity {
	id, _ := client.FromContext(ctx).Auth.(*identity.Identity)
	return id
}

// batch is the state of one batch.
type batch struct {
	p *clusterIdentity
	judge
	tally tally
}

func (p *clusterIdentity) newBatch(ctx context.Context) batch {
	return batch{p: p, judge: judge{id: senderOf(ctx), unset: p.config.UnsetNames}}
}

// free says whether there is nothing to compare: the sender may speak for all clusters, or nobody knows it and that is
// accepted.
func (b *batch) free() bool {
	if b.id == nil {
		return b.p.config.Unverified == Accept
	}
	return b.id.Any()
}

// settle decides what becomes of a resource after it was compared, and does it. It reports whether the resource goes.
// aside moves the claims of the items aside.
func (b *batch) settle(resource pcommon.Map, r *resourceClaims, found finding, items int, aside func(moving)) (gone bool) {
	if found.reason == fine && r.cluster == "" {
		found = b.name(resource)
	}
	if found.reason == fine {
		return false
	}
	// Without one cluster to put it under, what is left could still be taken for another cluster's, by the name of a pod.
	if b.action(found.reason) == Quarantine && b.id.Sole() != "" {
		b.quarantine(resource, found, aside)
		b.note(found, quarantined, items)
		return false
	}
	b.note(found, rejected, items)
	return true
}

// name writes the cluster of the certificate on a resource that names none.
func (b *batch) name(resource pcommon.Map) finding {
	switch sole := b.id.Sole(); {
	case b.p.config.Unnamed == Accept:
		return finding{}
	case b.p.config.Unnamed == Overwrite && sole != "":
		resource.PutStr(clusterKey, sole)
		b.tally.named++
		return finding{}
	}
	return finding{unnamed, clusterKey, ""}
}

// action returns what becomes of a resource for a reason.
func (b *batch) action(why reason) Action {
	switch why {
	case foreignCluster:
		return b.p.config.ForeignCluster
	case foreignSide:
		return b.p.config.ForeignSide
	case malformed:
		return b.p.config.Malformed
	}
	return Reject
}

// note counts and logs a finding.
func (b *batch) note(f finding, what outcome, items int) {
	b.tally.add(f, what, items)
	sender, may := "", []string(nil)
	if b.id != nil {
		sender = b.id.Name
	}
	if !b.p.findings.Allow(reasonWords[f.reason]+" "+sender, b.p.now()) {
		return
	}
	if b.id != nil {
		may = b.id.Clusters()
	}
	b.p.logger.Warn("a sender claims what its certificate does not name; more of this kind from it are counted and not logged for a minute",
		zap.String("sender", clip(sender)), zap.Strings("may_speak_for", may), zap.String("reason", reasonWords[f.reason]),
		zap.String("attribute", clip(f.key)), zap.String("claimed", clip(f.claimed)), zap.String("action", outcomeWords[what]),
		zap.String("signal", string(b.p.signal)))
}

// finish counts the batch. left is how many resources are left of it; the error is for the sender if none is and some
// were refused.
func (b *batch) finish(ctx context.Context, left int) error {
	b.p.counter.add(ctx, &b.tally)
	if b.tally.refused == 0 || left > 0 {
		return nil
	}
	f := b.tally.first
	if f.reason == unverified {
		// The fault is in this collector's configuration, so the sender is to keep what it has.
		return status.Error(codes.Unavailable, "nobody verified who sends: the receiver has no cluster_identity extension, under 'auth' for gRPC "+
			"and under 'middlewares' for HTTP")
	}
	return consumererror.NewPermanent(status.Error(codes.PermissionDenied, fmt.Sprintf("the certificate of %q does not allow %s (%s = %q)",
		clip(b.id.Name), reasonWords[f.reason], clip(f.key), clip(f.claimed))))
}

// clip shortens what a sender wrote, for messages and logs.
func clip(text string) string {
	const most = 128
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.ToValidUTF8(text, "?")
}
