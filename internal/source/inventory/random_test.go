// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// world is a cluster as it truly is, and its leader.
type world struct {
	name   string
	leader *Encoder
	epoch  int64
	pods   map[string]topology.PodState
	ended  map[topology.UID]PastPod
	// truth is what was true after a message.
	truth map[Position]map[string]topology.UID
}

func (w *world) elect() {
	w.epoch++
	w.leader = NewEncoder(w.name, "uid-"+w.name, w.epoch)
	w.leader.limit = 600
}

// churn lets pods come and go and returns what the leader says about it.
func (w *world) churn(g generator, now time.Time) []Message {
	d := &topology.Delta{Cluster: w.name, At: now}
	for range 1 + g.IntN(6) {
		name := fmt.Sprintf("web-%d", g.IntN(30))
		if p, ok := w.pods[name]; ok {
			end := PastPod{PodState: p, Earliest: now.Add(-time.Second), Latest: now}
			w.ended[p.UID] = end
			d.GonePods = append(d.GonePods, topology.PodEnd{Namespace: p.Namespace, Name: name, UID: p.UID, Earliest: end.Earliest, Latest: end.Latest})
			d.Pods = slices.DeleteFunc(d.Pods, func(s topology.PodState) bool { return s.Name == name })
			delete(w.pods, name)
		}
		if g.IntN(3) > 0 {
			p := g.pod()
			p.Name, p.UID, p.Since, p.Seen = name, topology.UID(g.bytes(16)), now, now
			w.pods[name] = p
			d.Pods = append(d.Pods, p)
		}
	}
	return w.say(d)
}

func (w *world) say(d *topology.Delta) []Message {
	messages := slices.Collect(w.leader.Delta(d))
	w.note(messages)
	return messages
}

// snapshot returns all of the cluster, with its history.
func (w *world) snapshot(now time.Time) []Message {
	c := content{
		facts: &topology.ClusterFacts{UID: "uid-" + w.name}, gateways: []topology.GatewaySpec{},
		pods: slices.Values(slices.SortedFunc(maps.Values(w.pods), func(a, b topology.PodState) int {
			return slices.Compare(a.UID[:], b.UID[:])
		})),
		past: slices.Values(slices.SortedFunc(maps.Values(w.ended), func(a, b PastPod) int {
			return slices.Compare(a.UID[:], b.UID[:])
		})),
	}
	messages := slices.Collect(w.leader.whole(c, now, now))
	w.note(messages)
	return messages
}

func (w *world) note(messages []Message) {
	state := map[string]topology.UID{}
	for name, p := range w.pods {
		state[name] = p.UID
	}
	if len(messages) > 0 {
		w.truth[Position{Epoch: w.epoch, Sequence: messages[len(messages)-1].Sequence}] = state
	}
}

// model is a topology as simple as can be.
type model struct {
	pods  map[string]map[string]topology.PodState
	past  map[topology.UID]PastPod
	stale map[string]bool
}

func (m *model) do(t *testing.T, actions []Action) {
	for _, action := range actions {
		switch action.Kind {
		case ActionStale:
			m.stale[action.Cluster] = !action.Since.IsZero()
		case ActionRemove:
			delete(m.pods, action.Cluster)
		case ActionApply:
			u := action.Update
			if u.Full || m.pods[u.Cluster] == nil {
				m.pods[u.Cluster] = map[string]topology.PodState{}
			}
			for _, p := range u.GonePods {
				if m.pods[u.Cluster][p.Name].UID == p.UID {
					delete(m.pods[u.Cluster], p.Name)
				}
			}
			for _, p := range u.Pods {
				m.pods[u.Cluster][p.Name] = p
			}
			for _, p := range u.Past {
				m.past[p.UID] = p
			}
		case ActionFinding:
			require.NotEqual(t, topology.KindInventoryRejected, action.Finding.Kind)
		}
	}
}

// TestStreamsConverge sends the streams of several clusters with changes of leader through a network that shuffles,
// repeats and loses messages. Whenever the assembler says that a cluster is complete it must be what it truly was at
// that position, and after a last snapshot everything must be true, the history included.
func TestStreamsConverge(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { converge(t, newGenerator(seed)) })
	}
}

