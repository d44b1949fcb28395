// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// member is one replica of a hub in the tests: it is told every second what is given to it, and rolls every four.
type member struct {
	*Store
	t        *testing.T
	snapshot *topology.Snapshot
}

func newMember(t *testing.T, now time.Time, routed bool) *member {
	t.Helper()
	config := DefaultConfig()
	config.Routed = routed
	istio := func(revisions ...string) (list []topology.IstioRevision) {
		for _, r := range revisions {
			list = append(list, topology.IstioRevision{Revision: r})
		}
		return list
	}
	m := &member{Store: New(config), t: t, snapshot: world(t,
		&topology.Delta{Cluster: "a", Facts: &topology.ClusterFacts{Region: "westeurope", Istio: istio("default", "canary")}},
		&topology.Delta{Cluster: "b", Facts: &topology.ClusterFacts{Region: "eastus", Istio: istio("stable")}},
		&topology.Delta{Cluster: "c", Facts: &topology.ClusterFacts{Region: "eastus", Istio: istio("default")}})}
	m.Begin(now)
	return m
}

// istiods are those of the mesh, each with the second of the half minute in which it is scraped. a has two, b one that is older, and c
// one that never says anything.
var istiods = []struct {
	second                        int
	cluster, pod, region, version string
}{
	{3, "a", "istiod-7d9c8b6f5-aaaaa", "westeurope", "1.31.0"},
	{11, "a", "istiod-canary-7d9c8b6f5-aaaaa", "westeurope", "1.31.1"},
	{29, "b", "istiod-stable-7d9c8b6f5-bbbbb", "eastus", "1.29.4"},
}

// live lets the seconds from one to another pass. to returns the replica that gets what an istiod says, nil for none; after each roll
// each is called with the replicas.
func live(t *testing.T, members []*member, from, until int, to func(second int, pod string) *member, each func(second int)) {
	t.Helper()
	for second := from; second < until; second++ {
		for _, i := range istiods {
			if second%30 != i.second {
				continue
			}
			if m := to(second, i.pod); m != nil {
				at := after(time.Duration(second) * time.Second)
				says(t, m.Store, i.cluster, i.pod, i.region, at, alive(t, i.version, "# TYPE pilot_xds gauge", `pilot_xds{version="`+i.version+`"} 5`))
			}
		}
		if second%4 == 0 {
			for _, m := range members {
				m.Roll(after(time.Duration(second)*time.Second), m.snapshot)
			}
			each(second)
		}
	}
}

// absences are the findings of m about what it does not hear.
func (m *member) absences() (list []string) {
	for i := range m.Records() {
		for _, kind := range kindsOf(&m.Records()[i]) {
			if kind == KindSilent || kind == KindUnseen || kind == KindRevisionSilent {
				list = append(list, m.Records()[i].Cluster+" "+kind)
			}
		}
	}
	return list
}

// gauges counts the points of a metric that m hands on.
func (m *member) gauges(second int) (n int) {
	slice := pmetric.NewMetricSlice()
	m.AppendMetrics(slice, after(time.Duration(second)*time.Second))
	for i := range slice.Len() {
		n += slice.At(i).Gauge().DataPoints().Len()
	}
	return n
}

// states are the clusters' states.
func (m *member) states() map[string]State {
	states := map[string]State{}
	for _, r := range m.Records() {
		states[r.Cluster] = r.State
	}
	return states
}

// TestNobodyIsMissedAtTheBeginning prevents that a hub that has just begun says of each istiod that it does not report.
func TestNobodyIsMissedAtTheBeginning(t *testing.T) {
	expire := int(DefaultConfig().Expire / time.Second)
	for name, routed := range map[string]bool{"one replica": false, "of several": true} {
		t.Run(name, func(t *testing.T) {
			m := newMember(t, noon, routed)
			quiet := 0
			// The canary never says anything.
			live(t, []*member{m}, 0, expire+60, func(_ int, pod string) *member {
				if pod == istiods[1].pod {
					return nil
				}
				return m
			}, func(second int) {
				doc := m.Document()
				if doc.AbsenceJudgedFrom.IsZero() && doc.At.After(after(m.config.Expire)) {
					return
				}
				quiet++
				assert.Empty(t, m.absences(), "second %d", second)
				for _, r := range doc.ControlPlanes {
					assert.Empty(t, r.Skew.MissingRevisions)
					assert.Contains(t, []State{Waiting, Reporting}, r.State)
				}
			})
			assert.GreaterOrEqual(t, quiet, expire/4)
			assert.Equal(t, map[string]State{"a": Reporting, "b": Reporting, "c": Unseen}, m.states())
			assert.Equal(t, []string{"a " + KindRevisionSilent, "c " + KindUnseen}, m.absences())
			assert.Zero(t, m.Document().AbsenceJudgedFrom)
			assert.Equal(t, []string{"stable"}, record(t, m.Store, "a").Skew.MissingRevisions)
		})
	}
}

