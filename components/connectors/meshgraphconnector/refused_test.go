// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/metadatatest"
)

var errTooLarge = consumererror.NewPermanent(errors.New("larger than this backend takes"))

// several is the answer of more than one exporter, as the collector puts it together.
type several []error

func (s several) Error() string   { return errors.Join(s...).Error() }
func (s several) Unwrap() []error { return s }
func (s several) Errors() []error { return s }

func TestWhichRefusalsAreForGood(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"none":                     {nil, false},
		"a full queue":             {errRefused, false},
		"permanent":                {errTooLarge, true},
		"permanent, with words":    {fmt.Errorf("sending: %w", errTooLarge), true},
		"permanent and a sentinel": {fmt.Errorf("%w: %w", errRefused, errTooLarge), true},
		"two exporters, both":      {several{errTooLarge, errTooLarge}, true},
		"two exporters, one":       {several{errTooLarge, errRefused}, false},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, permanent(c.err)) })
	}
}

// handed is what the counter of attempts should have, by outcome and signal.
func handed(signal string, counts map[string]int64) (points []metricdata.DataPoint[int64]) {
	for outcome, n := range counts {
		points = append(points, metricdata.DataPoint[int64]{
			Value: n, Attributes: attribute.NewSet(attribute.String("outcome", outcome), attribute.String("signal", signal)),
		})
	}
	return points
}

// watched makes a process whose warnings are collected.
func watched(t *testing.T, config *Config, to *sink, now time.Time) (*process, *observer.ObservedLogs) {
	p := start(t, config, to, now)
	core, logs := observer.New(zapcore.WarnLevel)
	p.count = newCounter(p.count.telemetry, zap.New(core))
	return p, logs
}

// TestMetricsThatAreRefusedForGoodAreDropped prevents that one part which nobody will ever take is tried again for ever, with all
// that waits behind it.
func TestMetricsThatAreRefusedForGoodAreDropped(t *testing.T) {
	config, to := testConfig(t.TempDir()), newSink()
	p, logs := watched(t, config, to, begin)
	p.sender.edgesInPart = 1
	p.takeMetrics(request(begin, 1, theCall(), theCall().with(func(c *call) { c.to = "other" })), begin)
	attempts := 0
	to.refusal = errTooLarge
	to.refuse = func() bool { attempts++; return attempts == 1 }
	p.step(begin.Add(4*time.Second), true)
	assert.Equal(t, map[string]int64{"web>other@westeurope 2xx": 1}, to.taken(), "the part behind it went on")
	p.step(begin.Add(8*time.Second), false)
	assert.Equal(t, 2, attempts, "it is not tried again")
	assert.Nil(t, p.unsent)
	metadatatest.AssertEqualConnectorMeshGraphHandedOn(t, p.telemetry,
		handed(signalMetrics, map[string]int64{"permanent": 1, "success": 1}), ignoreTime)
	dropped, err := p.telemetry.GetMetric("otelcol_connector_mesh_graph_output_points_dropped")
	require.NoError(t, err)
	points := dropped.Data.(metricdata.Sum[int64]).DataPoints
	require.Len(t, points, 1)
	assert.Positive(t, points[0].Value)
	assert.Equal(t, attribute.NewSet(attribute.String("reason", "permanent_error")), points[0].Attributes)
	told := logs.FilterMessageSnippet("Metrics of the graph were dropped").All()
	require.Len(t, told, 1)
	assert.Equal(t, errTooLarge.Error(), told[0].ContextMap()["error"], "the reason")
	p.kill()

	// A process that comes after a killed one does not try it again either.
	p = start(t, config, to, begin.Add(time.Minute))
	p.step(begin.Add(64*time.Second), true)
	assert.Equal(t, map[string]int64{"web>other@westeurope 2xx": 1}, to.taken())
	p.kill()
}

func TestMetricsThatAreRefusedForNowAreKept(t *testing.T) {
	to := newSink()
	p := start(t, testConfig(t.TempDir()), to, begin)
	p.takeMetrics(request(begin, 1, theCall()), begin)
	refuses := true
	to.refuse = func() bool { return refuses }
	p.step(begin.Add(4*time.Second), true)
	p.step(begin.Add(8*time.Second), false)
	refuses = false
	p.step(begin.Add(12*time.Second), false)
	assert.Equal(t, map[string]int64{"web>cart@westeurope 2xx": 1}, to.taken())
	metadatatest.AssertEqualConnectorMeshGraphHandedOn(t, p.telemetry,
		handed(signalMetrics, map[string]int64{"failure": 2, "success": 1}), ignoreTime)
	_, err := p.telemetry.GetMetric("otelcol_connector_mesh_graph_output_points_dropped")
	assert.Error(t, err, "nothing was dropped")
	p.kill()
}

// TestEventsThatAreRefusedForGoodAreDropped has a failover whose event no exporter takes.
func TestEventsThatAreRefusedForGoodAreDropped(t *testing.T) {
	config, to := quickLearner(t.TempDir()), newSink()
	p, logs := watched(t, config, to, begin)
	turn := p.fails(func() {})
	for len(p.waiting) == 0 {
		turn(false)
	}
	to.refuse = func() bool { return true }
	hand := func() {
		p.sender.start(context.Background(), begin.Add(time.Hour))
		p.sender.wait()
	}
	hand()
	require.Len(t, p.waiting, 1, "a refusal that may end is no reason to drop it")
	to.refusal = errTooLarge
	hand()
	assert.Empty(t, p.waiting)
	metadatatest.AssertEqualConnectorMeshGraphEventsDropped(t, p.telemetry, by("reason", map[string]int64{"permanent_error": 1}), ignoreTime)
	metadatatest.AssertEqualConnectorMeshGraphHandedOn(t, p.telemetry,
		handed(signalLogs, map[string]int64{"failure": 1, "permanent": 1}), ignoreTime)
	told := logs.FilterMessageSnippet("Events of the graph were dropped").All()
	require.Len(t, told, 1)
	assert.Equal(t, errTooLarge.Error(), told[0].ContextMap()["error"])
	p.kill()

	p = start(t, config, to, begin.Add(5*time.Minute))
	assert.Empty(t, p.waiting, "nor is it there after a kill")
	p.kill()
}
