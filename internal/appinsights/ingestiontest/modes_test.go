// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

func TestTooLarge(t *testing.T) {
	cfg := testConfig()
	cfg.MaxRequestItems = 2
	s := Start(t, cfg)
	assert.Equal(t, http.StatusRequestEntityTooLarge, post(t, s, lines(t, event("a"), event("b"), event("c"))).status)
	assert.Equal(t, http.StatusOK, post(t, s, lines(t, event("a"), event("b"))).status)
	assert.Equal(t, uint64(2), s.Summary().Accepted)

	cfg = testConfig()
	one := lines(t, event("a"))
	cfg.MaxBodyBytes = int64(len(one))
	s = Start(t, cfg)
	assert.Equal(t, http.StatusRequestEntityTooLarge, post(t, s, lines(t, event("a"), event("b"))).status)
	assert.Equal(t, http.StatusRequestEntityTooLarge, post(t, s, zip(t, lines(t, event("a"), event("b"))), "Content-Encoding", "gzip").status)
	assert.Equal(t, http.StatusOK, post(t, s, one).status)
}

func TestClock(t *testing.T) {
	s := Start(t, testConfig())
	got := post(t, s, lines(t, event("a")))
	assert.Equal(t, http.StatusOK, got.status)
	assert.Equal(t, "Sun, 22 Nov 2026 20:00:00 GMT", got.header.Get("Date"))
	s.SetClock(func() time.Time { return testTime.Add(49 * time.Hour) })
	got = post(t, s, lines(t, event("b")))
	assert.Equal(t, http.StatusBadRequest, got.status)
	assert.Equal(t, "Tue, 24 Nov 2026 21:00:00 GMT", got.header.Get("Date"))
	assert.Contains(t, got.response.Errors[0].Message, "103:")
	s.SetClock(nil)
	assert.NotEqual(t, "Tue, 24 Nov 2026 21:00:00 GMT", post(t, s, nil).header.Get("Date"))
}

func TestFaultByTime(t *testing.T) {
	var q faultQueue
	require.NoError(t, q.Fault(
		Fault{Kind: FaultStatus, Status: 429},
		Fault{Kind: FaultStatus, Status: 439, For: time.Minute},
		Fault{Kind: FaultStatus, Status: 503, For: time.Hour},
	))
	start := time.Now()
	at := func(d time.Duration) int {
		if f := q.take(start.Add(d)); f != nil {
			return f.Status
		}
		return 0
	}
	assert.Equal(t, 429, at(0))
	assert.Equal(t, 439, at(30*time.Minute), "the time begins when it is first")
	assert.Equal(t, 439, at(30*time.Minute+59*time.Second))
	assert.Equal(t, 503, at(31*time.Minute), "and the next one's then")
	assert.Equal(t, 503, at(90*time.Minute))
	assert.Equal(t, 0, at(91*time.Minute))
	require.ErrorContains(t, q.Fault(Fault{Kind: FaultClose, For: time.Second, Times: 2}), "times and for")
}

func TestFaultPoison(t *testing.T) {
	body := lines(t, event("good"), event("bad"), event("better"))
	for name, tt := range map[string]struct {
		fault    Fault
		status   int
		errors   []ai.ItemError
		accepted int
	}{
		"item": {
			Fault{Kind: FaultPoison, Match: `"name":"bad"`},
			206,
			[]ai.ItemError{{Index: 1, StatusCode: 400, Message: "Bad Request"}},
			2,
		},
		"request": {Fault{Kind: FaultPoison, Match: `"name":"bad"`, Whole: true}, 400, []ai.ItemError{}, 0},
		"nobody":  {Fault{Kind: FaultPoison, Match: "absent", Whole: true}, 200, []ai.ItemError{}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			s := Start(t, testConfig())
			require.NoError(t, s.Fault(tt.fault))
			got := post(t, s, body)
			assert.Equal(t, tt.status, got.status)
			assert.Equal(t, ai.TrackResponse{ItemsReceived: 3, ItemsAccepted: tt.accepted, Errors: tt.errors}, got.response)
			assert.Len(t, s.Items(Filter{}), tt.accepted)
		})
	}
}

