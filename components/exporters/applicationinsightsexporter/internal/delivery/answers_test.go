// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// TestReports answers for three items with what the local endpoint would never say.
func TestReports(t *testing.T) {
	const uncertain = "accepted 0, sampled out 0, left [0 1 2], uncertain 3"
	report := func(received, accepted string, errs ...string) string {
		return `{"itemsReceived":` + received + `,"itemsAccepted":` + accepted + `,"appId":null,"errors":[` + strings.Join(errs, ",") + `]}`
	}
	for name, test := range map[string]struct {
		status     int
		body, want string
	}{
		"an item twice":                 {206, report("3", "2", itemFault(1, 400, "a"), itemFault(1, 400, "b")), "accepted 2, sampled out 0, left [], uncertain 0, dead 1 invalid 400"},
		"an item twice, differently":    {206, report("3", "2", itemFault(1, 400, "a"), itemFault(1, 500, "b")), "accepted 2, sampled out 0, left [1], uncertain 1"},
		"dead and sampled out":          {206, report("3", "2", itemFault(1, 400, "a"), itemFault(1, 206, "Telemetry sampled out.")), "accepted 2, sampled out 0, left [1], uncertain 1"},
		"an item twice, counted twice":  {206, report("3", "1", itemFault(1, 400, "a"), itemFault(1, 400, "b")), "accepted 0, sampled out 0, left [0 2], uncertain 3, dead 1 invalid 400"},
		"accepted too many":             {206, report("3", "3", itemFault(1, 400, "a")), "accepted 0, sampled out 0, left [0 2], uncertain 3, dead 1 invalid 400"},
		"accepted too few":              {206, report("3", "1", itemFault(1, 500, "a")), uncertain},
		"received too many":             {206, report("4", "3", itemFault(1, 500, "a")), uncertain},
		"received too few":              {206, report("2", "1", itemFault(1, 500, "a")), uncertain},
		"negative counts":               {206, report("-3", "-2"), uncertain},
		"no errors":                     {206, report("3", "2"), uncertain},
		"all accepted":                  {206, report("3", "3"), "accepted 3, sampled out 0, left [], uncertain 0"},
		"no index":                      {206, report("3", "2", `{"statusCode":400,"message":"x"}`), uncertain},
		"index null":                    {206, report("3", "2", `{"index":null,"statusCode":400}`), uncertain},
		"index text":                    {206, report("3", "2", `{"index":"1","statusCode":400}`), uncertain},
		"index broken":                  {206, report("3", "2", `{"index":1.5,"statusCode":400}`), uncertain},
		"index enormous":                {206, report("3", "2", `{"index":1e99,"statusCode":400}`), uncertain},
		"error null":                    {206, report("3", "2", `null`), uncertain},
		"no status":                     {206, report("3", "2", `{"index":1}`), "accepted 2, sampled out 0, left [1], uncertain 1"},
		"status 0 to 399":               {206, report("3", "0", itemFault(0, 0, ""), itemFault(1, 200, ""), itemFault(2, 307, "")), uncertain},
		"status beyond 504":             {206, report("3", "1", itemFault(0, 505, ""), itemFault(1, 999, "")), "accepted 1, sampled out 0, left [0 1], uncertain 0"},
		"message null":                  {206, report("3", "2", `{"index":1,"statusCode":400,"message":null}`), "accepted 2, sampled out 0, left [], uncertain 0, dead 1 invalid 400"},
		"no counts":                     {206, `{"errors":[]}`, uncertain},
		"counts null":                   {206, report("null", "null"), uncertain},
		"null":                          {206, `null`, uncertain},
		"array":                         {206, `[]`, uncertain},
		"nothing":                       {206, ``, uncertain},
		"endless nesting":               {206, strings.Repeat("[", 100_000), uncertain},
		"too long":                      {206, report("3", "3") + strings.Repeat(" ", 1<<20), uncertain},
		"200, all":                      {200, report("3", "3"), "accepted 3, sampled out 0, left [], uncertain 0"},
		"200 without counts":            {200, `{}`, "accepted 3, sampled out 0, left [], uncertain 0"},
		"200, not JSON":                 {200, `OK`, uncertain},
		"200, nothing received":         {200, report("0", "0"), uncertain},
		"200, one refused":              {200, report("3", "2", itemFault(0, 400, "a")), "accepted 2, sampled out 0, left [], uncertain 0, dead 0 invalid 400"},
		"200, bad index":                {200, report("3", "2", itemFault(3, 400, "a")), uncertain},
		"200, a page":                   {200, "\n<html>", uncertain},
		"400, one accepted":             {400, report("3", "1", itemFault(0, 400, "a"), itemFault(2, 500, "b")), "accepted 1, sampled out 0, left [2], uncertain 0, dead 0 invalid 400"},
		"400, key for the request":      {400, report("3", "0", itemFault(0, 400, "Invalid instrumentation key")), "accepted 0, sampled out 0, left [0 1 2], uncertain 0"},
		"400, key in plain words":       {400, "invalid Instrumentation Key: " + testKey, "accepted 0, sampled out 0, left [0 1 2], uncertain 0"},
		"503 with a report":             {503, report("3", "0", itemFault(0, 503, "come later")), "accepted 0, sampled out 0, left [0 1 2], uncertain 0"},
		"401 telling the key":           {401, "not with " + strings.ToUpper(testKey) + " and Bearer abcdefghijklmnop", "accepted 0, sampled out 0, left [0 1 2], uncertain 0"},
		"dead with the key in the text": {206, report("3", "2", itemFault(0, 400, "not with "+testKey)), "accepted 2, sampled out 0, left [], uncertain 0, dead 0 invalid 400"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ *http.Request, _ []string) {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			r := newRig(t, s.URL, nil)
			got := r.send(batch(3))
			assert.Equal(t, test.want, short(got))
			assert.Len(t, s.got(), 1)
			if got.Err != nil {
				assert.NotContains(t, got.Err.Error(), "abcdefgh")
			}
		})
	}
}

