// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/connection"
)

// stubRig has a transport of its own instead of a network, so that it works within a bubble of synctest.
func stubRig(tb testing.TB, now func() time.Time, answer transport) (*Destination, *fixed) {
	tb.Helper()
	c := &fixed{}
	c.set(tb, "http://127.0.0.1:1", testKey)
	dest, err := NewDestination(Settings{Client: &http.Client{Transport: answer}, Connection: c, Now: now, Random: func() float64 { return 0.5 }})
	require.NoError(tb, err)
	return dest, c
}

func report200(r *http.Request, n int) *http.Response {
	return answerWith(r, 200, nil, fmt.Appendf(nil, `{"itemsReceived":%d,"itemsAccepted":%d,"errors":[]}`, n, n))
}

// TestProbe blocks a destination and lets many come back at once: one goes ahead, and the others wait for it.
func TestProbe(t *testing.T) {
	for _, recovers := range []bool{true, false} {
		t.Run(strconv.FormatBool(recovers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var requests atomic.Int64
				hold := make(chan struct{})
				dest, _ := stubRig(t, time.Now, func(r *http.Request) (*http.Response, error) {
					lines, err := readLines(r.Body)
					_ = r.Body.Close()
					if err != nil {
						return nil, err
					}
					switch requests.Add(1) {
					case 1:
						return answerWith(r, 429, http.Header{"Retry-After": {"60"}}, nil), nil
					case 2:
						<-hold
						if !recovers {
							return answerWith(r, 429, http.Header{"Retry-After": {"60"}}, nil), nil
						}
					}
					return report200(r, len(lines)), nil
				})
				send := func() Result { return dest.Sender(nil).Send(t.Context(), batch(2)) }
				require.Len(t, send().Left, 2)
				time.Sleep(time.Minute)

				var all sync.WaitGroup
				results := make([]Result, 20)
				for i := range results {
					all.Go(func() { results[i] = send() })
				}
				synctest.Wait()
				assert.Equal(t, int64(2), requests.Load(), "one probe, the others wait")
				close(hold)
				all.Wait()
				for _, got := range results {
					if recovers {
						assert.Equal(t, 2, got.Accepted)
					} else {
						assert.Len(t, got.Left, 2)
						assert.Equal(t, time.Minute, got.Delay)
					}
				}
				if recovers {
					assert.Equal(t, int64(21), requests.Load())
				} else {
					assert.Equal(t, int64(2), requests.Load())
				}
			})
		})
	}
}

// TestProbeCanceled lets the probe be canceled: another takes its place. A waiting one is canceled as well.
func TestProbeCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int64
		dest, _ := stubRig(t, time.Now, func(r *http.Request) (*http.Response, error) {
			_ = r.Body.Close()
			switch requests.Add(1) {
			case 1:
				return answerWith(r, 503, nil, nil), nil
			case 2:
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return report200(r, 1), nil
		})
		send := func(ctx context.Context) Result { return dest.Sender(nil).Send(ctx, batch(1)) }
		require.Len(t, send(t.Context()).Left, 1)
		time.Sleep(time.Second)

		ctx, cancel := context.WithCancel(t.Context())
		probe := make(chan Result, 1)
		go func() { probe <- send(ctx) }()
		synctest.Wait()
		short, cancelShort := context.WithTimeout(t.Context(), time.Second)
		defer cancelShort()
		impatient := send(short)
		assert.Equal(t, CauseTimeout, causeOf(t, impatient))
		assert.Zero(t, impatient.Uncertain)
		waiting := make(chan Result, 1)
		go func() { waiting <- send(t.Context()) }()
		synctest.Wait()
		cancel()
		assert.Equal(t, CauseCanceled, causeOf(t, <-probe))
		assert.Equal(t, 1, (<-waiting).Accepted)
		assert.Equal(t, int64(3), requests.Load())
	})
}

// TestBackoff fails without an end: the wait doubles up to its bound, and requests that began before do not make it longer.
func TestBackoff(t *testing.T) {
	clock := newClock()
	dest, _ := stubRig(t, clock.Now, func(*http.Request) (*http.Response, error) { return nil, errors.New("no way there") })
	sender := dest.Sender(nil)
	var waits []time.Duration
	for range 8 {
		got := sender.Send(t.Context(), batch(1))
		assert.Equal(t, CauseNetwork, causeOf(t, got))
		assert.Zero(t, got.Uncertain, "nobody read the body")
		waits = append(waits, got.Delay/time.Second)
		clock.advance(got.Delay)
	}
	assert.Equal(t, []time.Duration{1, 2, 4, 8, 16, 30, 30, 30}, waits)
	assert.Equal(t, 30*time.Second, dest.settings.backoff(1000))
	for _, random := range []float64{0, 0.999} {
		dest.settings.Random = func() float64 { return random }
		assert.InDelta(t, 4*time.Second, dest.settings.backoff(3), float64(time.Second))
	}
}

