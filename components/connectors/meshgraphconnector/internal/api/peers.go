// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxPeers is the most replicas that are asked.
	maxPeers = 32
	// peerTime is how long they have, all at once: Argo Rollouts waits for 10 seconds.
	peerTime = 3 * time.Second
	// maxPeerAnswer is the most bytes of an answer. The versions of a service have at most 2000 rows.
	maxPeerAnswer = 4 << 20
	// askedByPeer marks a question that a replica asks, so that nobody passes it on again.
	askedByPeer = "Mesh-Graph-Peer"
)

// Peers are the other replicas of the hub. A called service is at one of them, where the router sends its points: a replica that
// knows nothing of a service asks the others. Asking itself too does no harm.
type Peers struct {
	base   *url.URL
	lookup func(context.Context) ([]string, error)
	now    func() time.Time

	mu     sync.Mutex
	client *http.Client
	// renew makes a client, every is how often; nil for never. tried is when.
	renew func() (*http.Client, error)
	every time.Duration
	tried time.Time
}

// NewPeers asks at an address that has all replicas, such as https://hub-headless.observability.svc:8443: a headless service.
// Each of its addresses is asked, so the client's TLS has to expect one name for all of them. What authorizes the question is
// passed on.
func NewPeers(client *http.Client, endpoint string) (*Peers, error) {
	base, err := url.Parse(endpoint)
	if err != nil || base.Scheme != "https" && base.Scheme != "http" || base.Hostname() == "" || base.Port() == "" ||
		strings.Trim(base.Path, "/") != "" || base.RawQuery != "" {
		return nil, fmt.Errorf("endpoint is %q: write one such as https://hub-headless.observability.svc:8443", endpoint)
	}
	host, port := base.Hostname(), base.Port()
	return &Peers{client: straight(client), base: base, now: time.Now, lookup: func(ctx context.Context) ([]string, error) {
		addresses, err := net.DefaultResolver.LookupHost(ctx, host)
		for i := range addresses {
			addresses[i] = net.JoinHostPort(addresses[i], port)
		}
		return addresses, err
	}}, nil
}

// straight returns a client that follows nobody elsewhere.
func straight(client *http.Client) *http.Client {
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// Renew makes the client anew with the first question after every so often: the authorities that it trusts are read when it is made,
// and one is replaced now and then. Where none can be made, as while a file is written, the one before stays. Call it before others
// use the peers.
func (p *Peers) Renew(every time.Duration, renew func() (*http.Client, error)) {
	p.every, p.renew, p.tried = every, renew, p.now()
}

// Close ends the connections that nobody uses.
func (p *Peers) Close() { p.asks().CloseIdleConnections() }

// asks returns the client to ask with.
func (p *Peers) asks() *http.Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if p.renew == nil || p.every <= 0 || now.Sub(p.tried) < p.every {
		return p.client
	}
	p.tried = now
	if fresh, err := p.renew(); err == nil {
		// Questions that are under way end on its connections.
		p.client.CloseIdleConnections()
		p.client = straight(fresh)
	}
	return p.client
}

// peerAnswer is what a replica answered.
type peerAnswer struct {
	State    string `json:"state"`
	Requests uint64 `json:"requests"`
	Opened   uint64 `json:"connections_opened"`
	body     json.RawMessage
	err      error
}

// ask passes a question on, and returns the answer of the replica that knows most; nil if none knows anything, with a
// sentence on who did not answer.
func (p *Peers) ask(r *http.Request) (answer json.RawMessage, missing string) {
	if p == nil || r.Header.Get(askedByPeer) != "" {
		return nil, ""
	}
	ctx, cancel := context.WithTimeout(r.Context(), peerTime)
	defer cancel()
	addresses, err := p.lookup(ctx)
	if err != nil {
		return nil, "; the other replicas could not be asked: " + err.Error()
	}
	slices.Sort(addresses)
	left := max(0, len(addresses)-maxPeers)
	addresses = addresses[:len(addresses)-left]
	answers := make([]peerAnswer, len(addresses))
	client := p.asks()
	var wait sync.WaitGroup
	for i, address := range addresses {
		wait.Go(func() { answers[i] = p.one(ctx, client, address, r) })
	}
	wait.Wait()
	var best *peerAnswer
	silent := left
	for i := range answers {
		a := &answers[i]
		switch {
		case a.err != nil:
			silent++
			err = a.err
		case a.State != stateNoData && (best == nil || a.Requests+a.Opened > best.Requests+best.Opened):
			best = a
		}
	}
	switch {
	case best != nil:
		return best.body, ""
	case silent > 0:
		return nil, fmt.Sprintf("; %d of %d replicas did not answer: %v", silent, len(answers)+left, err)
	}
	return nil, fmt.Sprintf("; %d replicas know nothing of it either", len(answers))
}

func (p *Peers) one(ctx context.Context, client *http.Client, address string, r *http.Request) (a peerAnswer) {
	target := url.URL{Scheme: p.base.Scheme, Host: address, Path: r.URL.Path, RawQuery: r.URL.RawQuery}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return peerAnswer{err: err}
	}
	request.Host = p.base.Host
	request.Header.Set(askedByPeer, "1")
	if authorization := r.Header.Get("Authorization"); authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := client.Do(request)
	if err != nil {
		return peerAnswer{err: err}
	}
	defer response.Body.Close()
	a.body, err = io.ReadAll(io.LimitReader(response.Body, maxPeerAnswer+1))
	switch {
	case err != nil:
		a.err = err
	case response.StatusCode != http.StatusOK:
		a.err = errors.New("status " + response.Status)
	case len(a.body) > maxPeerAnswer:
		a.err = fmt.Errorf("more than %d MiB", maxPeerAnswer>>20)
	default:
		a.err = json.Unmarshal(a.body, &a)
	}
	return a
}
