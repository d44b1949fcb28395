// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

func to(e *ingestiontest.Server) keys { return keys{"connection_string": e.ConnectionString()} }

func TestEverySignalArrivesAndIsCounted(t *testing.T) {
	endpoint := ingestiontest.Start(t, ingestiontest.Config{})
	r := start(t, config(t, quick, to(endpoint)))

	require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(0, 100)))
	ld := plog.NewLogs()
	record := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.Body().SetStr("a message")
	record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	require.NoError(t, r.logs.ConsumeLogs(t.Context(), ld))
	md := pmetric.NewMetrics()
	metric := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("a metric")
	for range 3 {
		point := metric.SetEmptyGauge().DataPoints().AppendEmpty()
		point.SetDoubleValue(1)
		point.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	}
	require.NoError(t, r.metrics.ConsumeMetrics(t.Context(), md))

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, endpoint.WaitCount(ctx, ingestiontest.Group{}, 102))
	assert.Equal(t, books{received: 102, accepted: 102}, r.settle(t))
	for kind, count := range map[string]int64{"request": 100, "message": 1, "metric": 1} {
		assert.Equal(t, count, r.sum(t, "application_insights_items_accepted", "kind", kind, "destination", "default"), kind)
	}
	assert.Equal(t, int64(100), r.sum(t, "sent_spans"))
	assert.Equal(t, int64(1), r.sum(t, "sent_log_records"))
	assert.Equal(t, int64(1), r.sum(t, "sent_metric_points"))
	assert.Positive(t, r.sum(t, "application_insights_bytes_sent"))
	assert.Equal(t, "otelcol-mesh/1.2.3", endpoint.Requests()[0].UserAgent)
}

func TestARetrySendsOnlyWhatWasNotAccepted(t *testing.T) {
	for name, queue := range map[string]keys{"memory": {}, "disk": onDisk} {
		t.Run(name, func(t *testing.T) {
			endpoint := ingestiontest.Start(t, ingestiontest.Config{})
			require.NoError(t, endpoint.Fault(
				ingestiontest.Fault{Kind: ingestiontest.FaultItems, Indexes: []int{0, 3, 9}, ItemStatus: 503},
				ingestiontest.Fault{Kind: ingestiontest.FaultItems, Indexes: []int{1}, ItemStatus: 206},
			))
			r := start(t, config(t, quick, queue, to(endpoint)), newDisk())
			require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(0, 10)))
			assert.Equal(t, books{received: 10, accepted: 9, sampledOut: 1}, r.settle(t))
			r.stop(t)
			unique, double := distinct(endpoint)
			assert.Equal(t, 9, unique)
			assert.Zero(t, double)
			assert.Equal(t, int64(3), r.sum(t, "application_insights_items_retried"))
			// What goes back to the disk is one request more to the collector.
			assert.LessOrEqual(t, r.sum(t, "sent_spans"), int64(11))
		})
	}
}

func TestPoisonGoesToTheDeadLettersAndHoldsUpNothing(t *testing.T) {
	endpoint := ingestiontest.Start(t, ingestiontest.Config{})
	require.NoError(t, endpoint.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultPoison, Match: `span 7"`, Times: ingestiontest.Forever}))
	directory := t.TempDir()
	r := start(t, config(t, quick, to(endpoint), keys{"dead_letter": keys{"directory": directory}}))
	require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(0, 10)))
	assert.Equal(t, books{received: 10, accepted: 9, dead: 1}, r.settle(t))
	assert.Equal(t, int64(1), r.sum(t, "application_insights_items_dead_lettered", "reason", "invalid"))
	r.stop(t)
	list := letters(t, directory)
	require.Len(t, list, 1)
	assert.Equal(t, "default", list[0].Destination)
	assert.Equal(t, http.StatusBadRequest, list[0].Status)
	assert.Contains(t, string(list[0].Item), "span 7")
	assert.NotContains(t, string(list[0].Item), "iKey")
}

func TestPoisonIsCountedAsLostWithoutDeadLetters(t *testing.T) {
	endpoint := ingestiontest.Start(t, ingestiontest.Config{})
	require.NoError(t, endpoint.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultPoison, Match: `span 7"`, Times: ingestiontest.Forever}))
	r := start(t, config(t, quick, to(endpoint)))
	require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(0, 10)))
	assert.Equal(t, books{received: 10, accepted: 9, lost: 1}, r.settle(t))
	assert.Equal(t, int64(1), r.sum(t, "application_insights_items_lost", "reason", lostNoLetters))
}

