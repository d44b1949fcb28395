// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// phases answers requests without a network, so that the clock of a bubble runs. It is down, then refuses everything, then
// works; the times are since its begin.
type phases struct {
	began     time.Time
	up, ready time.Duration
	// again is the begin of another minute without answers, after which nothing is refused; 0 for none.
	again time.Duration
	// never is a resource that alone has no answer.
	never string

	mu sync.Mutex
	// seconds counts the requests of each second.
	seconds map[int]int
}

var errRefusedDial = errors.New("connection refused")

func (p *phases) RoundTrip(r *http.Request) (*http.Response, error) {
	at := time.Since(p.began)
	p.mu.Lock()
	p.seconds[int(at/time.Second)]++
	p.mu.Unlock()
	switch {
	case at < p.up, p.again > 0 && at >= p.again && at < p.again+time.Minute, p.never != "" && strings.HasSuffix(r.URL.Path, p.never):
		return nil, errRefusedDial
	case at < p.ready:
		return answerOf(r, http.StatusForbidden, statusOf(http.StatusForbidden, metav1.StatusReasonForbidden)), nil
	case r.URL.Query().Get("watch") != "":
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: silence{r.Context()}, Request: r}, nil
	case strings.HasSuffix(r.URL.Path, "/"+uidNamespace):
		return answerOf(r, http.StatusOK, metav1.PartialObjectMetadata{
			TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"}, ObjectMeta: metav1.ObjectMeta{Name: uidNamespace, UID: "u"},
		}), nil
	}
	kinds := map[string]string{"pods": "PodList", "nodes": "NodeList", "configmaps": "ConfigMapList"}
	list := map[string]any{"apiVersion": "v1", "kind": kinds[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]], "metadata": map[string]string{"resourceVersion": "1"}, "items": []any{}}
	if list["kind"] == "" {
		list["apiVersion"], list["kind"] = "meta.k8s.io/v1", "PartialObjectMetadataList"
	}
	return answerOf(r, http.StatusOK, list), nil
}

func answerOf(r *http.Request, code int, body any) *http.Response {
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return &http.Response{
		StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(string(raw))), Request: r,
	}
}

// silence is the body of a watch in which nothing happens.
type silence struct{ until context.Context }

func (s silence) Read([]byte) (int, error) {
	<-s.until.Done()
	return 0, io.EOF
}

func (silence) Close() error { return nil }

// worst returns the most requests of one second between two times.
func (p *phases) worst(from, to time.Duration) (most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for second := int(from / time.Second); second < int(to/time.Second); second++ {
		most = max(most, p.seconds[second])
	}
	return most
}

func (p *phases) sum(from, to time.Duration) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for second := int(from / time.Second); second < int(to/time.Second); second++ {
		n += p.seconds[second]
	}
	return n
}

// through runs agents in a bubble against the phases until the given time. It returns when each of them knew everything, since
// the server was up; 0 for never.
func (p *phases) through(t *testing.T, agents int, until time.Duration, report func(topology.Finding)) []time.Duration {
	p.began, p.seconds = time.Now(), map[int]int{}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	sources := make([]*Source, agents)
	for i := range sources {
		sources[i] = p.source(t, report)
		running.Go(func() { _ = sources[i].Run(ctx, func(*topology.Delta) {}) })
	}
	known := make([]time.Duration, agents)
	for time.Sleep(p.up); time.Since(p.began) < until; time.Sleep(250 * time.Millisecond) {
		for i, source := range sources {
			if state := source.State(); known[i] == 0 && state.Synced && state.Live == 4 {
				known[i] = time.Since(p.began) - p.up
			}
		}
	}
	cancel()
	running.Wait()
	slices.Sort(known)
	return known
}

// source is an agent's that asks the phases.
func (p *phases) source(t *testing.T, report func(topology.Finding)) *Source {
	source, err := New(Settings{Cluster: "c1", NodeName: "n1", Report: report, Client: ClientSettings{Config: &rest.Config{
		Host: "http://api.invalid", WrapTransport: func(http.RoundTripper) http.RoundTripper { return p },
	}}})
	require.NoError(t, err)
	return source
}

// TestComebackIsNoHerd holds what the documentation says of 1 000 agents that are without their API server for a minute.
func TestComebackIsNoHerd(t *testing.T) {
	const agents, up = 1000, time.Minute
	synctest.Test(t, func(t *testing.T) {
		p := &phases{up: up}
		known := p.through(t, agents, up+15*time.Second, nil)
		away, after := p.worst(up/2, up), p.worst(up, up+15*time.Second)
		t.Logf("requests in the worst second: %d while it is away, %d after, of %d; agents know everything after %s (median), %s (last)",
			away, after, p.sum(up, up+15*time.Second), known[agents/2], known[agents-1])
		assert.Less(t, away, 250)
		assert.Less(t, after, 1500)
		assert.NotZero(t, known[0])
		assert.LessOrEqual(t, known[agents-1], probeLimit+spread+tickEvery)
	})
}

