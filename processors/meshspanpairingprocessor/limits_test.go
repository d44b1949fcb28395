// SPDX-License-Identifier: Apache-2.0

package meshspanpairingprocessor

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshspanpairingprocessor/internal/metadatatest"
)

const mib = 1 << 20

// TestABacklogIsBoundedInBytes: spans that wait no more, but are not taken, count as long as they are in memory.
func TestABacklogIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := componenttest.NewTelemetry()
		next := &sink{err: errors.New("busy")}
		p := launch(t, tel, config(func(c *Config) { c.MaxHeldMiB = 4 }), next, componenttest.NewNopHost())
		taken, refused := 0, 0
		for n := range uint64(30) {
			td := ptrace.NewTraces()
			clientSpan(td, n).Attributes().PutStr("db.statement", strings.Repeat("x", mib))
			if err := p.ConsumeTraces(t.Context(), td); err == nil {
				taken++
			} else {
				refused++
			}
			pass(6 * time.Second)
		}
		assert.LessOrEqual(t, taken, 8, "as much in the backlog as may wait, and as much that waits")
		assert.Positive(t, refused, "the sender feels it")
		next.fail(nil)
		pass(longestPause + longestTick)
		require.NoError(t, p.Shutdown(t.Context()))
		assert.Len(t, next.spans, taken)
		metadatatest.AssertEqualProcessorMeshSpanPairingUnheldSpans(t, tel,
			[]metricdata.DataPoint[int64]{{Value: int64(refused), Attributes: set("reason", "backlog")}}, ignoreTime)
	})
}

// TestWhatSpansCameInCounts: a small span keeps its resource and scope in memory, of whatever type their values are.
func TestWhatSpansCameInCounts(t *testing.T) {
	big := make([]byte, mib)
	tests := map[string]func(rs ptrace.ResourceSpans){
		"text": func(rs ptrace.ResourceSpans) { rs.Resource().Attributes().PutStr("a", string(big)) },
		"bytes": func(rs ptrace.ResourceSpans) {
			rs.Resource().Attributes().PutEmptyBytes("a").FromRaw(big)
		},
		"nested": func(rs ptrace.ResourceSpans) {
			rs.Resource().Attributes().PutEmptyMap("a").PutEmptySlice("b").AppendEmpty().SetStr(string(big))
		},
		"scope": func(rs ptrace.ResourceSpans) {
			rs.ScopeSpans().At(0).Scope().Attributes().PutStr("a", string(big))
		},
		"version": func(rs ptrace.ResourceSpans) { rs.ScopeSpans().At(0).Scope().SetVersion(string(big)) },
		"schema":  func(rs ptrace.ResourceSpans) { rs.SetSchemaUrl(string(big)) },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := &memory{values: map[string][]byte{}}
				p := launch(t, componenttest.NewTelemetry(), config(stored), &sink{}, extensionHost{storageID: disk})
				td := clientTraces(1)
				change(td.ResourceSpans().At(0))
				require.NoError(t, p.ConsumeTraces(t.Context(), td))
				assert.Greater(t, p.(*spanPairing).store.HeldBytes(), int64(mib))
				after := disk.copied()
				require.NoError(t, p.Shutdown(t.Context()))
				assert.Zero(t, p.(*spanPairing).store.HeldBytes())
				p = launch(t, componenttest.NewTelemetry(), config(stored), &sink{}, extensionHost{storageID: after})
				assert.Greater(t, p.(*spanPairing).store.HeldBytes(), int64(mib), "restored")
				require.NoError(t, p.Shutdown(t.Context()))
			})
		})
	}
}

// TestAGiantDoesNotPushOthersOut: for a span that has no room alone, nobody is let go.
func TestAGiantDoesNotPushOthersOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := componenttest.NewTelemetry()
		next := &sink{}
		p := launch(t, tel, config(func(c *Config) { c.MaxHeldMiB = 1 }), next, componenttest.NewNopHost())
		require.NoError(t, p.ConsumeTraces(t.Context(), clientTraces(1)))
		td := ptrace.NewTraces()
		giant := clientSpan(td, 1)
		giant.SetSpanID(pcommon.SpanID{7: 77})
		giant.Attributes().PutStr("db.statement", strings.Repeat("x", 2*mib))
		require.NoError(t, p.ConsumeTraces(t.Context(), td))
		assert.Len(t, next.spans, 1, "the giant passes")
		assert.EqualValues(t, 1, p.(*spanPairing).store.HeldSpans())
		metadatatest.AssertEqualProcessorMeshSpanPairingUnheldSpans(t, tel,
			[]metricdata.DataPoint[int64]{{Value: 1, Attributes: set("reason", "max_held_mib")}}, ignoreTime)
		require.NoError(t, p.Shutdown(t.Context()))
	})
}