// An item that cannot be set aside stays in the queue until it can.
func TestDeadLettersThatCannotBeWrittenAreTriedAgain(t *testing.T) {
	endpoint := ingestiontest.Start(t, ingestiontest.Config{})
	require.NoError(t, endpoint.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultPoison, Match: `span 7"`, Times: ingestiontest.Forever}))
	directory := t.TempDir()
	r := start(t, config(t, quick, to(endpoint), keys{"dead_letter": keys{"directory": directory}}))
	broken := &brokenLetters{}
	store := r.shared().letters
	r.shared().letters = broken
	require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(0, 10)))
	require.Eventually(t, func() bool {
		broken.mu.Lock()
		defer broken.mu.Unlock()
		return broken.tries > 2
	}, patience, time.Millisecond)
	assert.Zero(t, r.books(t).dead)
	broken.mu.Lock()
	broken.store = store
	broken.mu.Unlock()
	assert.Equal(t, books{received: 10, accepted: 9, dead: 1}, r.settle(t))
	_, double := distinct(endpoint)
	assert.Zero(t, double)
}

func TestWhatNobodyRetriesIsSetAside(t *testing.T) {
	for name, retry := range map[string]keys{
		"off":    {"enabled": false},
		"finite": {"max_elapsed_time": "50ms"},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := ingestiontest.Start(t, ingestiontest.Config{})
			require.NoError(t, endpoint.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultStatus, Status: 503, Times: ingestiontest.Forever}))
			directory := t.TempDir()
			r := start(t, config(t, quick, keys{"retry_on_failure": retry}, to(endpoint), keys{"dead_letter": keys{"directory": directory}}))
			require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(0, 10)))
			assert.Equal(t, books{received: 10, dead: 10}, r.settle(t))
			assert.Equal(t, int64(10), r.sum(t, "application_insights_items_dead_lettered", "reason", reasonGaveUp))
			assert.Len(t, letters(t, directory), 10)
		})
	}
}

func TestAgeAndBlockAreMeasured(t *testing.T) {
	endpoint := ingestiontest.Start(t, ingestiontest.Config{})
	require.NoError(t, endpoint.Fault(ingestiontest.Fault{
		Kind: ingestiontest.FaultStatus, Status: 439, Times: ingestiontest.Forever,
	}))
	r := start(t, config(t, quick, keys{"pauses": keys{"quota": "1h"}}, to(endpoint)))
	require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(0, 10)))
	require.Eventually(t, func() bool {
		return r.sum(t, "application_insights_destination_blocked", "reason", "quota", "destination", "default") == 1
	}, patience, time.Millisecond)
	r.shared().mu.Lock()
	r.shared().now = func() time.Time { return time.Now().Add(time.Hour) }
	r.shared().mu.Unlock()
	age, err := r.tel.GetMetric("otelcol_exporter_application_insights_oldest_item_age")
	require.NoError(t, err)
	assert.InDelta(t, time.Hour.Seconds(), highest(t, age), 60)
}

func TestTelemetryOfNothingIsTaken(t *testing.T) {
	r := start(t, config(t, quick, to(ingestiontest.Start(t, ingestiontest.Config{}))))
	require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(0, 0)))
	require.NoError(t, r.logs.ConsumeLogs(t.Context(), plog.NewLogs()))
	assert.Equal(t, books{}, r.settle(t))
}

// A connection string that is rotated in its file is used without a restart, and ends the pause that the old one led to.
func TestAConnectionStringIsRotated(t *testing.T) {
	const oldKey, newKey = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"
	endpoint := ingestiontest.Start(t, ingestiontest.Config{InstrumentationKeys: []string{newKey}})
	path := filepath.Join(t.TempDir(), "connection-string")
	write := func(key string) {
		text := "InstrumentationKey=" + key + ";IngestionEndpoint=" + endpoint.URL()
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	write(oldKey)
	r := start(t, config(t, quick, keys{
		"connection_string_file": path, "connection_string_interval": "50ms", "pauses": keys{"hold": "1h"},
	}))
	require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(0, 10)))
	require.Eventually(t, func() bool {
		return r.sum(t, "application_insights_destination_blocked", "reason", "configuration") == 1
	}, patience, time.Millisecond)
	assert.Zero(t, r.books(t).accepted)
	write(newKey)
	r.settleAt(t, 10)
	assert.Equal(t, int64(1), r.sum(t, "application_insights_connection_reloads", "outcome", "used"))
}
