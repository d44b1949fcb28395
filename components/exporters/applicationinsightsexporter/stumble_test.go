// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/delivery"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// More items than there are consumers make the endpoint fail without a word on why, each in a batch of its own. The others
// get through, and those are set aside in the end.
func TestItemsThatTheEndpointStumblesOverHoldUpNothing(t *testing.T) {
	for name, settings := range map[string][]keys{"memory": {}, "disk": {onDisk}} {
		t.Run(name, func(t *testing.T) {
			var taken atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				plain, err := gzip.NewReader(r.Body)
				assert.NoError(t, err)
				body, err := io.ReadAll(plain)
				assert.NoError(t, err)
				if strings.Contains(string(body), "poison") {
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
				n := strings.Count(string(body), "\n")
				taken.Add(int64(n))
				fmt.Fprintf(w, `{"itemsReceived":%d,"itemsAccepted":%d,"errors":[]}`, n, n)
			}))
			t.Cleanup(server.Close)
			directory := t.TempDir()
			all := append([]keys{quick, {
				"connection_string": "InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint=" + server.URL,
				"dead_letter":       keys{"directory": directory},
				"sending_queue":     keys{"num_consumers": 2},
			}}, settings...)
			r := start(t, config(t, all...), newDisk())
			const batches, size = 5, 20
			for n := range batches {
				td := spans(n*size, (n+1)*size)
				list := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
				for i := range list.Len() {
					// Old enough to be given up.
					list.At(i).SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Hour)))
				}
				list.At(n).SetName("poison")
				require.NoError(t, r.traces.ConsumeTraces(t.Context(), td))
			}
			// What comes later is proof that the endpoint works.
			require.Eventually(t, func() bool {
				require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(0, 1)))
				return r.books(t).dead == batches
			}, 3*patience, 5*time.Millisecond)
			b := r.settle(t)
			assert.Equal(t, int64(batches), b.dead)
			assert.Equal(t, b.accepted, taken.Load(), "nothing is sent twice that was accepted")
			assert.Equal(t, int64(batches), r.sum(t, "application_insights_items_dead_lettered", "reason", delivery.ReasonRefused))
			r.stop(t)
			for _, l := range letters(t, directory) {
				assert.Contains(t, string(l.Item), "poison")
			}
		})
	}
}

// The signals stop one after the other, and share the time if the queue is on disk.
func TestSignalsShareTheTimeToStop(t *testing.T) {
	endpoint := ingestiontest.Start(t, ingestiontest.Config{})
	require.NoError(t, endpoint.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultHang, Times: ingestiontest.Forever}))
	disk := busy(t, endpoint, config(t, quick, onDisk, to(endpoint), keys{"shutdown_timeout": "10s"}), newDisk()).shared()
	assert.Greater(t, disk.grace(), 9*time.Second)
	disk.mu.Lock()
	disk.stopBy = disk.stopBy.Add(-11 * time.Second)
	disk.mu.Unlock()
	assert.Equal(t, leastGrace, disk.grace())
	disk.cfg.ShutdownTimeout = 50 * time.Millisecond
	assert.Equal(t, 50*time.Millisecond, disk.grace())

	memory := create(t, config(t, to(endpoint))).shared()
	memory.stopBy = time.Now()
	assert.Equal(t, 5*time.Second, memory.grace(), "what is in memory is sent now or never")
}

func TestTheLogSaysWhatHappens(t *testing.T) {
	core, entries := observer.New(zapcore.InfoLevel)
	failure := func(cause delivery.Cause) error {
		return fmt.Errorf("interrupted due to shutdown: %w", &delivery.Failure{Destination: "default", Cause: cause, Message: "no answer"})
	}
	logger := calm(zap.New(core), true).With(zap.String("a", "b"))
	logger.Info("Exporting failed. Will retry the request after interval.", zap.Error(failure(delivery.CauseBlocked)))
	assert.Empty(t, entries.TakeAll(), "that a batch waits on is no news")
	logger.Info("Exporting failed. Will retry the request after interval.", zap.Error(failure(delivery.CauseNetwork)))
	logger.Error("Exporting failed. Dropping data.", zap.Error(failure(delivery.CauseCanceled)), zap.Int("dropped_items", 7))
	logger.Error("Exporting failed. Dropping data.", zap.Error(errors.New("something else")))
	logger.Error("Something else")
	calm(zap.New(core), false).Error("Exporting failed. Dropping data.", zap.Error(failure(delivery.CauseCanceled)))
	got := entries.TakeAll()
	require.Len(t, got, 5)
	assert.Contains(t, got[0].Message, "Will retry")
	assert.Equal(t, zapcore.InfoLevel, got[1].Level)
	assert.Contains(t, got[1].Message, "stays in the queue on disk")
	assert.Equal(t, int64(7), got[1].ContextMap()["items"])
	assert.Equal(t, "b", got[1].ContextMap()["a"])
	for _, entry := range got[2:] {
		assert.Equal(t, zapcore.ErrorLevel, entry.Level)
	}
}

func TestAnOutageIsToldNowAndThen(t *testing.T) {
	var p pauseLog
	now := time.Now()
	down := &delivery.Failure{Cause: delivery.CauseNetwork}
	assert.False(t, p.end())
	assert.True(t, p.begin(down, now))
	assert.False(t, p.begin(down, now.Add(59*time.Second)))
	assert.True(t, p.begin(down, now.Add(time.Minute)))
	assert.True(t, p.begin(&delivery.Failure{Cause: delivery.CauseForbidden, Status: 403}, now.Add(time.Minute)), "another reason")
	assert.True(t, p.end())
	assert.False(t, p.end())
}

// A disk that is full for long makes the collector's queue count what it refused, up to its capacity. It takes new data as
// soon as the disk does.
func TestAQueueThatIsFullOfNothingRecovers(t *testing.T) {
	for sizer, size := range map[string]int{"bytes": 300_000, "items": 1000} {
		t.Run(sizer, func(t *testing.T) {
			endpoint := ingestiontest.Start(t, ingestiontest.Config{})
			full := newDisk()
			r := start(t, config(t, quick, onDisk, to(endpoint), keys{"sending_queue": keys{
				"sizer": sizer, "queue_size": size, "batch": keys{"sizer": sizer, "max_size": size / 2},
			}}), full)
			full.setFail(errDisk)
			require.Eventually(t, func() bool {
				return strings.Contains(r.traces.ConsumeTraces(t.Context(), spans(0, 100)).Error(), "queue is full")
			}, patience, time.Millisecond)
			full.setFail(nil)
			require.Eventually(t, func() bool { return r.traces.ConsumeTraces(t.Context(), spans(0, 100)) == nil }, patience, time.Millisecond)
			require.Eventually(t, func() bool { return r.books(t).accepted == 100 }, patience, time.Millisecond)
			assert.Equal(t, int64(0), r.sum(t, "queue_size", "data_type", "traces"))
			assert.Zero(t, r.sum(t, "application_insights_unreadable_batches"))
		})
	}
}