// TestForeign400 has a server that refuses everything and is not the ingestion service: no item is given up for it.
func TestForeign400(t *testing.T) {
	for _, status := range []int{400, 413} {
		for _, n := range []int{1, 5} {
			t.Run(fmt.Sprintf("%d for %d items", status, n), func(t *testing.T) {
				s := serve(t, func(w http.ResponseWriter, _ *http.Request, _ []string) {
					w.WriteHeader(status)
					_, _ = io.WriteString(w, "<center>nginx</center>")
				})
				r := newRig(t, s.URL, nil)
				got := r.send(batch(n))
				require.Len(t, got.Left, n)
				assert.Zero(t, got.Uncertain)
				assert.Equal(t, CauseConfiguration, causeOf(t, got))
				assert.Equal(t, 5*time.Minute, got.Delay)
				assert.NotContains(t, got.Err.Error(), "nginx", "pages are not for logs")
				requests := s.got()
				last := requests[len(requests)-1]
				assert.Equal(t, []string{"{}"}, last.lines, "an item without content, and without the key")
			})
		}
	}
}

// TestLonePoison has the service refuse an item without a word on it, alone in its batch.
func TestLonePoison(t *testing.T) {
	for name, canary := range map[string]func(w http.ResponseWriter){
		"the service": func(w http.ResponseWriter) { answerReport(w, 400, 1, 0, itemFault(0, 400, "109: Field 'name'")) },
		"no answer":   func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ *http.Request, lines []string) {
				if lines[0] == "{}" {
					canary(w)
					return
				}
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, "I do not like this")
			})
			r := newRig(t, s.URL, nil)
			got := r.send(batch(1))
			if name == "the service" {
				assert.Equal(t, "accepted 0, sampled out 0, left [], uncertain 0, dead 0 invalid 400", short(got))
				assert.Contains(t, got.Dead[0].Message, "I do not like this")
				return
			}
			assert.Equal(t, "accepted 0, sampled out 0, left [0], uncertain 0", short(got))
			assert.Equal(t, CauseNetwork, causeOf(t, got))
		})
	}
}

// TestBrokenAnswers breaks the connection within the answer.
func TestBrokenAnswers(t *testing.T) {
	for status, want := range map[int]string{
		200: "accepted 3, sampled out 0, left [], uncertain 0",
		206: "accepted 0, sampled out 0, left [0 1 2], uncertain 3",
		400: "accepted 0, sampled out 0, left [0 1 2], uncertain 0",
		500: "accepted 0, sampled out 0, left [0 1 2], uncertain 3",
		429: "accepted 0, sampled out 0, left [0 1 2], uncertain 0",
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request, _ []string) {
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"itemsReceived":3,"items`)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
		assert.Equal(t, want, short(newRig(t, s.URL, nil).send(batch(3))), status)
	}
}

