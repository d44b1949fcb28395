// SPDX-License-Identifier: Apache-2.0

package static

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// YAML takes 1.10 for the number 1.1 and 0x1F for 31. A name is what is written.
func TestNamesThatLookLikeNumbers(t *testing.T) {
	s, err := Parse([]byte(`
clusters:
  - name: 007
    region: yes
    network: 1.10
    nodes: [{name: 1e3, zone: 1}]
    workloads:
      - {name: w, namespace: 12_0, version: 1.10, service: 0x1F, pods: [{name: 1, node: 1e3, zone: ~}]}
`), topology.Limits{}, time.Now())
	require.NoError(t, err)
	pod, ok := s.ByPod("007", "12_0", "1")
	require.True(t, ok)
	end := pod.End()
	assert.Equal(t, []string{"1.10", "yes", "yes-1", "1.10", "0x1F"}, []string{end.Version, end.Region, end.Zone, end.Network, end.Service})
}

func TestNonsenseIsRefused(t *testing.T) {
	const head = "clusters:\n  - name: a\n    network: n\n"
	tests := []struct{ name, yaml, want string }{
		{"two documents", head + "---\nclusters:\n  - name: b\n", "line 5: a second YAML document; write one"},
		{"alias", "clusters:\n  - &a {name: a}\n  - *a\n", "line 3: an alias (*a); write it out"},
		{"merged alias", "clusters:\n  - &a {name: a}\n  - {<<: *a, name: b}\n", "line 3: an alias (*a); write it out"},
		{"list for a text", "clusters:\n  - name: [a]\n", "line 2, column 11: 'name': write a text"},
		{"map for a text", "clusters:\n  - name: a\n    region: {x: y}\n", "line 3, column 13: 'region': write a text"},
		{"text for a list", "clusters:\n  - name: a\n    nodes: n\n", "line 3, column 12: 'nodes': string was used where sequence is expected"},
		{"negative port", head + "    gateways:\n      - {name: g, port: -1}\n", "'port'"},
		{
			"gateway address twice",
			head + "    gateways:\n      - {name: g, namespace: i, addresses: [1.1.1.1], port: 15443}\n      - {name: h, namespace: i, addresses: [1.1.1.1]}\n",
			`line 6, clusters[0].gateways[1].addresses: address 1.1.1.1 belongs to gateway "a/i/g" and to gateway "a/i/h"`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.yaml), topology.Limits{}, time.Now())
			require.Error(t, err)
			assert.Contains(t, err.Error(), tt.want)
		})
	}
}

// Four levels of lists, each of a hundred aliases, would become a hundred million addresses.
func TestAliasBomb(t *testing.T) {
	list := func(anchor, item string) string {
		return "&" + anchor + " [" + strings.Repeat(item+", ", 99) + item + "]"
	}
	bomb := "clusters:\n  - name: a\n    workloads: &w\n      - {name: w, pods: " +
		list("p", "{name: p, addresses: *a}") + "}\n" + strings.Repeat("  - {name: b, workloads: *w}\n", 100)
	_, err := Parse([]byte(bomb), topology.Limits{}, time.Now())
	require.ErrorContains(t, err, "alias")
}

func TestTwoPortsOfOneGatewayAddress(t *testing.T) {
	_, err := Parse([]byte(`
clusters:
  - name: a
    gateways:
      - {name: g, namespace: i, addresses: [1.1.1.1], port: 15443}
      - {name: g, namespace: i, addresses: [1.1.1.1], port: 15008}
  - name: b
    gateways:
      - {name: g, namespace: i, addresses: [1.1.1.1], port: 15443}
`), topology.Limits{}, time.Now())
	require.NoError(t, err, "private addresses overlap between networks")
}

// Good, bad, gone, bad again: the trouble is not over when the file is back.
func TestABadFileThatComesBackIsStillBad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "topology.yaml")
	write := func(content string) { require.NoError(t, os.WriteFile(file, []byte(content), 0o600)) }
	write(one)
	h := start(t, file)
	write(bad)
	h.tick()
	require.ErrorContains(t, <-h.reports, `"nam"`)
	require.NoError(t, os.Remove(file))
	h.tick()
	require.ErrorIs(t, <-h.reports, os.ErrNotExist)
	write(bad)
	h.tick()
	require.ErrorContains(t, <-h.reports, `"nam"`)
	h.tick()
	assert.Empty(t, h.reports)
	write(one)
	h.tick()
	require.NoError(t, <-h.reports)
}

func TestOnlyRegularFilesAreRead(t *testing.T) {
	src := New(Settings{File: t.TempDir(), Emit: func([]*topology.Delta, []string) { t.Error("nothing to publish") }})
	require.ErrorContains(t, src.Load(), "no regular file")
}

func TestALargeFileIsReadInLinearTime(t *testing.T) {
	var b strings.Builder
	b.WriteString("clusters:\n  - name: a\n    network: n\n    workloads:\n      - name: w\n        namespace: ns\n        pods:\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "          - {name: p%d, addresses: [10.0.%d.%d]}\n", i, i>>8, i&255)
	}
	s, err := Parse([]byte(b.String()), topology.Limits{}, time.Now())
	require.NoError(t, err)
	assert.Equal(t, 5000, s.Stats().Pods)
}
