// SPDX-License-Identifier: Apache-2.0

package churn

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	start   = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	address = netip.MustParseAddr("10.244.0.9")
	first   = PodID{Cluster: "c", Namespace: "n", Name: "first", UID: "1"}
	second  = PodID{Cluster: "c", Namespace: "n", Name: "second", UID: "2"}
)

func at(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

// handedOver is a record in which the address goes from the first pod (1.5 to 10.5, told at 12) to the second (11.2).
func handedOver(t *testing.T) *Truth {
	truth := NewTruth()
	a, err := truth.begin("net", address, first, at(1.5))
	require.NoError(t, err)
	truth.update(func() { a.Started, a.End, a.Told = at(1.6), at(10.5), at(12) })
	b, err := truth.begin("net", address, second, at(11.2))
	require.NoError(t, err)
	truth.update(func() { b.Started = at(11.3) })
	return truth
}

func TestHolder(t *testing.T) {
	truth := handedOver(t)
	nobody := PodID{}
	for _, test := range []struct {
		at      float64
		holder  PodID
		settled bool
		near    []PodID
	}{
		{0.9, nobody, true, nil},
		{1.0, nobody, false, []PodID{first}}, // Kubernetes tells the whole second
		{1.5, first, false, nil},
		{1.6, first, false, nil}, // within the slack
		{1.8, first, true, nil},
		{10.4, first, true, nil},
		{10.5, nobody, false, []PodID{first}},
		{11.1, nobody, false, []PodID{first, second}},
		{11.2, second, false, []PodID{first}},
		{12.1, second, false, []PodID{first}}, // within the slack
		{12.2, second, true, nil},
		{9999, second, true, nil},
	} {
		want := Answer{Holder: test.holder, Settled: test.settled, Near: test.near}
		assert.Equal(t, want, truth.Holder("net", address, at(test.at), 100*time.Millisecond), "%v", test.at)
	}
	assert.Equal(t, Answer{Settled: true}, truth.Holder("other", address, at(5), 0))
	assert.Equal(t, first, truth.Named("c", "n", "first", at(5), 0).Holder)
	assert.Equal(t, Answer{Settled: true}, truth.Named("c", "n", "first", at(15), 0))
	assert.Equal(t, Answer{Settled: true}, truth.Named("c", "n", "third", at(15), 0))
}

func TestJudge(t *testing.T) {
	nobody := PodID{}
	withoutUID := PodID{Cluster: "c", Namespace: "n", Name: "first"}
	for _, test := range []struct {
		name  string
		truth Answer
		named PodID
		want  Verdict
	}{
		{"the holder", Answer{Holder: first, Settled: true}, first, Right},
		{"the holder without its uid", Answer{Holder: first, Settled: true}, withoutUID, Right},
		{"the holder of another uid", Answer{Holder: first, Settled: true}, PodID{"c", "n", "first", "9"}, Wrong},
		{"another pod", Answer{Holder: first, Settled: true}, second, Wrong},
		{"nobody instead of the holder", Answer{Holder: first, Settled: true}, nobody, Missed},
		{"nobody instead of a new holder", Answer{Holder: first}, nobody, Undecided},
		{"the predecessor of a new holder", Answer{Holder: second, Near: []PodID{first}}, first, Wrong},
		{"nobody", Answer{Settled: true}, nobody, Right},
		{"somebody instead of nobody", Answer{Settled: true}, first, Wrong},
		{"nobody between two", Answer{Near: []PodID{first, second}}, nobody, Right},
		{"one of two while neither holds", Answer{Near: []PodID{first, second}}, second, Undecided},
		{"a third one", Answer{Near: []PodID{first}}, second, Wrong},
	} {
		assert.Equal(t, test.want, test.truth.Judge(test.named), test.name)
	}
	assert.Equal(t, "missed", Missed.String())
}

func TestAnAddressHasOnePod(t *testing.T) {
	truth := handedOver(t)
	_, err := truth.begin("net", address, first, at(13))
	require.ErrorContains(t, err, `10.244.0.9 in network "net" has two pods`)
	_, err = truth.begin("other", address, first, at(13))
	require.NoError(t, err)
}

func TestMoments(t *testing.T) {
	truth := handedOver(t)
	moments := truth.Moments(1, 200, at(0), at(20))
	assert.Len(t, moments, 200)
	assert.Equal(t, moments, truth.Moments(1, 200, at(0), at(20)))
	assert.NotEqual(t, moments, truth.Moments(2, 200, at(0), at(20)))
	verdicts := map[bool]int{}
	for _, m := range moments {
		assert.WithinRange(t, m.At, at(0), at(20))
		verdicts[truth.Holder(m.Network, m.Address, m.At, 0).Settled]++
	}
	assert.Greater(t, verdicts[true], 50, "moments at which the answer is certain")
	assert.Greater(t, verdicts[false], 20, "moments at which it is not")
	assert.Empty(t, NewTruth().Moments(1, 5, at(0), at(20)))
	assert.Empty(t, truth.Moments(1, 5, at(20), at(20)))
}
