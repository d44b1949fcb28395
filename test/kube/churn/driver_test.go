// SPDX-License-Identifier: Apache-2.0

package churn

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is an API server and a clock that a request moves by a few milliseconds.
type world struct {
	mu      sync.Mutex
	now     time.Time
	pods    map[string]*core.Pod
	asked   map[string]bool // to be deleted
	uid     int
	refuses error
}

func newWorld() *world {
	return &world{now: start, pods: map[string]*core.Pod{}, asked: map[string]bool{}}
}

func (w *world) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) Wait(ctx context.Context, d time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
	return ctx.Err()
}

// do lets time pass and returns the pod as the server has it.
func (w *world) do(pod *core.Pod, change func(*core.Pod)) (*core.Pod, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(3 * time.Millisecond)
	if w.refuses != nil {
		return nil, w.refuses
	}
	has := w.pods[pod.Name]
	if has == nil || has.UID != pod.UID {
		return nil, fmt.Errorf("no pod %s with uid %s", pod.Name, pod.UID)
	}
	next := has.DeepCopy()
	change(next)
	w.pods[pod.Name] = next
	return next, nil
}

func (w *world) Create(_ context.Context, pod *core.Pod) (*core.Pod, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(3 * time.Millisecond)
	if w.pods[pod.Name] != nil {
		return nil, fmt.Errorf("pod %s exists", pod.Name)
	}
	w.uid++
	pod.UID = types.UID(fmt.Sprint("uid-", w.uid))
	w.pods[pod.Name] = pod
	return pod.DeepCopy(), nil
}

func (w *world) Run(_ context.Context, pod *core.Pod, _, address netip.Addr) (*core.Pod, error) {
	return w.do(pod, func(p *core.Pod) { p.Status.Phase, p.Status.PodIP = core.PodRunning, address.String() })
}

func (w *world) Complete(_ context.Context, pod *core.Pod) (*core.Pod, error) {
	return w.do(pod, func(p *core.Pod) { p.Status.Phase = core.PodSucceeded })
}

func (w *world) Terminate(_ context.Context, pod *core.Pod) error {
	_, err := w.do(pod, func(p *core.Pod) { w.asked[string(p.UID)] = true })
	return err
}

func (w *world) Remove(_ context.Context, pod *core.Pod) error {
	_, err := w.do(pod, func(p *core.Pod) {})
	if err == nil {
		w.mu.Lock()
		delete(w.pods, pod.Name)
		w.mu.Unlock()
	}
	return err
}

func settings(w *world, truth *Truth) Settings {
	return Settings{
		Cluster: "c", Network: "net", Namespace: "n", API: w, Truth: truth, Clock: w, Pods: 60, Workers: 1, Seed: 7,
		Nodes: []Node{
			{Name: "node-0", Address: netip.MustParseAddr("10.224.0.4"), Pods: netip.MustParsePrefix("10.244.0.0/24")},
			{Name: "node-1", Address: netip.MustParseAddr("10.224.0.5"), Pods: netip.MustParsePrefix("10.244.1.0/24")},
			{Name: "node-2", Address: netip.MustParseAddr("10.224.0.6"), Pods: netip.MustParsePrefix("10.244.2.0/24")},
		},
	}
}

func churned(t *testing.T, change func(*Settings)) (*world, *Truth, *Driver) {
	t.Helper()
	w, truth := newWorld(), NewTruth()
	s := settings(w, truth)
	if change != nil {
		change(&s)
	}
	d, err := New(s)
	require.NoError(t, err)
	require.NoError(t, d.Fill(t.Context()))
	require.NoError(t, d.Steps(t.Context(), 400))
	return w, truth, d
}

func TestSameSeedSameTruth(t *testing.T) {
	_, one, _ := churned(t, nil)
	_, two, _ := churned(t, nil)
	assert.Equal(t, one.Tenancies(), two.Tenancies())
	_, three, _ := churned(t, func(s *Settings) { s.Seed = 8 })
	assert.NotEqual(t, one.Tenancies(), three.Tenancies())
}

// TestTruthAgreesWithTheServer compares two records that know nothing of each other.
func TestTruthAgreesWithTheServer(t *testing.T) {
	for _, workers := range []int{1, 5} {
		w, truth, _ := churned(t, func(s *Settings) { s.Workers = workers })
		held := map[string]PodID{}
		for _, p := range w.pods {
			if p.Status.Phase == core.PodRunning {
				require.NotContains(t, held, p.Status.PodIP)
				held[p.Status.PodIP] = PodID{"c", "n", p.Name, string(p.UID)}
			}
		}
		assert.Len(t, held, 60)
		for _, place := range truth.Places() {
			answer := truth.Holder(place.Network, place.Address, w.Now().Add(time.Hour), 0)
			assert.Equal(t, Answer{Holder: held[place.Address.String()], Settled: true}, answer)
		}
	}
}

