// SPDX-License-Identifier: Apache-2.0

package pairing

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/processors/internal/callattr"
)

var start = time.Unix(1000, 0)

// hold adds a span and lets it wait.
func hold(t *testing.T, s *Store, f Facts, payload any, now time.Time, b *Batch) *Entry {
	t.Helper()
	e := s.Add(&f, now, b)
	_, _, wait := s.Judge(e)
	require.True(t, wait)
	if s.Reserve(e, 10, b) {
		s.Hold(e, &Held{Payload: payload, Bytes: 10}, now, b)
	}
	return e
}

func payloads(b *Batch) []any {
	var all []any
	for _, r := range b.Released {
		all = append(all, r.Payload)
	}
	return all
}

func inTrace(n byte) func(*Facts) { return func(f *Facts) { f.Trace = TraceID{15: n} } }

func TestTheHopsShareOfTheTime(t *testing.T) {
	measure := func(c, s Facts) (State, State) {
		store := newStore(time.Second)
		var b Batch
		e1, e2 := store.Add(&c, start, &b), store.Add(&s, start, &b)
		return e1.now, e2.now
	}
	c, s := measure(client(1, 9), server(2, 1, backend))
	d, ok := c.ViaDuration()
	assert.True(t, ok)
	assert.Equal(t, 30*time.Millisecond, d)
	call := c.Call()
	assert.Equal(t, "north/istio-system/eastwest", call.Via, "the client learns which gateway")
	_, ok = s.ViaDuration()
	assert.False(t, ok, "the server does not know when the call began")

	c, _ = measure(client(1, 9), server(2, 1, backend, func(f *Facts) { f.Duration = 50 * time.Millisecond }))
	d, ok = c.ViaDuration()
	assert.True(t, ok && d == 0, "no time at all is a time")
	c, _ = measure(client(1, 9), server(2, 1, backend, func(f *Facts) { f.Duration = time.Second }))
	_, ok = c.ViaDuration()
	assert.False(t, ok, "a negative time is none")
	c, _ = measure(client(1, 9), server(2, 1, backend, func(f *Facts) { f.Call.Via = "" }))
	_, ok = c.ViaDuration()
	assert.False(t, ok, "no gateway, no share of one")
	c, _ = measure(client(1, 9), server(2, 1, backend, func(f *Facts) { f.Duration = 0 }))
	_, ok = c.ViaDuration()
	assert.False(t, ok, "a span without a duration tells none")

	store := newStore(time.Second)
	var b Batch
	facts := []Facts{client(1, 9), server(2, 1, backend2, code(503)), server(3, 1, backend, proxy(4))}
	e := store.Add(&facts[0], start, &b)
	store.Add(&facts[1], start, &b)
	store.Add(&facts[2], start, &b)
	_, ok = e.now.ViaDuration()
	assert.False(t, ok, "the time of retries is not that of the gateway")
}

func TestConnectionIsToldOnBothSides(t *testing.T) {
	tests := []struct {
		name                   string
		clientVia, serverVia   string
		clientTLS, serverTLS   string
		wantClient, wantServer [2]string
		conflict               conflicts
	}{
		{"the server knows", "", "a", "unknown", "mutual", [2]string{"a", "mutual"}, [2]string{"a", "mutual"}, 0},
		{"the client knows", "a", "", "none", "unknown", [2]string{"a", "none"}, [2]string{"a", "none"}, 0},
		{"a name is better than none", "east_west", "a", "", "", [2]string{"a", ""}, [2]string{"a", ""}, 0},
		{"a name is better than none, the other way", "a", "east_west", "", "", [2]string{"a", ""}, [2]string{"a", ""}, 0},
		{"two gateways", "a", "b", "", "", [2]string{"a", ""}, [2]string{"b", ""}, conflictVia},
		{"two opinions", "", "", "none", "mutual", [2]string{"", "none"}, [2]string{"", "mutual"}, conflictTLS},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := newStore(time.Second)
			var b Batch
			c := client(1, 9, func(f *Facts) { f.Call.Via, f.Call.TLS = tt.clientVia, tt.clientTLS })
			s := server(2, 1, backend, func(f *Facts) { f.Call.Via, f.Call.TLS = tt.serverVia, tt.serverTLS })
			e1, e2 := store.Add(&c, start, &b), store.Add(&s, start, &b)
			one, two := e1.now.Call(), e2.now.Call()
			assert.Equal(t, tt.wantClient, [2]string{one.Via, one.TLS})
			assert.Equal(t, tt.wantServer, [2]string{two.Via, two.TLS})
			assert.Equal(t, tt.conflict, e1.counted)
			assert.Equal(t, tt.conflict, e2.counted)
		})
	}
}

func TestStaleKnowledgeStaysStale(t *testing.T) {
	store := newStore(time.Second)
	var b Batch
	c, s := client(1, 9), server(2, 1, backend, func(f *Facts) { f.Call.Stale = true })
	e := store.Add(&c, start, &b)
	assert.False(t, e.now.stale)
	store.Add(&s, start, &b)
	assert.True(t, e.now.stale)
}