// TestRefusalsAfterAnOutageAreDoubted prevents that agents believe a server that has not read yet who may what, and stay
// without what they asked for.
func TestRefusalsAfterAnOutageAreDoubted(t *testing.T) {
	const agents, up, refusing = 50, 30 * time.Second, 5 * time.Second
	synctest.Test(t, func(t *testing.T) {
		p := &phases{up: up, ready: up + refusing}
		known := p.through(t, agents, up+time.Minute, func(f topology.Finding) {
			assert.NotEqual(t, topology.KindKubernetesForbidden, f.Kind, "%s", f.Subject)
		})
		assert.NotZero(t, known[0])
		// The next attempt is no later than as long again as it was refused.
		assert.LessOrEqual(t, known[agents-1], max(probeLimit, 2*refusing)+spread+2*tickEvery)
	})
}

// TestRefusalsThatStayAreTold prevents the opposite: that rights that are missing are never told of.
func TestRefusalsThatStayAreTold(t *testing.T) {
	const up, refusing = 30 * time.Second, 10 * time.Minute
	synctest.Test(t, func(t *testing.T) {
		found := make(chan string, 100)
		p := &phases{up: up, ready: up + refusing}
		known := p.through(t, 1, up+refusing+3*time.Minute, func(f topology.Finding) {
			if f.Kind == topology.KindKubernetesForbidden && f.At.Sub(p.began) < up+doubtful {
				found <- f.Subject
			}
		})
		assert.Len(t, found, 5, "four resources and the cluster's uid, within a minute")
		assert.NotZero(t, known[0])
		assert.LessOrEqual(t, known[0]-refusing, rarely+tickEvery)
		assert.Less(t, p.sum(up+2*time.Minute, up+refusing), 150, "what is refused is asked for less and less often")
	})
}

// TestAnOutageWakesThoseWhoWait prevents that what was refused for long, and is allowed by a server that comes back, is asked for
// minutes later.
func TestAnOutageWakesThoseWhoWait(t *testing.T) {
	const agents, again = 20, 10 * time.Minute
	synctest.Test(t, func(t *testing.T) {
		p := &phases{ready: again + time.Minute, again: again}
		known := p.through(t, agents, p.ready+3*time.Minute, nil)
		assert.Greater(t, known[0], p.ready)
		assert.LessOrEqual(t, known[agents-1], p.ready+probeLimit+spread+2*tickEvery)
	})
}

// TestOneWithoutAnswerHoldsUpNobody prevents that everybody waits for a resource that alone cannot be had, such as one whose
// list takes longer than an answer may.
func TestOneWithoutAnswerHoldsUpNobody(t *testing.T) {
	for _, never := range []string{"/pods", "/nodes", "/namespaces", "/configmaps"} {
		synctest.Test(t, func(t *testing.T) {
			p := &phases{began: time.Now(), seconds: map[int]int{}, up: 30 * time.Second, never: never}
			source := p.source(t, nil)
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { _ = source.Run(ctx, func(*topology.Delta) {}) })
			time.Sleep(p.up + 2*probeLimit + spread)
			assert.Equal(t, 3, source.reach.living(), "%s", never)
			cancel()
			running.Wait()
		})
	}
}

func (r *reach) living() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.live
}

// TestTurnPassesOn prevents that one request that hangs keeps the others from asking.
func TestTurnPassesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReach(ScopeNode, time.Now)
		r.failed()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		leave, ok := r.enter(ctx)
		require.True(t, ok)
		began := time.Now()
		second, ok := r.enter(ctx)
		require.True(t, ok, "the first one still asks")
		assert.GreaterOrEqual(t, time.Since(began), turnLimit)
		leave()
		var running sync.WaitGroup
		running.Go(func() {
			_, ok := r.enter(ctx)
			assert.True(t, ok, "an answer to another lets it go on")
		})
		synctest.Wait()
		r.answered()
		second()
		running.Wait()
		r.lives(1)
		r.failed()
		assert.False(t, r.gone(), "a watch lives: it is the request's own trouble")
		r.lives(-1)
		r.failed()
		running.Go(func() {
			_, ok := r.enter(ctx)
			assert.False(t, ok)
		})
		synctest.Wait()
		cancel()
		running.Wait()
	})
}