func TestEverythingHappens(t *testing.T) {
	w, truth, d := churned(t, nil)
	for _, e := range weights {
		assert.Positive(t, d.Counts()[e.event], e.event)
	}
	assert.NotEmpty(t, w.asked)
	last := map[netip.Addr]Tenancy{}
	names := map[string]string{}
	var reused, renamed, overlapping int
	for _, n := range truth.Tenancies() {
		before, ok := last[n.Address]
		if ok && n.Start.Sub(before.End) < time.Second {
			reused++
		}
		if ok && n.Start.Before(before.Told) {
			overlapping++
		}
		if uid, ok := names[n.Pod.Name]; ok && uid != n.Pod.UID {
			renamed++
		}
		last[n.Address], names[n.Pod.Name] = n, n.Pod.UID
	}
	assert.Greater(t, reused, 100, "addresses that go to the next pod within a second")
	assert.Greater(t, renamed, 20, "names that go to the next pod")
	assert.Greater(t, overlapping, 10, "addresses that go to the next pod before the API server hears that the last one is gone")
	finished := 0
	for _, p := range w.pods {
		if p.Status.Phase == core.PodSucceeded {
			finished++
		}
	}
	assert.Equal(t, maxFinished, finished)
}

// TestJudgesWatchers lets watchers of known quality answer.
func TestJudgesWatchers(t *testing.T) {
	w, truth, _ := churned(t, nil)
	judge := func(watcher func(Moment) PodID) map[Verdict]int {
		verdicts := map[Verdict]int{}
		for _, m := range truth.Moments(3, 2000, start, w.Now()) {
			verdicts[truth.Holder(m.Network, m.Address, m.At, 0).Judge(watcher(m))]++
		}
		return verdicts
	}
	perfect := judge(func(m Moment) PodID { return truth.Holder(m.Network, m.Address, m.At, 0).Holder })
	assert.Equal(t, map[Verdict]int{Right: 2000}, perfect)
	silent := judge(func(Moment) PodID { return PodID{} })
	assert.Zero(t, silent[Wrong])
	assert.Greater(t, silent[Missed], 500)
	newest := judge(func(m Moment) PodID { return truth.Holder(m.Network, m.Address, w.Now(), 0).Holder })
	assert.Greater(t, newest[Wrong], 200, "a cache that knows the present only")
	late := judge(func(m Moment) PodID { return truth.Holder(m.Network, m.Address, m.At.Add(-2*time.Second), 0).Holder })
	assert.Greater(t, late[Wrong], 50, "a watcher that is two seconds behind")
}

func TestOnly(t *testing.T) {
	_, _, d := churned(t, func(s *Settings) { s.Only = []Event{Rename} })
	assert.Equal(t, map[Event]int64{Replace: 0, Rename: 400, Finish: 0, Handover: 0, Drain: 0}, d.Counts())
}

func TestRunKeepsItsRateAndEndsWithTheContext(t *testing.T) {
	w, truth := newWorld(), NewTruth()
	s := settings(w, truth)
	s.Rate, s.Only = 2, []Event{Replace}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.Clock = &until{world: w, at: start.Add(100 * time.Second), cancel: cancel}
	d, err := New(s)
	require.NoError(t, err)
	require.NoError(t, d.Fill(ctx))
	require.NoError(t, d.Run(ctx))
	assert.InDelta(t, 200, d.Counts()[Replace], 5)
	for _, n := range truth.Tenancies() {
		assert.False(t, n.Started.IsZero())
		assert.Equal(t, n.End.IsZero(), n.Told.IsZero(), "no event is left half done")
	}
}

// until cancels at a time.
type until struct {
	*world
	at     time.Time
	cancel func()
}

func (u *until) Wait(ctx context.Context, d time.Duration) error {
	err := u.world.Wait(ctx, d)
	if u.Now().After(u.at) {
		u.cancel()
	}
	return err
}

func TestErrorsAreNotSwallowed(t *testing.T) {
	w, truth := newWorld(), NewTruth()
	d, err := New(settings(w, truth))
	require.NoError(t, err)
	require.NoError(t, d.Fill(t.Context()))
	w.refuses = errors.New("no")
	require.ErrorContains(t, d.Steps(t.Context(), 1), "in cluster c: no")
	_, err = New(Settings{})
	require.Error(t, err)
	s := settings(w, truth)
	s.Nodes[0].Pods = netip.MustParsePrefix("10.244.0.0/30")
	s.Workers = 4
	_, err = New(s)
	require.ErrorContains(t, err, "node node-0 has no addresses for 4 workers")
}
