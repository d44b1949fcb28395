// SPDX-License-Identifier: Apache-2.0

// Package admin serves what the topology holds as JSON, for people who want to know why a call was named as it was.
//
//   - [New] returns the handler, [Serve] a server for it.
//
// The port asks nobody who they are. It is for the loopback interface, answers GET and HEAD alone, and only if the Host
// header names the loopback too: else a web page could make a browser on this machine ask for it (DNS rebinding).
package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/findings"
	"github.com/otelcol-mesh/otelcol-mesh/internal/loopback"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// MaxItems is the most entries of any list in an answer. A field of the answer says how many were left out.
const MaxItems = 1000

// maxRequests is how many requests are answered at a time: some visit every pod.
const maxRequests = 4

// Settings are what the handler asks. All are required, and are called from several goroutines.
type Settings struct {
	// Snapshot returns the newest topology.
	Snapshot func() *topology.Snapshot
	// Findings returns all findings, in the order to show them.
	Findings func() []findings.Entry
	// Status returns what is not in the snapshot. It becomes JSON as it is.
	Status func() Status
	// Source returns which source a cluster is from; empty if not known.
	Source func(cluster string) string
	// Now tells the time.
	Now func() time.Time
}

// Status is the state of what feeds the topology.
type Status struct {
	// Sources are those that are on.
	Sources []Source `json:"sources"`
	// Queue is what waits for the writer.
	Queue Queue `json:"queue"`
	// DiskCopy is absent without the source inventory.
	DiskCopy *DiskCopy `json:"disk_copy,omitempty"`
	// Counters are totals since the start.
	Counters map[string]uint64 `json:"counters"`
}

// Source is the state of one source.
type Source struct {
	// Source is static, kubernetes, inventory or remote_secrets.
	Source string `json:"source"`
	// Cluster is what it reads, if that is one cluster.
	Cluster string `json:"cluster,omitempty"`
	// Ready says that it has told all it knows at least once.
	Ready bool `json:"ready"`
	// Detail is a sentence on what it does or lacks.
	Detail string `json:"detail,omitempty"`
	// Confirmed is up to when it has seen everything; absent if it never has.
	Confirmed *time.Time `json:"confirmed,omitempty"`
	// Watches is how many resources it follows, and LiveWatches how many of them have a watch now.
	Watches     int `json:"watches,omitempty"`
	LiveWatches int `json:"live_watches,omitempty"`
}

// Queue is the state of the writer's queue.
type Queue struct {
	Length   int `json:"length"`
	Capacity int `json:"capacity"`
}

// DiskCopy is the state of the disk copy.
type DiskCopy struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`
	// Saved is when it was written last; absent if it was not since the start.
	Saved *time.Time `json:"saved,omitempty"`
	// Error is what came of the last attempt if it failed.
	Error string `json:"error,omitempty"`
}

type handler struct {
	Settings
	slots chan struct{}
}

// New returns the handler.
func New(settings Settings) http.Handler {
	h := &handler{Settings: settings, slots: make(chan struct{}, maxRequests)}
	mux := http.NewServeMux()
	for pattern, answer := range map[string]func(*http.Request) (any, error){
		"/topology":                 h.overview,
		"/topology/clusters":        h.clusters,
		"/topology/clusters/{name}": h.cluster,
		"/topology/address":         h.address,
		"/topology/pod":             h.pod,
		"/topology/findings":        h.findings,
		"/":                         h.unknown,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, answer) })
	}
	return mux
}

// Serve returns a server for the handler that no slow client can hold up.
func Serve(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
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

func missing(format string, args ...any) error {
	return &problem{http.StatusNotFound, fmt.Sprintf(format, args...)}
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request, answer func(*http.Request) (any, error)) {
	var value any
	err := admit(r)
	if err == nil {
		select {
		case h.slots <- struct{}{}:
			defer func() { <-h.slots }()
			value, err = answer(r)
		default:
			err = &problem{http.StatusServiceUnavailable, fmt.Sprintf("%d requests are being answered already; ask again", maxRequests)}
		}
	}
	status := http.StatusOK
	if err != nil {
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
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(true)
	if err := encoder.Encode(value); err != nil {
		status = http.StatusInternalServerError
		body.Reset()
		body.WriteString("{\"error\": \"the answer cannot be written as JSON\"}\n")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		// A client that has gone needs no answer.
		_, _ = w.Write(body.Bytes())
	}
}

// admit refuses what could come from elsewhere, and what would change something elsewhere.
func admit(r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return &problem{http.StatusMethodNotAllowed, "only GET and HEAD are answered: nothing can be changed here"}
	}
	if !loopback.IsAuthority(r.Host) {
		return &problem{http.StatusForbidden, "the Host header names another machine; ask for 127.0.0.1, [::1] or localhost"}
	}
	return nil
}

func (h *handler) unknown(*http.Request) (any, error) {
	return nil, missing("nothing is here; ask for /topology, /topology/clusters, /topology/clusters/{name}, " +
		"/topology/address?address=, /topology/pod?cluster=&namespace=&name= or /topology/findings")
}
