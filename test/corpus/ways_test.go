// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/encode"
)

// TestNoEndIsWrongOnAnyWay sends every case through other collectors than those it names. How much they tell differs; that
// what they tell is so does not.
func TestNoEndIsWrongOnAnyWay(t *testing.T) {
	als := startEnvoyLogs(t)
	cases, err := readCases()
	require.NoError(t, err)
	ways := map[string]way{
		"no agents":                           {noAgents: true},
		"one process for all":                 {whole: true},
		"envoy_semconv first":                 {semconvFirst: true},
		"two hubs, without pairing":           {twice: true, noPairing: true},
		"one process, envoy_semconv first":    {whole: true, semconvFirst: true},
		"no agents, two hubs":                 {noAgents: true, twice: true},
		"agents that know all, without pairs": {whole: true, noPairing: true},
	}
	for _, name := range slices.Sorted(maps.Keys(ways)) {
		t.Run(name, func(t *testing.T) {
			told := count{}
			for _, c := range cases {
				var inputs []data
				marked := 0
				for i := range c.Inputs {
					d := load(t, c.folder, &c.Inputs[i], als)
					marked = d.mark(marked)
					inputs = append(inputs, d)
				}
				o := outcome{c, answers(c.throughBy(t, inputs, ways[name]))}
				for i := range o.Items {
					if n := o.Items[i].Call; n >= 0 {
						assert.Empty(t, wrong(o.answers[i], &o.Calls[n], o.reporter(i)), "%s, item %d: a wrong end", c.name(), i)
						told.add(o.answers[i], &o.Calls[n])
					}
				}
			}
			t.Logf("%d of %d ends have their cluster, %d their workload", told.cluster, told.ends, told.workload)
			assert.Greater(t, told.cluster, told.ends/2)
		})
	}
}

// TestCoverage prevents that the corpus loses a dimension unnoticed.
func TestCoverage(t *testing.T) {
	cases, err := readCases()
	require.NoError(t, err)
	roles, signals, versions := map[encode.Role]int{}, map[string]int{}, map[string]int{}
	topologies, failures, settings := map[string]int{}, map[string]int{}, map[string]int{}
	for _, c := range cases {
		for i := range c.Items {
			roles[c.role(i)]++
		}
		signals[c.Signal]++
		versions[c.Istio]++
		topologies[c.Topology]++
		failures[c.Failure]++
		settings[c.Settings]++
	}
	for _, role := range []encode.Role{
		encode.SidecarOutbound, encode.SidecarInbound, encode.IngressGateway, encode.EgressGateway, encode.EastWestGateway,
		encode.Waypoint, encode.Ztunnel,
	} {
		assert.NotZero(t, roles[role], role)
	}
	for _, signal := range []string{"span", "als", "otlp_text", "otlp_labels", "json", "file_text", "ztunnel_log", "metric"} {
		assert.GreaterOrEqual(t, signals[signal], 10, signal)
	}
	for _, failure := range []string{"UH", "UF", "URX", "NR", "NC", "UO", "UT", "DC", "UC", "failover", "retry", "BlackHole"} {
		assert.NotZero(t, failures[failure], failure)
	}
	for topology := range worlds() {
		assert.NotZero(t, topologies[topology], topology)
	}
	assert.GreaterOrEqual(t, len(versions), 12)
	assert.Contains(t, versions, "1.18")
	assert.Contains(t, versions, "1.31")
	assert.Len(t, settings, 5)
}
