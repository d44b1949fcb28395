// SPDX-License-Identifier: Apache-2.0

package inventorybroadcastexporter

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"
)

const (
	// chunkBytes is about how much one request to a replica holds.
	chunkBytes = 2 << 20
	// firstPause and longestPause bound the waits before a replica that failed is tried again.
	firstPause, longestPause = 100 * time.Millisecond, 5 * time.Second
	// lateral is how long a newcomer is left to the other routers before it gets the clusters of which this one has no
	// complete snapshot: what follows a snapshot is of use only behind it.
	lateral = 2 * time.Second
)

// replica is one receiver of everything.
type replica struct {
	endpoint string
	b        *broadcaster
	cancel   context.CancelFunc
	// exporter is its own, nil until one could be made. Only run uses it.
	exporter exporter.Logs

	mu sync.Mutex
	// began is since when it is to get what newcomers need.
	began time.Time
	// ready says that it takes telemetry: then senders wait for it.
	ready bool
	// passed is the number up to which it has everything.
	passed uint64
	// failing is since when it has not answered; zero if it does.
	failing time.Time
	// again says that it has to begin anew.
	again chan struct{}
}

// standing is what senders look at.
type standing struct {
	endpoint string
	ready    bool
	passed   uint64
	// behind says that it has not answered for give_up_after, or has not taken for as long what came then.
	behind bool
}

func (r *replica) standing(now time.Time) standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	behind := !r.failing.IsZero() && now.Sub(r.failing) >= r.b.config.GiveUpAfter
	if since, owed := r.b.book.owed(r.passed); owed && !behind {
		// One that answers late, or not at all and with no error so far.
		behind = now.Sub(since) >= r.b.config.GiveUpAfter && now.Sub(r.began) >= r.b.config.GiveUpAfter
	}
	return standing{r.endpoint, r.ready, r.passed, behind}
}

// setReady notes what the resolver says. One that was ready before and is so again may be another process.
func (r *replica) setReady(ready bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ready && !ready {
		r.began = r.b.book.now()
		select {
		case r.again <- struct{}{}:
		default:
		}
	}
	r.ready = ready
}

// run gives the replica everything until ctx ends.
func (r *replica) run(ctx context.Context) {
	defer r.close()
	pause := firstPause
	for {
		err := r.open(ctx)
		if err == nil {
			err = r.follow(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			continue
		}
		if r.fail(r.b.book.now()) {
			r.b.logger.Warn("A replica of the hub does not take inventories; it is tried again and gets what it missed.",
				zap.String("endpoint", r.endpoint), zap.Error(err))
			pause = firstPause
		}
		if !wait(ctx, pause) {
			return
		}
		pause = min(2*pause, longestPause)
	}
}

// open makes the replica's exporter if there is none. It fails while a certificate is being written, for example.
func (r *replica) open(ctx context.Context) error {
	if r.exporter != nil {
		return nil
	}
	own, err := r.b.newExporter(ctx, r.endpoint)
	if err == nil {
		r.exporter = own
	}
	return err
}

// close ends the connection.
func (r *replica) close() {
	if r.exporter == nil {
		return
	}
	if err := r.exporter.Shutdown(context.Background()); err != nil {
		r.b.logger.Debug("The connection to a replica did not end well.", zap.String("endpoint", r.endpoint), zap.Error(err))
	}
}

// fail notes a failure and says whether it is the first one.
func (r *replica) fail(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.failing.IsZero() {
		return false
	}
	r.failing = now
	return true
}

// advance notes that the replica has everything up to the number.
func (r *replica) advance(number uint64) {
	r.mu.Lock()
	if !r.failing.IsZero() {
		r.b.logger.Info("A replica of the hub takes inventories again.", zap.String("endpoint", r.endpoint))
	}
	r.passed, r.failing = max(r.passed, number), time.Time{}
	r.mu.Unlock()
	r.b.advanced()
}

// follow gives the replica all that a newcomer needs, and then what comes. It returns nil if it has to begin anew.
func (r *replica) follow(ctx context.Context) error {
	first, later, number := r.b.book.newcomer()
	if err := r.ship(ctx, first, nil); err != nil {
		return err
	}
	if len(later) > 0 {
		if !wait(ctx, lateral) {
			return ctx.Err()
		}
		if err := r.ship(ctx, later, nil); err != nil {
			return err
		}
	}
	r.advance(number)
	for {
		entries, more := r.b.book.after(number)
		if len(entries) > 0 {
			if err := r.ship(ctx, entries, r.advance); err != nil {
				return err
			}
			number = entries[len(entries)-1].number
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.again:
			return nil
		case <-more:
		}
	}
}

// ship sends messages in requests of a moderate size, and tells advance after each.
func (r *replica) ship(ctx context.Context, entries []*entry, advance func(uint64)) error {
	for len(entries) > 0 {
		n, bytes := 0, 0
		for n < len(entries) && (n == 0 || bytes+entries[n].bytes <= chunkBytes) {
			bytes += entries[n].bytes
			n++
		}
		if err := r.send(ctx, entries[:n]); err != nil {
			return err
		}
		if advance != nil {
			advance(entries[n-1].number)
		}
		entries = entries[n:]
	}
	return nil
}

// send sends messages in one request. If that is refused for good it sends them one by one, and passes over those that are.
func (r *replica) send(ctx context.Context, entries []*entry) error {
	ld := plog.NewLogs()
	for _, e := range entries {
		e.logs.ResourceLogs().At(0).CopyTo(ld.ResourceLogs().AppendEmpty())
	}
	err := r.exporter.ConsumeLogs(ctx, ld)
	switch {
	case err == nil:
		r.b.count.ExporterInventoryBroadcastSentMessages.Add(ctx, int64(len(entries)), r.b.attributes)
		return nil
	case !consumererror.IsPermanent(err):
		return err
	case len(entries) > 1:
		for i := range entries {
			if err := r.send(ctx, entries[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	r.b.lost(reasonRefused, 1)
	r.b.logger.Error("A replica of the hub refuses a message of an inventory; the cluster is stale there until its next snapshot.",
		zap.String("endpoint", r.endpoint), zap.String("cluster", entries[0].header.Cluster), zap.Error(err))
	return nil
}

// wait waits, and says whether ctx has not ended meanwhile.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
