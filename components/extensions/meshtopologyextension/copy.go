// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/admin"
	"github.com/otelcol-mesh/otelcol-mesh/internal/disk"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

const (
	// copySuffix ends the name of the disk copy.
	copySuffix = ".inventory"
	// confirmEvery is after how many intervals a topology is saved that did not change: its times of confirmation did.
	confirmEvery = 10

	// The subject of findings about the disk copy.
	copySubject = "disk copy"
)

// saving is one copy to write: what was published and how far it goes.
type saving struct {
	snapshot  *topology.Snapshot
	positions []inventory.Position
	changes   uint64
	// through is up to which file the journal is superfluous once this is saved.
	through uint64
}

// diskCopy writes what the clusters said to the disk, from a goroutine of its own: the disk may be slow.
type diskCopy struct {
	engine   *engine
	path     string
	interval time.Duration
	work     chan saving
	writing  sync.WaitGroup

	// asked is when the engine asked for a copy last, saved the changes that it had. Only the engine's goroutine uses them.
	asked time.Time
	saved uint64
	skips int
	// again says that the last copy failed, pending counts those that are asked for and not written.
	again   atomic.Bool
	pending atomic.Int32
	// journal has what came since; nil if none is kept.
	journal *messageJournal

	mu      sync.Mutex
	state   admin.DiskCopy
	written time.Time
}

func newDiskCopy(e *engine, config *InventoryConfig, id component.ID) *diskCopy {
	name := strings.ReplaceAll(id.String(), "/", "_") + copySuffix
	path := filepath.Join(config.Directory, name)
	return &diskCopy{
		engine: e, path: path, interval: config.SaveInterval, work: make(chan saving, 1), asked: e.now(), state: admin.DiskCopy{File: path},
	}
}

// due says whether it is time for a copy.
func (c *diskCopy) due(now time.Time, changes uint64) bool {
	if now.Sub(c.asked) < c.interval {
		return false
	}
	c.asked = now
	if changes == c.saved {
		c.skips++
	}
	wanted := c.again.Load() || (c.journal != nil && c.journal.wanted.Load())
	if changes == c.saved && c.skips < confirmEvery && !wanted {
		return false
	}
	c.skips = 0
	return true
}

// content is what to save: everything that has been taken so far, so that it must be published. The journal begins anew
// before: what is in neither the one nor the other would be lost.
func (e *engine) content() saving {
	var through uint64
	if j := e.copy.journal; j != nil {
		through = j.rotate()
	}
	e.publish()
	var own []inventory.Position
	for _, p := range e.assembler.Positions() {
		// A weaker source may describe a cluster whose inventory is not whole yet.
		if c := e.clusters[p.Cluster]; c != nil && c.origin == originInventory {
			own = append(own, p)
		}
	}
	return saving{snapshot: e.store.Snapshot(), positions: own, changes: e.changes, through: through}
}

// save asks for a copy, unless the disk is still busy with one.
func (e *engine) save() {
	c := e.copy
	if len(c.work) == cap(c.work) {
		return
	}
	// Nobody else fills the channel, so there is room.
	s := e.content()
	c.pending.Add(1)
	c.work <- s
	c.saved = s.changes
}

// run writes copies until the channel is closed.
func (c *diskCopy) run() {
	for s := range c.work {
		c.write(s)
		c.pending.Add(-1)
	}
}

func (c *diskCopy) write(s saving) {
	if c.journal != nil {
		// What is left of an end of the file that the copy replaces must not be lost with the power before it is there.
		c.journal.flush()
	}
	size, err := disk.Replace(c.path, func(w io.Writer) error { return inventory.Save(w, s.snapshot, s.positions) })
	e, now := c.engine, c.engine.now()
	c.mu.Lock()
	c.state.Error = ""
	if err == nil {
		c.state.Bytes, c.written = size, now
	} else {
		c.state.Error = err.Error()
	}
	c.mu.Unlock()
	c.again.Store(err != nil)
	ctx := context.Background()
	if err == nil {
		if c.journal != nil && !c.journal.remove(s.through) {
			c.again.Store(true)
		}
		e.telemetry.ExtensionMeshTopologyDiskCopySaves.Add(ctx, 1, succeeded)
		if e.findings.Resolve(kindDiskCopy, "", copySubject) {
			e.logger.Info("the disk copy of the topology is written again", zap.String("file", c.path))
		}
		return
	}
	e.telemetry.ExtensionMeshTopologyDiskCopySaves.Add(ctx, 1, failed)
	e.report(topology.Finding{
		Kind: kindDiskCopy, Subject: copySubject, At: now,
		Detail: fmt.Sprintf("the disk copy cannot be written, so that a restart would begin with the one before: %v; see whether 'inventory::directory' is full or not writable; it is tried again every %s",
			err, c.interval),
	})
}

