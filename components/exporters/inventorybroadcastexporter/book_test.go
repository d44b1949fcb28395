// SPDX-License-Identifier: Apache-2.0

package inventorybroadcastexporter

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
)

// counted returns the sum of a metric's points with the attribute.
func counted(t *testing.T, tel *componenttest.Telemetry, name, attr, value string) (sum int64) {
	t.Helper()
	m, err := tel.GetMetric(name)
	require.NoError(t, err)
	var points []metricdata.DataPoint[int64]
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		points = data.DataPoints
	case metricdata.Gauge[int64]:
		points = data.DataPoints
	}
	for _, p := range points {
		if v, ok := p.Attributes.Value(attribute.Key(attr)); ok && v.AsString() == value {
			sum += p.Value
		}
	}
	return sum
}

type testBook struct {
	*book
	now  time.Time
	lost int
}

func newTestBook(ceiling int) *testBook {
	b := &testBook{now: time.Unix(1_800_000_000, 0)}
	b.book = newBook(ceiling, func() time.Time { return b.now }, func(n int) { b.lost += n })
	return b
}

func (b *testBook) put(messages ...*inventory.Message) (last uint64) {
	for _, m := range messages {
		last = b.add(&m.Header, plog.NewLogs(), 10)
	}
	return last
}

// kept returns what a newcomer gets, by sequence.
func (b *testBook) kept() (first, later []uint64) {
	f, l, _ := b.newcomer()
	for _, e := range f {
		first = append(first, e.header.Sequence)
	}
	for _, e := range l {
		later = append(later, e.header.Sequence)
	}
	return first, later
}

func TestTheBookKeepsWhatANewcomerNeeds(t *testing.T) {
	b := newTestBook(1000)
	b.put(message("west", 1, 1, 1), message("west", 2, 0, 0), message("west", 3, 1, 2))
	first, later := b.kept()
	assert.Equal(t, []uint64{1, 2, 3}, first, "a snapshot that is not complete replaces nothing")
	assert.Empty(t, later)
	last := b.put(message("west", 4, 2, 2), message("west", 5, 0, 0))
	first, _ = b.kept()
	assert.Equal(t, []uint64{3, 4, 5}, first)
	assert.Equal(t, 50, b.held(), "replicas may still need the rest")
	b.tidy(1)
	assert.Equal(t, 40, b.held())
	b.tidy(last)
	assert.Equal(t, 30, b.held())
	assert.Equal(t, last, b.put(message("west", 5, 0, 0)), "the same message again")
	assert.Equal(t, 30, b.held())
}

func TestANewLeader(t *testing.T) {
	b := newTestBook(1000)
	b.put(message("west", 1, 1, 1), message("west", 2, 0, 0))
	next := message("west", 1, 1, 1)
	next.Epoch = 8
	b.put(next)
	first, _, _ := b.newcomer()
	require.Len(t, first, 1)
	assert.Equal(t, int64(8), first[0].header.Epoch)
}

// TestALeaderWhoseClockWasAhead does not lock out its successor.
func TestALeaderWhoseClockWasAhead(t *testing.T) {
	b := newTestBook(1000)
	ahead := message("west", 1, 1, 1)
	ahead.Epoch = 9
	b.put(ahead)
	b.now = b.now.Add(staleAfter - time.Second)
	b.put(message("west", 1, 1, 1))
	first, _, _ := b.newcomer()
	require.Len(t, first, 1)
	assert.Equal(t, int64(9), first[0].header.Epoch, "it may be a late message of a leader that is over")
	b.now = b.now.Add(2 * time.Second)
	last := b.put(message("west", 2, 1, 1), message("west", 3, 0, 0))
	kept, _ := b.kept()
	assert.Equal(t, []uint64{2, 3}, kept)
	b.tidy(last)
	assert.Equal(t, 20, b.held())
}

