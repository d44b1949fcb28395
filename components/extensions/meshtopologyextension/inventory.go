// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"context"
	"fmt"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/admin"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube"
)

// inventoryFeed is the source inventory: others bring its messages, so there is nothing to run.
type inventoryFeed struct{ engine *engine }

func (*inventoryFeed) start() error            { return nil }
func (*inventoryFeed) run(context.Context)     {}
func (*inventoryFeed) check(time.Time) error   { return nil }
func (*inventoryFeed) counters() kube.Counters { return kube.Counters{} }

func (f *inventoryFeed) status() []admin.Source {
	t, fresh := f.engine.totals.Load(), f.fresh()
	return []admin.Source{{
		// After a restart with a disk copy a sign of life is enough, and the next snapshot may be long in coming.
		Source: originInventory.String(), Ready: t.assembler.Snapshots > 0 || fresh > 0,
		Detail: fmt.Sprintf("%d messages taken, %d snapshots, %d lost, %d clusters fresh, %d bytes wait for the rest",
			t.assembler.Taken, t.assembler.Snapshots, t.assembler.Lost, fresh, t.waiting),
	}}
}

// fresh counts the clusters of inventories that somebody confirms.
func (f *inventoryFeed) fresh() (n int) {
	sources := *f.engine.sources.Load()
	for c := range f.engine.store.Snapshot().Clusters() {
		if _, stale := c.StaleSince(); !stale && sources[c.Name] == originInventory.String() {
			n++
		}
	}
	return n
}
