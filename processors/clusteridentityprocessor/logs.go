// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"context"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
)

func (p *clusterIdentity) processLogs(ctx context.Context, ld plog.Logs) (plog.Logs, error) {
	b := p.newBatch(ctx)
	if b.free() {
		if b.id == nil {
			for _, rl := range ld.ResourceLogs().All() {
				b.tally.add(finding{reason: unverified}, accepted, recordCount(rl))
			}
		}
		return ld, b.finish(ctx, 1)
	}
	ld.ResourceLogs().RemoveIf(b.resourceLogs)
	return ld, b.finish(ctx, ld.ResourceLogs().Len())
}

// resourceLogs compares a resource and its records; it reports whether they go.
func (b *batch) resourceLogs(rl plog.ResourceLogs) bool {
	if b.id == nil {
		b.note(finding{reason: unverified}, rejected, recordCount(rl))
		return true
	}
	attrs := rl.Resource().Attributes()
	r := b.resource(attrs)
	found, isInventory := r.bad, hasInventory(rl)
	if isInventory {
		found = b.inventory(&r)
	}
	if found.reason == fine {
		if found = b.records(rl, &r); found.reason != fine && isInventory {
			// Nothing of an inventory is quarantined.
			found.reason = foreignInventory
		}
	}
	if found.reason == fine && r.cluster != "" {
		return false
	}
	return b.settle(attrs, &r, found, recordCount(rl), func(m moving) {
		for _, sl := range rl.ScopeLogs().All() {
			m.attributes(sl.Scope().Attributes())
			for _, record := range sl.LogRecords().All() {
				m.attributes(record.Attributes())
				m.body(record.Body(), record.Attributes())
			}
		}
	})
}

func hasInventory(rl plog.ResourceLogs) bool {
	for _, sl := range rl.ScopeLogs().All() {
		if sl.Scope().Name() == inventory.ScopeName {
			return true
		}
	}
	return false
}

// inventory compares the cluster and uid of an inventory's resource. Whatever is wrong with it, it is rejected: there is
// no other cluster that it could be about. It has to name its cluster, also where an access log need not.
func (b *batch) inventory(r *resourceClaims) finding {
	switch {
	case r.bad.reason != fine:
		return finding{foreignInventory, r.bad.key, r.bad.claimed}
	case !b.id.MaySpeakFor(r.said):
		return finding{foreignInventory, clusterKey, r.said}
	case !b.id.MayTellInventories():
		return finding{foreignInventory, "no_inventories: " + clusterKey, r.said}
	case !b.p.uids.mine(r.said, r.uid, b.id.MaySpeakFor, b.p.now()):
		return finding{foreignUID, uidKey, r.uid}
	}
	return finding{}
}

// records returns what is wrong with the first record that has something wrong.
func (b *batch) records(rl plog.ResourceLogs, r *resourceClaims) finding {
	for _, sl := range rl.ScopeLogs().All() {
		if f := b.scope(sl.Scope().Attributes()); f.reason != fine {
			return f
		}
		for _, record := range sl.LogRecords().All() {
			i := r.base(&b.judge)
			for key, value := range record.Attributes().All() {
				i.look(key, value)
			}
			i.body(record.Body())
			if f := i.finding(); f.reason != fine {
				return f
			}
		}
	}
	return finding{}
}

func recordCount(rl plog.ResourceLogs) (n int) {
	for _, sl := range rl.ScopeLogs().All() {
		n += sl.LogRecords().Len()
	}
	return n
}
