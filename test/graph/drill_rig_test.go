// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/demo/stack"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/envoybin"
	"github.com/otelcol-mesh/otelcol-mesh/test/collectortest"
)

// tempo is how fast agents and hub work in a drill.
type tempo struct {
	// scrape and report are the agents' intervals, learn is how long the hub watches a pair before it judges it. hub is merged
	// over the hub's configuration, with learn in it.
	scrape, report, learn time.Duration
	hub                   string
	// calm is how much longer nothing fails at first, between from one failure to the next. within bounds what is waited for.
	calm, between, within time.Duration
	// figures says that times mean something, as the machine does nothing else; all that more is taken down than one service.
	figures, all bool
}

// tempos are the values of OTELCOL_MESH_DRILL. A hub that learns in minutes what the shipped one learns in ten of them is the
// only thing that differs from what is shipped in the last one.
var tempos = map[string]tempo{
	"": {scrape: time.Second, report: 5 * time.Second, learn: 8 * time.Second, hub: quickHub, within: patience},
	"full": {
		scrape: time.Second, report: 5 * time.Second, learn: 8 * time.Second, hub: quickHub,
		calm: 3 * time.Minute, between: 30 * time.Second, within: patience, figures: true, all: true,
	},
	"shipped": {
		scrape: 15 * time.Second, report: time.Minute, learn: 3 * time.Minute, hub: `yaml:{connectors: {mesh_graph: {failover: {learn: %s}}}}`,
		between: 30 * time.Second, within: 10 * time.Minute, figures: true, all: true,
	},
}

// patience bounds what a drill waits for. A hub that learns hears of each pair at least six times before anything fails, each
// time from an agent that reports when it gets the CPU to.
const patience = 5 * time.Minute

// quickHub learns in seconds what the shipped hub learns in minutes; interval is the shortest that there is.
const quickHub = `yaml:{connectors: {mesh_graph: {interval: 1s, metrics_interval: 4s, failover: {learn: %s, end_after: 6s}}}}`

// promised is how long it may take from the first call that went elsewhere to the event at the endpoint: one reporting interval
// and five seconds.
func (p *tempo) promised() time.Duration { return p.report + 5*time.Second }

// drill is a running mesh with everything around it, and what was seen of it.
type drill struct {
	tempo
	t    *testing.T
	s    *stack.Stack
	dir  string
	stop func()
	// expected is what was taken down so far.
	expected []outage
}

// outage is what was taken down.
type outage struct {
	cluster  string
	services []string
	at       time.Time
	// properties are those of the event that told of it.
	properties map[string]string
}

func startDrill(t *testing.T) *drill {
	t.Helper()
	named := os.Getenv("OTELCOL_MESH_DRILL")
	chosen, ok := tempos[named]
	require.True(t, ok, "OTELCOL_MESH_DRILL is %q: write full or shipped, or nothing for the short one", named)
	shipped, err := filepath.Abs("../../distribution/config")
	require.NoError(t, err)
	envoy, err := envoybin.Path(t.Context())
	require.NoError(t, err)
	d := &drill{tempo: chosen, t: t, dir: t.TempDir()}
	d.s, err = stack.Start(t.Context(), stack.Options{
		Binary: collectortest.Binary(t), Envoy: envoy, Configs: shipped, Dir: d.dir,
		Insights: ingestiontest.Config{MaxItems: 10_000_000, MaxItemBytes: 4 << 30},
		Log:      slog.New(slog.NewTextHandler(t.Output(), nil)), Hub: []string{fmt.Sprintf(d.hub, d.learn)},
		Scrape: d.scrape.String(), Report: d.report.String(),
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, d.s.Stop())
		if t.Failed() {
			showLogs(t, d.dir, d.s.Roles())
		}
	})
	ready, cancel := context.WithTimeout(t.Context(), d.within)
	defer cancel()
	require.NoError(t, d.s.Ready(ready))
	load, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := d.s.Mesh().Load(load, 20, nil)
		assert.NoError(t, err)
	}()
	d.stop = func() { stop(); <-done }
	t.Cleanup(d.stop)
	return d
}

