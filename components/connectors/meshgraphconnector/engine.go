// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/api"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/controlplane"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/emit"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/endpoints"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/events"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/feed"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/keep"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/ledger"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/posture"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/window"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension"
	"github.com/otelcol-mesh/otelcol-mesh/internal/disk"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/price"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// maxWaitingEvents is how many events wait for the next component. It takes a day of outages in every service to get there.
const maxWaitingEvents = 10_000

// keptFailovers is how many failovers that ended are told of.
const keptFailovers = 200

// engine is the graph and all that is derived from it: a machine that moves by points, by the ends of intervals, and by
// what was handed on. The journal has these in their order, so that a process that comes after a killed one goes through
// the same states.
//
// Points come from many goroutines and wait for mu. All else is done by one goroutine at a time: that of Start, the loop,
// then that of Shutdown.
type engine struct {
	config *Config
	log    *zap.Logger
	count  counter
	// topology is asked for endpoints; it returns nil where there is none.
	topology func() *topology.Snapshot
	// findings takes what is wrong with the mesh; nil for nobody.
	findings meshtopologyextension.FindingSink

	// mu makes a request one step: two that hold the same point are one after the other, and both are on disk when they are
	// acknowledged. It also holds what is below up to the empty line.
	mu        sync.Mutex
	graph     *graph.Graph
	seen      *keep.Seen
	feed      *feed.Feed
	batch     keep.Batch
	directory *keep.Directory // nil without
	lock      *disk.Held      // of directory
	// holes are points that are in the graph and not in the journal, and marks that are not, since the state was written.
	holes      int
	add        func(feed.ID, *graph.Point) error
	duplicates int
	// taking is the time of the request that is taken.
	taking time.Time

	seed      keep.ID
	detector  *failover.Detector
	replaying bool
	watcher   *endpoints.Watcher
	ejections *endpoints.Ejections
	window    *window.Store
	ledger    *ledger.Ledger
	prices    *ledger.PriceFile
	table     *price.Prices
	planes    *controlplane.Store
	posture   *posture.Store
	history   *api.Failovers
	// minute is what is added up for the next flush. unsent is what the next component has to take, under a number;
	// unsentCost goes with its first part.
	minute, unsent *emit.Minute
	unsentCost     *ledger.Delta
	number         uint64
	waiting        []failover.Event
	// wantsMetrics and wantsEvents say that there is somebody to hand them to.
	wantsMetrics, wantsEvents bool

	// disk is how the directory is used.
	disk keep.Options
	// saving is the state that is on its way to the disk, nil for none.
	saving *saving
	// told counts the intervals with events, kept those that the state has: what the detector knew then is not in the journal.
	told, kept uint64
	// windowAt is when the hour of the analysis was written.
	windowAt time.Time

	// What telemetry asks for.
	failovers, shifts, unwatched atomic.Int64
	savedAt, savedBytes          atomic.Int64
	remembered, forgotten        atomic.Int64
}

func newEngine(config *Config, log *zap.Logger, count counter, now time.Time) (*engine, error) {
	e := &engine{
		config: config, log: log, count: count, topology: func() *topology.Snapshot { return nil },
		disk: keep.Options{Most: int64(config.MaxJournalMiB) * mib, Patience: diskPatience},
	}
	if err := e.begin(now); err != nil {
		return nil, err
	}
	if _, err := rand.Read(e.seed[:]); err != nil {
		return nil, fmt.Errorf("making a seed: %w", err)
	}
	e.useSeed()
	return e, nil
}

// begin makes all parts anew, as of a moment.
func (e *engine) begin(now time.Time) (err error) {
	c := e.config
	if e.graph, err = graph.New(c.graph(), now); err != nil {
		return err
	}
	if e.detector, err = failover.New(c.Failover.detector()); err != nil {
		return err
	}
	if e.window, err = window.New(window.Config{MaxSeries: c.MaxSeries}); err != nil {
		return err
	}
	prices, table, err := ledger.Open(c.Cost.PricesFile)
	if err != nil {
		return err
	}
	if e.ledger, err = ledger.New(c.Cost.ledger(), table); err != nil {
		return err
	}
	e.prices, e.table = prices, table
	e.seen = keep.NewSeen(c.Duplicates.Window, c.Duplicates.MaxPoints, now)
	e.watcher, e.ejections = endpoints.New(), endpoints.NewEjections()
	planes := c.ControlPlanes
	planes.Routed = c.Replica.Routed
	e.planes, e.posture, e.history = controlplane.New(planes), posture.New(), api.NewFailovers(keptFailovers)
	e.minute, e.unsent, e.unsentCost = emit.New(c.MaxEdges), nil, nil
	return nil
}

