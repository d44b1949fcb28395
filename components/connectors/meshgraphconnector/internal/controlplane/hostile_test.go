// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// defaults is a store with the default configuration.
func defaults() *Store { return New(DefaultConfig()) }

// TestSumsBeyondAllNumbers: what an istiod says does not take the document of all the others with it.
func TestSumsBeyondAllNumbers(t *testing.T) {
	s := defaults()
	for i := range 3 {
		md := pmetric.NewMetrics()
		rm := md.ResourceMetrics().AppendEmpty()
		resource(rm, "west", "istiod-1", "westeurope")
		m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName("pilot_proxy_convergence_time")
		m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		p := m.Histogram().DataPoints().AppendEmpty()
		p.SetTimestamp(pcommon.NewTimestampFromTime(after(time.Duration(i) * time.Second)))
		p.SetCount(1)
		p.SetSum(1.7e308)
		p.ExplicitBounds().FromRaw([]float64{1})
		p.BucketCounts().FromRaw([]uint64{1, 0})
		s.Metrics(md, after(time.Minute))
	}
	_, err := json.Marshal(s.Roll(after(time.Minute), nil))
	require.NoError(t, err)
}

// TestCountersWithLongNames: a name that is cut is the same series the next time.
func TestCountersWithLongNames(t *testing.T) {
	s := defaults()
	for i := range 3 {
		md := pmetric.NewMetrics()
		rm := md.ResourceMetrics().AppendEmpty()
		resource(rm, "west", "istiod-1", "westeurope")
		m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName("pilot_xds_pushes")
		m.SetEmptySum().SetIsMonotonic(true)
		m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		p := m.Sum().DataPoints().AppendEmpty()
		p.SetTimestamp(pcommon.NewTimestampFromTime(after(time.Duration(i) * time.Second)))
		p.SetIntValue(int64(10 * (i + 1)))
		p.Attributes().PutStr("type", strings.Repeat("x", maxKeyBytes+1))
		s.Metrics(md, after(time.Minute))
	}
	doc := s.Roll(after(time.Minute), nil)
	require.Equal(t, map[string]int64{strings.Repeat("x", maxKeyBytes): 20}, doc.ControlPlanes[0].Pushes.Sent)
}