// TestNamesThatAreNoneAreNotRemembered: the ceiling of entries bounds memory only if an entry is small.
func TestNamesThatAreNoneAreNotRemembered(t *testing.T) {
	for _, key := range []string{"mesh.source.workload", "mesh.destination.principal", "mesh.via"} {
		synctest.Test(t, func(t *testing.T) {
			tel := componenttest.NewTelemetry()
			next := &sink{}
			p := launch(t, tel, config(), next, componenttest.NewNopHost())
			td := ptrace.NewTraces()
			clientSpan(td, 1).Attributes().PutStr(key, strings.Repeat("x", mib))
			require.NoError(t, p.ConsumeTraces(t.Context(), td))
			assert.Zero(t, p.(*spanPairing).store.Entries())
			assert.Len(t, next.spans, 1, "it passes untouched")
			metadatatest.AssertEqualProcessorMeshSpanPairingForgottenEntries(t, tel,
				[]metricdata.DataPoint[int64]{{Value: 1, Attributes: set("reason", "too_long")}}, ignoreTime)
			require.NoError(t, p.Shutdown(t.Context()))
		})
	}
}

// TestShutdownDoesNotWaitForWhoHangs: the next component may hold a call for as long as it likes.
func TestShutdownDoesNotWaitForWhoHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := componenttest.NewTelemetry()
		next := consumerFunc(func(ctx context.Context, _ ptrace.Traces) error {
			<-ctx.Done()
			return ctx.Err()
		})
		p := launch(t, tel, config(), next, componenttest.NewNopHost())
		require.NoError(t, p.ConsumeTraces(t.Context(), clientTraces(1)))
		pass(6 * time.Second)
		began := time.Now()
		require.ErrorIs(t, p.Shutdown(t.Context()), context.DeadlineExceeded)
		assert.Equal(t, shutdownGrace, time.Since(began))
		metadatatest.AssertEqualProcessorMeshSpanPairingDroppedSpans(t, tel,
			[]metricdata.DataPoint[int64]{{Value: 1, Attributes: set("reason", "shutdown")}}, ignoreTime)
	})
}

// TestRecordsThatCouldNotBeDeletedAreDeletedLater: they must not stay on the disk for ever.
func TestRecordsThatCouldNotBeDeletedAreDeletedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &memory{values: map[string][]byte{}}
		next := &sink{}
		p := launch(t, componenttest.NewTelemetry(), config(stored), next, extensionHost{storageID: disk})
		require.NoError(t, p.ConsumeTraces(t.Context(), clientTraces(1)))
		disk.fail(storage.ErrStorageFull)
		pass(6 * time.Second)
		require.Len(t, next.spans, 1)
		assert.Equal(t, 1, disk.records())
		disk.fail(nil)
		require.NoError(t, p.ConsumeTraces(t.Context(), clientTraces(2)))
		pass(6 * time.Second)
		assert.Zero(t, disk.records())
		require.NoError(t, p.Shutdown(t.Context()))
	})
}

// TestSentAgainWithMoreEvidence: between two deliveries of a span the topology may have learned. What a copy says itself
// counts, and not what the first one said.
func TestSentAgainWithMoreEvidence(t *testing.T) {
	again := func() ptrace.Traces {
		td := ptrace.NewTraces()
		putAll(clientSpan(td, 1).Attributes(), "mesh.resolution.destination", "ip", "mesh.destination.cluster", "north",
			"mesh.destination.namespace", "shop", "mesh.destination.workload", "backend-v2", "mesh.destination.service", "backend")
		return td
	}
	want := map[string]any{"mesh.destination.workload": "backend-v2", "mesh.resolution.destination": "ip"}
	keys := []string{"mesh.destination.workload", "mesh.resolution.destination"}
	for name, paired := range map[string]bool{"the first one was paired": true, "the first one waits": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				next := &sink{}
				p := launch(t, componenttest.NewTelemetry(), config(), next, componenttest.NewNopHost())
				require.NoError(t, p.ConsumeTraces(t.Context(), clientTraces(1)))
				if paired {
					require.NoError(t, p.ConsumeTraces(t.Context(), serverTraces(1)))
					pass(longestTick)
					require.Len(t, next.spans, 2)
				}
				require.NoError(t, p.ConsumeTraces(t.Context(), again()))
				pass(6 * time.Second)
				require.NoError(t, p.Shutdown(t.Context()))
				copies := 0
				for _, span := range next.spans {
					if got := values(span, keys...); got["mesh.resolution.destination"] == "ip" {
						copies++
						assert.Equal(t, want, got)
					}
				}
				assert.Equal(t, 1, copies)
			})
		})
	}
}
