// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/connection"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testKey is the key of all tests: it must not be found in any text.
const testKey = "5ec2e75e-c2e7-4c2e-8c2e-75ec2e75ec2e"

// start is now for all tests, unless they move the clock.
var start = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

// fakeClock is moved by hand.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *fakeClock { return &fakeClock{now: start} }

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixed is a connection that changes when told.
type fixed struct {
	mu   sync.Mutex
	info *connection.Info
}

func (f *fixed) Current() *connection.Info {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.info
}

func (f *fixed) set(tb testing.TB, endpoint, key string) {
	info, err := connection.Parse("InstrumentationKey="+key+";IngestionEndpoint="+endpoint, connection.Options{AllowPlainHTTP: true})
	require.NoError(tb, err)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.info = info
}

// recorder is an observer that remembers.
type recorder struct {
	mu         sync.Mutex
	requests   []int
	bytes      int
	accepted   map[items.Kind]int
	sampledOut int
	uncertain  int
	retried    map[Cause]int
	blocked    []string
	opened     []time.Duration
	skews      []time.Duration
}

func (r *recorder) lock() func() {
	r.mu.Lock()
	if r.accepted == nil {
		r.accepted, r.retried = map[items.Kind]int{}, map[Cause]int{}
	}
	return r.mu.Unlock
}

func (r *recorder) Request(status int, _ time.Duration, bytes int) {
	defer r.lock()()
	r.requests = append(r.requests, status)
	r.bytes += bytes
}

func (r *recorder) Accepted(kind items.Kind, n int) { defer r.lock()(); r.accepted[kind] += n }
func (r *recorder) SampledOut(n int)                { defer r.lock()(); r.sampledOut += n }
func (r *recorder) Uncertain(n int)                 { defer r.lock()(); r.uncertain += n }
func (r *recorder) Retried(cause Cause, n int)      { defer r.lock()(); r.retried[cause] += n }
func (r *recorder) ClockSkew(d time.Duration)       { defer r.lock()(); r.skews = append(r.skews, d) }

func (r *recorder) Blocked(f *Failure, d time.Duration) {
	defer r.lock()()
	r.blocked = append(r.blocked, fmt.Sprintf("%s %s", f.Cause, d))
}

func (r *recorder) Opened(d time.Duration) {
	defer r.lock()()
	r.opened = append(r.opened, d)
}

func (r *recorder) statuses() []int {
	defer r.lock()()
	return append([]int(nil), r.requests...)
}

func (r *recorder) causes() map[Cause]int {
	defer r.lock()()
	return maps.Clone(r.retried)
}

// rig is a sender with all that a test moves.
type rig struct {
	*testing.T
	clock      *fakeClock
	connection *fixed
	observer   *recorder
	dest       *Destination
	sender     *Sender
}

// newRig makes a sender to an endpoint.
func newRig(t *testing.T, endpoint string, change func(*Settings)) *rig {
	t.Helper()
	r := &rig{T: t, clock: newClock(), connection: &fixed{}, observer: &recorder{}}
	r.connection.set(t, endpoint, testKey)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	settings := Settings{
		Name: "team-a", Client: &http.Client{Transport: transport}, Connection: r.connection,
		Now: r.clock.Now, Random: func() float64 { return 0.5 },
	}
	if change != nil {
		change(&settings)
	}
	dest, err := NewDestination(settings)
	require.NoError(t, err)
	r.dest, r.sender = dest, dest.Sender(r.observer)
	return r
}

// endpoint starts the local ingestion endpoint with the clock of the test.
func endpoint(t *testing.T, cfg ingestiontest.Config) *ingestiontest.Server {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return start }
	}
	return ingestiontest.Start(t, cfg)
}

// batch makes n items that the endpoint takes, each with its number as id.
func batch(n int) *items.Batch {
	b := &items.Batch{}
	for i := range n {
		add(b, i, start)
	}
	return b
}

func add(b *items.Batch, number int, at time.Time) {
	b.Append(items.Item{JSON: itemJSON(number, at), Time: at, Kind: items.KindRequest})
}

func itemJSON(number int, at time.Time) []byte {
	return fmt.Appendf(nil, `{"name":"Microsoft.ApplicationInsights.Request","time":"%s","tags":{"ai.operation.id":"op","ai.cloud.role":"reviews"},`+
		`"data":{"baseType":"RequestData","baseData":{"ver":2,"id":"n%05d","duration":"00.00:00:00.000100","responseCode":"200","success":true}}}`,
		at.UTC().Format("2006-01-02T15:04:05.000000Z"), number)
}

