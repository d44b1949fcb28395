// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

func TestAccepted(t *testing.T) {
	s := endpoint(t, ingestiontest.Config{InstrumentationKeys: []string{testKey}})
	r := newRig(t, s.URL(), func(s *Settings) { s.MaxItems, s.UserAgent = 4, "otelcol-mesh/1.2.3" })
	b := batch(10)
	b.Append(items.Item{JSON: itemJSON(10, start), Time: start, Kind: items.KindMetric})
	got := r.send(b)
	assert.Equal(t, "accepted 11, sampled out 0, left [], uncertain 0", short(got))
	assert.Equal(t, uint64(11), s.Summary().Accepted)
	assert.Equal(t, map[items.Kind]int{items.KindRequest: 10, items.KindMetric: 1}, r.observer.accepted)
	assert.Equal(t, []int{200, 200, 200}, r.observer.requests)
	assert.Positive(t, r.observer.bytes)
	assert.Equal(t, 200, got.Answer.Status)
	assert.True(t, start.Equal(got.Answer.ServerTime))
	first := s.Requests()[0]
	assert.Equal(t, "/v2.1/track", first.Path)
	assert.Equal(t, "application/x-json-stream", first.ContentType)
	assert.Equal(t, "gzip", first.ContentEncoding)
	assert.Equal(t, "otelcol-mesh/1.2.3", first.UserAgent)
	for i, item := range s.Items(ingestiontest.Filter{}) {
		assert.Equal(t, fmt.Sprintf("n%05d", i), item.ID)
		assert.Equal(t, testKey, item.Envelope.InstrumentationKey)
	}
	assert.Equal(t, Result{}, r.sender.Send(t.Context(), &items.Batch{}))
	assert.Equal(t, Result{}, r.sender.Send(t.Context(), nil))
}

// TestStatuses sends three items that meet each status once, and then what is left once more.
func TestStatuses(t *testing.T) {
	const all = "accepted 0, sampled out 0, left [0 1 2], uncertain "
	for status, want := range map[int]struct {
		fate, hint string
		cause      Cause
		delay      time.Duration
	}{
		401: {fate: all + "0", cause: CauseUnauthorized, delay: time.Second, hint: "no token was sent"},
		402: {fate: all + "0", cause: CauseQuota, delay: 5 * time.Minute, hint: "daily cap"},
		403: {fate: all + "0", cause: CauseForbidden, delay: time.Second, hint: "local authentication is disabled"},
		404: {fate: all + "0", cause: CauseConfiguration, delay: 5 * time.Minute, hint: "check IngestionEndpoint"},
		405: {fate: all + "0", cause: CauseConfiguration, delay: 5 * time.Minute},
		407: {fate: all + "0", cause: CauseConfiguration, delay: 5 * time.Minute, hint: "proxy"},
		408: {fate: all + "0", cause: CauseUnavailable, delay: time.Second},
		418: {fate: all + "0", cause: CauseConfiguration, delay: 5 * time.Minute},
		429: {fate: all + "0", cause: CauseThrottled, delay: time.Second},
		439: {fate: all + "0", cause: CauseQuota, delay: 5 * time.Minute, hint: "daily cap"},
		500: {fate: all + "3", cause: CauseUnavailable, delay: time.Second},
		501: {fate: all + "3", cause: CauseUnavailable, delay: time.Second},
		502: {fate: all + "3", cause: CauseUnavailable, delay: time.Second},
		503: {fate: all + "0", cause: CauseUnavailable, delay: time.Second},
		504: {fate: all + "3", cause: CauseUnavailable, delay: time.Second},
		599: {fate: all + "3", cause: CauseUnavailable, delay: time.Second},
		201: {fate: all + "3", cause: CauseUnreadable, delay: time.Second},
		202: {fate: all + "3", cause: CauseUnreadable, delay: time.Second},
		204: {fate: all + "3", cause: CauseUnreadable, delay: time.Second},
		206: {fate: all + "3", cause: CauseUnreadable, delay: time.Second},
		300: {fate: all + "0", cause: CauseConfiguration, delay: 5 * time.Minute},
		302: {fate: all + "0", cause: CauseConfiguration, delay: 5 * time.Minute},
		304: {fate: all + "0", cause: CauseConfiguration, delay: 5 * time.Minute},
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			s := endpoint(t, ingestiontest.Config{})
			r := newRig(t, s.URL(), nil)
			require.NoError(t, s.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultStatus, Status: status}))
			b := batch(3)
			got := r.send(b)
			assert.Equal(t, want.fate, short(got))
			assert.Equal(t, want.cause, causeOf(t, got))
			assert.Equal(t, want.delay, got.Delay)
			assert.Equal(t, map[Cause]int{want.cause: 3}, r.observer.causes())
			assert.ErrorContains(t, got.Err, "destination team-a: ")
			assert.ErrorContains(t, got.Err, want.hint)
			assert.Equal(t, status, got.Answer.Status)
			cause, _, _ := r.dest.Blocked()
			assert.Equal(t, want.cause, cause)

			r.clock.advance(want.delay)
			got = r.send(b.Pick(got.Left))
			assert.Equal(t, "accepted 3, sampled out 0, left [], uncertain 0", short(got))
			assert.Equal(t, uint64(3), s.Summary().Accepted)
			cause, _, _ = r.dest.Blocked()
			assert.Empty(t, cause)
			assert.Equal(t, want.delay, r.dest.BlockedFor())
		})
	}
}