func converge(t *testing.T, g generator) {
	a := NewAssembler(AssemblerSettings{ReorderMessages: 40})
	m := &model{map[string]map[string]topology.PodState{}, map[topology.UID]PastPod{}, map[string]bool{}}
	worlds := map[string]*world{}
	for _, name := range []string{"west", "east", "north"} {
		w := &world{name: name, pods: map[string]topology.PodState{}, ended: map[topology.UID]PastPod{}, truth: map[Position]map[string]topology.UID{}}
		w.elect()
		worlds[name] = w
	}
	now, lossy := milli(noon), g.maybe()
	var wire []Message
	deliver := func(window int, loss bool) {
		for len(wire) > window {
			// What comes is shuffled within a block.
			block := min(len(wire), 20)
			g.Shuffle(block, func(i, j int) { wire[i], wire[j] = wire[j], wire[i] })
			next := wire[:block]
			wire = wire[block:]
			deliverAll(t, g, next, loss, a, now, m, worlds)
		}
	}
	for range 120 {
		now = now.Add(time.Duration(g.IntN(2000)) * time.Millisecond)
		for _, name := range []string{"west", "east", "north"} {
			w := worlds[name]
			switch n := g.IntN(40); {
			case n == 0:
				w.elect()
				wire = append(wire, w.snapshot(now)...)
			case n == 1:
				wire = append(wire, w.snapshot(now)...)
			case n < 10:
				wire = append(wire, w.leader.Heartbeat(now))
				w.note(wire[len(wire)-1:])
			default:
				wire = append(wire, w.churn(g, now)...)
			}
		}
		deliver(30, lossy)
		m.do(t, a.Tick(now))
	}
	// What is still missing is given up, then comes a last snapshot of each.
	deliver(0, lossy)
	now = now.Add(11 * time.Second)
	for range 60 {
		m.do(t, a.Tick(now))
		now = now.Add(11 * time.Second)
	}
	for _, name := range []string{"west", "east", "north"} {
		wire = append(wire, worlds[name].snapshot(now)...)
	}
	deliver(0, false)
	for range 4 {
		now = now.Add(10 * time.Second)
		m.do(t, a.Tick(now))
	}
	require.Zero(t, a.Waiting())
	for name, w := range worlds {
		require.Len(t, m.pods[name], len(w.pods), name)
		for pod, state := range w.pods {
			require.Equal(t, state, m.pods[name][pod])
		}
		require.False(t, m.stale[name], name)
		for uid, p := range w.ended {
			require.Equal(t, p, m.past[uid])
		}
	}
	if !lossy {
		require.Zero(t, a.Counters().Lost)
	}
}

func checkPosition(t *testing.T, w *world, m *model, p Position) {
	t.Helper()
	if !p.Complete {
		return
	}
	want, ok := w.truth[Position{Epoch: p.Epoch, Sequence: p.Sequence}]
	if !ok || len(m.pods[w.name]) != len(want) {
		t.Fatalf("position %d of epoch %d: known %t, %d pods instead of %d", p.Sequence, p.Epoch, ok, len(m.pods[w.name]), len(want))
	}
	for name, uid := range want {
		if m.pods[w.name][name].UID != uid {
			t.Fatalf("position %d of epoch %d: another pod %s", p.Sequence, p.Epoch, name)
		}
	}
}

// deliverAll delivers messages, some of them twice, some never.
func deliverAll(t *testing.T, g generator, messages []Message, loss bool, a *Assembler, now time.Time, m *model, worlds map[string]*world) {
	for i := range messages {
		if loss && g.IntN(40) == 0 {
			continue
		}
		for range 1 + g.IntN(5)/4 {
			actions, err := a.Accept(&messages[i], now)
			require.NoError(t, err)
			m.do(t, actions)
			for _, p := range a.Positions() {
				if p.Cluster == messages[i].Cluster {
					checkPosition(t, worlds[p.Cluster], m, p)
				}
			}
		}
	}
}
