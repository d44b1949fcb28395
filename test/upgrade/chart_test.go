// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/otelcol-mesh/otelcol-mesh/distribution/chart/charttest"
)

// workload is what the test needs of a DaemonSet, Deployment or StatefulSet.
type workload struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		Template struct {
			Spec struct {
				TerminationGracePeriodSeconds int
				Containers                    []struct {
					Lifecycle struct {
						PreStop struct{ Sleep struct{ Seconds int } }
					}
				}
			}
		}
	}
}

// shortPreStop is the most that a short run waits before SIGTERM, which is less than the chart has and so the harder case.
const shortPreStop = time.Second

var rendered sync.Map // by example

// workloadOf returns a workload of the chart's examples.
func workloadOf(t *testing.T, example, name string) workload {
	t.Helper()
	text, ok := rendered.Load(example)
	if !ok {
		text = charttest.Named(t, example).Render(t)
		rendered.Store(example, text)
	}
	for _, document := range regexp.MustCompile(`(?m)^---\s*$`).Split(text.(string), -1) {
		var w workload
		require.NoError(t, yaml.Unmarshal([]byte(document), &w))
		if w.Metadata.Name == name && (w.Kind == "StatefulSet" || w.Kind == "DaemonSet" || w.Kind == "Deployment") {
			return w
		}
	}
	require.Fail(t, "no workload "+name+" in the example "+example)
	return workload{}
}

// templateOf makes the template of a role, with the times that the chart gives its pods.
func (f *fleet) templateOf(role string, configs []string, overlay string, env ...string) *template {
	f.t.Helper()
	example, name := "hub-scaled", "otelcol-mesh-"+role
	if role == "agent" || role == "inventory" {
		example = "spoke-sidecar"
	}
	pod := workloadOf(f.t, example, name).Spec.Template.Spec
	require.NotEmpty(f.t, pod.Containers)
	preStop := time.Duration(pod.Containers[0].Lifecycle.PreStop.Sleep.Seconds) * time.Second
	if lasts(f.t) == 0 {
		preStop = min(preStop, shortPreStop)
	}
	return &template{
		role: role, configs: configs, overlay: overlay, env: env,
		grace: time.Duration(pod.TerminationGracePeriodSeconds) * time.Second, preStop: preStop,
	}
}
