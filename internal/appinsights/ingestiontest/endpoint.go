// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// Endpoint is the ingestion endpoint as an [http.Handler]: the track paths of
// the service, and a small API of its own for loopback clients. All its methods
// may be called at once from many goroutines.
type Endpoint struct {
	*store
	faultQueue
	validator validator
	api       http.Handler
	book      *ledgerBook
	otlp      *otlpStore
	clock     atomic.Pointer[func() time.Time]
	closed    chan struct{}
	close     func()
}

// New returns an endpoint, or an error that says what is wrong with cfg.
func New(cfg Config) (*Endpoint, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	closed := make(chan struct{})
	e := &Endpoint{
		book:   newLedgerBook(cfg.Ledger),
		otlp:   newOTLPStore(),
		closed: closed,
		close:  sync.OnceFunc(func() { close(closed) }),
	}
	e.SetClock(cfg.Now)
	cfg.Now = e.now
	e.store = newStore(cfg)
	e.validator = validator{keys: slices.Clone(cfg.InstrumentationKeys), lengths: cfg.Lengths, now: e.now}
	e.api = newAPI(e)
	return e, nil
}

// Close lets go of requests that hang. It may be called more than once.
func (e *Endpoint) Close() { e.close() }

// SetClock replaces the clock of [Config.Now], for an endpoint whose clock is
// wrong, or was. Nil means [time.Now].
func (e *Endpoint) SetClock(now func() time.Time) {
	if now == nil {
		now = time.Now
	}
	e.clock.Store(&now)
}

func (e *Endpoint) now() time.Time { return (*e.clock.Load())() }

// ServeHTTP serves the track paths, those of OTLP ingestion and the API.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", e.now().UTC().Format(http.TimeFormat))
	// Clients that join an endpoint ending in a slash ask for //v2.1/track. A
	// ServeMux would redirect them.
	switch "/" + strings.TrimLeft(r.URL.Path, "/") {
	case ai.TrackPath, ai.LegacyTrackPath:
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "use POST", http.StatusMethodNotAllowed)
			return
		}
		e.track(w, r)
	default:
		if signal, ok := otlpSignal(r.URL.Path); ok {
			e.ingestOTLP(w, r, signal)
			return
		}
		e.api.ServeHTTP(w, r)
	}
}

// verdict is what the endpoint makes of the items of one request.
type verdict struct {
	items    []Item
	light    int      // accepted without being looked into
	numbers  []number // of the accepted items
	response ai.TrackResponse
	status   int
}

func (e *Endpoint) track(w http.ResponseWriter, r *http.Request) {
	fault := e.take(time.Now())
	request := newRequest(r, fault)
	// The body is read before all else, as a connection with an unread body is
	// of no more use to the client.
	body, readStatus, err := readBody(w, r, e.cfg.MaxBodyBytes)
	request.BodyBytes = len(body)
	if fault != nil && !e.pause(r.Context(), fault.Delay) {
		e.record(request, nil, nil)
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		e.refuse(w, request, readStatus, err.Error())
		return
	}
	if status := e.cfg.Auth.check(w, r); status != 0 {
		e.refuse(w, request, status, http.StatusText(status))
		return
	}
	raw, err := ai.SplitBody(body, ai.MaxItemsPerRequest)
	if err != nil {
		e.refuse(w, request, http.StatusBadRequest, err.Error())
		return
	}
	request.Items = len(raw)
	switch {
	case e.cfg.MaxRequestItems > 0 && len(raw) > e.cfg.MaxRequestItems:
		e.refuse(w, request, http.StatusRequestEntityTooLarge, fmt.Sprintf("more than %d items", e.cfg.MaxRequestItems))
		return
	case fault.poisons(raw):
		// Not one word on the item: the worst that a client must cope with.
		request.Status = http.StatusBadRequest
		e.record(request, nil, nil)
		respond(w, http.StatusBadRequest, ai.TrackResponse{ItemsReceived: len(raw), Errors: []ai.ItemError{}})
		return
	}
	e.answer(w, r, request, fault, raw)
}

// answer judges, stores and replies, as the fault wants it.
func (e *Endpoint) answer(w http.ResponseWriter, r *http.Request, request Request, fault *Fault, raw []json.RawMessage) {
	v := verdict{response: ai.TrackResponse{ItemsReceived: len(raw), Errors: []ai.ItemError{}}}
	if fault == nil || fault.Store || !fault.replaces() {
		v = e.judge(raw, fault)
	}
	errs := v.response.Errors
	if fault != nil {
		fault.rewrite(&v)
	}
	request.Status = v.status
	e.book.add(v.numbers)
	e.recordSome(request, v.items, v.light, errs)
	if fault == nil {
		respond(w, v.status, v.response)
		return
	}
	switch fault.Kind {
	case FaultHang:
		e.hang(w, r, fault.Drip)
		panic(http.ErrAbortHandler)
	case FaultClose:
		panic(http.ErrAbortHandler)
	case FaultTruncate:
		setHeaders(w)
		w.WriteHeader(v.status)
		text := encode(v.response)
		_, _ = w.Write(text[:len(text)/2])
	case FaultBody:
		setHeaders(w)
		w.WriteHeader(v.status)
		_, _ = io.WriteString(w, fault.Body)
	case FaultSlow:
		e.drip(w, r, v.status, encode(v.response), fault.Drip)
	default:
		fault.setHeaders(w, e.now())
		respond(w, v.status, v.response)
	}
}

