// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/requestlimitsextension/internal/otlpwalk"
)

const (
	typeProto = "application/x-protobuf"
	typeJSON  = "application/json"
)

// GetHTTPHandler returns the wrapper of a receiver's handler. It runs behind the receiver's decompression and
// authentication: what it reads is the request as it will be decoded.
func (l *requestLimits) GetHTTPHandler(context.Context) (func(context.Context, http.Handler) (http.Handler, error), error) {
	return func(_ context.Context, next http.Handler) (http.Handler, error) {
		return &httpLimits{requestLimits: l, next: next, signals: map[string]otlpwalk.Signal{
			l.cfg.HTTP.TracesURLPath:  otlpwalk.Traces,
			l.cfg.HTTP.LogsURLPath:    otlpwalk.Logs,
			l.cfg.HTTP.MetricsURLPath: otlpwalk.Metrics,
		}}, nil
	}, nil
}

type httpLimits struct {
	*requestLimits
	next    http.Handler
	signals map[string]otlpwalk.Signal
}

func (h *httpLimits) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.ending.serves(r)
	contentType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	known := err == nil && (contentType == typeProto || contentType == typeJSON)
	if r.Method != http.MethodPost || !known {
		// The receiver refuses these without reading them.
		h.next.ServeHTTP(w, r)
		return
	}
	peer := peerOf(r.RemoteAddr)
	if refused := h.serve(w, r, peer, contentType == typeJSON); refused != nil {
		h.countRefused(overHTTP, peer, refused)
		answer(w, contentType, refused)
	}
}

// serve hands a request on, unless it returns why not.
func (h *httpLimits) serve(w http.ResponseWriter, r *http.Request, peer string, json bool) *refusal {
	signal, ok := h.signals[r.URL.Path]
	if !ok {
		return &refusal{
			reason: reasonUnknownPath, code: 0, http: http.StatusNotFound,
			message: prefix + "no signal is known under this path ('http::traces_url_path', 'logs_url_path', 'metrics_url_path')",
		}
	}
	if n := headerBytes(r.Header); n > h.cfg.MaxHeaderBytes {
		return &refusal{
			reason: reasonHeaderBytes, http: http.StatusRequestHeaderFieldsTooLarge,
			message: fmt.Sprintf("%sthe headers are over 'max_header_bytes' (%d)", prefix, h.cfg.MaxHeaderBytes),
		}
	}
	if !h.ledger.open(peer) {
		return busy(reasonStreams, "too many requests at once ('max_streams', 'max_streams_per_peer')", h.cfg.RetryAfter)
	}
	defer h.ledger.close(peer)
	held := &held{ledger: h.ledger, peer: peer, after: h.cfg.RetryAfter}
	defer held.release()

	body, refused := h.admit(w, r, held, signal, json)
	if refused != nil {
		if refused.retryAfter != 0 && refused.reason != reasonSlow {
			// Many clients see a broken connection, not an answer, if it comes before they have sent all. Nothing of it is kept,
			// but its stream is, so nobody may take longer than in any case.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.cfg.MinReadTime))
			_, _ = io.CopyN(io.Discard, r.Body, h.cfg.Request.MaxBytes)
		}
		return refused
	}
	h.countAdmitted(overHTTP)
	original := r.Body
	r.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(body), original}
	r.ContentLength = int64(len(body))
	h.next.ServeHTTP(w, r)
	return nil
}

// admit reads a request in its turn, counts what it holds, and takes what decoding it will take. The turn lasts until all of
// that is counted; reading may be ended by whoever waits for one.
func (h *httpLimits) admit(w http.ResponseWriter, r *http.Request, held *held, signal otlpwalk.Signal, json bool) ([]byte, *refusal) {
	turn, ok := h.turns.take(r.Context(), held.peer, func() { _ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) })
	if !ok {
		return nil, noTurn(h.cfg.RetryAfter)
	}
	defer h.turns.done(turn)
	body, refused := h.read(r, held)
	// net/http ends the context of a request whose connection has reached its deadline, also if all of it was there.
	if !h.turns.complete(turn) && (refused == nil || refused.reason == reasonUnreadable) {
		return nil, tooSlow(h.cfg.RetryAfter)
	}
	if refused != nil {
		return nil, refused
	}
	decoded, refused := h.judge(signal, body, json)
	if refused != nil {
		return nil, refused
	}
	return body, held.take(decoded)
}

// firstRead is the buffer that a body of unknown length starts with.
const firstRead = 64 << 10

// read takes the body within 'max_bytes', and each part of its buffer from the shared budget before it is allocated. The
// receiver will copy it, so it counts twice.
func (h *httpLimits) read(r *http.Request, held *held) ([]byte, *refusal) {
	most := h.cfg.Request.MaxBytes
	tooLong := tooMuch(reasonRequestBytes, fmt.Sprintf("the request is over 'request::max_bytes' (%d)", most))
	if r.ContentLength > most {
		return nil, tooLong
	}
	// What is announced is not yet sent: a long one begins small as well.
	size := int64(firstRead)
	if r.ContentLength >= 0 {
		size = min(size, r.ContentLength+1)
	}
	if refused := held.take(2 * size); refused != nil {
		return nil, refused
	}
	body := make([]byte, 0, size)
	for {
		if len(body) == cap(body) {
			grown := min(2*int64(cap(body)), most+1)
			if refused := held.take(2 * (grown - int64(cap(body)))); refused != nil {
				return nil, refused
			}
			body = append(make([]byte, 0, grown), body...)
		}
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		var over *http.MaxBytesError
		switch {
		case int64(len(body)) > most || errors.As(err, &over):
			return nil, tooLong
		case errors.Is(err, io.EOF):
			return body, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			// 'read_timeout' of the receiver, which also runs while a request waits for its turn.
			return nil, tooSlow(h.cfg.RetryAfter)
		case err != nil:
			return nil, &refusal{
				reason: reasonUnreadable, http: http.StatusBadRequest,
				message: prefix + "the request cannot be read: " + err.Error(),
			}
		}
	}
}

// held is what one request holds of the shared budget.
type held struct {
	ledger *ledger
	peer   string
	bytes  int64
	after  time.Duration
}

func (h *held) take(n int64) *refusal {
	if !h.ledger.hold(h.peer, n) {
		return busy(reasonConcurrentBytes,
			"requests take too much memory at once ('max_concurrent_bytes', 'max_concurrent_bytes_per_peer')", h.after)
	}
	h.bytes += n
	return nil
}

func (h *held) release() {
	if h.bytes != 0 {
		h.ledger.release(h.peer, h.bytes)
		h.bytes = 0
	}
}

func headerBytes(header http.Header) (n int) {
	for name, values := range header {
		for _, value := range values {
			n += len(name) + len(value) + 4
		}
	}
	return n
}

// answer writes a refusal as a Status in the request's own encoding:
// https://opentelemetry.io/docs/specs/otlp/#failures-1.
func answer(w http.ResponseWriter, contentType string, r *refusal) {
	body, err := proto.Marshal(r.grpc().Proto())
	if contentType == typeJSON {
		body, err = protojson.Marshal(r.grpc().Proto())
	}
	if err != nil {
		body = nil
	}
	w.Header().Set("Content-Type", contentType)
	if r.retryAfter != 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64(r.retryAfter/time.Second), 10))
	}
	w.WriteHeader(r.http)
	_, _ = w.Write(body)
}
