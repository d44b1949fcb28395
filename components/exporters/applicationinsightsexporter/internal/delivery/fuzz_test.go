// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// script answers requests from arbitrary bytes, and then with 200.
type script struct {
	data     []byte
	n        int
	requests int
}

func (s *script) next() byte {
	if s.n >= len(s.data) {
		return 0
	}
	s.n++
	return s.data[s.n-1]
}

var scriptStatuses = []int{200, 206, 400, 413, 200, 206, 400, 413, 307, 308, 401, 402, 403, 404, 408, 429, 439, 500, 502, 503, 504, 100, 102, 204, 302, 999}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.requests++
	lines, err := readLines(r.Body)
	_ = r.Body.Close()
	if err != nil {
		return nil, err
	}
	if s.n >= len(s.data) {
		return answerWith(r, 200, nil, nil), nil
	}
	header := http.Header{}
	flags := s.next()
	if flags&1 != 0 {
		header.Set("Retry-After", string(s.take(4)))
	}
	if flags&2 != 0 {
		header.Set("Date", start.Add(time.Duration(int8(s.next()))*time.Hour).Format(http.TimeFormat))
	}
	if flags&4 != 0 {
		header.Set("Location", "http://127.0.0.1:"+strconv.Itoa(int(s.next())+1)+"/")
		header.Set("Cache-Control", "max-age=60")
	}
	if flags&0xf8 == 0xf8 {
		return nil, errors.New("reset")
	}
	status := scriptStatuses[int(s.next())%len(scriptStatuses)]
	var body []byte
	switch flags >> 3 % 3 {
	case 0:
		body = s.take(int(s.next()))
	default:
		body = s.report(len(lines))
	}
	if flags&0x40 != 0 && len(body) > 0 {
		body = body[:len(body)-1]
	}
	response := answerWith(r, status, header, body)
	if flags&0x80 != 0 {
		response.Body = io.NopCloser(io.MultiReader(strings.NewReader(string(body)), failing{}))
	}
	return response, nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func (s *script) take(n int) []byte {
	n = min(n, len(s.data)-s.n)
	s.n += n
	return s.data[s.n-n : s.n]
}

// report is nearly right, so that the numbers come under scrutiny.
func (s *script) report(sent int) []byte {
	accepted := sent
	var errs []string
	for range s.next() % 5 {
		index := int(int8(s.next())) % (sent + 2)
		status := []int{400, 429, 500, 206, 413, 0, 399, 403, 418, 505}[s.next()%10]
		message := []string{"", "Telemetry sampled out.", "103: Field 'time' is older", "Invalid instrumentation key", "x"}[s.next()%5]
		errs = append(errs, itemFault(index, status, message))
		accepted--
	}
	if s.next()%4 == 0 {
		accepted += int(int8(s.next()))
	}
	return []byte(`{"itemsReceived":` + strconv.Itoa(sent) + `,"itemsAccepted":` + strconv.Itoa(accepted) + `,"errors":[` + strings.Join(errs, ",") + `]}`)
}

// FuzzSend meets arbitrary statuses, headers and bodies, and checks that no item is without a fate or has two; that
// attempts come to an end; and that everything is settled once the endpoint is well again.
func FuzzSend(f *testing.F) {
	f.Add([]byte{}, uint8(3))
	f.Add([]byte{0x08, 1, 2, 1, 0, 0, 0x08, 1, 1, 200, 2, 3}, uint8(5))
	f.Add([]byte{0x00, 2, 0, 0x00, 3, 0, 0x00, 2, 0}, uint8(20))
	f.Add([]byte{0xf8, 0x05, '9', '9', '9', '9', 7, 9, 0}, uint8(2))
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		seed := make([]byte, random.IntN(100))
		for i := range seed {
			seed[i] = byte(random.Uint32())
		}
		f.Add(seed, uint8(random.Uint32()))
	}
	f.Fuzz(func(t *testing.T, data []byte, n uint8) {
		clock := newClock()
		s := &script{data: data}
		dest, _ := stubRig(t, clock.Now, s.RoundTrip)
		observer := &recorder{}
		sender := dest.Sender(observer)
		b := batch(int(n)%40 + 1)
		b.Append(items.Item{JSON: itemJSON(99, start), Time: start, Reject: items.RejectNotFinite})
		total := b.Len()
		settled := Result{}
		for attempt := 0; b.Len() > 0; attempt++ {
			require.Less(t, attempt, len(data)+8, "no end")
			before := s.requests
			got := sender.Send(t.Context(), b)
			checkResult(t, b, got)
			require.LessOrEqual(t, s.requests-before, 4*maxSearches+b.Len()+maxRedirects)
			settled.Accepted += got.Accepted
			settled.SampledOut += got.SampledOut
			settled.Uncertain += got.Uncertain
			settled.Dead = append(settled.Dead, got.Dead...)
			b = b.Pick(got.Left)
			clock.advance(max(got.Delay, time.Millisecond))
		}
		require.Equal(t, total, settled.Accepted+settled.SampledOut+len(settled.Dead))
		sum := 0
		for _, n := range observer.accepted {
			sum += n
		}
		require.Equal(t, settled.Accepted, sum)
		require.Equal(t, settled.SampledOut, observer.sampledOut)
		require.Equal(t, settled.Uncertain, observer.uncertain)
	})
}

