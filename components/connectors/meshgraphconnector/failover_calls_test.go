// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// second lets a second pass.
func (w *dayWorld) second() {
	w.now = w.now.Add(time.Second)
	due := slices.Clone(w.later)
	w.later = slices.DeleteFunc(w.later, func(l laterOn) bool { return !l.at.After(w.now) })
	for _, l := range due {
		if !l.at.After(w.now) {
			l.do()
		}
	}
	passed := int(w.now.Sub(begin) / time.Second)
	for _, a := range w.agents {
		for _, name := range w.names {
			if a.caller == "" {
				break // The cluster only answers.
			}
			n := int(w.rate)
			if w.random.Float64() < w.rate-float64(n) {
				n++
			}
			for range n {
				w.call(a, name)
			}
		}
		if (passed%w.reporting == a.phase || w.early && a.urgent(passed)) && !w.down {
			w.process.takeMetrics(a.report(w.shapes, w.now, w.reporting), w.now)
			a.told = passed
		}
	}
	if passed%dayInterval == 0 {
		w.confirm()
	}
	if passed%dayInterval == 0 && !w.down {
		w.process.step(w.now, passed%60 == 0)
	}
}

// call is a request: the caller's proxy counts it, and the callee's if it got there.
func (w *dayWorld) call(a *dayAgent, service string) {
	w.sent++
	s := shape{fromCluster: a.cluster, fromRegion: a.region, caller: a.caller, service: service, code: "200", flags: "-"}
	home := w.at[service][a.cluster]
	if home != nil && w.now.Before(home.until) && w.random.Float64() < home.refusing {
		s.code, s.flags = "503", "URX,UF"
		a.count(s, "source")
		return
	}
	cluster := w.choose(a, service)
	p := w.at[service][cluster]
	if p == nil {
		s.code, s.flags = "503", "UH"
		a.count(s, "source")
		return
	}
	s.cluster, s.region, s.version = cluster, w.regions[cluster], w.version(p)
	failing := 0.001
	failing += p.failing
	if w.random.Float64() < failing {
		s.code = "503"
		if p.failing > 0 {
			s.flags = "UC"
		}
	}
	if s.region != a.region && w.shifted.IsZero() {
		w.shifted = w.now
	}
	a.count(s, "source")
	callees := slices.DeleteFunc(slices.Clone(w.agents), func(o *dayAgent) bool { return o.cluster != cluster })
	if len(callees) == 0 {
		// The cluster's own agent has no callers.
		callee := &dayAgent{cluster: cluster, region: s.region, phase: w.random.IntN(w.reporting)}
		w.agents = append(w.agents, callee)
		callees = append(callees, callee)
	}
	s.flags = "-"
	callees[w.random.IntN(len(callees))].count(s, "destination")
}

func (w *dayWorld) version(p *placed) string {
	ready := map[string]bool{}
	for _, s := range p.sets {
		for _, pod := range s.pods {
			ready[s.version] = ready[s.version] || pod.ready && !pod.ending
		}
	}
	if v2 := p.share["v2"]; ready["v2"] && (!ready["v1"] || w.random.Float64() < v2) {
		return "v2"
	}
	for _, v := range []string{"v1", "v9"} {
		if ready[v] {
			return v
		}
	}
	return "v2"
}

// health is how many pods of a service in a cluster take calls, of how many that are not being deleted.
func (w *dayWorld) health(cluster, service string) (healthy, all int) {
	if w.at[service][cluster] != nil && w.at[service][cluster].dead {
		return 0, 1
	}
	w.each(cluster, service, func(_ *set, p *dayPod) {
		if p.address.IsValid() && !p.ending {
			all++
			if p.ready {
				healthy++
			}
		}
	})
	return healthy, all
}

