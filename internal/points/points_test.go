// SPDX-License-Identifier: Apache-2.0

package points

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// two makes the slice have two points.
func two[P any](s interface{ AppendEmpty() P }) {
	s.AppendEmpty()
	s.AppendEmpty()
}

func TestEachTypeIsCounted(t *testing.T) {
	m := pmetric.NewMetric()
	assert.Zero(t, Of(m), "one without a type")
	for _, fill := range []func(){
		func() { two(m.SetEmptyGauge().DataPoints()) },
		func() { two(m.SetEmptySum().DataPoints()) },
		func() { two(m.SetEmptyHistogram().DataPoints()) },
		func() { two(m.SetEmptyExponentialHistogram().DataPoints()) },
		func() { two(m.SetEmptySummary().DataPoints()) },
	} {
		fill()
		assert.Equal(t, 2, Of(m), m.Type())
	}
}
