// SPDX-License-Identifier: Apache-2.0

package meshspanpairingprocessor

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshspanpairingprocessor/internal/metadatatest"
)

func TestShutdownHandsOnWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := componenttest.NewTelemetry()
		next := &sink{}
		p := launch(t, tel, config(), next, componenttest.NewNopHost())
		for n := range uint64(3000) {
			require.NoError(t, p.ConsumeTraces(t.Context(), clientTraces(n)))
		}
		assert.Empty(t, next.spans)
		require.NoError(t, p.Shutdown(t.Context()))
		assert.Len(t, next.spans, 3000)
		metadatatest.AssertEqualProcessorMeshSpanPairingReleasedSpans(t, tel,
			[]metricdata.DataPoint[int64]{{Value: 3000, Attributes: set("reason", "shutdown")}}, ignoreTime)
	})
}

func TestErrorsAreTheSendersAsLongAsItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := &sink{err: errors.New("busy")}
		p := launch(t, componenttest.NewTelemetry(), config(), next, componenttest.NewNopHost())
		batch := func() ptrace.Traces {
			td := clientTraces(1)
			newSpan(td, "app", 7, 1, 0, ptrace.SpanKindServer, time.Second)
			return td
		}
		require.EqualError(t, p.ConsumeTraces(t.Context(), batch()), "busy")
		assert.Zero(t, p.(*spanPairing).store.HeldSpans(), "the sender still has the whole batch")
		next.fail(nil)
		require.NoError(t, p.ConsumeTraces(t.Context(), batch()))
		require.NoError(t, p.Shutdown(t.Context()))
		assert.Len(t, next.spans, 2, "nothing is lost or there twice")
	})
}

func TestRefusedLaterIsOfferedAgain(t *testing.T) {
	for _, mutates := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			tel := componenttest.NewTelemetry()
			next := &sink{err: errors.New("busy"), mutates: mutates}
			p := launch(t, tel, config(func(c *Config) { c.MaxHeldSpans = 2 }), next, componenttest.NewNopHost())
			for n := range uint64(2) {
				require.NoError(t, p.ConsumeTraces(t.Context(), clientTraces(n)))
			}
			pass(20 * time.Second)
			assert.Greater(t, next.calls, 3)
			require.EqualError(t, p.ConsumeTraces(t.Context(), clientTraces(3)), "busy", "a backlog is felt by the sender")
			next.fail(nil)
			pass(longestPause + longestTick)
			require.Len(t, next.spans, 2)
			assert.Equal(t, "tag", values(next.spans[0], "mesh.resolution.source")["mesh.resolution.source"])
			metadatatest.AssertEqualProcessorMeshSpanPairingOutgoingSpans(t, tel, []metricdata.DataPoint[int64]{{Value: 0}}, ignoreTime)
			metadatatest.AssertEqualProcessorMeshSpanPairingUnheldSpans(t, tel,
				[]metricdata.DataPoint[int64]{{Value: 1, Attributes: set("reason", "backlog")}}, ignoreTime)
			require.NoError(t, p.Shutdown(t.Context()))
		})
	}
}

func TestRefusedForGoodIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := componenttest.NewTelemetry()
		next := &sink{err: consumererror.NewPermanent(errors.New("never"))}
		p := launch(t, tel, config(), next, componenttest.NewNopHost())
		require.NoError(t, p.ConsumeTraces(t.Context(), clientTraces(1)))
		pass(6 * time.Second)
		metadatatest.AssertEqualProcessorMeshSpanPairingDroppedSpans(t, tel,
			[]metricdata.DataPoint[int64]{{Value: 1, Attributes: set("reason", "refused")}}, ignoreTime)
		require.NoError(t, p.Shutdown(t.Context()))
		assert.Equal(t, 1, next.calls)
	})
}

func TestShutdownGivesUpWithAWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := componenttest.NewTelemetry()
		next := &sink{err: errors.New("busy")}
		p := launch(t, tel, config(), next, componenttest.NewNopHost())
		require.NoError(t, p.ConsumeTraces(t.Context(), clientTraces(1)))
		began := time.Now()
		require.EqualError(t, p.Shutdown(t.Context()), "busy")
		assert.Equal(t, shutdownGrace, time.Since(began))
		metadatatest.AssertEqualProcessorMeshSpanPairingDroppedSpans(t, tel,
			[]metricdata.DataPoint[int64]{{Value: 1, Attributes: set("reason", "shutdown")}}, ignoreTime)
	})
}

func TestConcurrentSenders(t *testing.T) {
	next := new(consumertest.TracesSink)
	p := launch(t, componenttest.NewTelemetry(), config(func(c *Config) { c.Wait, c.MaxHeldSpans = 20*time.Millisecond, 100 }), next, componenttest.NewNopHost())
	var wg sync.WaitGroup
	for w := range uint64(8) {
		wg.Go(func() {
			for n := range uint64(200) {
				td := clientTraces(w/2*1000 + n)
				if w%2 == 1 {
					td = serverTraces(w/2*1000 + n)
				}
				assert.NoError(t, p.ConsumeTraces(context.Background(), td))
			}
		})
	}
	wg.Wait()
	require.NoError(t, p.Shutdown(t.Context()))
	assert.Equal(t, 1600, next.SpanCount())
}
