// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

func TestFaultsThatAnswer(t *testing.T) {
	body := lines(t, event("e0"), event("e1"), event("e2"))
	for name, tt := range map[string]struct {
		fault    Fault
		status   int
		header   map[string]string
		response ai.TrackResponse
		stored   int
	}{
		"503": {
			Fault{Kind: FaultStatus, Status: 503},
			503,
			map[string]string{"Retry-After": ""},
			ai.TrackResponse{ItemsReceived: 3, Errors: []ai.ItemError{}},
			0,
		},
		"500 after storing": {
			Fault{Kind: FaultStatus, Status: 500, Store: true},
			500, nil,
			ai.TrackResponse{ItemsReceived: 3, Errors: []ai.ItemError{}},
			3,
		},
		"429 with seconds": {
			Fault{Kind: FaultStatus, Status: 429, RetryAfter: 1500 * time.Millisecond},
			429,
			map[string]string{"Retry-After": "2"},
			ai.TrackResponse{ItemsReceived: 3, Errors: []ai.ItemError{}},
			0,
		},
		"439 with a date": {
			Fault{Kind: FaultStatus, Status: 439, RetryAfter: time.Hour, RetryAfterDate: true},
			439,
			map[string]string{"Retry-After": "Sun, 22 Nov 2026 21:00:00 GMT"},
			ai.TrackResponse{ItemsReceived: 3, Errors: []ai.ItemError{}},
			0,
		},
		"402": {
			Fault{Kind: FaultStatus, Status: 402},
			402, nil,
			ai.TrackResponse{ItemsReceived: 3, Errors: []ai.ItemError{}},
			0,
		},
		"307": {
			Fault{Kind: FaultRedirect, Location: "http://127.0.0.1:1/v2.1/track", MaxAge: time.Minute},
			307,
			map[string]string{"Location": "http://127.0.0.1:1/v2.1/track", "Cache-Control": "max-age=60"},
			ai.TrackResponse{ItemsReceived: 3, Errors: []ai.ItemError{}},
			0,
		},
		"308": {
			Fault{Kind: FaultRedirect, Status: 308, Location: "http://127.0.0.1:1/"},
			308,
			map[string]string{"Location": "http://127.0.0.1:1/", "Cache-Control": ""},
			ai.TrackResponse{ItemsReceived: 3, Errors: []ai.ItemError{}},
			0,
		},
		"index out of range": {
			Fault{Kind: FaultBadIndex},
			206, nil,
			ai.TrackResponse{ItemsReceived: 3, ItemsAccepted: 1, Errors: []ai.ItemError{
				{Index: 3, StatusCode: 500, Message: "Internal Server Error"},
				{Index: -1, StatusCode: 500, Message: "Internal Server Error"},
			}},
			3,
		},
		"items 429": {
			Fault{Kind: FaultItems, Indexes: []int{0, 2}, ItemStatus: 429},
			206, nil,
			ai.TrackResponse{ItemsReceived: 3, ItemsAccepted: 1, Errors: []ai.ItemError{
				{Index: 0, StatusCode: 429, Message: "Too Many Requests"},
				{Index: 2, StatusCode: 429, Message: "Too Many Requests"},
			}},
			1,
		},
		"all items sampled out": {
			Fault{Kind: FaultItems, ItemStatus: 206},
			206, nil,
			ai.TrackResponse{ItemsReceived: 3, Errors: []ai.ItemError{
				{Index: 0, StatusCode: 206, Message: "Telemetry sampled out."},
				{Index: 1, StatusCode: 206, Message: "Telemetry sampled out."},
				{Index: 2, StatusCode: 206, Message: "Telemetry sampled out."},
			}},
			0,
		},
		"delay": {
			Fault{Kind: FaultDelay, Delay: time.Millisecond},
			200, nil,
			ai.TrackResponse{ItemsReceived: 3, ItemsAccepted: 3, Errors: []ai.ItemError{}},
			3,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := Start(t, testConfig())
			require.NoError(t, s.Fault(tt.fault))
			got := post(t, s, body)
			assert.Equal(t, tt.status, got.status)
			assert.Equal(t, tt.response, got.response)
			for key, value := range tt.header {
				assert.Equal(t, value, got.header.Get(key), key)
			}
			assert.Len(t, s.Items(Filter{}), tt.stored)
			requests := s.Requests()
			require.Len(t, requests, 1)
			assert.Equal(t, tt.fault.Kind, requests[0].Fault)
			assert.Equal(t, tt.status, requests[0].Status)
			assert.Equal(t, tt.stored, requests[0].Accepted)
			assert.Equal(t, 3, requests[0].Items)

			assert.Equal(t, http.StatusOK, post(t, s, body).status, "the fault is over")
		})
	}
}

