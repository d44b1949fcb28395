// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
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
		store:     newStore(cfg),
		validator: validator{keys: slices.Clone(cfg.InstrumentationKeys), lengths: cfg.Lengths, now: cfg.Now},
		closed:    closed,
		close:     sync.OnceFunc(func() { close(closed) }),
	}
	e.api = newAPI(e)
	return e, nil
}

// Close lets go of requests that hang. It may be called more than once.
func (e *Endpoint) Close() { e.close() }

// ServeHTTP serves the track paths and the API.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
		e.api.ServeHTTP(w, r)
	}
}

// verdict is what the endpoint makes of the items of one request.
type verdict struct {
	items    []Item
	response ai.TrackResponse
	status   int
}

func (e *Endpoint) track(w http.ResponseWriter, r *http.Request) {
	fault := e.take()
	request := Request{
		Path: r.URL.Path, ContentType: r.Header.Get("Content-Type"),
		ContentEncoding: r.Header.Get("Content-Encoding"), UserAgent: r.UserAgent(),
	}
	if fault != nil {
		request.Fault = fault.Kind
	}
	// The body is read before all else, as a connection with an unread body is
	// of no more use to the client.
	body, readStatus, err := e.readBody(w, r)
	request.BodyBytes = len(body)
	if fault != nil && !e.pause(r.Context(), fault.Delay) {
		e.record(request, nil, nil)
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		e.refuse(w, request, readStatus, err.Error())
		return
	}
	if status := e.cfg.Auth.check(r); status != 0 {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		}
		e.refuse(w, request, status, http.StatusText(status))
		return
	}
	raw, err := ai.SplitBody(body, ai.MaxItemsPerRequest)
	if err != nil {
		e.refuse(w, request, http.StatusBadRequest, err.Error())
		return
	}
	request.Items = len(raw)
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
	e.record(request, v.items, errs)
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
	default:
		fault.setHeaders(w, e.cfg.Now())
		respond(w, v.status, v.response)
	}
}

// judge decides about every item.
func (e *Endpoint) judge(raw []json.RawMessage, fault *Fault) verdict {
	v := verdict{response: ai.TrackResponse{ItemsReceived: len(raw), Errors: []ai.ItemError{}}}
	for i, text := range raw {
		env, err := e.validator.validate(text)
		switch {
		case err != nil:
			v.response.Errors = append(v.response.Errors, ai.ItemError{Index: i, StatusCode: problemStatus, Message: err.Error()})
		case fault.refuses(i):
			v.response.Errors = append(v.response.Errors, fault.itemError(i))
		default:
			item := newItem(env, len(text))
			item.Index = i
			v.items = append(v.items, item)
		}
	}
	v.response.ItemsAccepted = len(v.items)
	switch {
	case len(v.response.Errors) == 0 && len(raw) > 0:
		v.status = http.StatusOK
	case len(v.items) > 0:
		v.status = http.StatusPartialContent
	default:
		v.status = http.StatusBadRequest
	}
	return v
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

var errTooLarge = errors.New("request body is too large")

// readBody returns the plain body, or a status and an error. It never holds
// more than the limit: a small body may decompress to any size.
func (e *Endpoint) readBody(w http.ResponseWriter, r *http.Request) ([]byte, int, error) {
	limit := e.cfg.MaxBodyBytes
	sent := http.MaxBytesReader(w, r.Body, limit)
	var plain io.Reader = sent
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip":
		unzipped, err := gzip.NewReader(sent)
		if err != nil {
			return nil, http.StatusBadRequest, fmt.Errorf("reading gzip: %w", err)
		}
		plain = unzipped
	default:
		return nil, http.StatusUnsupportedMediaType, fmt.Errorf("content encoding %q: send gzip or none", encoding)
	}
	var body bytes.Buffer
	n, err := body.ReadFrom(io.LimitReader(plain, limit+1))
	var tooLarge *http.MaxBytesError
	switch {
	case n > limit || errors.As(err, &tooLarge):
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("%w: more than %d bytes", errTooLarge, limit)
	case err != nil:
		return nil, http.StatusBadRequest, fmt.Errorf("reading the body: %w", err)
	default:
		return body.Bytes(), 0, nil
	}
}

// check returns 0 when the request may pass, else 401 or 403.
func (a Auth) check(r *http.Request) int {
	switch a.Mode {
	case AuthUnauthorized:
		return http.StatusUnauthorized
	case AuthForbidden:
		return http.StatusForbidden
	case AuthRequire:
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || token == "" {
			return http.StatusUnauthorized
		}
		if len(a.Tokens) > 0 && !slices.Contains(a.Tokens, token) {
			return http.StatusForbidden
		}
	}
	return 0
}

// pause waits for d and returns true, or false when the client or the endpoint
// went away first.
func (e *Endpoint) pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-e.closed:
	}
	return false
}

// hang returns when the client or the endpoint went away.
func (e *Endpoint) hang(w http.ResponseWriter, r *http.Request, drip time.Duration) {
	if drip <= 0 {
		select {
		case <-r.Context().Done():
		case <-e.closed:
		}
		return
	}
	setHeaders(w)
	w.WriteHeader(http.StatusOK)
	for e.pause(r.Context(), drip) {
		_, _ = w.Write([]byte(" ")) // white space may precede JSON for ever
		if http.NewResponseController(w).Flush() != nil {
			return
		}
	}
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

// rewrite makes the answer of the fault out of the usual one.
func (f *Fault) rewrite(v *verdict) {
	switch f.Kind {
	case FaultStatus, FaultRedirect:
		v.status = f.Status
		if v.status == 0 {
			v.status = http.StatusTemporaryRedirect
		}
		v.response.ItemsAccepted = 0
		v.response.Errors = []ai.ItemError{}
		if f.Kind == FaultStatus && f.Status == http.StatusOK {
			v.response.ItemsAccepted = v.response.ItemsReceived
		}
	case FaultHang, FaultClose:
		v.status = 0
	case FaultTruncate:
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
	case FaultItems:
		v.status = http.StatusPartialContent
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
