// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

// document has the bytes of the newest interval that anybody asked for.
type document struct {
	replica *Replica
	current atomic.Pointer[encoded]
}

// encoded is an interval's document. Each form is built once, by who asks first; others wait for it.
type encoded struct {
	snapshot      *graph.Snapshot
	plain, zipped func() ([]byte, error)
}

func newEncoded(s *graph.Snapshot, replica *Replica) *encoded {
	e := &encoded{snapshot: s}
	e.plain = sync.OnceValues(func() ([]byte, error) {
		raw, err := json.Marshal(s.Document())
		if err != nil {
			return nil, err
		}
		return replica.mark(raw, hasEdges)
	})
	e.zipped = sync.OnceValues(func() ([]byte, error) {
		raw, err := e.plain()
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		if err != nil {
			return nil, err
		}
		if _, err = z.Write(raw); err != nil {
			return nil, err
		}
		if err = z.Close(); err != nil {
			return nil, err
		}
		return b.Bytes(), nil
	})
	return e
}

// of returns the document of a snapshot: the one that is there if it is of the same.
func (d *document) of(s *graph.Snapshot) *encoded {
	for {
		e := d.current.Load()
		if e != nil && e.snapshot == s {
			return e
		}
		if fresh := newEncoded(s, d.replica); d.current.CompareAndSwap(e, fresh) {
			return fresh
		}
	}
}

// tag is the entity tag. The sequence alone may come again if a state was lost.
func (e *encoded) tag(zipped bool) string {
	form := ""
	if zipped {
		form = "-gzip"
	}
	return fmt.Sprintf("%q", fmt.Sprintf("%d-%d%s", e.snapshot.Sequence, e.snapshot.End.UnixMilli(), form))
}

// graph writes the document by itself. With an error nothing was written.
func (h *handler) graph(w http.ResponseWriter, r *http.Request) error {
	if h.Graph == nil {
		return &problem{http.StatusNotFound, "the graph is not on in this hub's configuration"}
	}
	if r.URL.RawQuery != "" {
		return bad("the query is %q: this address takes none", cut(r.URL.RawQuery))
	}
	e := h.document.of(h.Graph())
	zipped := takesGzip(r.Header.Values("Accept-Encoding"))
	w.Header().Set("ETag", e.tag(zipped))
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Vary", "Accept-Encoding")
	w.Header().Set("Mesh-Graph-Sequence", strconv.FormatUint(e.snapshot.Sequence, 10))
	if matches(r.Header.Values("If-None-Match"), e.tag(zipped)) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	build := e.plain
	if zipped {
		build = e.zipped
	}
	body, err := build()
	if err != nil {
		return err
	}
	head(w)
	if zipped {
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		// A client that has gone needs no answer.
		_, _ = w.Write(body)
	}
	return nil
}

// list splits header lines at their commas.
func list(lines []string) []string {
	var out []string
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			out = append(out, strings.TrimSpace(part))
		}
	}
	return out
}

func matches(lines []string, tag string) bool {
	return slices.ContainsFunc(list(lines), func(t string) bool { return t == "*" || strings.TrimPrefix(t, "W/") == tag })
}

// takesGzip reads Accept-Encoding: RFC 9110, section 12.5.3. What is not named is not sent.
func takesGzip(lines []string) bool {
	return slices.ContainsFunc(list(lines), func(part string) bool {
		coding, parameters, weighted := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			return false
		}
		name, value, _ := strings.Cut(strings.TrimSpace(parameters), "=")
		if !weighted || !strings.EqualFold(name, "q") {
			return true
		}
		q, err := strconv.ParseFloat(value, 64)
		return err == nil && q > 0
	})
}
