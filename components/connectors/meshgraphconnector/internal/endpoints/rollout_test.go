// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// member is a pod of the StatefulSet reviews, which has its address since now.
func (m *mesh) member(name, revision string, address byte) topology.PodState {
	p := pod("reviews", "", "", address)
	p.Name, p.Kind, p.Revision = name, "statefulset", revision
	p.UID = topology.UID{byte(m.now.Sub(start) / time.Second), address, 1}
	p.Since, p.Seen = m.now, m.now
	return p
}

// gone ends pods now.
func (m *mesh) gone(names ...string) {
	var ends []topology.PodEnd
	for _, name := range names {
		ends = append(ends, topology.PodEnd{Namespace: "shop", Name: name, Earliest: m.now, Latest: m.now})
	}
	m.writer.Apply(&topology.Delta{Cluster: "west", At: m.now, GonePods: ends})
}

// counts are what a step of a deployment shows: total, ready, new and ending endpoints.
func counts(e *failover.Endpoints) []int { return []int{e.Total, e.Healthy, e.New, e.Ending} }

// A StatefulSet deletes one pod after the other, and each comes again.
func TestAStatefulSetIsUpdated(t *testing.T) {
	for revision, rollout := range map[string]bool{"b": true, "a": false, "": false} {
		t.Run("revision "+revision, func(t *testing.T) {
			m := newMesh(t)
			m.join("west", has("reviews", "west", 3, 3, 0))
			first := "a"
			if revision == "" {
				first = ""
			}
			m.pods("west", m.member("reviews-0", first, 1), m.member("reviews-1", first, 2), m.member("reviews-2", first, 3))
			m.observe()
			step := func(what string, want []int, rolling bool) {
				t.Helper()
				e := m.one("reviews")
				assert.Equal(t, want, counts(&e), what)
				assert.Equal(t, rolling, e.Rollout, what)
				assert.False(t, e.Replaced, what)
				m.pass(20 * time.Second)
			}
			for i, name := range []string{"reviews-2", "reviews-1", "reviews-0"} {
				last := i == 2
				m.tell("west", has("reviews", "west", 2, 3, 1))
				step("deleted", []int{2, 2, 0, 1}, rollout && i > 0)
				m.gone(name)
				m.tell("west", has("reviews", "west", 2, 2, 0))
				step("gone", []int{2, 2, 0, 0}, rollout && i > 0 && !last)
				m.pods("west", m.member(name, revision, byte(10+i)))
				m.tell("west", has("reviews", "west", 2, 3, 0))
				step("comes again", []int{3, 2, 1, 0}, rollout)
				m.tell("west", has("reviews", "west", 3, 3, 0))
				step("ready", []int{3, 3, 0, 0}, rollout && !last)
			}
			e := m.one("reviews")
			assert.Equal(t, rollout, !e.Rolled.IsZero(), "it was under way a moment ago")
			m.tell("west", has("reviews", "west", 2, 3, 0))
			e = m.one("reviews")
			assert.Equal(t, []int{3, 2, 0, 0}, counts(&e))
			assert.False(t, e.Rollout, "one that was ready fails: that is no deployment")
		})
	}
}

// All pods of before are gone when the new ones come: the strategy Recreate, and a StatefulSet of one pod.
func TestOneThatReplacesAllAtOnce(t *testing.T) {
	deployment := func(_ *mesh, revision string, address byte) topology.PodState {
		return pod("reviews", revision, "-aaaaa", address)
	}
	stateful := func(m *mesh, revision string, address byte) topology.PodState {
		return m.member("reviews-0", revision, address)
	}
	for name, tt := range map[string]struct {
		pod  func(*mesh, string, byte) topology.PodState
		next string
		want bool
		// unseen says that nobody saw the endpoints between.
		unseen bool
	}{
		"a deployment, of an older inventory": {deployment, "66cc", true, false},
		"a stateful set":                      {stateful, "66cc", true, false},
		"so quickly that nobody sees it":      {stateful, "66cc", true, true},
		"a pod that was deleted":              {stateful, "5d8f", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMesh(t)
			m.join("west", has("reviews", "west", 1, 1, 0))
			old := tt.pod(m, "5d8f", 1)
			old.Since, old.Seen = m.now, m.now
			m.pods("west", old)
			assert.False(t, m.one("reviews").Rollout)
			m.pass(15 * time.Minute)
			if !tt.unseen {
				m.tell("west", has("reviews", "west", 0, 1, 1))
				assert.Zero(t, m.one("reviews").Desired)
			}
			m.gone(old.Name)
			if !tt.unseen {
				m.tell("west", none("reviews"))
				assert.Zero(t, m.one("reviews").Desired)
			}
			m.pass(10 * time.Second)
			waits := tt.pod(m, tt.next, 0)
			m.pods("west", waits)
			if !tt.unseen {
				e := m.one("reviews")
				assert.Equal(t, []any{-1, tt.want, tt.want}, []any{e.Desired, e.Rollout, e.Replaced}, "it waits for its address")
			}
			fresh := tt.pod(m, tt.next, 2)
			fresh.Since, fresh.Seen = m.now, m.now
			m.pods("west", fresh)
			m.tell("west", has("reviews", "west", 0, 1, 0))
			e := m.one("reviews")
			assert.Equal(t, []any{1, 0, 1, tt.want, tt.want}, []any{e.Total, e.Healthy, e.New, e.Rollout, e.Replaced}, "it is not ready yet")
			ended := m.now
			m.pass(time.Minute)
			m.tell("west", has("reviews", "west", 1, 1, 0))
			e = m.one("reviews")
			assert.Equal(t, []any{0, false, tt.want}, []any{e.New, e.Rollout, e.Replaced})
			if tt.want {
				assert.Equal(t, ended, e.Rolled)
			}
			m.tell("west", has("reviews", "west", 0, 1, 0))
			e = m.one("reviews")
			assert.Equal(t, []any{0, false}, []any{e.New, e.Rollout}, "it was ready, and fails")
			m.pass(recent)
			m.tell("west") // A heartbeat.
			e = m.one("reviews")
			assert.Equal(t, []any{false, false}, []any{e.Rollout, e.Replaced}, "long ago, though nothing is new")
		})
	}
}

