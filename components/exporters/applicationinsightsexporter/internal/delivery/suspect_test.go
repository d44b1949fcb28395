// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// stumble answers 500 to, or drops, each request with an item whose text is in it.
func stumble(t *testing.T, text string, how func(http.ResponseWriter)) *fake {
	return serve(t, func(w http.ResponseWriter, _ *http.Request, lines []string) {
		if strings.Contains(strings.Join(lines, ""), text) {
			how(w)
			return
		}
		answerReport(w, 200, len(lines), len(lines))
	})
}

// TestStumble has an item that makes each of its requests fail, without a word on why. The others of its batch get through,
// other batches are not held up, and the item is set aside in the end.
func TestStumble(t *testing.T) {
	for name, how := range map[string]func(http.ResponseWriter){
		"500":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
		"206":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusPartialContent) },
		"crash":   func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"numbers": func(w http.ResponseWriter) { answerReport(w, 200, 1<<20, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			s := stumble(t, `"n00371"`, how)
			r := newRig(t, s.URL, nil)
			b, accepted, blocks := batch(1000), 0, 0
			var dead []Dead
			for attempts := 0; b.Len() > 0; attempts++ {
				require.Less(t, attempts, 40)
				got := r.send(b)
				accepted += got.Accepted
				dead = append(dead, got.Dead...)
				for _, i := range got.Struck {
					b.Strike(i)
				}
				b = b.Pick(got.Left)
				if cause, _, _ := r.dest.Blocked(); cause != "" {
					blocks++
				}
				// What comes new goes along, as in the queue, and on its own.
				r.clock.advance(5 * time.Second)
				require.Equal(t, 10, r.send(batch(10)).Accepted, "others are not held up")
				if b.Len() > 0 {
					b.Join(batch(3))
					accepted -= 3
				}
				r.clock.advance(20 * time.Second)
			}
			assert.Equal(t, 999, accepted)
			require.Len(t, dead, 1)
			assert.Equal(t, ReasonRefused, dead[0].Reason)
			assert.Equal(t, 1, blocks, "only the first failure may be the destination's")
		})
	}
}

// TestDown is the same for an endpoint that is down: no item is to blame.
func TestDown(t *testing.T) {
	s := stumble(t, `n`, func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) })
	r := newRig(t, s.URL, nil)
	b := batch(500)
	for range 200 {
		got := r.send(b)
		require.Len(t, got.Left, 500)
		require.Empty(t, got.Struck)
		r.clock.advance(10 * time.Second)
	}
	requests := s.got()
	assert.Less(t, len(requests), 150)
	for i, request := range requests[1:] {
		assert.LessOrEqual(t, len(request.lines), max(1, probeItems>>i), "each probe that fails makes the next one smaller")
	}
}

// TestFlaky fails at random: nothing is set aside, however often it fails.
func TestFlaky(t *testing.T) {
	const rounds = 120
	for _, percent := range []int{10, 30, 50, 70, 90} {
		random := rand.New(rand.NewPCG(uint64(percent), 1))
		s := serve(t, func(w http.ResponseWriter, _ *http.Request, lines []string) {
			if random.IntN(100) < percent {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			answerReport(w, 200, len(lines), len(lines))
		})
		r := newRig(t, s.URL, nil)
		accepted := 0
		b := &items.Batch{}
		for range rounds {
			b.Join(batch(20))
			got := r.send(b)
			require.Empty(t, got.Dead, "%d %%", percent)
			accepted += got.Accepted
			for _, i := range got.Struck {
				b.Strike(i)
			}
			b = b.Pick(got.Left)
			r.clock.advance(30 * time.Second)
		}
		assert.Equal(t, rounds*20, accepted+b.Len())
		t.Log(percent, "% fail:", accepted, "accepted,", len(s.got()), "requests")
	}
}

// TestSearchEnds has the endpoint go down in the middle of a search.
func TestSearchEnds(t *testing.T) {
	down := false
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, lines []string) {
		if down || len(lines) > 1000 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		answerReport(w, 200, len(lines), len(lines))
	})
	r := newRig(t, s.URL, nil)
	b := batch(3000)
	require.Len(t, r.send(b).Left, 3000)
	r.clock.advance(2 * time.Second)
	require.Equal(t, 1, r.send(batch(1)).Accepted)
	down = true
	before := len(s.got())
	got := r.send(b)
	assert.Len(t, got.Left, 3000)
	assert.LessOrEqual(t, len(s.got())-before, maxInRow+1)
	cause, _, _ := r.dest.Blocked()
	assert.Equal(t, CauseUnavailable, cause)
}

