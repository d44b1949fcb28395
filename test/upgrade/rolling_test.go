// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// small is an installation with one replica of the hub: agents of two clusters that send to it through its Service.
type small struct {
	*fleet
	releases [2]release
	ledger   *ledger
	services map[string]*service // of the agents by cluster, and "hub"
	pods     map[string]*pod
	agent    map[string]*template
	hub      *template
}

func newSmall(t *testing.T) *small {
	t.Helper()
	s := &small{fleet: newFleet(t, 1), releases: releases(t), services: map[string]*service{}, pods: map[string]*pod{}, agent: map[string]*template{}}
	s.ledger = newLedger(t, s.fixed(9)+":8080", true)
	static := "MESH_TOPOLOGY_FILE=" + absolute(t, "examples/topology.yaml")
	s.services["hub"] = newService(t, s.fixed(10), "14317")
	hub := issue(t, s.authority, filepath.Join(s.dir, "tls-hub"), "", s.fixed(10))
	s.hub = s.templateOf("hub", []string{"config/hub.yaml", "examples/hub-mtls.yaml", "examples/static-topology.yaml"}, "", static,
		"MESH_HUB_SERVER_CERT_FILE="+hub.cert, "MESH_HUB_SERVER_KEY_FILE="+hub.key, "MESH_HUB_CLIENT_CA_FILE="+hub.ca,
		"APPLICATION_INSIGHTS_CONNECTION_STRING="+s.ledger.connection(0))
	for i, cluster := range []string{west, north} {
		s.services[cluster] = newService(t, s.fixed(11+i), "4317")
		id := issue(t, s.authority, filepath.Join(s.dir, "tls-"+cluster), "spiffe://otelcol-mesh/cluster/"+cluster+"/agent")
		s.agent[cluster] = s.templateOf("agent", []string{"config/agent.yaml", "examples/static-topology.yaml"}, noScrapes, static,
			"MESH_CLUSTER="+cluster, "MESH_HUB_ENDPOINT="+s.services["hub"].address(),
			"MESH_HUB_CA_FILE="+id.ca, "MESH_HUB_CERT_FILE="+id.cert, "MESH_HUB_KEY_FILE="+id.key)
	}
	for _, name := range []string{"hub", west, north} {
		s.run(name, s.releases[0])
	}
	return s
}

// noScrapes keeps the agent from asking an API server what to scrape.
const noScrapes = "receivers: {prometheus: {config: {scrape_configs: [{job_name: none, static_configs: []}]}}}"

func absolute(t *testing.T, file string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "distribution", file))
	require.NoError(t, err)
	return path
}

// run starts the pod of a name and makes it an endpoint of its service.
func (s *small) run(name string, r release) {
	s.t.Helper()
	tpl := s.hub
	if name != "hub" {
		tpl = s.agent[name]
	}
	s.pods[name] = s.start(tpl, r, name, name)
	s.services[name].add(s.pods[name].host)
}

// replace ends the pod of a name, which has a volume that only one at a time may have, and starts it in another release.
func (s *small) replace(name string, r release) {
	s.t.Helper()
	old := s.pods[name]
	s.services[name].remove(old.host)
	s.stop(old)
	s.run(name, r)
}

// TestRollingUpgrade replaces hub and agents by those of another release and back, under load. Nothing that a sender was
// told to have been taken may be lost, and no sender may be told that what it sends is not wanted.
func TestRollingUpgrade(t *testing.T) {
	s := newSmall(t)
	total, cancel := context.WithTimeout(t.Context(), lasts(t)+4*within)
	defer cancel()
	sending, enough := context.WithCancel(total)
	defer enough()
	began := time.Now()
	l := startLoad(sending, total, t, map[string]string{west: s.services[west].address(), north: s.services[north].address()}, 1000)
	// The endpoint takes its time, so that there is always something under way.
	slow := ingestiontest.Fault{Kind: ingestiontest.FaultDelay, Delay: 150 * time.Millisecond, Times: ingestiontest.Forever}
	down := ingestiontest.Fault{Kind: ingestiontest.FaultStatus, Status: 503, Times: ingestiontest.Forever}
	rounds := 0
	for ; rounds < 2 || time.Since(began) < lasts(t); rounds++ {
		// At every other upgrade, which is the one back, the endpoint is not there, so that what waits on the disks has to outlive the upgrade.
		fault := []ingestiontest.Fault{slow, down}[rounds%2]
		s.ledger.server.ClearFaults()
		require.NoError(t, s.ledger.server.Fault(fault))
		for _, name := range []string{"hub", west, north} {
			s.replace(name, s.releases[(rounds+1)%2])
			flow(t, l, 500)
		}
	}
	s.ledger.server.ClearFaults()
	enough()
	l.wait()
	s.settle(total, l)
	t.Logf("%d upgrades between %s and %s in %s", rounds, s.releases[0].version, s.releases[1].version, time.Since(began).Round(time.Second))
	s.verdict(l, s.ledger)
}