// judge decides about every item.
func (e *Endpoint) judge(raw []json.RawMessage, fault *Fault) verdict {
	v := verdict{response: ai.TrackResponse{ItemsReceived: len(raw), Errors: []ai.ItemError{}}}
	for i, text := range raw {
		env, err := e.validate(text)
		switch {
		case err != nil:
			v.response.Errors = append(v.response.Errors, ai.ItemError{Index: i, StatusCode: problemStatus, Message: err.Error()})
			continue
		case fault.refuses(i, text):
			v.response.Errors = append(v.response.Errors, fault.itemError(i))
			continue
		}
		v.response.ItemsAccepted++
		v.numbers = e.book.find(v.numbers, text)
		if e.cfg.Light {
			v.light++
			continue
		}
		item := newItem(env, len(text))
		item.Index = i
		v.items = append(v.items, item)
	}
	switch {
	case len(v.response.Errors) == 0 && len(raw) > 0:
		v.status = http.StatusOK
	case v.response.ItemsAccepted > 0:
		v.status = http.StatusPartialContent
	default:
		v.status = http.StatusBadRequest
	}
	return v
}

// validate judges one item; see [Config.Light].
func (e *Endpoint) validate(text json.RawMessage) (ai.Envelope, error) {
	switch {
	case !e.cfg.Light:
		return e.validator.validate(text)
	case len(text) > ai.MaxItemBytes:
		return ai.Envelope{}, itemProblem(ai.MessageItemTooLong)
	default:
		return ai.Envelope{}, nil
	}
}

// refuse answers for the request as a whole; none of its items is judged.
func (e *Endpoint) refuse(w http.ResponseWriter, request Request, status int, message string) {
	request.Status = status
	e.record(request, nil, nil)
	respond(w, status, ai.TrackResponse{
		ItemsReceived: request.Items,
		Errors:        []ai.ItemError{{Index: 0, StatusCode: status, Message: message}},
	})
}

// replaces says whether the fault stands in place of the usual answer.
func (f *Fault) replaces() bool {
	switch f.Kind {
	case FaultStatus, FaultRedirect, FaultHang, FaultClose:
		return true
	default:
		return false
	}
}

// replacement is the status of an answer that the fault stands for, 0 for none.
func (f *Fault) replacement() int {
	switch {
	case f.Kind != FaultStatus && f.Kind != FaultRedirect:
		return 0
	case f.Status == 0:
		return http.StatusTemporaryRedirect
	default:
		return f.Status
	}
}

// rewrite makes the answer of the fault out of the usual one.
func (f *Fault) rewrite(v *verdict) {
	switch f.Kind {
	case FaultStatus, FaultRedirect:
		v.status = f.replacement()
		v.response.ItemsAccepted = 0
		v.response.Errors = []ai.ItemError{}
		if f.Kind == FaultStatus && f.Status == http.StatusOK {
			v.response.ItemsAccepted = v.response.ItemsReceived
		}
	case FaultHang, FaultClose:
		v.status = 0
	case FaultTruncate, FaultBody:
		v.status = f.Status
		if v.status == 0 {
			v.status = http.StatusPartialContent
		}
	case FaultBadIndex:
		v.status = http.StatusPartialContent
		indexes := f.Indexes
		if len(indexes) == 0 {
			indexes = []int{v.response.ItemsReceived, -1}
		}
		v.response.Errors = nil
		for _, index := range indexes {
			v.response.Errors = append(v.response.Errors, f.itemError(index))
		}
		// An answer whose numbers add up is the one that clients believe.
		v.response.ItemsAccepted = max(0, v.response.ItemsReceived-len(indexes))
	case FaultItems:
		v.status = http.StatusPartialContent
		if f.Status != 0 {
			v.status = f.Status
		}
	case FaultPoison, FaultDelay, FaultSlow: // the usual answer
	}
}

func (f *Fault) setHeaders(w http.ResponseWriter, now time.Time) {
	if f.RetryAfter > 0 {
		value := strconv.FormatInt(int64((f.RetryAfter+time.Second-1)/time.Second), 10)
		if f.RetryAfterDate {
			value = now.Add(f.RetryAfter).UTC().Format(http.TimeFormat)
		}
		w.Header().Set("Retry-After", value)
	}
	if f.Kind == FaultRedirect {
		w.Header().Set("Location", f.Location)
		if f.MaxAge > 0 {
			w.Header().Set("Cache-Control", fmt.Sprintf("max-age=%d", int64(f.MaxAge/time.Second)))
		}
	}
}

func setHeaders(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Server", "Microsoft-HTTPAPI/2.0")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}

func respond(w http.ResponseWriter, status int, response ai.TrackResponse) {
	setHeaders(w)
	w.WriteHeader(status)
	_, _ = w.Write(encode(response))
}

// encode never fails: the types hold nothing that JSON cannot.
func encode(response ai.TrackResponse) []byte {
	text, _ := json.Marshal(response)
	return text
}
