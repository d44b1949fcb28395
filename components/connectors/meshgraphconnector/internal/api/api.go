// SPDX-License-Identifier: Apache-2.0

// Package api serves the graph, its failovers, cost, posture and control planes as JSON, and answers Argo Rollouts.
//
//   - [Admin] is everything, for the loopback interface. The port asks nobody who they are: it answers only if the Host header
//     names the loopback too, and no page of another origin asks. Else a web page could make a browser on this machine ask
//     for it (DNS rebinding).
//   - [Analysis] is the two questions that a rollout asks, for a server that other pods reach.
//
// Nothing can be changed here: only GET and HEAD are answered.
package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/ledger"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/window"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/loopback"
)

const (
	// maxRequests is how many requests are answered at a time.
	maxRequests = 8
	// maxLookups is how many of them go through the hour at a time: for a service that has all of it, that is a second or two of a
	// core, and 70 MB.
	maxLookups = 2
	// maxQuery is the most bytes of a query.
	maxQuery = 4096
)

// Sources are what is served. They are called from several goroutines, and what they return is not changed by anybody. One
// that is nil is not served: 404, with a sentence.
type Sources struct {
	// Graph returns the newest interval.
	Graph func() *graph.Snapshot
	// Failovers returns what [Failovers.Published] does.
	Failovers func() *FailoverReport
	// Cost returns the report of the ledger.
	Cost func() *ledger.Report
	// Posture and ControlPlanes return values that become JSON as they are.
	Posture, ControlPlanes func() any
	// Window answers questions of versions and analysis.
	Window *window.Store
	// Replica is set where this hub is one of several: nil for the only one.
	Replica *Replica
	// Peers are asked by [Analysis] about services that this replica does not have. Nil for none.
	Peers *Peers
	// Now tells the time. Default: time.Now.
	Now func() time.Time
}

type handler struct {
	Sources
	slots    chan struct{}
	lookups  chan struct{}
	document document
}

// answer is what becomes JSON.
type answer func(*http.Request) (any, error)

// Admin returns the handler of everything.
func Admin(sources Sources) http.Handler {
	h := newHandler(sources)
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/graph", func(w http.ResponseWriter, r *http.Request) {
		h.serve(w, r, true, func(r *http.Request) (any, error) { return nil, h.graph(w, r) })
	})
	for path, a := range map[string]answer{
		"/api/v1/failovers":      published("failovers", sources.Failovers, sources.Replica, hasFailovers),
		"/api/v1/cost":           published("cost", sources.Cost, sources.Replica, hasCost),
		"/api/v1/posture":        published("posture", sources.Posture, sources.Replica, hasPosture),
		"/api/v1/control-planes": published("control planes", sources.ControlPlanes, sources.Replica, hasPlanes),
		"/api/v1/analysis":       h.analysis, "/api/v1/versions": h.versions, "/": unknown(
			"/api/v1/graph, /api/v1/failovers, /api/v1/cost, /api/v1/posture, /api/v1/control-planes, " +
				"/api/v1/versions?namespace=&service= or /api/v1/analysis?namespace=&service="),
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, true, a) })
	}
	return mux
}

// Analysis returns the handler of the questions about versions alone. It asks nobody who they are: the server does, by its
// TLS and authentication.
func Analysis(sources Sources) http.Handler {
	h := newHandler(sources)
	mux := http.NewServeMux()
	for path, a := range map[string]answer{
		"/api/v1/analysis": h.analysis, "/api/v1/versions": h.versions,
		"/": unknown("/api/v1/analysis?namespace=&service= or /api/v1/versions?namespace=&service="),
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, false, a) })
	}
	return mux
}

func newHandler(sources Sources) *handler {
	if sources.Now == nil {
		sources.Now = time.Now
	}
	h := &handler{Sources: sources, slots: make(chan struct{}, maxRequests), lookups: make(chan struct{}, maxLookups)}
	h.document.replica = sources.Replica
	return h
}