func TestHeldUntilThePartnerComes(t *testing.T) {
	s := newStore(5 * time.Second)
	var b Batch
	hold(t, s, client(1, 9), "client", start, &b)
	assert.EqualValues(t, 1, s.HeldSpans())
	assert.EqualValues(t, 10, s.HeldBytes())
	assert.Empty(t, b.Released)
	f := server(2, 1, backend)
	e := s.Add(&f, start.Add(time.Second), &b)
	assert.Equal(t, []any{"client"}, payloads(&b))
	assert.EqualValues(t, 1, b.Reasons[Paired])
	assert.EqualValues(t, 0, s.HeldSpans())
	assert.EqualValues(t, 0, s.HeldBytes())
	_, now, wait := s.Judge(e)
	assert.False(t, wait)
	call := now.Call()
	assert.Equal(t, "frontend-v1", call.Source.Workload)
}

func TestHeldNoLongerThanTheWait(t *testing.T) {
	s := newStore(5 * time.Second)
	var b Batch
	hold(t, s, client(1, 9), "client", start, &b)
	s.Sweep(start.Add(5*time.Second-1), &b)
	assert.Empty(t, b.Released)
	s.Sweep(start.Add(5*time.Second), &b)
	assert.Equal(t, []any{"client"}, payloads(&b))
	assert.EqualValues(t, 1, b.Reasons[Waited])

	f := server(2, 1, backend)
	e := s.Add(&f, start.Add(50*time.Second), &b)
	_, now, wait := s.Judge(e)
	assert.False(t, wait, "a partner that comes minutes later need not wait")
	call := now.Call()
	assert.Equal(t, "frontend-v1", call.Source.Workload, "and gets its end")
}

func TestForgottenAfterMaxAge(t *testing.T) {
	s := newStore(5 * time.Second)
	var b Batch
	c := client(1, 9)
	s.Add(&c, start, &b)
	s.Sweep(start.Add(time.Minute), &b)
	assert.EqualValues(t, 0, s.Entries())
	for i := range s.shards {
		assert.Empty(t, s.shards[i].nodes, "nothing is left of what is forgotten")
	}
	f := server(2, 1, backend)
	e := s.Add(&f, start.Add(time.Minute), &b)
	_, _, wait := s.Judge(e)
	assert.True(t, wait)
	assert.Zero(t, b.Forgotten, "what is old is not counted as a loss")
}

func TestNeverHeldWithoutAWait(t *testing.T) {
	s := newStore(0)
	var b Batch
	c, f := client(1, 9), server(2, 1, backend)
	e := s.Add(&c, start, &b)
	_, now, wait := s.Judge(e)
	assert.False(t, wait)
	assert.False(t, now.TellsDestination(&e.own))
	e = s.Add(&f, start, &b)
	_, now, wait = s.Judge(e)
	assert.False(t, wait)
	assert.True(t, now.TellsSource(&e.own), "who came earlier helps")
}

func TestDuplicates(t *testing.T) {
	s := newStore(5 * time.Second)
	var b Batch
	hold(t, s, client(1, 9), "first", start, &b)
	hold(t, s, client(1, 9), "copy", start.Add(time.Second), &b)
	assert.EqualValues(t, 1, b.Duplicates)
	assert.EqualValues(t, 1, s.Entries())
	f := server(2, 1, backend)
	s.Add(&f, start.Add(2*time.Second), &b)
	assert.ElementsMatch(t, []any{"first", "copy"}, payloads(&b), "no copy is lost, and all learn the same")
	late := client(1, 9)
	e := s.Add(&late, start.Add(30*time.Second), &b)
	_, now, wait := s.Judge(e)
	assert.False(t, wait)
	call := now.Call()
	assert.Equal(t, "backend-v1", call.Destination.Workload, "a copy that comes later knows it all at once")
}

func TestCeilingOfHeldSpansReleasesTheOldest(t *testing.T) {
	for _, tt := range []struct {
		name     string
		settings Settings
		reason   Reason
	}{
		{"spans", Settings{Wait: time.Second, MaxAge: time.Minute, MaxEntries: 100, MaxHeld: 2, MaxBytes: 1000}, MaxHeldSpans},
		{"bytes", Settings{Wait: time.Second, MaxAge: time.Minute, MaxEntries: 100, MaxHeld: 100, MaxBytes: 25}, MaxHeldMiB},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := NewStore(tt.settings)
			var b Batch
			for n := byte(1); n <= 3; n++ {
				hold(t, s, client(n, 9), n, start, &b)
			}
			assert.Equal(t, []any{byte(1)}, payloads(&b))
			assert.EqualValues(t, 1, b.Reasons[tt.reason])
			assert.EqualValues(t, 2, s.HeldSpans())
			f := server(2, 1, backend)
			e := s.Add(&f, start, &b)
			_, now, _ := s.Judge(e)
			assert.True(t, now.TellsSource(&e.own), "who was let go is still remembered")
		})
	}
	s := NewStore(Settings{Wait: time.Second, MaxAge: time.Minute, MaxEntries: 100, MaxHeld: 10, MaxBytes: 5})
	var b Batch
	f := client(1, 9)
	assert.False(t, s.Reserve(s.Add(&f, start, &b), 10, &b), "what is larger than the ceiling cannot wait")
	assert.EqualValues(t, 1, b.Unheld[MaxHeldMiB])
	assert.EqualValues(t, 0, s.HeldBytes())
}