// TestWaitingIsNoNumber prevents that an alert finds a 0 where nobody knows yet.
func TestWaitingIsNoNumber(t *testing.T) {
	m := newMember(t, noon, false)
	m.Roll(noon, m.snapshot)
	assert.Equal(t, map[string]State{"a": Waiting, "b": Waiting, "c": Waiting}, m.states())
	assert.Zero(t, m.gauges(0))
	assert.Equal(t, after(m.config.Expire), m.Document().AbsenceJudgedFrom)
}

// TestTheReplicaOfTheControlPlanesChanges: one replica has the control planes and dies, a second one has them from then on, and a first
// one that comes back has them again. None says of any istiod that it does not report, each that has them knows all of it after two
// scrapes, and one that has them no more does not go on telling what was.
func TestTheReplicaOfTheControlPlanesChanges(t *testing.T) {
	one, two := newMember(t, noon, true), newMember(t, noon, true)
	both := []*member{one, two}
	fine := func(second int) {
		for _, m := range both {
			assert.NotContains(t, m.absences(), "a "+KindSilent, "second %d", second)
			assert.Subset(t, []string{"c " + KindUnseen}, m.absences(), "second %d", second)
		}
	}
	whole := func(m *member) {
		doc := m.Document()
		require.True(t, *doc.Receiving)
		require.Equal(t, []string{"1.29.4", "1.31.0", "1.31.1"}, doc.Versions)
		require.Equal(t, 2, record(t, m.Store, "b").Skew.MinorsBehind, "compared with the other cluster")
		require.EqualValues(t, 10, record(t, m.Store, "a").Proxies.Connected)
	}
	elsewhere := func(m *member, second int) {
		require.False(t, *m.Document().Receiving)
		require.Empty(t, m.Records())
		require.Zero(t, m.gauges(second))
	}
	toOne, toTwo := func(int, string) *member { return one }, func(int, string) *member { return two }
	live(t, both, 0, 1000, toOne, func(second int) { fine(second); elsewhere(two, second) })
	whole(one)

	// One dies in the middle of a round.
	both = []*member{two}
	live(t, both, 1000, 1060, toTwo, fine)
	whole(two)
	live(t, both, 1060, 1500, toTwo, fine)
	// One is back, and has another address; then it is its turn again.
	one = newMember(t, after(1500*time.Second), true)
	both = []*member{one, two}
	live(t, both, 1500, 1800, toTwo, func(second int) { fine(second); elsewhere(one, second) })
	live(t, both, 1800, 1860, func(int, string) *member { return one }, fine)
	whole(one)
	told := 0
	live(t, both, 1860, 3000, func(int, string) *member { return one }, func(second int) {
		fine(second)
		if two.gauges(second) > 0 {
			told = second
		}
	})
	elsewhere(two, 3000)
	assert.LessOrEqual(t, told, 1800+int(two.quiet()/time.Second))
	assert.Empty(t, two.clusters, "nothing is kept of what is long gone")
	// Later two is asked again.
	live(t, both, 3000, 3060, toTwo, fine)
	whole(two)
}

// TestAReplicaThatHadAPause: the control planes went to another replica for a while and are back. Nobody was silent.
func TestAReplicaThatHadAPause(t *testing.T) {
	for _, pause := range []int{60, 140, 160, 240, 290, 310, 900} {
		m := newMember(t, noon, true)
		at := 1000
		live(t, []*member{m}, 0, at+pause+120, func(second int, _ string) *member {
			if second >= at && second < at+pause {
				return nil
			}
			return m
		}, func(second int) {
			assert.Subset(t, []string{"c " + KindUnseen}, m.absences(), "pause of %d, second %d", pause, second)
		})
		require.Equal(t, []string{"1.29.4", "1.31.0", "1.31.1"}, m.Document().Versions, "pause of %d", pause)
	}
}

// TestSilenceAmongReplicas: what is really silent is found, by the one that hears the others.
func TestSilenceAmongReplicas(t *testing.T) {
	m := newMember(t, noon, true)
	dies := 1000
	found := 0
	live(t, []*member{m}, 0, 1700, func(second int, pod string) *member {
		if second >= dies && pod == istiods[2].pod {
			return nil
		}
		return m
	}, func(second int) {
		if found == 0 && slices.Contains(m.absences(), "b "+KindSilent) {
			found = second
		}
	})
	assert.InDelta(t, dies-1+int(m.config.Expire/time.Second), found, 35)
	assert.Positive(t, m.gauges(1700))
}

// TestAClockThatIsSetBack: it makes nobody wait for longer than ever.
func TestAClockThatIsSetBack(t *testing.T) {
	m := newMember(t, after(time.Hour), true)
	says(t, m.Store, "a", pod, "westeurope", after(time.Hour), alive(t, "1.31.0"))
	assert.True(t, *m.Roll(after(time.Hour), m.snapshot).Receiving)
	doc := m.Roll(noon, m.snapshot)
	assert.True(t, *doc.Receiving)
	assert.Equal(t, after(m.config.Expire), doc.AbsenceJudgedFrom)
	assert.False(t, *m.Roll(after(m.quiet()+time.Second), m.snapshot).Receiving)
}