// send sends a batch and checks what holds for all results.
func (r *rig) send(b *items.Batch) Result {
	r.Helper()
	return r.sendCtx(r.Context(), b)
}

func (r *rig) sendCtx(ctx context.Context, b *items.Batch) Result {
	r.Helper()
	result := r.sender.Send(ctx, b)
	checkResult(r, b, result)
	return result
}

// checkResult checks that each index of the batch has one fate, and that no text tells the key.
func checkResult(tb testing.TB, b *items.Batch, r Result) {
	tb.Helper()
	seen := map[int]bool{}
	last := -1
	for _, i := range r.Left {
		require.Greater(tb, i, last, "left is not ascending")
		last, seen[i] = i, true
	}
	last = -1
	for _, d := range r.Dead {
		require.Greater(tb, d.Index, last, "dead is not ascending")
		require.False(tb, seen[d.Index], "item %d has two fates", d.Index)
		require.NotEmpty(tb, d.Reason)
		require.LessOrEqual(tb, len(d.Message), maxText+256)
		last, seen[d.Index] = d.Index, true
	}
	for i := range seen {
		require.Less(tb, i, b.Len())
	}
	require.Equal(tb, b.Len(), r.Accepted+r.SampledOut+len(r.Left)+len(r.Dead), "an item has no fate, or two")
	// An item may be sent several times in the search for one that makes requests fail.
	require.LessOrEqual(tb, r.Uncertain, b.Len()*maxInRow)
	require.GreaterOrEqual(tb, r.Delay, time.Duration(0))
	require.Equal(tb, len(r.Left) > 0, r.Err != nil, "Err is %v with %d left", r.Err, len(r.Left))
	text := fmt.Sprintf("%+v", r)
	if r.Err != nil {
		text += r.Err.Error()
		var failure *Failure
		require.ErrorAs(tb, r.Err, &failure)
		require.NotEmpty(tb, failure.Cause)
		require.Contains(tb, r.Err.Error(), failure.Destination)
	}
	require.NotContains(tb, strings.ToLower(text), strings.ToLower(testKey), "the key is told")
}

// short writes a result in short.
func short(r Result) string {
	text := fmt.Appendf(nil, "accepted %d, sampled out %d, left %v, uncertain %d", r.Accepted, r.SampledOut, r.Left, r.Uncertain)
	for _, d := range r.Dead {
		text = fmt.Appendf(text, ", dead %d %s %d", d.Index, d.Reason, d.Status)
	}
	return string(text)
}

func causeOf(tb testing.TB, r Result) Cause {
	tb.Helper()
	var failure *Failure
	require.ErrorAs(tb, r.Err, &failure)
	return failure.Cause
}

// fake is a server whose answers a test writes itself.
type fake struct {
	*httptest.Server
	mu       sync.Mutex
	requests []fakeRequest
}

type fakeRequest struct {
	header http.Header
	lines  []string
	path   string
}

// serve starts a fake; answer gets the lines of each request.
func serve(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, lines []string)) *fake {
	t.Helper()
	f := &fake{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lines, err := readLines(r.Body)
		assert.NoError(t, err)
		assert.Positive(t, r.ContentLength, "the length is not told")
		f.mu.Lock()
		f.requests = append(f.requests, fakeRequest{header: r.Header.Clone(), lines: lines, path: r.URL.Path})
		f.mu.Unlock()
		answer(w, r, lines)
	}))
	t.Cleanup(f.Close)
	return f
}

func readLines(body io.Reader) ([]string, error) {
	plain, err := gzip.NewReader(body)
	if err != nil {
		return nil, err
	}
	var lines []string
	scanner := bufio.NewScanner(plain)
	scanner.Buffer(nil, 8<<20)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	return lines, scanner.Err()
}

func (f *fake) got() []fakeRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]fakeRequest(nil), f.requests...)
}

// answerReport answers with a report of the service.
func answerReport(w http.ResponseWriter, status, received, accepted int, errs ...string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"itemsReceived":%d,"itemsAccepted":%d,"appId":null,"errors":[%s]}`, received, accepted, strings.Join(errs, ","))
}

func itemFault(index, status int, message string) string {
	return fmt.Sprintf(`{"index":%d,"statusCode":%d,"message":%q}`, index, status, message)
}

// transport is a stub of a transport.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answerWith makes a response as a transport returns it.
func answerWith(r *http.Request, status int, header http.Header, body []byte) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: header, Request: r,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// discardServer answers 200 to everything.
func discardServer(tb testing.TB) *httptest.Server {
	tb.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"itemsReceived":1000,"itemsAccepted":1000,"appId":null,"errors":[]}`)
	}))
	tb.Cleanup(s.Close)
	return s
}