// FuzzReport reads arbitrary bodies.
func FuzzReport(f *testing.F) {
	for _, seed := range []string{
		`{"itemsReceived":3,"itemsAccepted":2,"appId":null,"errors":[{"index":1,"statusCode":400,"message":"109: Field 'name'"}]}`,
		`{"itemsReceived":1,"itemsAccepted":0,"errors":[{"index":0,"statusCode":206,"message":"Telemetry sampled out."}]}`,
		`{"itemsReceived":2,"itemsAccepted":0,"errors":[{"index":-1,"statusCode":500},{"index":99}]}`, `{"itemsReceived":1e3}`, `[`, `null`, ``,
	} {
		f.Add([]byte(seed), 3)
	}
	f.Fuzz(func(t *testing.T, body []byte, sent int) {
		r := readReport(body)
		if r == nil {
			return
		}
		sent = max(1, sent%1000)
		believed, errs := r.check(sent)
		if believed == trustNothing {
			require.Empty(t, errs)
			return
		}
		for index, list := range errs {
			require.GreaterOrEqual(t, index, 0)
			require.Less(t, index, sent)
			ruling := ruleAll(list)
			require.Contains(t, []fate{fateSampledOut, fateLeft, fateDead}, ruling.fate)
			require.Equal(t, ruling.fate == fateLeft, ruling.cause != "")
			require.Equal(t, ruling.fate == fateDead, ruling.reason != "")
		}
		if believed == trustAll {
			require.Equal(t, sent, *r.ItemsReceived)
			require.Equal(t, sent, *r.ItemsAccepted+len(errs))
		}
	})
}

// FuzzRetryAfter reads arbitrary headers.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "0", "-1", "120", "1.5", "1e300", "NaN", "inf", "Mon, 23 Nov 2026 06:01:00 GMT", "Monday, 23-Nov-26 06:01:00 GMT", "soon", "99999999999999999999"} {
		f.Add(seed, "Mon, 23 Nov 2026 06:00:00 GMT", "max-age="+seed)
	}
	f.Fuzz(func(t *testing.T, after, date, cache string) {
		header := http.Header{"Retry-After": {after}, "Date": {date}, "Cache-Control": {cache}}
		got := retryAfter(header, start)
		require.GreaterOrEqual(t, got, time.Duration(0))
		require.LessOrEqual(t, got, endOfTime)
		age := maxAge(308, header)
		require.GreaterOrEqual(t, age, time.Duration(0))
		require.LessOrEqual(t, age, 24*time.Hour)
	})
}

// FuzzClean cuts the key out of arbitrary texts.
func FuzzClean(f *testing.F) {
	f.Add("no " + testKey + " here")
	f.Add(strings.Repeat("ä", 600) + testKey)
	f.Add(strings.Repeat("x", 64<<10-5) + testKey)
	f.Add("Authorization: Bearer eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.x.y\x00\xff")
	f.Fuzz(func(t *testing.T, text string) {
		got := clean(text, testKey)
		require.LessOrEqual(t, len(got), maxText)
		require.NotContains(t, asciiLower(got), testKey)
		require.NotContains(t, got, "\n")
		require.True(t, strings.ToValidUTF8(got, "") == got)
	})
}
