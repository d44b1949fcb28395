// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// replicas are hubs that ask one another. asked counts the questions that each got.
func replicas(t *testing.T, edges ...[]graph.Edge) (hubs []http.Handler, asked []atomic.Int64, peers *Peers) {
	peers, err := NewPeers(http.DefaultClient, "http://hub-headless:8443")
	require.NoError(t, err)
	asked = make([]atomic.Int64, len(edges))
	var addresses []string
	for i := range edges {
		h := Analysis(Sources{Window: store(t, append(edges[i], edge("v9", "west", 0, 0, 0))...), Peers: peers, Now: func() time.Time { return noon }})
		hubs = append(hubs, h)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked[i].Add(1)
			assert.Equal(t, "Bearer secret", r.Header.Get("Authorization"))
			assert.Equal(t, "hub-headless:8443", r.Host)
			h.ServeHTTP(w, r)
		}))
		t.Cleanup(server.Close)
		t.Cleanup(http.DefaultClient.CloseIdleConnections)
		addresses = append(addresses, server.Listener.Addr().String())
	}
	peers.lookup = func(context.Context) ([]string, error) { return addresses, nil }
	return hubs, asked, peers
}

func TestReplicaThatHasTheServiceAnswers(t *testing.T) {
	other := edge("v1", "west", 70, 0, 0)
	other.Callee.Service = "ratings"
	hubs, asked, peers := replicas(t, []graph.Edge{other}, []graph.Edge{edge("v1", "west", 90, 10, 0)}, []graph.Edge{edge("v1", "west", 40, 0, 0)})
	secret := header("Authorization", "Bearer secret")
	a := object(t, ask(hubs[0], question1, secret))
	assert.Equal(t, "ok", a["state"])
	assert.EqualValues(t, 100, a["requests"], "of two that know it, the one that knows more")
	for i := range asked {
		assert.EqualValues(t, 1, asked[i].Load(), "nobody passes the question on again")
	}
	v := object(t, ask(hubs[0], "/api/v1/versions?namespace=shop&service=reviews", secret))
	assert.EqualValues(t, 100, v["requests"])
	assert.EqualValues(t, 2, asked[1].Load())

	a = object(t, ask(hubs[2], question1, secret))
	assert.EqualValues(t, 40, a["requests"])
	assert.EqualValues(t, 2, asked[1].Load(), "who knows it asks nobody")
	a = object(t, ask(hubs[0], "/api/v1/analysis?namespace=shop&service=nothing", secret))
	assert.Equal(t, "no_data", a["state"])
	assert.Contains(t, a["detail"], "3 replicas know nothing of it either")
	before := asked[1].Load()
	assert.Equal(t, http.StatusBadRequest, ask(hubs[0], question1+"&window=1s", secret).Code)
	assert.Equal(t, before, asked[1].Load(), "a wrong question is not passed on")

	peers.lookup = func(context.Context) ([]string, error) { return nil, errors.New("no such host") }
	a = object(t, ask(hubs[0], question1, secret))
	assert.Equal(t, "no_data", a["state"])
	assert.Contains(t, a["detail"], "no such host")
}

func TestReplicasThatDoNotAnswer(t *testing.T) {
	hubs, _, peers := replicas(t, nil)
	addresses, err := peers.lookup(t.Context())
	require.NoError(t, err)
	for name, broken := range map[string]http.HandlerFunc{
		"status 418": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) },
		"status 302": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		},
		"invalid character":      func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"more than 4 MiB":        func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxPeerAnswer+1)) },
		"of 34 replicas did not": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) },
	} {
		server := httptest.NewServer(broken)
		all := append([]string{server.Listener.Addr().String()}, addresses...)
		for strings.Contains(name, "34") && len(all) < 34 {
			all = append(all, addresses[0])
		}
		peers.lookup = func(context.Context) ([]string, error) { return all, nil }
		a := object(t, ask(hubs[0], question1, header("Authorization", "Bearer secret")))
		assert.Equal(t, "no_data", a["state"], name)
		assert.Equal(t, false, a["enough"])
		assert.Contains(t, a["detail"], name)
		server.Close()
	}
}

func TestPeersEndpoint(t *testing.T) {
	for _, wrong := range []string{"", "hub:8443", "https://hub", "ftp://hub:1", "https://hub:8443/api", "https://:8443", "https://hub:8443?x=1"} {
		_, err := NewPeers(http.DefaultClient, wrong)
		assert.ErrorContains(t, err, "endpoint is", wrong)
	}
	p, err := NewPeers(http.DefaultClient, "http://localhost:8443/")
	require.NoError(t, err)
	addresses, err := p.lookup(t.Context())
	require.NoError(t, err)
	assert.Contains(t, addresses, "127.0.0.1:8443")
}

// TestAuthoritiesOfPeersAreReadAnew: after their authority was replaced, replicas go on to ask each other, and a file that is half
// written costs nothing.
func TestAuthoritiesOfPeersAreReadAnew(t *testing.T) {
	hub := Analysis(Sources{Window: store(t, edge("v1", "west", 90, 10, 0)), Now: func() time.Time { return noon }})
	next := httptest.NewTLSServer(hub)
	t.Cleanup(next.Close)
	untrusting := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(untrusting.CloseIdleConnections)
	p, err := NewPeers(untrusting, "https://hub-headless:8443")
	require.NoError(t, err)
	p.lookup = func(context.Context) ([]string, error) { return []string{next.Listener.Addr().String()}, nil }
	now, made := noon, 0
	p.now = func() time.Time { return now }
	written := false
	p.Renew(time.Minute, func() (*http.Client, error) {
		made++
		if !written {
			return nil, errors.New("half written")
		}
		client := next.Client()
		client.Transport.(*http.Transport).TLSClientConfig.ServerName = "example.com"
		return client, nil
	})
	h := Analysis(Sources{Window: store(t), Peers: p, Now: func() time.Time { return noon }})
	state := func() any { return object(t, ask(h, question1))["state"] }
	assert.Equal(t, "no_data", state(), "it trusts another authority")
	assert.Zero(t, made)
	now = noon.Add(time.Minute)
	assert.Equal(t, "no_data", state())
	assert.Equal(t, 1, made)
	written = true
	assert.Equal(t, "no_data", state())
	assert.Equal(t, 1, made, "once a minute")
	now = noon.Add(2 * time.Minute)
	assert.Equal(t, "ok", state())
	assert.Equal(t, "ok", state())
	assert.Equal(t, 2, made)
	p.Close()
}