// TestSlowEndpoint stores everything, but takes longer than the client waits for more than some bytes: bodies get smaller
// until they pass, so that not everything is stored again and again.
func TestSlowEndpoint(t *testing.T) {
	stored := map[string]int{}
	s := serve(t, func(w http.ResponseWriter, r *http.Request, lines []string) {
		for _, line := range lines {
			stored[line]++
		}
		if len(strings.Join(lines, "\n")) > 300<<10 {
			<-r.Context().Done()
			return
		}
		answerReport(w, 200, len(lines), len(lines))
	})
	r := newRig(t, s.URL, func(s *Settings) { s.Timeout = 100 * time.Millisecond })
	double := 0
	for n := range 5 {
		b := &items.Batch{}
		for i := range 8000 {
			add(b, n*8000+i, start)
		}
		for attempts := 0; b.Len() > 0; attempts++ {
			require.Less(t, attempts, 30)
			got := r.send(b)
			b = b.Pick(got.Left)
			r.clock.advance(31 * time.Second)
		}
	}
	require.Len(t, stored, 40_000)
	for _, count := range stored {
		double += count - 1
	}
	t.Log("stored twice:", double)
	assert.Less(t, double, 30_000)
}

// TestWrongDate has one answer with a Date three days ahead: it must not keep everything from being sent from then on.
func TestWrongDate(t *testing.T) {
	wrong := true
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, lines []string) {
		at := start
		if wrong {
			at = start.Add(72 * time.Hour)
		}
		w.Header().Set("Date", at.Format(http.TimeFormat))
		answerReport(w, 200, len(lines), len(lines))
	})
	r := newRig(t, s.URL, nil)
	require.Equal(t, 1, r.send(batch(1)).Accepted)
	wrong = false
	require.Equal(t, 5, r.send(batch(5)).Accepted)
	skew, _ := r.dest.ClockSkew()
	assert.Zero(t, skew)
}

// TestForeignSuccess has something else answer 200.
func TestForeignSuccess(t *testing.T) {
	for _, body := range []string{"OK", "It works!", `"ok"`, "<ok/>"} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request, _ []string) { _, _ = fmt.Fprint(w, body) })
		r := newRig(t, s.URL, nil)
		got := r.send(batch(3))
		assert.Equal(t, "accepted 0, sampled out 0, left [0 1 2], uncertain 3", short(got), body)
		assert.Equal(t, CauseConfiguration, causeOf(t, got))
	}
}

// TestForgottenBlock shows no block that nobody asks about any more.
func TestForgottenBlock(t *testing.T) {
	s := stumble(t, `n`, func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) })
	r := newRig(t, s.URL, nil)
	r.send(batch(1))
	r.clock.advance(time.Minute)
	cause, _, _ := r.dest.Blocked()
	assert.Equal(t, CauseThrottled, cause)
	r.clock.advance(2 * time.Second)
	cause, _, _ = r.dest.Blocked()
	assert.Empty(t, cause)
	assert.Equal(t, time.Second, r.dest.BlockedFor())
	r.send(batch(1))
	cause, _, _ = r.dest.Blocked()
	assert.Equal(t, CauseThrottled, cause)
}