// pause lets the load go on.
func (d *drill) pause(long time.Duration) {
	d.t.Helper()
	pause(d.t, long)
}

// rest waits until the last failure is what is usual no more.
func (d *drill) rest() { d.pause(d.between) }

// fail takes services of a cluster down, once none of them fails over by itself.
func (d *drill) fail(cluster string, services ...string) outage {
	d.t.Helper()
	d.quiet(cluster, services)
	o := outage{cluster: cluster, services: services, at: time.Now()}
	for _, service := range services {
		require.NoError(d.t, d.s.Mesh().Fail(cluster, service))
	}
	return o
}

func (d *drill) heal(o *outage) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), d.within)
	defer cancel()
	for _, service := range o.services {
		require.NoError(d.t, d.s.Mesh().Heal(ctx, o.cluster, service))
	}
}

// begins waits for the event that a service of a cluster fails over and compares its time with that of the first call that the
// applications say went elsewhere.
func (d *drill) begins(o *outage, service string) map[string]string {
	d.t.Helper()
	var event ingestiontest.Item
	d.wait("the failover of "+service, func() bool {
		items := d.s.Insights().Items(ingestiontest.Filter{Type: "Event", Name: "mesh.failover.started", Match: func(i ingestiontest.Item) bool {
			return i.Received.After(o.at) && i.Properties()["mesh.destination.service"] == service && regionOf(o.cluster) == i.Properties()["mesh.source.region"]
		}})
		if len(items) > 0 {
			event = items[0]
		}
		return len(items) > 0
	})
	first, ok := d.firstShifted(o, service)
	require.True(d.t, ok, "no call of %s went elsewhere", service)
	took := event.Received.Sub(first)
	d.t.Logf("%s of %s: first call elsewhere %s after the kill, event at the endpoint %s after that call: %s",
		service, o.cluster, first.Sub(o.at).Round(time.Millisecond), took.Round(time.Millisecond), event.Properties()["message"])
	if d.figures {
		assert.LessOrEqual(d.t, took, d.promised(), "from the first call that went elsewhere to the event at the endpoint")
	}
	o.properties = event.Properties()
	d.expected = append(d.expected, *o)
	assert.Equal(d.t, "failover", o.properties["mesh.failover.kind"])
	assert.Equal(d.t, regionOf(o.cluster), o.properties["mesh.failover.from.region"])
	assert.NotEqual(d.t, o.properties["mesh.failover.from.region"], o.properties["mesh.failover.to.region"])
	assert.NotEmpty(d.t, o.properties["mesh.failover.evidence"])
	assert.NotEmpty(d.t, o.properties["mesh.failover.affected_callers"])
	return o.properties
}

// ends waits for the end of all that what was taken down began until now: what begins later is not of it.
func (d *drill) ends() {
	d.t.Helper()
	healed := time.Now()
	var begun []string
	for _, e := range d.toldEvents() {
		if strings.HasSuffix(e.properties["event.name"], ".started") && slices.ContainsFunc(d.expected, func(o outage) bool { return o.explains(&e) }) {
			begun = append(begun, e.properties["mesh.failover.id"])
		}
	}
	require.NotEmpty(d.t, begun)
	d.wait("the end of all failovers", func() bool {
		ended := map[string]bool{}
		for _, e := range d.named("mesh.failover.ended") {
			ended[e["mesh.failover.id"]] = e["mesh.failover.end.reason"] == "recovered"
		}
		return !slices.ContainsFunc(begun, func(id string) bool { return !ended[id] })
	})
	d.t.Logf("the end is told %s after it was healed", time.Since(healed).Round(time.Millisecond))
}

// firstShifted is when an application of another region was first called by the one that fails, by the applications' ledger.
func (d *drill) firstShifted(o *outage, service string) (first time.Time, ok bool) {
	for _, c := range d.elsewhere() {
		if c.pair == (pair{regionOf(o.cluster), service}) && c.at.After(o.at) && (!ok || c.at.Before(first)) {
			first, ok = c.at, true
		}
	}
	return first, ok
}

