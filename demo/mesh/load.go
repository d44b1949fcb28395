// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/bookinfo"
	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
)

// loadTimeout bounds one request; it is longer than all the retries inside the mesh.
const loadTimeout = 15 * time.Second

// maxInFlight bounds concurrent requests, so that a stuck mesh is not buried in them.
const maxInFlight = 64

// Outcome is the result of one request through an ingress gateway.
type Outcome struct {
	// Cluster is the cluster whose ingress gateway was asked.
	Cluster string
	// Path is what was asked for: most are /productpage, one in twenty a 404, one in twenty-five with broken details.
	Path string
	// Status is the HTTP status, 0 when there was no answer; Err then says why.
	Status int
	Err    error
	// At is when the request started, Latency how long it took.
	At      time.Time
	Latency time.Duration
	// OK is whether the answer was the expected one: 404 for the missing book, else 200.
	OK bool
}

// LoadSummary counts the outcomes of one Load.
type LoadSummary struct {
	// Sent is the number of requests sent, OK those answered as expected, Skipped those that were not sent because 64
	// were in flight.
	Sent, OK, Skipped int
	// ByStatus counts answers by HTTP status; 0 is no answer.
	ByStatus map[int]int
	// ByCluster counts requests by ingress cluster.
	ByCluster map[string]int
}

// IngressURL is the base URL of a cluster's ingress gateway, for example "http://127.1.0.10:8080"; empty for an unknown
// cluster.
func IngressURL(cluster string) string {
	c, ok := layout.ClusterByName(cluster)
	if !ok {
		return ""
	}
	return "http://" + net.JoinHostPort(c.PodsOf("istio-ingressgateway")[0].IP, strconv.Itoa(layout.PortIngress))
}

// Load sends rps requests a second (more than 0, at most 1000), in turn through both ingress gateways, until ctx ends,
// waits for the last answers, and returns the counts. observe, if not nil, is called for each outcome, by one goroutine
// at a time.
func (m *Mesh) Load(ctx context.Context, rps float64, observe func(Outcome)) (LoadSummary, error) {
	summary := LoadSummary{ByStatus: map[int]int{}, ByCluster: map[string]int{}}
	if rps <= 0 || rps > 1000 {
		return summary, fmt.Errorf("mesh: load of %v requests a second: want more than 0, at most 1000", rps)
	}
	clusters := layout.Clusters()
	clients := make([]*http.Client, len(clusters))
	for i, c := range clusters {
		clients[i] = m.client(c)
		defer clients[i].CloseIdleConnections()
	}
	var (
		mu       sync.Mutex
		wait     sync.WaitGroup
		inFlight = make(chan struct{}, maxInFlight)
		ticker   = time.NewTicker(time.Duration(float64(time.Second) / rps))
	)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			wait.Wait()
			return summary, nil
		case <-ticker.C:
		}
		select {
		case inFlight <- struct{}{}:
		default:
			mu.Lock()
			summary.Skipped++
			mu.Unlock()
			continue
		}
		i := n % len(clusters)
		wait.Go(func() {
			defer func() { <-inFlight }()
			// A request that began is finished: the end of the load is no failure of the mesh.
			outcome := ask(context.WithoutCancel(ctx), clients[i], clusters[i], n/len(clusters))
			mu.Lock()
			defer mu.Unlock()
			summary.add(outcome)
			if observe != nil {
				observe(outcome)
			}
		})
	}
}

func (s *LoadSummary) add(o Outcome) {
	s.Sent++
	s.ByStatus[o.Status]++
	s.ByCluster[o.Cluster]++
	if o.OK {
		s.OK++
	}
}

// client is an outside client: its address is that of the cluster's load balancer, or any when c is empty.
func (m *Mesh) client(c layout.Cluster) *http.Client {
	dialer := &net.Dialer{Timeout: loadTimeout}
	if c.Name != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(c.ClientAddress())}
	}
	return &http.Client{Timeout: loadTimeout, Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: maxInFlight}}
}

// ask sends the nth request to a cluster.
func ask(ctx context.Context, client *http.Client, c layout.Cluster, n int) (outcome Outcome) {
	path, want := pathOf(n)
	outcome = Outcome{Cluster: c.Name, Path: path, At: time.Now()}
	defer func() { outcome.Latency = time.Since(outcome.At) }()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, IngressURL(c.Name)+path, nil)
	if err != nil {
		outcome.Err = err
		return outcome
	}
	request.Host = "bookinfo.example.com"
	request.Header.Set("User-Agent", "otelcol-mesh-demo")
	request.Header.Set(bookinfo.CallerHeader, c.PodsOf("istio-ingressgateway")[0].Name)
	response, err := client.Do(request)
	if err != nil {
		outcome.Err = err
		return outcome
	}
	_, err = io.Copy(io.Discard, response.Body)
	outcome.Status, outcome.Err = response.StatusCode, errors.Join(err, response.Body.Close())
	outcome.OK = outcome.Err == nil && outcome.Status == want
	return outcome
}

// pathOf spreads the special requests evenly: a missing book at every twentieth, broken details at every twenty-fifth.
func pathOf(n int) (path string, status int) {
	switch {
	case n%20 == 7:
		return "/productpage?missing=1", http.StatusNotFound
	case n%25 == 11:
		return "/productpage?broken=1", http.StatusOK
	default:
		return "/productpage", http.StatusOK
	}
}
