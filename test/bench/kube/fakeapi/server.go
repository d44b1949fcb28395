// SPDX-License-Identifier: Apache-2.0

package fakeapi

import (
	"bufio"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// compressAbove is the size from which a real API server compresses a list.
const compressAbove = 128 * 1024

// Options of a [Server].
type Options struct {
	// NoStreamingLists refuses watches that ask for the initial events, as those of v1.33, and of before v1.32, do by default.
	NoStreamingLists bool
	// Keep keeps what was encoded, so that the server is fast when it serves the same objects again. It costs memory of
	// about the size of all answers.
	Keep bool
}

// Server serves a cluster.
type Server struct {
	cluster  *Cluster
	options  Options
	counters counters
	network  network
	http     *httptest.Server
}

// Serve starts a server on a port of the loopback interface, with TLS and HTTP/2 as a real API server.
func Serve(c *Cluster, o Options) *Server {
	s := &Server{cluster: c, options: o}
	if o.Keep {
		for _, r := range c.resources {
			r.kept = &encodings{forms: map[format][]kept{}}
		}
	}
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.http.Listener = &countedListener{s.http.Listener, &s.network}
	s.http.EnableHTTP2 = true
	// Clients that are killed are no news.
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.http.StartTLS()
	return s
}

// URL is where the server listens.
func (s *Server) URL() string { return s.http.URL }

// CA is the certificate to verify the server by, in PEM.
func (s *Server) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw})
}

// Kubeconfig is a kubeconfig of the server.
func (s *Server) Kubeconfig() string {
	return "apiVersion: v1\nkind: Config\ncurrent-context: fake\n" +
		"contexts: [{name: fake, context: {cluster: fake, user: fake}}]\nusers: [{name: fake, user: {token: nobody}}]\n" +
		"clusters: [{name: fake, cluster: {server: " + strconv.Quote(s.URL()) + ", certificate-authority-data: " +
		base64.StdEncoding.EncodeToString(s.CA()) + "}}]\n"
}

// Take returns what was asked for since the last call.
func (s *Server) Take() Counts { return s.counters.take() }

// Network returns how many bytes the network carried to the clients and from them since the last call, with everything
// that TLS and HTTP/2 add: handshakes, headers, pings.
func (s *Server) Network() (sent, received int64) {
	return s.network.sent.Swap(0), s.network.received.Swap(0)
}

