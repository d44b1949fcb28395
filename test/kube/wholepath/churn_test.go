// SPDX-License-Identifier: Apache-2.0

package wholepath_test

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/test/kube/churn"
)

const (
	podsEach = 500
	// rate is the events (a pod replaced, a node drained, …) that begin in a second in each cluster.
	rate = 10
	// moments is how many questions about the past are asked.
	moments = 1000
	// slack is how much longer than the API server's own answer a watcher may need to hear of something.
	slack = 2 * time.Second
)

// TestTheHubKnowsWhoHadAnAddress churns two clusters whose pods have the same addresses, and then asks the hub who had an
// address now and at random moments of the past. It may say that it does not know; it must never name another pod.
func TestTheHubKnowsWhoHadAnAddress(t *testing.T) {
	s := newStage(t, "")
	truth := churn.NewTruth()
	drivers := make([]*churn.Driver, len(s.regions))
	for i, r := range s.regions {
		drivers[i] = r.driver(t, truth, podsEach, rate, uint64(i)+1)
	}
	s.inventory(s.regions[0], "127.9.1.1", "")
	s.inventory(s.regions[1], "127.9.2.1", "")
	fill(t, drivers)
	from := time.Now()
	run(t, drivers, duration(t))
	to := time.Now()
	for i, d := range drivers {
		t.Logf("%s: %v", s.regions[i].Name, d.Counts())
	}
	took := s.eventually("the hub has heard of everything", func() bool { return s.confirmed(to.Add(slack)) })
	t.Logf("the hub confirms all of it %s after the last event", took.Round(time.Millisecond))

	now := map[churn.Verdict]int{}
	for _, place := range truth.Places() {
		judge(t, now, truth, churn.Moment{Network: place.Network, Address: place.Address, At: to}, time.Time{})
	}
	t.Logf("now: %v", now)
	assert.Zero(t, now[churn.Wrong], "wrong answers about the present")
	assert.Zero(t, now[churn.Missed], "pods that run and are not known")

	past := map[churn.Verdict]int{}
	for _, m := range truth.Moments(7, moments, from, to) {
		judge(t, past, truth, m, m.At)
	}
	t.Logf("at %d moments of the past: %v", moments, past)
	assert.Zero(t, past[churn.Wrong], "wrong answers about the past")
	assert.Zero(t, past[churn.Missed], "settled holders that were not named")
	assert.Greater(t, past[churn.Right], moments/2)
}

// duration is how long the pods churn: long enough for a few hundred address changes; OTELCOL_MESH_CHURN=5m is what the
// figures in the README were taken with.
func duration(t *testing.T) time.Duration {
	text := os.Getenv("OTELCOL_MESH_CHURN")
	if text == "" {
		return 30 * time.Second
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, "OTELCOL_MESH_CHURN")
	return d
}

// judge asks the hub and counts the verdict. A zero at asks about the present.
func judge(t *testing.T, counts map[churn.Verdict]int, truth *churn.Truth, m churn.Moment, at time.Time) {
	t.Helper()
	named := who(t, m.Network, m.Address.String(), at)
	answer := truth.Holder(m.Network, m.Address, m.At, slack)
	verdict := answer.Judge(named)
	counts[verdict]++
	if verdict == churn.Wrong || verdict == churn.Missed {
		var history json.RawMessage
		require.NoError(t, ask(t, "/topology/address", url.Values{"network": {m.Network}, "address": {m.Address.String()}}, &history))
		t.Logf("%s: %s in %s at %s: the hub says %+v, the truth is %+v\nits knowledge: %s",
			verdict, m.Address, m.Network, m.At.UTC().Format(time.RFC3339Nano), named, answer, history)
		for _, n := range truth.Tenancies() {
			if n.Network == m.Network && n.Address == m.Address {
				t.Logf("true tenancy: %+v", n)
			}
		}
	}
}

// who asks the hub who had an address. The zero PodID stands for nobody or not known.
func who(t *testing.T, network, address string, at time.Time) churn.PodID {
	t.Helper()
	query := url.Values{"network": {network}, "address": {address}}
	if !at.IsZero() {
		query.Set("at", at.UTC().Format(time.RFC3339Nano))
	}
	var said struct {
		Networks []struct {
			Network string
			Pod     *struct{ Cluster, Namespace, Name, UID string }
		}
	}
	require.NoError(t, ask(t, "/topology/address", query, &said))
	for _, n := range said.Networks {
		require.Equal(t, network, n.Network)
		if n.Pod != nil {
			return churn.PodID{Cluster: n.Pod.Cluster, Namespace: n.Pod.Namespace, Name: n.Pod.Name, UID: n.Pod.UID}
		}
	}
	return churn.PodID{}
}

func fill(t *testing.T, drivers []*churn.Driver) {
	t.Helper()
	began := time.Now()
	each(t, drivers, func(d *churn.Driver) error { return d.Fill(t.Context()) })
	t.Logf("%d clusters have their pods after %s", len(drivers), time.Since(began).Round(time.Millisecond))
}

func run(t *testing.T, drivers []*churn.Driver, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	each(t, drivers, func(d *churn.Driver) error { return d.Run(ctx) })
}

func each(t *testing.T, drivers []*churn.Driver, do func(*churn.Driver) error) {
	t.Helper()
	errs := make([]error, len(drivers))
	var wait sync.WaitGroup
	for i, d := range drivers {
		wait.Go(func() { errs[i] = do(d) })
	}
	wait.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}
