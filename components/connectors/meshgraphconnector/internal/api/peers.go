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
	client *http.Client
	base   *url.URL
	lookup func(context.Context) ([]string, error)
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
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	host, port := base.Hostname(), base.Port()
	return &Peers{client: &own, base: base, lookup: func(ctx context.Context) ([]string, error) {
		addresses, err := net.DefaultResolver.LookupHost(ctx, host)
		for i := range addresses {
			addresses[i] = net.JoinHostPort(addresses[i], port)
		}
		return addresses, err
	}}, nil
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
	var wait sync.WaitGroup
	for i, address := range addresses {
		wait.Go(func() { answers[i] = p.one(ctx, address, r) })
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

func (p *Peers) one(ctx context.Context, address string, r *http.Request) (a peerAnswer) {
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
	response, err := p.client.Do(request)
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