// status returns the state for the admin port.
func (c *diskCopy) status() admin.DiskCopy {
	c.mu.Lock()
	defer c.mu.Unlock()
	state := c.state
	if !c.written.IsZero() {
		written := c.written
		state.Saved = &written
	}
	return state
}

// load restores what the disk copy has, and what the journal has of the time after it, before anything else is taken.
// What is damaged is lost and reported, the rest is used.
func (c *diskCopy) load() error {
	if err := os.MkdirAll(c.engine.config.Inventory.Get().Directory, 0o700); err != nil {
		return fmt.Errorf("'inventory::directory' cannot be made: %w", err)
	}
	if err := c.openJournal(); err != nil {
		return err
	}
	if err := c.loadCopy(); err != nil {
		return err
	}
	if c.journal != nil {
		c.journal.replay()
	}
	c.engine.publish()
	c.saved = c.engine.changes
	return nil
}

func (c *diskCopy) openJournal() error {
	config := c.engine.config.Inventory.Get()
	if config.MaxJournalMiB == 0 {
		return nil
	}
	var err error
	c.journal, err = openJournal(c.engine, config, c.path)
	return err
}

// loadCopy restores what the disk copy has.
func (c *diskCopy) loadCopy() error {
	file, err := os.Open(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		c.engine.logger.Info("there is no disk copy of the topology yet; clusters become known as their inventories arrive", zap.String("file", c.path))
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the disk copy in 'inventory::directory': %w", err)
	}
	defer file.Close()
	e := c.engine
	report := inventory.Load(file, inventory.LoadLimits{
		Clusters: e.config.MaxClusters, Pods: e.config.MaxPods + e.config.MaxHistory,
	}, func(s *inventory.Saved) { e.perform(e.assembler.Restore(s, e.now())) })
	if info, err := file.Stat(); err == nil {
		c.state.Bytes = info.Size()
	}
	outcome := succeeded
	if report.Err != nil {
		outcome = failed
		c.damaged(report)
	}
	e.telemetry.ExtensionMeshTopologyDiskCopyLoads.Add(context.Background(), 1, outcome)
	e.logger.Info("disk copy of the topology read; its clusters are stale until their inventories arrive", zap.String("file", c.path),
		zap.Int("clusters", report.Clusters), zap.Int("pods", report.Pods), zap.Int("lost_clusters", report.LostClusters))
	return nil
}

func (c *diskCopy) damaged(report inventory.LoadReport) {
	kept := "the file is left as it is"
	if errors.Is(report.Err, inventory.ErrDisk) {
		// It is in the way of nothing, and the next copy is the better one.
		if aside, err := disk.SetAside(c.path); err == nil {
			kept = "the file is kept as " + aside
		} else {
			kept = err.Error()
		}
	}
	c.engine.report(topology.Finding{
		Kind: kindDiskCopy, Subject: "damage of the disk copy", At: c.engine.now(),
		Detail: fmt.Sprintf("the disk copy is damaged (%v): %d clusters with %d pods were read, %d clusters are missing or not whole until their next inventory, %d bytes were lost; %s",
			report.Err, report.Clusters, report.Pods, report.LostClusters, report.LostBytes, kept),
	})
	c.again.Store(true)
}

// finish writes the last copy. The engine has ended.
func (c *diskCopy) finish(s saving) {
	close(c.work)
	c.writing.Wait()
	c.write(s)
	if c.journal != nil {
		c.journal.finish()
	}
}

var (
	succeeded = metric.WithAttributeSet(outcome("success"))
	failed    = metric.WithAttributeSet(outcome("failure"))
)
