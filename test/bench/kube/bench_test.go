// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/otelcol-mesh/otelcol-mesh/test/bench/kube/fakeapi"
)

func TestMain(m *testing.M) {
	if encoded := os.Getenv(childVariable); encoded != "" {
		if err := child(encoded); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Figures of a side that knows its pods wrong would be worth nothing.
func TestAllSidesKnowThePods(t *testing.T) {
	const pods, nodes = 1000, 20
	for _, streaming := range []bool{true, false} {
		c, err := fakeapi.NewCluster(pods, nodes)
		if err != nil {
			t.Fatal(err)
		}
		server := fakeapi.Serve(c, fakeapi.Options{NoStreamingLists: !streaming})
		defer server.Close()
		for _, side := range []string{"ours", "ours-node", "k8sattributes", "k8sattributes-defaults", "k8sattributes-node"} {
			t.Run(fmt.Sprintf("%s, streaming %v", side, streaming), func(t *testing.T) {
				m, err := measure(t.Context(), server, task{Side: side, Agents: 1, Pods: pods, Nodes: nodes})
				if err != nil {
					t.Fatal(err)
				}
				if m.asked == 0 || m.right != m.asked {
					t.Errorf("%d of %d answers are right", m.right, m.asked)
				}
				if m.peak < 1<<20 || m.live <= 0 || m.counts.Total().Bytes == 0 || m.sent < m.counts.Total().Wire {
					t.Errorf("these figures cannot be: %+v", m)
				}
			})
		}
	}
}