// Server returns a server for [Admin] that no slow client can hold up.
func Server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}

// problem is an error with the status to answer with. Its text says what to write.
type problem struct {
	status int
	text   string
}

func (p *problem) Error() string { return p.text }

func bad(format string, args ...any) error {
	return &problem{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func unknown(paths string) answer {
	return func(*http.Request) (any, error) {
		return nil, &problem{http.StatusNotFound, "nothing is here; ask for " + paths}
	}
}

// published serves a value as it is, or as a replica's part. It takes no parameters.
func published[T any](name string, get func() T, replica *Replica, has string) answer {
	return func(r *http.Request) (any, error) {
		if get == nil {
			return nil, &problem{http.StatusNotFound, name + " are not on in this hub's configuration"}
		}
		if r.URL.RawQuery != "" {
			return nil, bad("the query is %q: this address takes none", cut(r.URL.RawQuery))
		}
		v := get()
		if any(v) == nil {
			return nil, &problem{http.StatusServiceUnavailable, name + " are not known yet; ask again"}
		}
		if replica != nil {
			return part{of: v, has: has, replica: replica}, nil
		}
		return v, nil
	}
}

func cut(s string) string {
	const most = 100
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// serve answers with what the answer returns; with nothing if that has written by itself.
func (h *handler) serve(w http.ResponseWriter, r *http.Request, loopback bool, a answer) {
	var value any
	err := admit(r, loopback)
	if err == nil {
		select {
		case h.slots <- struct{}{}:
			defer func() { <-h.slots }()
			value, err = a(r)
		default:
			w.Header().Set("Retry-After", "1")
			err = &problem{http.StatusServiceUnavailable, fmt.Sprintf("%d requests are being answered already; ask again", maxRequests)}
		}
	}
	status := http.StatusOK
	switch {
	case err != nil:
		status = http.StatusInternalServerError
		if p, ok := errors.AsType[*problem](err); ok {
			status = p.status
		}
		if status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", "GET, HEAD")
		}
		value = struct {
			Error string `json:"error"`
		}{err.Error()}
	case value == nil:
		return
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		status = http.StatusInternalServerError
		body.Reset()
		body.WriteString("{\"error\": \"the answer cannot be written as JSON\"}\n")
	}
	w.Header().Set("Cache-Control", "no-store")
	head(w)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		// A client that has gone needs no answer.
		_, _ = w.Write(body.Bytes())
	}
}

// look goes through the hour when it is the request's turn; not for a client that has gone.
func (h *handler) look(r *http.Request, through func()) error {
	select {
	case h.lookups <- struct{}{}:
		defer func() { <-h.lookups }()
	case <-r.Context().Done():
	}
	if r.Context().Err() != nil {
		return &problem{http.StatusServiceUnavailable, "the client does not wait any more"}
	}
	through()
	return nil
}

func head(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}

// admit refuses what could come from elsewhere, and what would change something elsewhere.
func admit(r *http.Request, local bool) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return &problem{http.StatusMethodNotAllowed, "only GET and HEAD are answered: nothing can be changed here"}
	}
	if len(r.URL.RawQuery) > maxQuery {
		return &problem{http.StatusRequestURITooLong, fmt.Sprintf("the query has %d bytes: write at most %d", len(r.URL.RawQuery), maxQuery)}
	}
	if !local {
		return nil
	}
	if !loopback.IsAuthority(r.Host) {
		return &problem{http.StatusForbidden, "the Host header names another machine; ask for 127.0.0.1, [::1] or localhost"}
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || !loopback.IsAuthority(u.Host) {
			return &problem{http.StatusForbidden, "the Origin header names another machine: no page from elsewhere may ask here"}
		}
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		return &problem{http.StatusForbidden, "the Sec-Fetch-Site header says that a page of another origin asks: none may"}
	}
	return nil
}