// TestHalved meets a status for the whole of a request, whose halves pass.
func TestHalved(t *testing.T) {
	for _, status := range []int{400, 413} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			s := endpoint(t, ingestiontest.Config{})
			r := newRig(t, s.URL(), nil)
			require.NoError(t, s.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultStatus, Status: status}))
			assert.Equal(t, "accepted 5, sampled out 0, left [], uncertain 0", short(r.send(batch(5))))
			assert.Equal(t, []int{status, 200, 200}, r.observer.statuses())
		})
	}
}

func TestTooLarge(t *testing.T) {
	s := endpoint(t, ingestiontest.Config{MaxBodyBytes: 1 << 10})
	r := newRig(t, s.URL(), nil)
	b := batch(9)
	big := append([]byte(`{"seq":"`), make([]byte, 2<<10)...)
	for i := range big[8:] {
		big[8+i] = 'x'
	}
	b.Append(items.Item{JSON: append(big, '"', '}'), Time: start})
	add(b, 10, start)
	assert.Equal(t, "accepted 10, sampled out 0, left [], uncertain 0, dead 9 too_large 413", short(r.send(b)))

	// The limit is remembered, but never below what one item may have.
	assert.Equal(t, minBodyBytes, r.dest.sizes.apply(1<<20, start))
	assert.Equal(t, 1<<20, r.dest.sizes.apply(1<<20, start.Add(sizeMemory)))
}

func TestPoison(t *testing.T) {
	s := endpoint(t, ingestiontest.Config{})
	r := newRig(t, s.URL(), nil)
	require.NoError(t, s.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultPoison, Match: `"n00371"`, Whole: true, Times: ingestiontest.Forever}))
	got := r.send(batch(1000))
	assert.Equal(t, "accepted 999, sampled out 0, left [], uncertain 0, dead 371 invalid 400", short(got))
	assert.Empty(t, s.Duplicates())
	assert.LessOrEqual(t, len(s.Requests()), 22)

	// All are poison: the search ends, and goes on with the next attempt.
	s.ClearFaults()
	require.NoError(t, s.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultPoison, Match: `"n`, Whole: true, Times: ingestiontest.Forever}))
	b, attempts, dead := batch(500), 0, 0
	for ; b.Len() > 0; attempts++ {
		require.Less(t, attempts, 50)
		before := len(s.Requests())
		got = r.send(b)
		assert.LessOrEqual(t, len(s.Requests())-before, 2*maxSearches+8)
		dead += len(got.Dead)
		if len(got.Left) > 0 {
			assert.Equal(t, CauseUnfinished, causeOf(t, got))
			assert.Zero(t, got.Delay)
		}
		b = b.Pick(got.Left)
	}
	assert.Equal(t, 500, dead)
}

