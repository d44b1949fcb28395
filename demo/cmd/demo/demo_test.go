// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// complete is a summary of a demo in which all went well.
func complete() ingestiontest.Summary {
	return ingestiontest.Summary{
		ByType:   map[string]uint64{"Request": 1, "Dependency": 1, "Message": 1, "Metric": 1},
		ByRegion: map[string]uint64{"westeurope": 2, "northeurope": 2},
	}
}

// TestTheExitCodeSaysWhatDidNotArrive prevents the bug that a demo through which nothing flows ends as a success.
func TestTheExitCodeSaysWhatDidNotArrive(t *testing.T) {
	require.NoError(t, printSummary(&bytes.Buffer{}, complete(), mesh.LoadSummary{}))
	for _, itemType := range itemTypes {
		sum := complete()
		delete(sum.ByType, itemType)
		assert.ErrorContains(t, printSummary(&bytes.Buffer{}, sum, mesh.LoadSummary{}), "no "+itemType+" item arrived")
	}
	for _, region := range []string{"westeurope", "northeurope"} {
		sum := complete()
		delete(sum.ByRegion, region)
		assert.ErrorContains(t, printSummary(&bytes.Buffer{}, sum, mesh.LoadSummary{}), "nothing arrived from "+region)
	}
	assert.Error(t, printSummary(&bytes.Buffer{}, ingestiontest.Summary{}, mesh.LoadSummary{}), "nothing at all")
}

func TestDemoSeconds(t *testing.T) {
	for in, want := range map[string]time.Duration{"": 0, "1": time.Second, "60": time.Minute} {
		got, err := timeLimit(in)
		require.NoError(t, err)
		assert.Equal(t, want, got, "%q", in)
	}
	for _, in := range []string{"0", "-1", "abc", "1.5"} {
		_, err := timeLimit(in)
		assert.ErrorContains(t, err, "DEMO_SECONDS", "%q", in)
	}
}