// choose is locality load balancing: local endpoints get all calls until fewer than 1/1.4 of them are healthy. A new version of
// blue/green takes only what is routed to it.
func (w *dayWorld) choose(a *dayAgent, service string) string {
	if route := w.route[service+"@"+a.region]; route != nil {
		n := w.random.Float64()
		for _, cluster := range w.clusters {
			if healthy, _ := w.health(cluster, service); healthy > 0 {
				if n -= route[cluster]; n < 0 {
					return cluster
				}
			}
		}
	}
	var local, remote []string
	healthy, total := 0, 0
	for _, cluster := range w.clusters {
		ready, all := w.health(cluster, service)
		if w.regions[cluster] == a.region {
			healthy, total = healthy+ready, total+all
		}
		switch {
		case ready == 0 || cluster == east:
		case w.regions[cluster] == a.region:
			local = append(local, cluster)
		default:
			remote = append(remote, cluster)
		}
	}
	stays := 0.0
	if len(local) > 0 {
		stays = min(1, 1.4*float64(healthy)/float64(total)) * (1 - w.stray)
	}
	switch {
	case len(local) > 0 && (len(remote) == 0 || w.random.Float64() < stays):
		return local[w.random.IntN(len(local))]
	case len(remote) > 0:
		return remote[0]
	}
	return ""
}

// quiet fails the test if anything was told that somebody would look at.
func (w *dayWorld) quiet(last string) {
	w.t.Helper()
	for _, r := range w.sink.alarms() {
		w.t.Errorf("%s after %q, %s: %s", r.EventName(), last, r.Timestamp().AsTime().Sub(begin), r.Body().Str())
	}
	if w.t.Failed() {
		w.t.FailNow()
	}
}

// counted lets everything be reported, and returns how many requests the metrics have.
func (w *dayWorld) counted() int64 {
	sent := w.sent
	w.rate = 0
	for end := w.now.Add(5 * time.Minute); w.now.Before(end); {
		w.second()
	}
	assert.Equal(w.t, sent, w.sent)
	var n int64
	for _, requests := range w.sink.taken() {
		n += requests
	}
	return n
}

// records are the events that came out.
func (s *sink) records() (list []plog.LogRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ld := range s.logs {
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, r := range sl.LogRecords().All() {
					list = append(list, r)
				}
			}
		}
	}
	return list
}

// alarms are those of the events that are not about a deployment.
func (s *sink) alarms() []plog.LogRecord { return slices.DeleteFunc(s.records(), deployment) }

// deployments are the others, by their name, service and calling region.
func (s *sink) deployments() (told []string) {
	for _, r := range s.records() {
		if deployment(r) {
			a := r.Attributes().AsRaw()
			told = append(told, fmt.Sprint(r.EventName(), " ", a["mesh.destination.service"], " ", a["mesh.source.region"], " ", a["mesh.failover.end.reason"]))
		}
	}
	return told
}

func deployment(r plog.LogRecord) bool {
	return strings.HasPrefix(r.EventName(), "mesh.deployment_shift.")
}

func (a *dayAgent) count(s shape, reporter string) {
	s.reporter = reporter
	if a.counts == nil {
		a.counts = map[shape]int64{}
	}
	if _, known := a.counts[s]; !known {
		a.order = append(a.order, s)
	}
	a.counts[s]++
}

// report is what the agent sends, with a point for each series.
func (a *dayAgent) report(from *shapes, now time.Time, reporting int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("k8s.cluster.name", a.cluster)
	rm.Resource().Attributes().PutStr("agent", fmt.Sprint(a.caller, a.phase)) // No two agents send the same point.
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("istio_requests_total")
	sum := m.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	for i := range a.order {
		p := sum.DataPoints().AppendEmpty()
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Duration(reporting) * time.Second)))
		p.SetTimestamp(pcommon.NewTimestampFromTime(now))
		p.SetIntValue(a.counts[a.order[i]])
		from.put(&a.order[i], p.Attributes())
	}
	a.counts, a.order = nil, nil
	return md
}