func TestCeilingOfEntriesForgetsTheOldest(t *testing.T) {
	s := NewStore(Settings{Wait: time.Second, MaxAge: time.Minute, MaxEntries: 2, MaxHeld: 10, MaxBytes: 1000})
	var b Batch
	hold(t, s, client(1, 9), "oldest", start, &b)
	hold(t, s, client(2, 9), "older", start, &b)
	hold(t, s, client(3, 9), "new", start, &b)
	assert.Equal(t, []any{"oldest"}, payloads(&b), "what waited is handed on, not forgotten")
	assert.EqualValues(t, 1, b.Reasons[MaxEntries])
	assert.EqualValues(t, 1, b.Forgotten)
	assert.EqualValues(t, 2, s.Entries())
}

func TestOneParentsChildrenAreBounded(t *testing.T) {
	s := NewStore(Settings{Wait: time.Second, MaxAge: time.Minute, MaxEntries: 1000, MaxHeld: 10, MaxBytes: 1000})
	var b Batch
	c := client(1, 9)
	s.Add(&c, start, &b)
	for n := range byte(100) {
		f := server(100+n, 1, backend)
		s.Add(&f, start, &b)
	}
	assert.EqualValues(t, 100-maxChildren, b.Crowded)
	assert.EqualValues(t, maxChildren+1, s.Entries())
	for n := range byte(10) {
		f := client(1, 0, proxy(uint64(n)+10))
		s.Add(&f, start, &b)
	}
	assert.EqualValues(t, 100-maxChildren+10-(maxSame-1), b.Crowded)
}

func TestWhatTakesNoPart(t *testing.T) {
	s := newStore(time.Second)
	var b Batch
	for name, change := range map[string]func(*Facts){
		"no side":     func(f *Facts) { f.Side = NoSide },
		"no trace":    func(f *Facts) { f.Trace = TraceID{} },
		"no span":     func(f *Facts) { f.Span = SpanID{} },
		"not stamped": func(f *Facts) { f.Call = callattr.Call{} },
	} {
		f := client(1, 9, change)
		assert.Nil(t, s.Add(&f, start, &b), name)
	}
	assert.EqualValues(t, 0, s.Entries())
}

func TestDrain(t *testing.T) {
	s := newStore(5 * time.Second)
	var b Batch
	for n := byte(1); n <= 50; n++ {
		hold(t, s, client(1, 9, inTrace(n)), n, start, &b)
	}
	s.Drain(&b)
	assert.Len(t, b.Released, 50)
	assert.EqualValues(t, 50, b.Reasons[Shutdown])
	assert.EqualValues(t, 0, s.HeldSpans())
}

// TestConcurrently is for the race detector, and counts: no held span may be lost or come twice.
func TestConcurrently(t *testing.T) {
	const workers, spans = 8, 500
	s := NewStore(Settings{Wait: time.Second, MaxAge: 2 * time.Second, MaxEntries: 300, MaxHeld: 50, MaxBytes: 1 << 20})
	batches := make([]Batch, workers+1)
	var held [workers]int
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			b := &batches[w]
			for i := range spans {
				now := start.Add(time.Duration(i) * 10 * time.Millisecond)
				var tr TraceID
				binary.BigEndian.PutUint64(tr[:], uint64(i/2+1))
				f := client(byte(w+1), 9)
				if w%2 == 1 {
					f = server(byte(w+1), byte(w), backend)
				}
				f.Trace = tr
				e := s.Add(&f, now, b)
				if _, _, wait := s.Judge(e); wait && s.Reserve(e, 10, b) {
					s.Hold(e, &Held{Payload: [2]int{w, i}, Bytes: 10}, now, b)
					held[w]++
				}
				if i%50 == 0 {
					s.Sweep(now, b)
				}
			}
		})
	}
	wg.Wait()
	s.Drain(&batches[workers])
	seen := map[any]bool{}
	total := 0
	for w := range held {
		total += held[w]
	}
	for i := range batches {
		for _, r := range batches[i].Released {
			require.False(t, seen[r.Payload], "%v came twice", r.Payload)
			seen[r.Payload] = true
		}
	}
	assert.Len(t, seen, total)
	assert.EqualValues(t, 0, s.HeldSpans())
	assert.EqualValues(t, 0, s.HeldBytes())
	s.Sweep(start.Add(time.Hour), &batches[0])
	assert.EqualValues(t, 0, s.Entries())
	for i := range s.shards {
		assert.Empty(t, s.shards[i].nodes)
	}
}