func (e *engine) useSeed() {
	e.feed = feed.New(e.seed)
	e.feed.Ejected = func(x *feed.Ejection) { e.ejections.Add(x, e.taking) }
	e.add = e.addPoint
}

// takeMetrics counts what is new in a request. When it returns, a process that is killed does not lose it, unless
// the disk refuses, or does not answer in time: the graph is no reason to refuse telemetry.
func (e *engine) takeMetrics(md pmetric.Metrics, now time.Time) {
	planes := e.planes.Metrics(md, now)
	e.count.controlPlanes(&planes)
	e.mu.Lock()
	e.batch.Reset()
	e.duplicates, e.taking = 0, now
	counts := e.feed.Metrics(md, e.add)
	duplicates, lost := e.duplicates, 0
	var err error
	if e.directory != nil && e.batch.Len() > 0 {
		if err = e.directory.Append(&e.batch); err != nil {
			lost = e.batch.Len()
			e.holes += lost
		}
	}
	e.remember()
	e.mu.Unlock()
	counts[feed.Taken] -= duplicates
	e.count.points(&counts, duplicates)
	if err != nil {
		e.count.timeout(diskJournal, err)
		e.count.unjournaled(lost, err)
	}
}

// remember notes how many points are known, for those who must not wait for mu, which the disk may hold. mu is held.
func (e *engine) remember() {
	n, forgotten := e.seen.Len()
	e.remembered.Store(int64(n))
	e.forgotten.Store(int64(forgotten))
}

func (e *engine) addPoint(id feed.ID, p *graph.Point) error {
	known := keep.ID(id)
	if !e.seen.Add(&known) {
		e.duplicates++
		return nil
	}
	if e.directory != nil {
		e.batch.Add(&known, p)
	}
	return e.graph.Add(p)
}

func (e *engine) takeTraces(td ptrace.Traces) {
	counts := e.feed.Traces(td, e.graph.AddExemplar)
	e.count.spans(&counts)
}

// closed is an interval that was closed, and what a state of that moment holds of what others may change since.
type closed struct {
	snapshot *graph.Snapshot
	state    *keep.State
	holes    int
}

// close closes the interval. If flush is not 0, what is added up until here goes on under that number. If save is true, a
// state of this moment is begun.
func (e *engine) close(now time.Time, flush uint64, save bool) closed {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen.Age(now)
	e.remember()
	c := closed{snapshot: e.graph.Roll(now)}
	e.mark(func() error { return e.directory.Roll(now) })
	if flush != 0 {
		e.mark(func() error { return e.directory.Flush(flush) })
	}
	if save && e.directory != nil {
		begin, err := e.directory.Rotate()
		if err != nil {
			e.count.timeout(diskJournal, err)
			e.count.saved(err)
			return c
		}
		c.state, c.holes = &keep.State{At: now, Begin: begin, Parts: map[string][]byte{
			partGraph: e.graph.Encode(), partSeen: e.seen.Encode(), partSeed: e.seed[:],
		}}, e.holes
	}
	return c
}

// mark writes a mark to the journal. A state makes good for one that is missing: else what was handed on would be again after
// a crash. mu is held.
func (e *engine) mark(write func() error) {
	if e.directory == nil {
		return
	}
	if err := write(); err != nil {
		e.holes++
		e.count.timeout(diskJournal, err)
		e.count.journalFailed(err)
	}
}

func (e *engine) lockedMark(write func() error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mark(write)
}