func TestItemFaults(t *testing.T) {
	for name, test := range map[string]struct {
		fault ingestiontest.Fault
		want  string
		cause Cause
	}{
		"retryable": {fault: ingestiontest.Fault{Indexes: []int{1, 3}, ItemStatus: 500}, want: "accepted 3, sampled out 0, left [1 3], uncertain 0", cause: CauseItem},
		"throttled": {fault: ingestiontest.Fault{Indexes: []int{4}, ItemStatus: 429}, want: "accepted 4, sampled out 0, left [4], uncertain 0", cause: CauseThrottled},
		"quota":     {fault: ingestiontest.Fault{Indexes: []int{0}, ItemStatus: 439}, want: "accepted 4, sampled out 0, left [0], uncertain 0", cause: CauseQuota},
		"payment":   {fault: ingestiontest.Fault{Indexes: []int{0}, ItemStatus: 402}, want: "accepted 4, sampled out 0, left [0], uncertain 0", cause: CauseQuota},
		"401":       {fault: ingestiontest.Fault{Indexes: []int{0}, ItemStatus: 401}, want: "accepted 4, sampled out 0, left [0], uncertain 0", cause: CauseUnauthorized},
		"403":       {fault: ingestiontest.Fault{Indexes: []int{0}, ItemStatus: 403}, want: "accepted 4, sampled out 0, left [0], uncertain 0", cause: CauseForbidden},
		"408":       {fault: ingestiontest.Fault{Indexes: []int{0}, ItemStatus: 408}, want: "accepted 4, sampled out 0, left [0], uncertain 0", cause: CauseItem},
		"502":       {fault: ingestiontest.Fault{Indexes: []int{0}, ItemStatus: 502}, want: "accepted 4, sampled out 0, left [0], uncertain 0", cause: CauseItem},
		"503":       {fault: ingestiontest.Fault{Indexes: []int{0}, ItemStatus: 503}, want: "accepted 4, sampled out 0, left [0], uncertain 0", cause: CauseItem},
		"504":       {fault: ingestiontest.Fault{Indexes: []int{0}, ItemStatus: 504}, want: "accepted 4, sampled out 0, left [0], uncertain 0", cause: CauseItem},
		"sampled":   {fault: ingestiontest.Fault{Indexes: []int{2}, ItemStatus: 206}, want: "accepted 4, sampled out 1, left [], uncertain 0"},
		"all sampled out": {
			fault: ingestiontest.Fault{ItemStatus: 206}, want: "accepted 0, sampled out 5, left [], uncertain 0",
		},
		"all are to come again": {fault: ingestiontest.Fault{ItemStatus: 503}, want: "accepted 0, sampled out 0, left [0 1 2 3 4], uncertain 0", cause: CauseItem},
		"other 206":             {fault: ingestiontest.Fault{Indexes: []int{2}, ItemStatus: 206, ItemMessage: "Partial."}, want: "accepted 4, sampled out 0, left [2], uncertain 1", cause: CauseUnreadable},
		"invalid":               {fault: ingestiontest.Fault{Indexes: []int{2}, ItemStatus: 400}, want: "accepted 4, sampled out 0, left [], uncertain 0, dead 2 invalid 400"},
		"418":                   {fault: ingestiontest.Fault{Indexes: []int{2}, ItemStatus: 418}, want: "accepted 4, sampled out 0, left [], uncertain 0, dead 2 invalid 418"},
		"too large":             {fault: ingestiontest.Fault{Indexes: []int{2}, ItemStatus: 400, ItemMessage: "Telemetry item length must not exceed 65536"}, want: "accepted 4, sampled out 0, left [], uncertain 0, dead 2 too_large 400"},
		"413":                   {fault: ingestiontest.Fault{Indexes: []int{2}, ItemStatus: 413}, want: "accepted 4, sampled out 0, left [], uncertain 0, dead 2 too_large 413"},
		"too old":               {fault: ingestiontest.Fault{Indexes: []int{2}, ItemStatus: 400, ItemMessage: "103: Field 'time' on type 'Envelope' is older than the allowed min date."}, want: "accepted 4, sampled out 0, left [], uncertain 0, dead 2 too_old 400"},
		"none accepted":         {fault: ingestiontest.Fault{Status: 400, ItemStatus: 400}, want: "accepted 0, sampled out 0, left [], uncertain 0, dead 0 invalid 400, dead 1 invalid 400, dead 2 invalid 400, dead 3 invalid 400, dead 4 invalid 400"},
		"key of one item":       {fault: ingestiontest.Fault{Indexes: []int{2}, ItemStatus: 400, ItemMessage: "Invalid instrumentation key"}, want: "accepted 4, sampled out 0, left [2], uncertain 0", cause: CauseConfiguration},
	} {
		t.Run(name, func(t *testing.T) {
			s := endpoint(t, ingestiontest.Config{})
			r := newRig(t, s.URL(), nil)
			test.fault.Kind = ingestiontest.FaultItems
			require.NoError(t, s.Fault(test.fault))
			got := r.send(batch(5))
			assert.Equal(t, test.want, short(got))
			if test.cause != "" {
				assert.Equal(t, test.cause, causeOf(t, got))
				assert.Equal(t, map[Cause]int{test.cause: len(got.Left)}, r.observer.causes())
			}
			assert.Equal(t, uint64(got.Accepted), s.Summary().Accepted)
			cause, _, _ := r.dest.Blocked()
			assert.Equal(t, len(got.Left) == 5 || name == "throttled", cause != "", "only a request that brought nothing blocks, and one that says that it was too much")
		})
	}
}