func TestFaultBodies(t *testing.T) {
	s := Start(t, testConfig())
	require.NoError(t, s.Fault(
		Fault{Kind: FaultBody, Status: 200, Body: "<html>"},
		Fault{Kind: FaultSlow, Drip: time.Microsecond},
		Fault{Kind: FaultItems, ItemStatus: 503, Status: 400},
	))
	got := post(t, s, lines(t, event("a")))
	assert.Equal(t, 200, got.status)
	assert.Equal(t, "<html>", got.body)
	got = post(t, s, lines(t, event("b")))
	assert.Equal(t, ai.TrackResponse{ItemsReceived: 1, ItemsAccepted: 1, Errors: []ai.ItemError{}}, got.response)
	assert.Len(t, s.Items(Filter{}), 2, "both are stored")
	got = post(t, s, lines(t, event("c")))
	assert.Equal(t, 400, got.status)
	assert.Equal(t, 503, got.response.Errors[0].StatusCode)
}

func TestNewFaultsAreChecked(t *testing.T) {
	for want, fault := range map[string]Fault{
		"drip is empty":  {Kind: FaultSlow},
		"match is empty": {Kind: FaultPoison},
		"status 7":       {Kind: FaultBody, Status: 7},
		"times and for":  {Kind: FaultHang, Times: 1, For: 1},
	} {
		require.ErrorContains(t, fault.Validate(), want)
	}
	faults, err := parseFaults([]byte(`{"kind":"status","status":439,"for":"10m"}`))
	require.NoError(t, err)
	assert.Equal(t, 10*time.Minute, faults[0].For)
	text, err := faults[0].MarshalJSON()
	require.NoError(t, err)
	assert.Contains(t, string(text), `"for":"10m0s"`)
}

func TestCertificates(t *testing.T) {
	authority, err := NewAuthority()
	require.NoError(t, err)
	expired, err := authority.Issue(time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour), "127.0.0.1")
	require.NoError(t, err)
	cfg := testConfig()
	cfg.TLS = &expired
	s := Start(t, cfg)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(authority.PEM()))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	send := func() error {
		response, err := (&http.Client{Transport: transport}).Post(s.URL()+ai.TrackPath, ai.ContentTypeLines, strings.NewReader(string(lines(t, event("a")))))
		if err != nil {
			return err
		}
		return response.Body.Close()
	}
	require.True(t, strings.HasPrefix(s.ConnectionString(), "InstrumentationKey="+DefaultInstrumentationKey+";IngestionEndpoint=https://"), s.ConnectionString())
	var invalid x509.CertificateInvalidError
	require.ErrorAs(t, send(), &invalid)
	assert.Equal(t, x509.Expired, invalid.Reason)
	assert.Equal(t, uint64(1), s.Handshakes())

	renewed, err := authority.Issue(time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "127.0.0.1", "localhost")
	require.NoError(t, err)
	s.SetCertificate(renewed)
	require.NoError(t, send())
	assert.Equal(t, uint64(1), s.Summary().Accepted)

	// A client with a connection sees the next one too.
	s.SetCertificate(expired)
	require.ErrorAs(t, send(), &invalid)
}

func TestLedger(t *testing.T) {
	cfg := testConfig()
	cfg.Ledger = []Marker{{Name: "spans", Prefix: `"id":"5eed`, Hex: true}, {Name: "events", Prefix: `"name":"event-`}}
	s := Start(t, cfg)
	spans := func(numbers ...uint64) (all []ai.Envelope) {
		for _, n := range numbers {
			all = append(all, span(request(fmt.Sprintf("5eed%012x", n)), "role", "", "op", ""))
		}
		return all
	}
	post(t, s, lines(t, spans(0, 1, 255, 70_000)...))
	post(t, s, lines(t, append(spans(255, MaxNumber, MaxNumber-1), event("event-12"), event("event-x"))...))
	assert.Equal(t, LedgerCount{Accepted: 7, Unique: 5, Duplicates: 1, TooLarge: 1}, s.Ledger("spans"))
	assert.Equal(t, LedgerCount{Accepted: 1, Unique: 1}, s.Ledger("events"))
	assert.Zero(t, s.Ledger("unknown"))

	wanted := &Numbers{}
	for n := range uint64(256) {
		require.True(t, wanted.Add(n))
	}
	require.False(t, wanted.Add(3))
	require.False(t, wanted.Add(MaxNumber))
	assert.True(t, wanted.Has(255))
	assert.False(t, wanted.Has(256))
	assert.False(t, wanted.Has(MaxNumber-1))
	assert.Equal(t, uint64(256), wanted.Len())
	missing, first := s.Missing("spans", wanted, 3)
	assert.Equal(t, uint64(253), missing)
	assert.Equal(t, []uint64{2, 3, 4}, first)
	missing, _ = s.Missing("unknown", wanted, 3)
	assert.Equal(t, uint64(256), missing)

	// What was refused has not arrived, what was stored behind the client's back has.
	require.NoError(t, s.Fault(Fault{Kind: FaultItems, ItemStatus: 500}, Fault{Kind: FaultStatus, Status: 500}, Fault{Kind: FaultStatus, Status: 500, Store: true}))
	for range 3 {
		post(t, s, lines(t, spans(9)...))
	}
	assert.Equal(t, LedgerCount{Accepted: 8, Unique: 6, Duplicates: 1, TooLarge: 1}, s.Ledger("spans"))
	number, ok := NumberOf(cfg.Ledger, lines(t, spans(9)...))
	assert.True(t, ok)
	assert.Equal(t, uint64(9), number)
}