func TestSetAside(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, lines []string) {
		answerReport(w, 200, len(lines), len(lines))
	})
	r := newRig(t, s.URL, nil)
	b := &items.Batch{}
	for i, reject := range []items.Reject{items.RejectNotFinite, items.RejectTooLarge, items.RejectUnreadable, 99} {
		b.Append(items.Item{JSON: itemJSON(i, start), Time: start, Reject: reject})
	}
	for _, text := range []string{"", "{}", "{", "[1]", "{\"a\":1", "\"a\":1}", "{\"a\":1}\n{\"b\":2}", "null"} {
		b.Append(items.Item{JSON: []byte(text), Time: start})
	}
	add(b, 12, start)
	got := r.send(b)
	assert.Equal(t, "accepted 1, sampled out 0, left [], uncertain 0, dead 0 not_finite 0, dead 1 too_large 0, dead 2 unreadable 0, dead 3 unreadable 0, "+
		"dead 4 unreadable 0, dead 5 unreadable 0, dead 6 unreadable 0, dead 7 unreadable 0, dead 8 unreadable 0, dead 9 unreadable 0, dead 10 unreadable 0, dead 11 unreadable 0", short(got))
	require.Len(t, s.got(), 1)
	assert.Len(t, s.got()[0].lines, 1)
	for _, d := range got.Dead {
		assert.NotEmpty(t, d.Message)
	}

	// Nothing to send: no request.
	assert.Len(t, r.send(b.Pick([]int{0, 1})).Dead, 2)
	assert.Len(t, s.got(), 1)
}

type noToken struct{}

func (noToken) Error() string { return "no token: the identity is unknown" }
func (noToken) NotSent() bool { return true }

func TestTransportErrors(t *testing.T) {
	read := func(r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	for name, test := range map[string]struct {
		answer    transport
		cause     Cause
		uncertain int
		text      string
	}{
		"before the body": {func(r *http.Request) (*http.Response, error) { _ = r.Body.Close(); return nil, io.ErrUnexpectedEOF }, CauseNetwork, 0, "unexpected EOF"},
		"after the body":  {func(r *http.Request) (*http.Response, error) { read(r); return nil, io.ErrUnexpectedEOF }, CauseNetwork, 2, "unexpected EOF"},
		"no token":        {func(r *http.Request) (*http.Response, error) { read(r); return nil, noToken{} }, CauseUnauthorized, 0, "no token: the identity"},
		"tells the key":   {func(r *http.Request) (*http.Response, error) { return nil, errors.New("key " + testKey) }, CauseNetwork, 0, "(key)"},
		"panics":          {func(r *http.Request) (*http.Response, error) { panic("oh no: " + testKey) }, CauseInternal, 2, "oh no"},
		"neither":         {func(r *http.Request) (*http.Response, error) { return nil, nil }, CauseNetwork, 0, ""}, //nolint:nilnil // a transport that breaks its contract
		"body panics": {func(r *http.Request) (*http.Response, error) {
			read(r)
			return &http.Response{StatusCode: http.StatusOK, Body: panicBody{}}, nil
		}, CauseInternal, 2, "boo"},
		"status of nonsense": {func(r *http.Request) (*http.Response, error) { read(r); return answerWith(r, 42, nil, nil), nil }, CauseConfiguration, 0, "42"},
	} {
		t.Run(name, func(t *testing.T) {
			dest, _ := stubRig(t, newClock().Now, test.answer)
			b := batch(2)
			got := dest.Sender(nil).Send(t.Context(), b)
			checkResult(t, b, got)
			assert.Len(t, got.Left, 2)
			assert.Equal(t, test.uncertain, got.Uncertain)
			assert.Equal(t, test.cause, causeOf(t, got))
			assert.ErrorContains(t, got.Err, test.text)
		})
	}
}

type panicBody struct{}

func (panicBody) Read([]byte) (int, error) { panic("boo") }
func (panicBody) Close() error             { return nil }

func TestNetworkHints(t *testing.T) {
	refused := serve(t, nil)
	refused.Close()
	secure := newTLS(t)
	for name, test := range map[string]struct{ endpoint, hint string }{
		"refused":     {refused.URL, "connection refused"},
		"DNS":         {"http://nowhere.invalid", "cannot be resolved"},
		"unknown CA":  {secure.URL, "nobody vouches"},
		"not TLS":     {strings.Replace(serve(t, nil).URL, "http:", "https:", 1), "does not speak TLS"},
		"other name":  {strings.Replace(secure.URL, "127.0.0.1", "localhost", 1), "for another name"},
		"not any URL": {"http://127.0.0.1:1/%41", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, test.endpoint, func(s *Settings) {
				if name == "other name" {
					s.Client = secure.Client()
				}
			})
			got := r.send(batch(2))
			assert.Equal(t, "accepted 0, sampled out 0, left [0 1], uncertain 0", short(got), "nothing was sent")
			assert.Equal(t, CauseNetwork, causeOf(t, got))
			assert.ErrorContains(t, got.Err, test.hint)
			assert.NotContains(t, got.Err.Error(), "Post ", "the URL is taken off")
		})
	}
}