// flow waits until so many more items were acknowledged, so that no change follows the one before at once.
func flow(t *testing.T, l *load, items uint64) {
	t.Helper()
	want := l.count() + items
	eventually(t, "the load goes on", func() bool { return l.count() >= want })
}

// settle waits until everything that was acknowledged is at the endpoint.
func (s *small) settle(ctx context.Context, l *load) {
	began := time.Now()
	err := until(ctx, func() bool { n, _ := l.missing(s.ledger.server); return n == 0 })
	_, which := l.missing(s.ledger.server)
	assert.NoError(s.t, err, "lost: "+which)
	s.t.Logf("all is delivered %s after the load ended", time.Since(began).Round(time.Millisecond))
}

// verdict says what came of it, in the words of docs/upgrades.md.
func (f *fleet) verdict(l *load, ledger *ledger) {
	t := f.t
	t.Helper()
	ledger.take()
	lost, which := l.missing(ledger.server)
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	acked, unsure := uint64(0), uint64(0)
	for signal, n := range l.acked {
		acked, unsure = acked+n.Len(), unsure+l.unsure[signal].Len()
	}
	fmt.Fprintf(&b, "acknowledged %d, lost %d; refused attempts %v, refused for good %d, never acknowledged %d requests; slowest %s\n",
		acked, lost, l.refused, len(l.final), l.abandoned, l.slowest.Round(time.Millisecond))
	fmt.Fprintf(&b, "came twice %v; attempts of senders without an answer had %d items; why exporters sent again is below\n", ledger.duplicates(), unsure)
	for _, role := range slices.Sorted(maps.Keys(f.starts)) {
		fmt.Fprintf(&b, "%s: %d starts, ready after %s at most; %d stops, ended after %s at most\n", role,
			len(f.starts[role]), longest(f.starts[role]), len(f.stops[role]), longest(f.stops[role]))
	}
	for _, why := range f.warnings() {
		fmt.Fprintf(&b, "%s\n", why)
	}
	t.Log("\n" + b.String())
	if lost > 0 {
		t.Log(f.drops())
	}
	assert.Zero(t, lost, which)
	assert.Positive(t, acked)
	assert.Empty(t, l.final, "refused for good: an SDK would have dropped it")
	assert.Zero(t, ledger.gaps, "the test did not see all that arrived")
}

func longest(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return slices.Max(all).Round(10 * time.Millisecond)
}

// entry is a line of a collector's log.
type entry struct {
	Level, Msg, Error string
	Component         string `json:"otelcol.component.id"`
	Signal            string `json:"otelcol.signal"`
}

// entries calls use with what any pod that ever ran has written above the level info.
func (f *fleet) entries(use func(pod string, e entry, line string)) {
	files, err := filepath.Glob(filepath.Join(f.dir, "*.log"))
	require.NoError(f.t, err)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(f.t, err)
		for line := range strings.Lines(string(raw)) {
			var e entry
			if json.Unmarshal([]byte(line), &e) == nil && (e.Level == "warn" || e.Level == "error" || e.Msg == retrying) {
				use(strings.TrimSuffix(filepath.Base(file), ".log"), e, line)
			}
		}
	}
}

// retrying is what an exporter says when it will send again: what had arrived all the same comes twice.
const retrying = "Exporting failed. Will retry the request after interval."

// throttle is the part of an error that is never the same.
var throttle = regexp.MustCompile(`Throttle \([^)]*\), error: |dial tcp [^ ]+ |read tcp [^ ]+ `)

// warnings counts why exporters sent again. The collector writes only some of many equal lines.
func (f *fleet) warnings() []string {
	counts := map[string]int{}
	f.entries(func(pod string, e entry, _ string) {
		if e.Msg == retrying {
			counts[fmt.Sprintf("%s %s sends again: %.140s", pod, e.Component, throttle.ReplaceAllString(e.Error, ""))]++
		}
	})
	var lines []string
	for _, words := range slices.Sorted(maps.Keys(counts)) {
		lines = append(lines, fmt.Sprintf("%s (%d times)", words, counts[words]))
	}
	return lines
}

// drops returns what any pod that ever ran has written of data that it gave up.
func (f *fleet) drops() string {
	var found []string
	f.entries(func(pod string, e entry, line string) {
		if strings.Contains(line, "ropping") || strings.Contains(line, "ropped") || strings.Contains(line, "Rejecting") {
			found = append(found, pod+": "+line[:min(len(line), 700)])
		}
	})
	return strings.Join(found[:min(len(found), 20)], "\n")
}
