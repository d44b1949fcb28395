// SPDX-License-Identifier: Apache-2.0

package istiod

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestIsMetric prevents that what is looked at first, length and first letter, leaves out one of the names.
func TestIsMetric(t *testing.T) {
	assert.Len(t, Metrics(), 21)
	for _, name := range Metrics() {
		assert.True(t, IsMetric(name), name)
		assert.False(t, IsMetric(name+"_sum"), name)
	}
	for _, name := range []string{"", "pilot", "istio_requests_total", "pilot_services", "process_cpu_seconds_total", "up"} {
		assert.False(t, IsMetric(name), name)
	}
}