func TestUncertainAnswers(t *testing.T) {
	const all = "accepted 0, sampled out 0, left [0 1 2], uncertain 3"
	for name, test := range map[string]struct {
		fault ingestiontest.Fault
		want  string
		cause Cause
	}{
		"truncated 206":     {fault: ingestiontest.Fault{Kind: ingestiontest.FaultTruncate}, want: all, cause: CauseUnreadable},
		"truncated 200":     {fault: ingestiontest.Fault{Kind: ingestiontest.FaultTruncate, Status: 200}, want: "accepted 3, sampled out 0, left [], uncertain 0"},
		"200 without words": {fault: ingestiontest.Fault{Kind: ingestiontest.FaultBody, Status: 200}, want: "accepted 3, sampled out 0, left [], uncertain 0"},
		"200 login page":    {fault: ingestiontest.Fault{Kind: ingestiontest.FaultBody, Status: 200, Body: " <!DOCTYPE html><title>Log in</title>"}, want: all, cause: CauseConfiguration},
		"index past":        {fault: ingestiontest.Fault{Kind: ingestiontest.FaultBadIndex}, want: all, cause: CauseUnreadable},
		"index far":         {fault: ingestiontest.Fault{Kind: ingestiontest.FaultBadIndex, Indexes: []int{1 << 40}}, want: all, cause: CauseUnreadable},
		"index negative":    {fault: ingestiontest.Fault{Kind: ingestiontest.FaultBadIndex, Indexes: []int{-1}, ItemStatus: 400}, want: all, cause: CauseUnreadable},
		"one good, one bad": {fault: ingestiontest.Fault{Kind: ingestiontest.FaultBadIndex, Indexes: []int{0, 3}, ItemStatus: 400}, want: all, cause: CauseUnreadable},
		"206 with garbage":  {fault: ingestiontest.Fault{Kind: ingestiontest.FaultBody, Body: "half of it"}, want: all, cause: CauseUnreadable},
		"closed":            {fault: ingestiontest.Fault{Kind: ingestiontest.FaultClose}, want: all, cause: CauseNetwork},
		"stored and closed": {fault: ingestiontest.Fault{Kind: ingestiontest.FaultClose, Store: true}, want: all, cause: CauseNetwork},
	} {
		t.Run(name, func(t *testing.T) {
			s := endpoint(t, ingestiontest.Config{})
			r := newRig(t, s.URL(), nil)
			require.NoError(t, s.Fault(test.fault))
			b := batch(3)
			got := r.send(b)
			assert.Equal(t, test.want, short(got))
			if got.Err == nil {
				return
			}
			assert.Equal(t, test.cause, causeOf(t, got))
			r.clock.advance(got.Delay)
			assert.Equal(t, "accepted 3, sampled out 0, left [], uncertain 0", short(r.send(b.Pick(got.Left))))
			assert.LessOrEqual(t, len(s.Duplicates()), 3)
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for name, test := range map[string]struct {
		fault ingestiontest.Fault
		want  time.Duration
	}{
		"429 seconds": {ingestiontest.Fault{Status: 429, RetryAfter: 17 * time.Second}, 17 * time.Second},
		"429 date":    {ingestiontest.Fault{Status: 429, RetryAfter: 17 * time.Second, RetryAfterDate: true}, 17 * time.Second},
		"503 date":    {ingestiontest.Fault{Status: 503, RetryAfter: time.Minute, RetryAfterDate: true}, time.Minute},
		"439 seconds": {ingestiontest.Fault{Status: 439, RetryAfter: time.Minute}, time.Minute},
		"capped":      {ingestiontest.Fault{Status: 429, RetryAfter: 100 * time.Hour}, time.Hour},
		"capped date": {ingestiontest.Fault{Status: 429, RetryAfter: 100 * time.Hour, RetryAfterDate: true}, time.Hour},
		"500":         {ingestiontest.Fault{Status: 500, RetryAfter: 2 * time.Second}, 2 * time.Second},
		"404":         {ingestiontest.Fault{Status: 404, RetryAfter: 2 * time.Second}, 2 * time.Second},
		"413":         {ingestiontest.Fault{Status: 413, RetryAfter: 2 * time.Second}, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			// The clock of the endpoint is an hour off: a date counts from there.
			s := endpoint(t, ingestiontest.Config{Now: func() time.Time { return start.Add(time.Hour) }})
			r := newRig(t, s.URL(), nil)
			test.fault.Kind = ingestiontest.FaultStatus
			require.NoError(t, s.Fault(test.fault))
			b := batch(2)
			got := r.send(b)
			assert.Equal(t, test.want, got.Delay)
			assert.Equal(t, []int{0, 1}, got.Left)

			// Others are refused without a request until then.
			other := r.dest.Sender(nil)
			r.clock.advance(test.want - time.Millisecond)
			refused := other.Send(t.Context(), b)
			checkResult(t, b, refused)
			assert.Equal(t, time.Millisecond, refused.Delay)
			assert.Equal(t, CauseBlocked, causeOf(t, refused))
			assert.Len(t, s.Requests(), 1)
			r.clock.advance(time.Millisecond)
			assert.Equal(t, 2, other.Send(t.Context(), b).Accepted)
		})
	}
}

func TestRetryAfterSuccess(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, lines []string) {
		w.Header().Set("Retry-After", "30")
		answerReport(w, 200, len(lines), len(lines))
	})
	r := newRig(t, s.URL, func(s *Settings) { s.MaxItems = 2 })
	got := r.send(batch(5))
	assert.Equal(t, "accepted 2, sampled out 0, left [2 3 4], uncertain 0", short(got))
	assert.Equal(t, CauseBlocked, causeOf(t, got))
	assert.Equal(t, 30*time.Second, got.Delay)
	assert.Equal(t, []string{"throttled 30s"}, r.observer.blocked)
}

