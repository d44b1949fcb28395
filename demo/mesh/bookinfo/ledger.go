// SPDX-License-Identifier: Apache-2.0

package bookinfo

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// CallerHeader names the pod that calls. The applications set it for each other, and the load driver for the ingress
// gateway that it asks: what the callee writes down is no conclusion from any telemetry. No proxy reads it.
const CallerHeader = "X-Bookinfo-Caller"

// maxCalls bounds a ledger: about a day of the demo's own load.
const maxCalls = 4_000_000

// Call is one request that an application answered.
type Call struct {
	// TraceID and SpanID are in hexadecimal, from the traceparent header with which the request arrived: the span is the
	// one of the callee's own sidecar. Both are empty if there was none.
	TraceID, SpanID string
	// Caller and Callee are pod names. Caller is that of a gateway if it brought the request from outside, and empty if
	// nobody told.
	Caller, Callee string
	// At is when the request arrived, Status what was answered.
	At     time.Time
	Status int
}

// Ledger is what the applications know of who called whom. The zero value is ready; it is safe for concurrent use.
type Ledger struct {
	mu      sync.Mutex
	calls   []Call
	dropped int
}

// Calls returns a copy of all calls so far, in the order in which they were answered, and how many more there was no room
// for.
func (l *Ledger) Calls() (calls []Call, dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Call(nil), l.calls...), l.dropped
}

func (l *Ledger) add(c *Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.calls) >= maxCalls {
		l.dropped++
		return
	}
	l.calls = append(l.calls, *c)
}

// keep writes each request down that the handler answers.
func (l *Ledger) keep(callee string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := Call{Caller: r.Header.Get(CallerHeader), Callee: callee, At: time.Now(), Status: http.StatusOK}
		// https://www.w3.org/TR/trace-context/#traceparent-header-field-values: version-trace-parent-flags
		if fields := strings.Split(r.Header.Get("Traceparent"), "-"); len(fields) >= 4 {
			call.TraceID, call.SpanID = fields[1], fields[2]
		}
		next.ServeHTTP(statusWriter{w, &call.Status}, r)
		l.add(&call)
	})
}

// statusWriter notes the status.
type statusWriter struct {
	http.ResponseWriter
	status *int
}

func (w statusWriter) WriteHeader(status int) {
	*w.status = status
	w.ResponseWriter.WriteHeader(status)
}