// Close ends all watches and the server.
func (s *Server) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// Warm encodes all objects of a resource beforehand, so that the first client does not wait for what the next ones get
// for nothing.
func (s *Server) Warm(plural string) error {
	for _, r := range s.cluster.resources {
		if r.plural != plural {
			continue
		}
		for i := range r.count {
			if _, err := s.item(r, format{protobuf: !r.custom}, i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Server) item(r *resourceKind, f format, i int) ([]byte, error) {
	s.cluster.mu.RLock()
	defer s.cluster.mu.RUnlock()
	return s.cluster.encoded(r, f, i)
}

func (s *Server) serve(w http.ResponseWriter, q *http.Request) {
	if q.Method != http.MethodGet {
		s.refuse(w, q, http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "only reading is possible here")
		return
	}
	parts := strings.Split(strings.Trim(q.URL.Path, "/"), "/")
	switch {
	case len(parts) >= 3 && parts[0] == "api":
		s.serveResource(w, q, "", parts[1], parts[2:])
	case len(parts) >= 4 && parts[0] == "apis":
		s.serveResource(w, q, parts[1], parts[2], parts[3:])
	default:
		s.serveDiscovery(w, q, parts)
	}
}

func (s *Server) serveResource(w http.ResponseWriter, q *http.Request, group, version string, rest []string) {
	namespace, name := "", ""
	if rest[0] == "namespaces" && len(rest) >= 3 {
		namespace, rest = rest[1], rest[2:]
	}
	if len(rest) == 2 {
		name = rest[1]
	}
	r := s.find(group, version, rest[0])
	if r == nil || len(rest) > 2 {
		s.refuse(w, q, http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
		return
	}
	f, ok := negotiate(q.Header.Get("Accept"), r)
	if !ok {
		s.refuse(w, q, http.StatusNotAcceptable, metav1.StatusReasonNotAcceptable, "no media type that the resource has")
		return
	}
	query := q.URL.Query()
	sel, err := newSelection(namespace, name, query)
	if err != nil {
		s.refuse(w, q, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	switch {
	case query.Get("watch") == "true" || query.Get("watch") == "1":
		s.serveWatch(w, q, r, f, sel, query)
	case name != "":
		s.serveOne(w, q, r, f, sel)
	default:
		s.serveList(w, q, r, f, sel, query)
	}
}

func (s *Server) find(group, version, plural string) *resourceKind {
	for _, r := range s.cluster.resources {
		if r.group == group && r.version == version && r.plural == plural {
			return r
		}
	}
	return nil
}

func (s *Server) serveOne(w http.ResponseWriter, q *http.Request, r *resourceKind, f format, sel *selection) {
	for i := range r.count {
		if ok, err := s.selected(r, sel, i); err != nil || !ok {
			continue
		}
		item, err := s.item(r, f, i)
		if err != nil {
			s.refuse(w, q, http.StatusInternalServerError, metav1.StatusReasonInternalError, err.Error())
			return
		}
		apiVersion, kind := f.kind(r)
		s.counters.add("GET "+r.plural, 1, 0, 0)
		w.Header().Set("Content-Type", f.contentType())
		s.write(&counted{w: w, counters: &s.counters, request: "GET " + r.plural}, f.whole(item, apiVersion, kind))
		return
	}
	s.refuse(w, q, http.StatusNotFound, metav1.StatusReasonNotFound, r.plural+" "+strconv.Quote(sel.name)+" not found")
}

func (s *Server) serveList(w http.ResponseWriter, q *http.Request, r *resourceKind, f format, sel *selection, query url.Values) {
	request := "LIST " + r.plural
	s.counters.add(request, 1, 0, 0)
	limit, _ := strconv.Atoi(query.Get("limit"))
	if query.Get("resourceVersion") == "0" {
		// The watch cache of a real API server knows no pages.
		limit = 0
	}
	first, _ := strconv.Atoi(query.Get("continue"))
	m := metav1.ListMeta{ResourceVersion: s.revision()}
	var items [][]byte
	size := 0
	for i := first; i < r.count; i++ {
		ok, err := s.selected(r, sel, i)
		if err == nil && ok {
			if limit > 0 && len(items) == limit {
				m.Continue = strconv.Itoa(i)
				if sel.everything() {
					rest := int64(r.count - i)
					m.RemainingItemCount = &rest
				}
				break
			}
			var item []byte
			if item, err = s.item(r, f, i); err == nil {
				items = append(items, item)
				size += len(item)
			}
		}
		if err != nil {
			s.refuse(w, q, http.StatusInternalServerError, metav1.StatusReasonInternalError, err.Error())
			return
		}
	}
	head, tail, err := f.list(r, &m, items)
	if err != nil {
		s.refuse(w, q, http.StatusInternalServerError, metav1.StatusReasonInternalError, err.Error())
		return
	}
	w.Header().Set("Content-Type", f.contentType())
	out, done := s.compressed(w, q, request, size)
	s.write(out, head)
	for i, item := range items {
		if f.protobuf {
			s.write(out, itemHead(len(item)))
		} else if i > 0 {
			s.write(out, []byte{','})
		}
		s.write(out, item)
	}
	s.write(out, tail)
	done()
}

// compressed returns where to write an answer of about a size to. done must be called at its end; it
// leaves out errors as write does.
func (s *Server) compressed(w http.ResponseWriter, q *http.Request, request string, size int) (out io.Writer, done func()) {
	plain := &counted{w: w, counters: &s.counters, request: request}
	if size < compressAbove || !strings.Contains(q.Header.Get("Accept-Encoding"), "gzip") {
		buffered := bufio.NewWriterSize(plain, 64*1024)
		return buffered, func() { _ = buffered.Flush() }
	}
	w.Header().Set("Content-Encoding", "gzip")
	plain.wire = true
	zip, err := gzip.NewWriterLevel(plain, gzip.BestSpeed)
	if err != nil {
		panic(err) // The level is a constant.
	}
	buffered := bufio.NewWriterSize(&counted{w: zip, counters: &s.counters, request: request, compressed: true}, 64*1024)
	return buffered, func() {
		_ = buffered.Flush()
		_ = zip.Close()
	}
}

// write leaves out errors: the client went away, which is its right.
func (s *Server) write(w io.Writer, b []byte) { _, _ = w.Write(b) }

func (s *Server) revision() string {
	s.cluster.mu.RLock()
	defer s.cluster.mu.RUnlock()
	return strconv.FormatUint(s.cluster.revision, 10)
}

func (s *Server) refuse(w http.ResponseWriter, q *http.Request, code int, reason metav1.StatusReason, message string) {
	s.counters.add("refused "+q.Method+" "+q.URL.Path, 1, 0, 0)
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(refusal(code, reason, message)) // The client went away, which is its right.
}

func refusal(code int, reason metav1.StatusReason, message string) *metav1.Status {
	return &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(code),
		Reason: reason, Message: message,
	}
}

// selection is what a request asks for of a resource.
type selection struct {
	namespace, name string
	fields          fields.Selector
	labels          labels.Selector
}

func newSelection(namespace, name string, query url.Values) (*selection, error) {
	sel := &selection{namespace: namespace, name: name}
	var err error
	if sel.fields, err = fields.ParseSelector(query.Get("fieldSelector")); err != nil {
		return nil, err
	}
	for _, f := range sel.fields.Requirements() {
		switch f.Field {
		case "metadata.name", "metadata.namespace", "spec.nodeName":
		default:
			return nil, fmt.Errorf("field label not supported: %s", f.Field)
		}
	}
	sel.labels, err = labels.Parse(query.Get("labelSelector"))
	return sel, err
}

func (sel *selection) everything() bool {
	return sel.namespace == "" && sel.name == "" && sel.fields.Empty() && sel.labels.Empty()
}

// matches without the labels.
func (sel *selection) matches(k key) bool {
	return (sel.namespace == "" || sel.namespace == k.namespace) && (sel.name == "" || sel.name == k.name) &&
		(sel.fields.Empty() || sel.fields.Matches(fields.Set{"metadata.name": k.name, "metadata.namespace": k.namespace, "spec.nodeName": k.node}))
}

func (s *Server) selected(r *resourceKind, sel *selection, i int) (bool, error) {
	if sel.everything() {
		return true, nil
	}
	s.cluster.mu.RLock()
	defer s.cluster.mu.RUnlock()
	if !sel.matches(r.keyOf(i)) {
		return false, nil
	}
	if sel.labels.Empty() {
		return true, nil
	}
	m, err := meta.Accessor(r.object(i))
	return err == nil && sel.labels.Matches(labels.Set(m.GetLabels())), err
}

// keyOf is what an object is selected by, besides its labels. The cluster must be locked.
func (r *resourceKind) keyOf(i int) key {
	if r.key != nil {
		return r.key(i)
	}
	m, err := meta.Accessor(r.object(i))
	if err != nil {
		return key{}
	}
	return key{namespace: m.GetNamespace(), name: m.GetName()}
}