// TestSnapshotsThatNeverComplete are followed up to a number.
func TestSnapshotsThatNeverComplete(t *testing.T) {
	b := newTestBook(1 << 20)
	for sequence := uint64(1); sequence < 500; sequence += 5 {
		b.put(message("west", sequence, 1, 3))
	}
	assert.LessOrEqual(t, len(b.clusters["west"].coming), maxComing)
	b.put(message("west", 497, 2, 3), message("west", 498, 3, 3))
	first, _ := b.kept()
	assert.Equal(t, []uint64{496, 497, 498}, first)
}

func TestChunksThatComeOutOfOrder(t *testing.T) {
	b := newTestBook(1000)
	b.put(message("west", 3, 3, 3), message("west", 1, 1, 3))
	_, later := b.kept()
	assert.Equal(t, []uint64{3, 1}, later)
	b.put(message("west", 2, 2, 3))
	first, _ := b.kept()
	assert.Equal(t, []uint64{3, 1, 2}, first, "the hub puts them in order")
}

func TestTheCeiling(t *testing.T) {
	b := newTestBook(35)
	b.put(message("west", 1, 1, 1), message("west", 2, 0, 0), message("west", 3, 0, 0), message("west", 4, 0, 0))
	assert.Equal(t, 1, b.lost)
	assert.Equal(t, 30, b.held())
	entries, _ := b.after(0)
	require.Len(t, entries, 3)
	assert.Equal(t, uint64(2), entries[0].header.Sequence)
	entries, _ = b.after(3)
	require.Len(t, entries, 1)
}

func TestAClusterThatIsSilentForLong(t *testing.T) {
	b := newTestBook(1000)
	b.put(message("west", 1, 1, 1))
	b.now = b.now.Add(forgetAfter + time.Second)
	last := b.put(message("east", 1, 1, 1))
	b.tidy(last)
	assert.Equal(t, 10, b.held())
}

// TestOneClusterPushesOutItself alone: whoever speaks for one cluster does not take the others from replicas that join.
func TestOneClusterPushesOutItself(t *testing.T) {
	b := newTestBook(100)
	b.put(message("west", 1, 1, 1), message("west", 2, 0, 0))
	for sequence := uint64(1); sequence <= 500; sequence++ {
		b.put(message("east", sequence, 0, 0))
	}
	west, east := b.kept()
	assert.Equal(t, []uint64{1, 2}, west)
	assert.Len(t, east, 8)
	assert.Equal(t, uint64(500), east[7])
	assert.Equal(t, 492, b.lost)
	assert.Equal(t, 100, b.held())
}

// TestWhatNobodyNeedsGoesFirst under the ceiling, even if no replica is there that has passed it.
func TestWhatNobodyNeedsGoesFirst(t *testing.T) {
	b := newTestBook(50)
	b.put(message("east", 1, 1, 1), message("west", 1, 1, 1), message("west", 2, 0, 0), message("west", 3, 1, 1))
	b.put(message("west", 4, 0, 0), message("west", 5, 0, 0))
	first, _ := b.kept()
	assert.Equal(t, []uint64{1, 3, 4, 5}, first)
	assert.Equal(t, 2, b.lost)
}

// TestNamesGoWithTheirMessages: nobody fills the memory with names of clusters.
func TestNamesGoWithTheirMessages(t *testing.T) {
	b := newTestBook(100)
	for i := range 1000 {
		b.put(message("cluster-"+strconv.Itoa(i), 1, 1, 1))
	}
	assert.Len(t, b.clusters, 10)
	assert.Len(t, b.numbers, 10)
}

func TestWhatASlowReplicaHasToGetStaysInTheBook(t *testing.T) {
	b := newTestBook(10 * chunkBytes)
	for sequence := uint64(1); sequence <= 8; sequence++ {
		m := message("west", sequence, 0, 0)
		b.add(&m.Header, plog.NewLogs(), chunkBytes/2)
	}
	entries, _ := b.after(3)
	require.Len(t, entries, 2)
	assert.Equal(t, uint64(4), entries[0].number)
	m := message("west", 9, 0, 0)
	b.add(&m.Header, plog.NewLogs(), 2*chunkBytes)
	entries, _ = b.after(8)
	assert.Len(t, entries, 1, "one that is larger goes alone")
}