func TestFaultQueue(t *testing.T) {
	s := Start(t, testConfig())
	require.NoError(t, s.Fault(Fault{Kind: FaultStatus, Status: 500, Times: 2}, Fault{Kind: FaultStatus, Status: 503, Times: Forever}))
	require.Error(t, s.Fault(Fault{Kind: FaultStatus, Status: 500}, Fault{Kind: FaultStatus}), "one is wrong")
	require.Len(t, s.Faults(), 2, "then none is taken")
	for _, want := range []int{500, 500, 503, 503, 503} {
		assert.Equal(t, want, post(t, s, lines(t, event("e"))).status)
	}
	s.ClearFaults()
	assert.Equal(t, http.StatusOK, post(t, s, lines(t, event("e"))).status)
}

func TestFaultTruncate(t *testing.T) {
	s := Start(t, testConfig())
	require.NoError(t, s.Fault(Fault{Kind: FaultTruncate}))
	got := post(t, s, lines(t, event("e")))
	assert.Equal(t, http.StatusPartialContent, got.status)
	assert.NotEmpty(t, got.body)
	assert.False(t, json.Valid([]byte(got.body)), got.body)
	assert.Len(t, s.Items(Filter{}), 1, "stored all the same")
}

func TestFaultClose(t *testing.T) {
	s := Start(t, testConfig())
	body := lines(t, span(request("a"), "reviews", "", "op", ""))
	require.NoError(t, s.Fault(Fault{Kind: FaultClose}, Fault{Kind: FaultClose, Store: true}))
	for range 2 {
		_, err := do(t.Context(), t, http.MethodPost, s.URL()+ai.TrackPath, body)
		require.Error(t, err)
	}
	assert.Equal(t, uint64(1), s.Summary().Accepted, "only the second was stored")
	post(t, s, body)
	assert.Equal(t, []Duplicate{{Type: "Request", OperationID: "op", ID: "a", Count: 2}}, s.Duplicates())
	assert.True(t, s.Items(Filter{Limit: 1})[0].Duplicate)
}

func TestFaultHang(t *testing.T) {
	for name, fault := range map[string]Fault{
		"silent":        {Kind: FaultHang},
		"after storing": {Kind: FaultHang, Store: true},
		"drip":          {Kind: FaultHang, Drip: time.Millisecond},
		"delay":         {Kind: FaultDelay, Delay: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			s := Start(t, testConfig())
			fault.Times = 2
			require.NoError(t, s.Fault(fault))
			send := func(ctx context.Context) chan error {
				done := make(chan error, 1)
				go func() {
					_, err := do(ctx, t, http.MethodPost, s.URL()+ai.TrackPath, lines(t, event("e")))
					done <- err
				}()
				return done
			}
			met := func(n int) func() bool { return func() bool { return len(s.Requests()) == n } }
			wait, cancelWait := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancelWait()

			ctx, giveUp := context.WithCancel(t.Context())
			done := send(ctx)
			if fault.Kind == FaultHang {
				require.NoError(t, s.Wait(wait, met(1)))
			} else {
				require.NoError(t, waitFor(wait, func() bool { return len(s.Faults()) == 1 && s.Faults()[0].Times == 1 }))
			}
			select {
			case err := <-done:
				require.Fail(t, "answered", "%v", err)
			default:
			}
			giveUp()
			require.Error(t, <-done)
			require.NoError(t, s.Wait(wait, met(1)))
			assert.Zero(t, s.Requests()[0].Status)
			assert.Equal(t, fault.Store, s.Summary().Accepted == 1)

			// Closing lets go of a client that waits for ever.
			done = send(t.Context())
			require.NoError(t, waitFor(wait, func() bool { return len(s.Faults()) == 0 }))
			require.NoError(t, s.Shutdown(wait))
			require.Error(t, <-done)
		})
	}
}

// waitFor polls what no request announces.
func waitFor(ctx context.Context, done func() bool) error {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func TestFaultValidate(t *testing.T) {
	for want, fault := range map[string]Fault{
		"kind":                   {},
		"status 99":              {Kind: FaultStatus, Status: 99},
		"write 307 or 308":       {Kind: FaultRedirect, Status: 302, Location: "http://127.0.0.1/"},
		"location is empty":      {Kind: FaultRedirect},
		"status 7":               {Kind: FaultTruncate, Status: 7},
		"delay is empty":         {Kind: FaultDelay},
		"times -2":               {Kind: FaultClose, Times: -2},
		"a duration is negative": {Kind: FaultHang, Drip: -1},
	} {
		require.ErrorContains(t, fault.Validate(), want)
	}
}
