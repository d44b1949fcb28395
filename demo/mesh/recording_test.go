// SPDX-License-Identifier: Apache-2.0

package mesh_test

import (
	"iter"
	"slices"
	"testing"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/demo/recorder"
)

// startRecorders runs an agent's stand-in for each cluster on free ports, so that only the mesh itself needs the machine
// for itself.
func startRecorders(t *testing.T) (map[string]*recorder.Recorder, map[string]mesh.AgentAddresses) {
	recorders, agents := map[string]*recorder.Recorder{}, map[string]mesh.AgentAddresses{}
	for cluster := range mesh.DefaultAgents() {
		r, err := recorder.Listen(mesh.AgentAddresses{OTLP: "127.0.0.1:0", ALS: "127.0.0.1:0"})
		require.NoError(t, err)
		t.Cleanup(r.Close)
		recorders[cluster], agents[cluster] = r, r.Addresses()
	}
	return recorders, agents
}

// span is one recorded span with its resource's service.
type span struct {
	ptrace.Span
	service string
}

// attribute returns an attribute as text, empty if there is none.
func (s span) attribute(key string) string { return text(s.Attributes(), key) }

func text(attributes pcommon.Map, key string) string {
	value, ok := attributes.Get(key)
	if !ok {
		return ""
	}
	return value.AsString()
}

// spans yields the recorded spans in the order of arrival.
func spans(recording recorder.Recording) iter.Seq[span] {
	return func(yield func(span) bool) {
		for _, traces := range recording.Traces {
			for _, resource := range traces.ResourceSpans().All() {
				service := text(resource.Resource().Attributes(), "service.name")
				for _, scope := range resource.ScopeSpans().All() {
					for _, one := range scope.Spans().All() {
						if !yield(span{Span: one, service: service}) {
							return
						}
					}
				}
			}
		}
	}
}

// waitSpan waits for a span that matches.
func waitSpan(t *testing.T, r *recorder.Recorder, match func(span) bool) span {
	t.Helper()
	found := make(chan span, 1)
	require.Eventually(t, func() bool {
		for one := range spans(r.Snapshot()) {
			if match(one) {
				found <- one
				return true
			}
		}
		return false
	}, soon, tick)
	return <-found
}

// accessLogs returns the messages of all streams.
func accessLogs(recording recorder.Recording) []*accesslogv3.StreamAccessLogsMessage {
	return slices.Concat(recording.AccessLogs...)
}

// counter returns the highest value of a counter with a label.
func counter(recording recorder.Recording, name, label, value string) (highest float64) {
	for _, message := range slices.Concat(recording.Metrics...) {
		for _, family := range message.GetEnvoyMetrics() {
			if family.GetName() != name {
				continue
			}
			for _, metric := range family.GetMetric() {
				for _, pair := range metric.GetLabel() {
					if pair.GetName() == label && pair.GetValue() == value {
						highest = max(highest, metric.GetCounter().GetValue())
					}
				}
			}
		}
	}
	return highest
}