func TestLight(t *testing.T) {
	s := Start(t, Config{Light: true, Ledger: []Marker{{Name: "events", Prefix: `"name":"event-`}}})
	long := event("event-2")
	long.Data.BaseData.(*ai.EventData).Properties = map[string]string{"long": strings.Repeat("x", ai.MaxItemBytes)}
	got := post(t, s, lines(t, event("event-1"), long, event("event-3")))
	assert.Equal(t, 206, got.status, "the size is judged")
	assert.Equal(t, 2, got.response.ItemsAccepted)
	assert.Equal(t, []ai.ItemError{{Index: 1, StatusCode: 400, Message: ai.MessageItemTooLong}}, got.response.Errors)
	assert.Equal(t, 200, post(t, s, []byte(`{"name":"event-3"}`)).status, "and nothing else")
	assert.Equal(t, LedgerCount{Accepted: 3, Unique: 2, Duplicates: 1}, s.Ledger("events"))
	sum := s.Summary()
	assert.Equal(t, uint64(3), sum.Accepted)
	assert.Empty(t, s.Items(Filter{}))
	assert.Equal(t, 2, s.Requests()[0].Accepted)
}

func TestAuthorizationIsRemembered(t *testing.T) {
	s := Start(t, testConfig())
	post(t, s, lines(t, event("a")), "Authorization", "Bearer secret")
	post(t, s, lines(t, event("b")))
	assert.True(t, s.Requests()[0].Authorized)
	assert.False(t, s.Requests()[1].Authorized)
}

func TestDropConnections(t *testing.T) {
	s := Start(t, testConfig())
	require.NoError(t, s.Fault(Fault{Kind: FaultHang}))
	done := make(chan error, 1)
	go func() {
		_, err := do(t.Context(), t, http.MethodPost, s.URL()+ai.TrackPath, lines(t, event("e")))
		done <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, s.Wait(ctx, func() bool { return len(s.Requests()) == 1 }))
	s.DropConnections()
	require.Error(t, <-done)
}

// FuzzMarker feeds any item to the marker: it finds what strconv would print, or nothing.
func FuzzMarker(f *testing.F) {
	f.Add([]byte(`{"id":"5eed00000000002a"}`))
	f.Add([]byte(`{"id":"5eedffffffffffffffffffffffff"}`))
	f.Add([]byte(`"id":"5eed`))
	f.Add([]byte(`"name":"event-18446744073709551616"`))
	markers := []Marker{{Name: "spans", Prefix: `"id":"5eed`, Hex: true}, {Name: "events", Prefix: `"name":"event-`}}
	f.Fuzz(func(t *testing.T, item []byte) {
		book := newLedgerBook(markers)
		found := book.find(nil, item)
		book.add(found)
		book.add(found)
		for i := range markers {
			count := book.counts[i]
			assert.Equal(t, count.Accepted, count.Unique+count.Duplicates+count.TooLarge)
		}
	})
}

func BenchmarkLight(b *testing.B) {
	var all []ai.Envelope
	for n := range 1000 {
		r := request(fmt.Sprintf("5eed%012x", n))
		r.Name, r.URL = "GET /reviews/{id}", "http://reviews.bookinfo.svc.cluster.local:9080/reviews/"+strconv.Itoa(n)
		env := span(r, "reviews", "westeurope", fmt.Sprintf("%032x", n), "")
		for i := range 20 {
			r.Properties[fmt.Sprintf("mesh.attribute.%d", i)] = fmt.Sprintf("value %d of %d", i, n)
		}
		all = append(all, env)
	}
	e, err := New(Config{Light: true, Ledger: []Marker{{Name: "spans", Prefix: `"id":"5eed`, Hex: true}}})
	require.NoError(b, err)
	raw, err := ai.SplitBody(lines(b, all...), ai.MaxItemsPerRequest)
	require.NoError(b, err)
	for b.Loop() {
		v := e.judge(raw, nil)
		e.book.add(v.numbers)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/item")
}