func TestHang(t *testing.T) {
	for name, fault := range map[string]ingestiontest.Fault{
		"silent":        {Kind: ingestiontest.FaultHang},
		"after storing": {Kind: ingestiontest.FaultHang, Store: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := endpoint(t, ingestiontest.Config{})
			r := newRig(t, s.URL(), func(s *Settings) { s.Timeout = 50 * time.Millisecond })
			require.NoError(t, s.Fault(fault))
			got := r.send(batch(3))
			assert.Equal(t, "accepted 0, sampled out 0, left [0 1 2], uncertain 3", short(got))
			assert.Equal(t, CauseTimeout, causeOf(t, got))
			assert.Equal(t, time.Second, got.Delay)
		})
	}
	t.Run("drip after 200", func(t *testing.T) {
		s := endpoint(t, ingestiontest.Config{})
		r := newRig(t, s.URL(), func(s *Settings) { s.Timeout = 50 * time.Millisecond })
		require.NoError(t, s.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultHang, Drip: time.Millisecond}))
		assert.Equal(t, "accepted 3, sampled out 0, left [], uncertain 0", short(r.send(batch(3))))
	})
	t.Run("slow", func(t *testing.T) {
		s := endpoint(t, ingestiontest.Config{})
		r := newRig(t, s.URL(), nil)
		require.NoError(t, s.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultSlow, Drip: 100 * time.Microsecond}))
		assert.Equal(t, "accepted 3, sampled out 0, left [], uncertain 0", short(r.send(batch(3))))
	})
}