func TestGateEpochs(t *testing.T) {
	clock := newClock()
	settings := Settings{Now: clock.Now, Random: func() float64 { return 0.5 }, Client: &http.Client{}}.withDefaults()
	g := &gate{settings: &settings}
	info := parse(t, testKey)
	enter := func() *pass {
		p, _, _ := g.enter(t.Context(), info)
		require.NotNil(t, p)
		return p
	}
	one, two, three, four := enter(), enter(), enter(), enter()
	why := &Failure{Cause: CauseUnavailable}
	assert.Equal(t, time.Second, one.block(why, 0))
	assert.Zero(t, two.block(why, 0), "the block is known, and no news")
	assert.Zero(t, two.block(why, 0), "a pass counts once")
	three.succeed()
	assert.Equal(t, time.Second, g.remaining(), "a success from before the block does not end it")
	assert.Equal(t, time.Minute, four.block(&Failure{Cause: CauseThrottled}, time.Minute), "but it lasts as long as the endpoint wants")
	assert.Equal(t, time.Minute, g.remaining())

	// The probe fails, and all is as before but for the back-off.
	clock.advance(time.Minute)
	probe := enter()
	assert.True(t, probe.probe)
	assert.Zero(t, g.remaining())
	cause, since, _, total := g.look()
	assert.Equal(t, CauseThrottled, cause)
	assert.Equal(t, start, since)
	assert.Equal(t, time.Minute, total)
	assert.Equal(t, 2*time.Second, probe.block(why, 0))
	clock.advance(2 * time.Second)
	probe = enter()
	probe.release()
	probe.succeed()
	assert.NotEmpty(t, func() Cause { c, _, _, _ := g.look(); return c }(), "a pass counts once")
	probe = enter()
	assert.True(t, probe.probe)

	// Another connection opens the gate even while a probe is under way, and those who wait go on.
	waiting := make(chan *pass)
	go func() { p, _, _ := g.enter(t.Context(), info); waiting <- p }()
	other, _, _ := g.enter(t.Context(), parse(t, "22222222-2222-2222-2222-222222222222"))
	assert.False(t, other.probe)
	assert.False(t, (<-waiting).probe)
	assert.Zero(t, probe.block(why, 0), "old news")
	cause, _, _, total = g.look()
	assert.Empty(t, cause)
	assert.Equal(t, 62*time.Second, total)

	// An old request may still ask for a pause.
	late := enter()
	enter().block(why, time.Second)
	clock.advance(time.Second)
	enter().succeed()
	assert.Equal(t, time.Hour, late.block(why, time.Hour))
}

func parse(tb testing.TB, key string) *connection.Info {
	tb.Helper()
	info, err := connection.Parse("InstrumentationKey="+key+";IngestionEndpoint=http://127.0.0.1:1", connection.Options{})
	require.NoError(tb, err)
	return info
}

// TestManySenders is for the race detector: all that senders share, with faults of all kinds.
func TestManySenders(t *testing.T) {
	var n atomic.Int64
	dest, _ := stubRig(t, time.Now, func(r *http.Request) (*http.Response, error) {
		lines, err := readLines(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
		date := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}
		switch n.Add(1) % 7 {
		case 1:
			return answerWith(r, 503, http.Header{"Retry-After": {"0.001"}}, nil), nil
		case 3:
			return answerWith(r, 413, date, nil), nil
		case 5:
			return answerWith(r, 206, date, fmt.Appendf(nil, `{"itemsReceived":%d,"itemsAccepted":%d,"errors":[{"index":0,"statusCode":500}]}`, len(lines), len(lines)-1)), nil
		default:
			return report200(r, len(lines)), nil
		}
	})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			sender := dest.Sender(&recorder{})
			for range 50 {
				b := batch(20)
				checkResult(t, b, sender.Send(t.Context(), b))
				dest.Blocked()
				dest.BlockedFor()
				dest.ClockSkew()
			}
		})
	}
	all.Wait()
}
