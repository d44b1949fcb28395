// SPDX-License-Identifier: Apache-2.0

package distribution_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// TestSamplingExampleKeepsTheCounts prevents that a sampled request counts as one: what the sampler left out has to get
// through to Application Insights, or every rate in the portal is wrong by that factor.
func TestSamplingExampleKeepsTheCounts(t *testing.T) {
	a := newAzure(t)
	a.anybody = true
	h := newHub(t, a, []string{"APPLICATION_INSIGHTS_CONNECTION_STRING=" + connectionTo(1, a.url())}, "examples/azure-monitor-sampling.yaml",
		quick("application_insights"), "yaml:{processors: {tail_sampling: {decision_wait: 300ms}}}", "--feature-gates=processor.tailsamplingprocessor.usetracestate")
	const all, failed = 400, 50
	td := spansOf(0, all+failed, nil)
	random := rand.New(rand.NewPCG(1, 2))
	for i, span := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		var id pcommon.TraceID
		for at := range id {
			id[at] = byte(random.Uint32())
		}
		span.SetTraceID(id)
		if i >= all {
			span.Status().SetCode(ptrace.StatusCodeError)
		}
	}
	h.send(t, td)
	// The sampler decides about all of them at once.
	eventually(t, h.stderr, func() bool { return len(a.Items(ingestiontest.Filter{})) >= failed+all/8 })
	require.NoError(t, h.stop())
	var others, errors, weight float64
	for _, item := range a.Items(ingestiontest.Filter{}) {
		if !*item.Success {
			errors += item.ItemCount
			continue
		}
		others++
		weight += item.ItemCount
		assert.InDelta(t, 25, item.Envelope.SampleRate, 0.01, "percent")
	}
	assert.InDelta(t, failed, errors, 0, "each error once, and for itself alone")
	assert.InDelta(t, all/4, others, 30, "a quarter of the others")
	assert.InDelta(t, all, weight, 120, "which stand for all")
}