// Who looks for the first time knows what was done lately by the pods that came and went.
func TestAFirstLook(t *testing.T) {
	t.Run("scaled up", func(t *testing.T) {
		m := newMesh(t)
		m.join("west", has("reviews", "west", 1, 3, 0))
		m.pods("west", m.member("reviews-0", "a", 1))
		m.pass(time.Hour)
		m.pods("west", m.member("reviews-1", "a", 2), m.member("reviews-2", "a", 3))
		e := m.one("reviews")
		assert.Equal(t, []int{3, 1, 2, 0}, counts(&e))
	})
	t.Run("failed", func(t *testing.T) {
		m := newMesh(t)
		m.join("west", has("reviews", "west", 1, 3, 0))
		m.pods("west", m.member("reviews-0", "a", 1), m.member("reviews-1", "a", 2), m.member("reviews-2", "a", 3))
		m.pass(time.Hour)
		m.tell("west")
		e := m.one("reviews")
		assert.Equal(t, []int{3, 1, 0, 0}, counts(&e))
	})
	t.Run("scaled to zero", func(t *testing.T) {
		m := newMesh(t)
		m.join("west", none("reviews"))
		m.pods("west", m.member("reviews-0", "a", 1))
		m.pass(time.Hour)
		m.gone("reviews-0")
		assert.Zero(t, m.one("reviews").Desired)
	})
	t.Run("deployed", func(t *testing.T) {
		m := newMesh(t)
		m.join("west", has("reviews", "west", 1, 1, 0))
		m.pods("west", m.member("reviews-0", "a", 1))
		m.pass(time.Hour)
		m.gone("reviews-0")
		m.pass(time.Second)
		m.pods("west", m.member("reviews-0", "b", 2))
		m.pass(5 * time.Minute)
		m.tell("west")
		e := m.one("reviews")
		assert.Equal(t, []any{false, true, m.now}, []any{e.Rollout, e.Replaced, e.Rolled}, "perhaps it was ready a moment ago")
		m.tell("west", has("reviews", "west", 1, 2, 0))
		e = m.one("reviews")
		assert.Equal(t, m.now.Add(-5*time.Minute), e.Rolled, "who watched knows better")
	})
}

func TestPending(t *testing.T) {
	m := newMesh(t)
	m.join("west", has("reviews", "west", 4, 4, 0))
	m.join("north", has("reviews", "north", 4, 4, 0))
	m.observe()
	pending := func() []string { return m.watcher.Pending(m.writer.Publish(), m.now) }
	assert.Empty(t, pending(), "both are confirmed as of now")
	state, err := m.watcher.Encode()
	assert.NoError(t, err)

	m.pass(time.Minute)
	m.writer.MarkStale("west", m.now)
	assert.Empty(t, pending(), "whoever falls silent later on is not waited for")
	m.watcher = New()
	assert.NoError(t, m.watcher.Restore(state, m.now))
	m.writer.Remove("north")
	assert.Equal(t, []string{"north", "west"}, pending(), "one is from a copy, the other not even there")
	assert.Equal(t, []string{"north", "west"}, m.watcher.Pending(nil, m.now))
	m.writer.MarkStale("west", time.Time{})
	assert.Equal(t, []string{"north", "west"}, pending(), "confirmed as of a minute ago")
	m.pass(20 * time.Second)
	m.tell("west")
	assert.Equal(t, []string{"north"}, pending())
	m.writer.MarkStale("west", m.now)
	assert.Equal(t, []string{"north", "west"}, pending())
	m.pass(patience - 20*time.Second)
	assert.Empty(t, pending(), "nobody waits for longer")

	m.watcher = New()
	assert.Equal(t, []string{"west"}, pending(), "without a state there is the copy")
	assert.NotPanics(t, func() { assert.Empty(t, New().Pending(nil, m.now)) })
}
