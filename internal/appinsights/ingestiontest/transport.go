// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

var errTooLarge = errors.New("request body is too large")

// readBody returns the plain body, or a status and an error. It never holds
// more than the limit: a small body may decompress to any size.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, int, error) {
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

// check returns 0 when the request may pass, else 401 or 403 and the header that
// goes with it.
func (a Auth) check(w http.ResponseWriter, r *http.Request) int {
	status := a.status(r)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	return status
}

func (a Auth) status(r *http.Request) int {
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

// drip answers byte by byte.
func (e *Endpoint) drip(w http.ResponseWriter, r *http.Request, status int, text []byte, pause time.Duration) {
	setHeaders(w)
	w.WriteHeader(status)
	for i := range text {
		_, _ = w.Write(text[i : i+1])
		if http.NewResponseController(w).Flush() != nil || !e.pause(r.Context(), pause) {
			panic(http.ErrAbortHandler)
		}
	}
}
