// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
	"github.com/otelcol-mesh/otelcol-mesh/processors/clusteridentityprocessor/claimtest"
)

// TestCraftedBatches sends a thousand requests that claim another cluster, in every way there is, while two clusters send
// what is true of them: nothing of the former arrives and each is counted, everything of the latter does.
func TestCraftedBatches(t *testing.T) {
	p := newPKI(t)
	h := startHub(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	// What is known of the other cluster before.
	westAgent, northAgent := h.sender(t, p.agent(t, west).TLS), h.sender(t, p.agent(t, north).TLS)
	known := newEnvelope(logs)
	claimtest.InventoryOf(north, "uid-of-north")(known.Add("honest"))
	require.NoError(t, northAgent.export(ctx, known.Request(), false, nil))

	stop := make(chan struct{})
	var honest sync.WaitGroup
	var sent [2]int
	for i, s := range [...]*sender{westAgent, northAgent} {
		honest.Go(func() { sent[i] = sendHonest(ctx, t, s, [...]string{west, north}[i], stop) })
	}

	hostile := []*sender{h.sender(t, p.agent(t, west).TLS), h.sender(t, p.shared(t, p.west).TLS)}
	tricks := append(claimtest.OfResources(), claimtest.OfItems()...)
	want := map[string]int64{}
	batches, mixed := 0, 0
	for batches < 1000 {
		for _, trick := range tricks {
			on := trick.On
			if on == nil {
				on = []string{claimtest.Traces, claimtest.Logs, claimtest.Metrics}
			}
			for _, s := range on {
				overHTTP, mix := batches%2 == 1, batches%3 == 0
				e := claimtest.New(s)
				trick.Do(e.Add("hostile " + trick.Name))
				if mix {
					claimtest.Own(e.Add("honest"))
					mixed++
				}
				var headers map[string]string
				if batches%5 == 0 {
					headers = claimtest.ForgedHeaders
				}
				err := hostile[batches/2%2].export(ctx, e.Request(), overHTTP, headers)
				if mix {
					assert.NoError(t, err, trick.Name)
				} else {
					assertForbidden(t, err, trick.Name)
				}
				want[trick.Reason]++
				batches++
			}
		}
	}
	close(stop)
	honest.Wait()
	for why := fine + 1; why < reasonCount; why++ {
		attrs := []attribute.KeyValue{attribute.String("reason", reasonWords[why]), attribute.String("action", "rejected")}
		assert.Equal(t, want[reasonWords[why]], h.sum(t, "processor_cluster_identity_flagged_resources", attrs...), reasonWords[why])
		assert.Equal(t, want[reasonWords[why]], h.sum(t, "processor_cluster_identity_flagged_items", attrs...), reasonWords[why])
	}
	arrived, wrong := h.arrived(t)
	assert.Empty(t, wrong)
	assert.Equal(t, 1+mixed+sent[0]+sent[1], arrived, "honest resources")
	assert.Zero(t, h.sum(t, "extension_cluster_identity_refused_requests"))
	t.Logf("%d crafted batches of %d tricks, %d of them beside an honest resource; %d honest batches beside them", batches, len(tricks), mixed, sent[0]+sent[1])
}

func startHub(t *testing.T, p pki) *hub {
	server, bundle := t.TempDir(), t.TempDir()
	p.root.Issue(t, pkitest.Leaf{CommonName: "hub"}).Write(t, server)
	pkitest.WriteBundle(t, bundle, p.root)
	return newHub(t, p, time.Hour, server, bundle, nil)
}

// assertForbidden: the sender is told, for good.
func assertForbidden(t *testing.T, err error, name string) {
	t.Helper()
	if answer, ok := errors.AsType[*httpError](err); ok {
		assert.Equal(t, http.StatusForbidden, answer.status, name)
		return
	}
	assert.Equal(t, codes.PermissionDenied, status.Code(err), "%s: %v", name, err)
}

// sendHonest sends what is true of a cluster until it is told to stop, and returns how many resources that were.
func sendHonest(ctx context.Context, t *testing.T, s *sender, cluster string, stop <-chan struct{}) (sent int) {
	far := map[string]string{west: north, north: west}[cluster]
	for {
		select {
		case <-stop:
			return sent
		default:
		}
		e := newEnvelope([...]signal{traces, logs, metrics}[sent%3])
		p := e.Add("honest")
		// Some name their cluster, some leave that to the hub, and all call the other one.
		if sent%2 == 0 {
			p.Resource.PutStr(clusterKey, cluster)
		}
		p.Item.PutStr(istioKey, "Kubernetes")
		p.Item.PutStr("mesh.source.cluster", cluster)
		p.Item.PutStr("mesh.destination.cluster", far)
		switch signal(e.Signal) {
		case traces:
			p.Kind(ptrace.SpanKindClient)
		case metrics:
			p.Item.PutStr("reporter", "source")
		}
		if !assert.NoError(t, s.export(ctx, e.Request(), sent%4 < 2, nil)) {
			return sent
		}
		sent++
	}
}

// arrived returns how many honest resources arrived, and the markers of those that should not have; each that did has to
// name a cluster.
func (h *hub) arrived(t *testing.T) (honest int, wrong []string) {
	look := func(resource pcommon.Map) {
		marker, _ := resource.Get(claimtest.MarkerKey)
		if strings.HasPrefix(marker.Str(), "hostile") {
			wrong = append(wrong, marker.Str())
			return
		}
		honest++
		cluster, ok := resource.Get(clusterKey)
		assert.True(t, ok && (cluster.Str() == west || cluster.Str() == north))
	}
	for _, td := range h.traces.AllTraces() {
		for _, rs := range td.ResourceSpans().All() {
			look(rs.Resource().Attributes())
		}
	}
	for _, ld := range h.logs.AllLogs() {
		for _, rl := range ld.ResourceLogs().All() {
			look(rl.Resource().Attributes())
		}
	}
	for _, md := range h.metrics.AllMetrics() {
		for _, rm := range md.ResourceMetrics().All() {
			look(rm.Resource().Attributes())
		}
	}
	return honest, wrong
}
