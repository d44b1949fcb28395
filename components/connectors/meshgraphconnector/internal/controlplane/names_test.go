// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	names "github.com/otelcol-mesh/otelcol-mesh/internal/istiod"
)

// TestRoutersBringAllOfIt prevents that a metric is read here that routers give to another replica.
func TestRoutersBringAllOfIt(t *testing.T) {
	assert.Equal(t, names.Metrics(), slices.Sorted(maps.Keys(kinds)))
}
