// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

func TestTooOld(t *testing.T) {
	s := endpoint(t, ingestiontest.Config{})
	r := newRig(t, s.URL(), nil)
	b := batch(1)
	add(b, 1, start.Add(-48*time.Hour-time.Second))
	add(b, 2, start.Add(-72*time.Hour))

	// At first the clock of the endpoint is unknown, and it decides.
	got := r.send(b)
	assert.Equal(t, "accepted 1, sampled out 0, left [], uncertain 0, dead 1 too_old 400, dead 2 too_old 400", short(got))
	assert.Contains(t, got.Dead[0].Message, "103: ")

	// Then what is too old for certain is not sent any more.
	got = r.send(b)
	assert.Equal(t, "accepted 1, sampled out 0, left [], uncertain 0, dead 1 too_old 400, dead 2 too_old 0", short(got))
	assert.Equal(t, 2, s.Requests()[1].Items)
	assert.Empty(t, r.observer.skews)
}

// TestClocksDiffer has this machine two days ahead, and then two days behind: no good item is given up.
func TestClocksDiffer(t *testing.T) {
	for name, off := range map[string]time.Duration{"ahead": 48 * time.Hour, "behind": -48 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			s := endpoint(t, ingestiontest.Config{})
			r := newRig(t, s.URL(), nil)
			r.clock.advance(off)
			for range 3 {
				assert.Equal(t, 2, r.send(batch(2)).Accepted, "by the clock of the endpoint these are new")
			}
			skew, known := r.dest.ClockSkew()
			assert.True(t, known)
			assert.Equal(t, -off, skew)
			assert.Equal(t, []time.Duration{-off}, r.observer.skews, "told once")

			old := &items.Batch{}
			add(old, 1, start.Add(-100*time.Hour))
			got := r.send(old)
			assert.Equal(t, "accepted 0, sampled out 0, left [], uncertain 0, dead 0 too_old 0", short(got))
			assert.Contains(t, got.Dead[0].Message, "the clock of this machine is 48h0m0s "+name+" ")

			// It is put right, and that is told as well.
			r.clock.advance(-off)
			assert.Equal(t, 2, r.send(batch(2)).Accepted)
			assert.Equal(t, []time.Duration{-off, 0}, r.observer.skews)
		})
	}
}

// TestForeignDate has a proxy with a wrong clock: its Date is not believed.
func TestForeignDate(t *testing.T) {
	proxy := true
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, lines []string) {
		if proxy {
			w.Header().Set("Date", start.Add(1000*time.Hour).Format(http.TimeFormat))
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Header()["Date"] = nil
		answerReport(w, 200, len(lines), len(lines))
	})
	r := newRig(t, s.URL, nil)
	got := r.send(batch(2))
	r.clock.advance(got.Delay)
	_, known := r.dest.ClockSkew()
	assert.False(t, known)
	proxy = false
	assert.Equal(t, 2, r.send(batch(2)).Accepted)
	_, known = r.dest.ClockSkew()
	assert.False(t, known, "no Date at all")
}

// TestClockSteps shows that a step of the local clock does not move that of the endpoint, as long as the time that passed
// is known.
func TestClockSteps(t *testing.T) {
	var c serverClock
	_, known := c.oldest(start)
	assert.False(t, known)
	now := time.Now()
	server := now.Add(-2 * time.Hour)
	c.learn(server, now, time.Minute)
	oldest, known := c.oldest(now.Add(time.Hour))
	assert.True(t, known)
	assert.Equal(t, server.Add(time.Hour-48*time.Hour-ageMargin), oldest)
}

func TestUnknownTime(t *testing.T) {
	s := endpoint(t, ingestiontest.Config{})
	r := newRig(t, s.URL(), nil)
	r.send(batch(1))
	b := &items.Batch{}
	b.Append(items.Item{JSON: itemJSON(1, start), Time: time.Time{}})
	assert.Equal(t, 1, r.send(b).Accepted, "the endpoint decides about an item whose time is not known")
}
