// SPDX-License-Identifier: Apache-2.0

package fakeapi

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// bookmarkEvery is how often a real API server sends bookmarks, about.
const bookmarkEvery = time.Minute

// stream writes the events of one watch.
type stream struct {
	s   *Server
	r   *resourceKind
	f   format
	sel *selection
	out *bufio.Writer
	w   http.Flusher
}

func (s *Server) serveWatch(w http.ResponseWriter, q *http.Request, r *resourceKind, f format, sel *selection, query url.Values) {
	request := "WATCH " + r.plural
	initial := query.Get("sendInitialEvents") == "true"
	if initial && s.options.NoStreamingLists {
		s.refuse(w, q, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "sendInitialEvents is not enabled here")
		return
	}
	flusher, ok := w.(http.Flusher)
	if !ok {
		s.refuse(w, q, http.StatusInternalServerError, metav1.StatusReasonInternalError, "cannot stream")
		return
	}
	s.counters.add(request, 1, 0, 0)
	version := query.Get("resourceVersion")
	since, _ := strconv.ParseUint(version, 10, 64)
	everything := initial || since == 0
	if everything {
		since = 0
	}
	st := &stream{s: s, r: r, f: f, sel: sel, w: flusher, out: bufio.NewWriterSize(&counted{w: w, counters: &s.counters, request: request}, 32*1024)}
	w.Header().Set("Content-Type", f.watchType())
	open, revision, gone := s.cluster.follow(r, since)
	if gone {
		st.status(refusal(http.StatusGone, metav1.StatusReasonExpired, "too old resource version: "+version))
		return
	}
	defer s.cluster.unfollow(open)
	ctx := q.Context()
	if seconds, err := strconv.Atoi(query.Get("timeoutSeconds")); err == nil && seconds > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
		defer cancel()
	}
	bookmarks := query.Get("allowWatchBookmarks") == "true"
	if everything && !st.initial(initial && bookmarks, revision) {
		return
	}
	st.flush()
	st.follow(ctx, open, bookmarks)
}

// initial sends all there is, and on demand the bookmark that says so.
func (st *stream) initial(mark bool, revision uint64) bool {
	for i := range st.r.count {
		ok, err := st.s.selected(st.r, st.sel, i)
		if err == nil && !ok {
			continue
		}
		var item []byte
		if err == nil {
			item, err = st.s.item(st.r, st.f, i)
		}
		if err != nil {
			st.status(refusal(http.StatusInternalServerError, metav1.StatusReasonInternalError, err.Error()))
			return false
		}
		if !st.send(added, item) {
			return false
		}
	}
	return !mark || st.mark(revision, map[string]string{metav1.InitialEventsAnnotationKey: "true"})
}

func (st *stream) follow(ctx context.Context, open *watch, bookmarks bool) {
	tick := time.NewTicker(bookmarkEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-open.lost:
			return
		case e := <-open.events:
			if !st.event(e) {
				return
			}
			if len(open.events) == 0 {
				st.flush()
			}
		case <-tick.C:
			st.s.cluster.mu.RLock()
			revision := st.s.cluster.revision
			st.s.cluster.mu.RUnlock()
			if bookmarks && !st.mark(revision, nil) {
				return
			}
			st.flush()
		}
	}
}

func (st *stream) event(e *event) bool {
	if !st.sel.matches(e.key) {
		return true
	}
	if !st.sel.labels.Empty() {
		m, err := meta.Accessor(e.object)
		if err != nil || !st.sel.labels.Matches(labels.Set(m.GetLabels())) {
			return true
		}
	}
	item, err := st.f.item(e.object)
	return err == nil && st.send(e.kind, item)
}

func (st *stream) send(kind string, item []byte) bool {
	apiVersion, name := st.f.kind(st.r)
	_, err := st.out.Write(st.f.frame(kind, st.f.whole(item, apiVersion, name)))
	return err == nil
}

// mark sends a bookmark: an empty object that carries the revision alone.
func (st *stream) mark(revision uint64, annotations map[string]string) bool {
	m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ResourceVersion: strconv.FormatUint(revision, 10), Annotations: annotations}}
	// In protobuf and in JSON every object begins with the same metadata, so that this one passes for all of them.
	item, err := format{protobuf: st.f.protobuf}.item(m)
	return err == nil && st.send(bookmark, item)
}

// status ends a watch that cannot go on.
func (st *stream) status(status *metav1.Status) {
	var object []byte
	var err error
	if st.f.protobuf {
		if object, err = status.Marshal(); err == nil {
			object = st.f.whole(object, "v1", "Status")
		}
	} else {
		object, err = json.Marshal(status)
	}
	if err == nil {
		st.s.write(st.out, st.f.frame("ERROR", object))
		st.flush()
	}
}

func (st *stream) flush() {
	// An error shows again at the next write; until then the client merely went away.
	_ = st.out.Flush()
	st.w.Flush()
}

func itemHead(length int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.BytesType), uint64(length))
}
