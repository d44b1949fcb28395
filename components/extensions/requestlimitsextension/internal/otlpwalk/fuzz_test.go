// SPDX-License-Identifier: Apache-2.0

package otlpwalk

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// noLess fails if pdata holds more than the walk counted.
func noLess(t *testing.T, walked, decoded Counts) {
	for name, pair := range map[string][2]int64{
		"resources": {walked.Resources, decoded.Resources}, "scopes": {walked.Scopes, decoded.Scopes},
		"records": {walked.Records, decoded.Records}, "metrics": {walked.Metrics, decoded.Metrics},
		"events": {walked.Events, decoded.Events}, "links": {walked.Links, decoded.Links},
		"attributes": {walked.Attributes, decoded.Attributes}, "attributes of one object": {walked.ObjectAttributes, decoded.ObjectAttributes},
		"values":    {walked.Values, decoded.Values},
		"exemplars": {walked.Exemplars, decoded.Exemplars}, "buckets": {walked.Buckets, decoded.Buckets},
		"depth": {walked.Depth, decoded.Depth}, "key bytes": {walked.KeyBytes, decoded.KeyBytes},
		"value bytes": {walked.ValueBytes, decoded.ValueBytes},
	} {
		require.GreaterOrEqual(t, pair[0], pair[1], name)
	}
}

// FuzzProto holds the walk to its rule: what pdata takes, the walk takes and has counted; what the walk calls malformed,
// pdata refuses.
func FuzzProto(f *testing.F) {
	for signal := Traces; signal <= Metrics; signal++ {
		for seed := range uint64(4) {
			body, err := newRandom(seed + 100).request(signal).MarshalProto()
			require.NoError(f, err)
			f.Add(uint8(signal), body)
		}
	}
	for _, r := range hollow(64) {
		f.Add(uint8(r.signal), r.body)
	}
	for signal := Traces; signal <= Metrics; signal++ {
		f.Add(uint8(signal), inParts(3, 2))
	}
	// The scopes of before OTLP 1.0, and a group.
	f.Add(uint8(Traces), []byte{0x0a, 0x05, 0xc2, 0x3e, 0x02, 0x12, 0x00})
	f.Add(uint8(Logs), []byte{0x2b, 0x08, 0x01, 0x2c})
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		signal := Signal(kind%3 + 1)
		var w Walker
		walked, v := w.Proto(signal, body, unlimited())
		if v != nil && v.Reason != Malformed {
			return
		}
		r := empty(signal)
		if err := r.UnmarshalProto(body); err != nil {
			require.NotNil(t, v, "pdata refuses: %v", err)
			return
		}
		require.Nil(t, v)
		noLess(t, walked, recounted(r))
	})
}

// FuzzJSON is the same for JSON, where the walk may refuse more.
func FuzzJSON(f *testing.F) {
	for signal := Traces; signal <= Metrics; signal++ {
		for seed := range uint64(4) {
			body, err := newRandom(seed + 200).request(signal).MarshalJSON()
			require.NoError(f, err)
			f.Add(uint8(signal), body)
		}
	}
	f.Add(uint8(Traces), []byte(`{"resource_spans":[null,{"deprecated_scope_spans":[{"spans":[{},{}]}]}],"x":[[{"":1}]]}`))
	f.Add(uint8(Traces), []byte(`{"resourceSpans":[{"":[{},{},{}]}]}`))
	for signal := Traces; signal <= Metrics; signal++ {
		f.Add(uint8(signal), inPartsJSON(signal, 3, 2))
	}
	f.Add(uint8(Logs), []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"arrayValue":{"values":[{},null]}}}]}]}]}`))
	f.Add(uint8(Metrics), []byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"exponentialHistogram":{"dataPoints":[{"positive":{"bucketCounts":["1",2]}}]}}]}]}]}`))
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		signal := Signal(kind%3 + 1)
		var w Walker
		walked, v := w.JSON(signal, body, unlimited())
		if v != nil {
			return
		}
		// Also what pdata made before it found an error counts.
		r := empty(signal)
		_ = r.UnmarshalJSON(body)
		noLess(t, walked, recounted(r))
	})
}
