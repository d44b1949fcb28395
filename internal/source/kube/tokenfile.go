// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

const (
	// tokenEvery is how often the file of a token is read: the kubelet writes a new one long before the old one ends.
	tokenEvery = time.Minute
	// tokenPause is the least time between two readings for the sake of refused requests.
	tokenPause = 3 * time.Second
	// maxRefusal bounds what is read of a refusal, so that its connection can be used again.
	maxRefusal = 64 << 10
)

// tokenFile sends the token of a file. client-go's does too, but reads the file once a minute whatever the server says:
// when a token is revoked, or the service account was made anew, the cluster would stay unread as long.
type tokenFile struct {
	base http.RoundTripper
	path string
	now  func() time.Time

	mu    sync.Mutex
	token string
	read  time.Time
}

// takeTokenFile puts the token of the configuration's file, if it has one, in the place of client-go's.
func takeTokenFile(config *rest.Config, base http.RoundTripper, now func() time.Time) (http.RoundTripper, error) {
	if config.BearerTokenFile == "" {
		return base, nil
	}
	t := &tokenFile{base: base, path: config.BearerTokenFile, now: now, token: config.BearerToken}
	if err := t.load(); err != nil && t.token == "" {
		return nil, err
	}
	config.BearerToken, config.BearerTokenFile = "", ""
	return t, nil
}

// load reads the file. What was read before stays if it cannot. The caller holds the lock, or is alone.
func (t *tokenFile) load() error {
	t.read = t.now()
	raw, err := os.ReadFile(t.path)
	if err != nil {
		return fmt.Errorf("the token of the service account: %w", err)
	}
	token := strings.TrimSpace(string(raw))
	if token == "" {
		return fmt.Errorf("the file %q is to hold a token, and is empty", t.path)
	}
	t.token = token
	return nil
}

// current returns the token to send.
func (t *tokenFile) current() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now().Sub(t.read) >= tokenEvery {
		_ = t.load()
	}
	return t.token
}

// after returns the token to send after one was refused. It is false if there is no other.
func (t *tokenFile) after(refused string) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == refused && t.now().Sub(t.read) >= tokenPause {
		_ = t.load()
	}
	return t.token, t.token != refused
}

// RoundTrip is [http.RoundTripper.RoundTrip]. A request that is refused is sent again if the file holds another token.
func (t *tokenFile) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Authorization") != "" {
		return t.base.RoundTrip(r)
	}
	token := t.current()
	response, err := t.base.RoundTrip(withToken(r, token))
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		return response, err
	}
	token, another := t.after(token)
	// What a body held has been sent, and cannot be again.
	if !another || (r.Body != nil && r.Body != http.NoBody) {
		return response, nil
	}
	_, _ = io.CopyN(io.Discard, response.Body, maxRefusal)
	_ = response.Body.Close()
	return t.base.RoundTrip(withToken(r, token))
}

// withToken returns a copy: a RoundTripper must not change the request.
func withToken(r *http.Request, token string) *http.Request {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}