// events are all that arrived, by their properties.
func (d *drill) events() []map[string]string {
	var list []map[string]string
	for _, e := range d.toldEvents() {
		list = append(list, e.properties)
	}
	return list
}

func (d *drill) named(name string) []map[string]string {
	return slices.DeleteFunc(d.events(), func(e map[string]string) bool { return e["event.name"] != name })
}

// shows waits until the gauges at the endpoint and on the hub's own page say that something fails over, or nothing.
func (d *drill) shows(active bool) {
	d.t.Helper()
	since := time.Now()
	if active {
		d.wait("mesh.failover.active", func() bool {
			return len(d.s.Insights().Items(ingestiontest.Filter{Type: "Metric", Name: "mesh.failover.active", Match: func(i ingestiontest.Item) bool {
				return i.Properties()["mesh.destination.service"] == "reviews" && i.Received.After(since)
			}})) > 0
		})
	}
	const own = `otelcol_connector_mesh_graph_failovers_active{`
	eventuallyIn(d.t, d.within, fmt.Sprintf("the hub's page does not say %v of failovers", active), func() string {
		page := d.page(d.t.Context(), "hub")
		for line := range strings.Lines(page) {
			if strings.HasPrefix(line, own) && strings.Contains(line, `kind="failover"`) && strings.HasSuffix(strings.TrimSpace(line), " 0") != active {
				return ""
			}
		}
		return page
	})
}

// handovers logs what the agents handed over, and why it was then.
func (d *drill) handovers() {
	d.t.Helper()
	for _, role := range d.s.Roles() {
		for line := range strings.Lines(d.page(d.t.Context(), role)) {
			if strings.Contains(line, "_mesh_metrics_handovers") || strings.Contains(line, "_mesh_metrics_withheld") {
				if strings.HasPrefix(line, "otelcol_") {
					d.t.Logf("%s: %s", role, strings.TrimSpace(line))
				}
			}
		}
	}
}

// page is a collector's page of own metrics.
func (d *drill) page(ctx context.Context, role string) string {
	return d.read(ctx, "http://"+d.s.Host(role)+":8888/metrics")
}

// read is what an address answers.
func (d *drill) read(ctx context.Context, url string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	require.NoError(d.t, err)
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	require.NoError(d.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(d.t, err)
	require.Equal(d.t, http.StatusOK, response.StatusCode, "%s: %s", url, body)
	return string(body)
}

// logged waits until the hub's own log has one line of JSON for each event that arrived, WARN for what began: the last ones may
// be under way.
func (d *drill) logged() {
	d.t.Helper()
	eventuallyIn(d.t, d.within, "the hub's log and what arrived differ", func() string {
		raw, err := os.ReadFile(filepath.Join(d.dir, "logs", "hub.log"))
		require.NoError(d.t, err)
		got := map[string]int{}
		for line := range strings.Lines(string(raw)) {
			var fields struct{ Level, Event string }
			// The last line may be half of one.
			if strings.Contains(line, `"mesh.failover.id"`) && json.Unmarshal([]byte(line), &fields) == nil {
				got[fields.Level+" "+fields.Event]++
			}
		}
		want := map[string]int{}
		for _, e := range d.events() {
			level := "warn"
			if strings.HasSuffix(e["event.name"], ".ended") {
				level = "info"
			}
			want[level+" "+e["event.name"]]++
		}
		if maps.Equal(got, want) {
			return ""
		}
		return fmt.Sprintf("the log has %v, and %v arrived", got, want)
	})
}

func (d *drill) wait(what string, done func() bool) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), d.within)
	defer cancel()
	if err := d.s.Insights().Wait(ctx, done); err != nil {
		require.NoError(d.t, err, "%s did not come; events: %s", what, fmt.Sprint(d.events()))
	}
}

func regionOf(cluster string) string { return strings.TrimPrefix(cluster, "aks-") }