// TestShutdown cancels while the second of three requests is under way.
func TestShutdown(t *testing.T) {
	s := endpoint(t, ingestiontest.Config{})
	r := newRig(t, s.URL(), func(s *Settings) { s.MaxItems = 2 })
	require.NoError(t, s.Fault(
		ingestiontest.Fault{Kind: ingestiontest.FaultDelay, Delay: time.Microsecond},
		ingestiontest.Fault{Kind: ingestiontest.FaultHang, Store: true},
	))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan Result)
	b := batch(6)
	go func() { done <- r.sender.Send(ctx, b) }()
	wait, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	require.NoError(t, s.Wait(wait, func() bool { return len(s.Requests()) == 2 }))
	cancel()
	got := <-done
	checkResult(t, b, got)
	assert.Equal(t, "accepted 2, sampled out 0, left [2 3 4 5], uncertain 2", short(got))
	assert.Equal(t, CauseCanceled, causeOf(t, got))
	require.ErrorIs(t, got.Err, context.Canceled)
	cause, _, _ := r.dest.Blocked()
	assert.Empty(t, cause, "this says nothing about the endpoint")

	got = r.sendCtx(ctx, b)
	assert.Equal(t, "accepted 0, sampled out 0, left [0 1 2 3 4 5], uncertain 0", short(got))
}

// TestQuota stays at 439 for ten minutes: few requests, small ones, and nothing lost.
func TestQuota(t *testing.T) {
	s := endpoint(t, ingestiontest.Config{})
	r := newRig(t, s.URL(), func(s *Settings) { s.QuotaDelay = time.Minute })
	require.NoError(t, s.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultStatus, Status: 439, Times: ingestiontest.Forever}))
	b := batch(500)
	for ; r.clock.Now().Before(start.Add(10 * time.Minute)); r.clock.advance(time.Second) {
		got := r.send(b)
		require.Len(t, got.Left, 500)
	}
	assert.Len(t, s.Requests(), 10)
	for _, request := range s.Requests()[1:] {
		assert.LessOrEqual(t, request.Items, probeItems)
	}
	cause, since, until := r.dest.Blocked()
	assert.Equal(t, CauseQuota, cause)
	assert.Equal(t, start, since)
	assert.Equal(t, start.Add(10*time.Minute), until)
	s.ClearFaults()
	assert.Equal(t, 500, r.send(b).Accepted)
	assert.Equal(t, 10*time.Minute, r.dest.BlockedFor())
	assert.Empty(t, s.Duplicates())
}

func TestWrongKey(t *testing.T) {
	other := "11111111-1111-1111-1111-111111111111"
	s := endpoint(t, ingestiontest.Config{InstrumentationKeys: []string{other}})
	r := newRig(t, s.URL(), nil)
	got := r.send(batch(3))
	assert.Equal(t, "accepted 0, sampled out 0, left [0 1 2], uncertain 0", short(got))
	assert.Equal(t, CauseConfiguration, causeOf(t, got))
	assert.Equal(t, 5*time.Minute, got.Delay)
	assert.ErrorContains(t, got.Err, "does not know the instrumentation key; check the connection string")
	assert.Equal(t, CauseBlocked, causeOf(t, r.send(batch(3))))
	assert.Len(t, s.Requests(), 1)

	// Another key is tried at once.
	r.connection.set(t, s.URL(), other)
	assert.Equal(t, 3, r.send(batch(3)).Accepted)
}

func TestEntra(t *testing.T) {
	for mode, want := range map[ingestiontest.AuthMode]string{
		ingestiontest.AuthUnauthorized: "did not take the token",
		ingestiontest.AuthForbidden:    `assign "Monitoring Metrics Publisher" on the Application Insights resource`,
	} {
		s := endpoint(t, ingestiontest.Config{Auth: ingestiontest.Auth{Mode: mode}})
		r := newRig(t, s.URL(), func(s *Settings) { s.Authenticated = true })
		got := r.send(batch(2))
		assert.Equal(t, []int{0, 1}, got.Left)
		assert.ErrorContains(t, got.Err, want)
	}
}