// judge takes a closed interval into all that is derived from it, and returns what began, changed and ended.
func (e *engine) judge(s *graph.Snapshot) []failover.Event {
	if e.wantsMetrics {
		e.minute.Add(s)
	}
	e.window.Add(s)
	e.ledger.Add(s)
	known := e.topology()
	e.planes.Roll(s.End, known)
	o := failover.Observation{
		At: s.End, Flows: failover.Flows(s),
		Endpoints: e.watcher.Observe(known, s.End), Ejections: e.ejections.List(s.End),
	}
	if !e.replaying {
		// What the journal has was judged by a process that knew the inventories of its time.
		o.Pending = e.watcher.Pending(known, s.End)
	}
	return e.detector.Step(&o)
}

// announce takes events in: to those that wait for the next component, and to what the hub tells.
func (e *engine) announce(list []failover.Event) {
	active := e.detector.Active()
	e.history.Apply(list, active)
	e.failovers.Store(events.Count(active, failover.Failover))
	e.shifts.Store(events.Count(active, failover.Unexpected))
	_, refused := e.detector.Pairs()
	e.unwatched.Store(int64(refused))
	if !e.wantsEvents {
		return
	}
	e.waiting = append(e.waiting, list...)
	if more := len(e.waiting) - maxWaitingEvents; more > 0 {
		// The first ones may be on their way.
		e.waiting = slices.Delete(slices.Clone(e.waiting), eventsInPart, eventsInPart+more)
		e.count.eventsDropped(more)
	}
}

// flush puts what was added up to what the next component has to take.
func (e *engine) flush(number uint64) {
	e.number = number
	if e.unsent == nil {
		e.unsent = emit.New(e.config.MaxEdges)
	}
	folded := e.unsent.Folded
	e.unsent.Merge(e.minute)
	e.count.folded(e.unsent.Folded - folded)
	e.minute = emit.New(e.config.MaxEdges)
	delta := e.ledger.Take()
	if e.unsentCost == nil {
		e.unsentCost = delta
	} else {
		e.unsentCost.Merge(delta)
	}
}

// sent forgets edges that the next component took, the first ones of what was not taken before.
func (e *engine) sent(number uint64, edges int) {
	if number != e.number {
		return
	}
	e.unsentCost = nil
	if e.unsent == nil {
		return
	}
	e.unsent.DropFirst(edges)
	if e.unsent.Empty() {
		e.unsent = nil
	}
}

// eventsSent forgets events that the next component took.
func (e *engine) eventsSent(n int) {
	e.waiting = append([]failover.Event(nil), e.waiting[min(n, len(e.waiting)):]...)
}

// tick closes an interval and does what is due: a flush, a state.
func (e *engine) tick(now time.Time, flush, save bool) {
	number := uint64(0)
	if flush && e.wantsMetrics {
		number = e.number + 1
	}
	e.saved(nil)
	c := e.close(now, number, e.mayBegin(save) && (save || e.stateIsDue()))
	list := e.judge(c.snapshot)
	e.announce(list)
	for i := range list {
		events.Report(e.log, &list[i])
		e.count.event(&list[i])
	}
	if number != 0 {
		e.flush(number)
	}
	if len(list) > 0 {
		e.told++
	}
	saved := c.state != nil && e.save(&c, e.disk.Patience)
	if !saved && len(list) > 0 && e.wantsEvents {
		// If the state that is on its way gets to the disk after all, the journal leaves them out: it begins behind the interval.
		if raw, err := encodeEvents(list); err == nil {
			e.lockedMark(func() error { return e.directory.Events(raw) })
		}
	}
	if save {
		e.refreshPrices()
		e.refreshPosture(c.snapshot)
	}
}

// stateIsDue says whether a state should be written before its time: there were events, or the journal has reached half of its
// ceiling, or lacks something.
func (e *engine) stateIsDue() bool {
	if e.directory == nil {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.told != e.kept || e.holes > 0 || e.directory.Size() > int64(e.config.MaxJournalMiB)*mib/2
}

// refreshPosture looks at all edges, which is not worth while in each interval.
func (e *engine) refreshPosture(s *graph.Snapshot) {
	e.posture.Update(s, e.topology())
	if e.findings == nil {
		return
	}
	for _, finding := range e.posture.Findings() {
		e.findings.ReportFinding(finding)
	}
}
