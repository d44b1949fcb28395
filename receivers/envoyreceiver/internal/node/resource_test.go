// SPDX-License-Identifier: Apache-2.0

package node

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/attr"
)

func TestOwner(t *testing.T) {
	for reference, want := range map[string][2]string{
		"kubernetes://apis/apps/v1/namespaces/bookinfo/deployments/reviews-v1": {"k8s.deployment.name", "reviews-v1"},
		"kubernetes://apis/apps/v1/namespaces/bookinfo/deployments/":           {"k8s.deployment.name", "fallback"},
		"kubernetes://apis/batch/v1/namespaces/bookinfo/cronjobs/load":         {"k8s.cronjob.name", "load"},
		"kubernetes://apis/v1/namespaces/bookinfo/pods/x":                      {"", ""},
		"deployments/reviews-v1":                                               {"", ""},
		"kubernetes://apis/x":                                                  {"", ""},
		"":                                                                     {"", ""},
	} {
		key, name := owner(reference, "fallback")
		require.Equal(t, want, [2]string{key, name}, reference)
	}
}

func TestServiceName(t *testing.T) {
	fill := func(cluster string, metadata map[string]any) pcommon.Map {
		fields, err := structpb.NewStruct(metadata)
		require.NoError(t, err)
		m := pcommon.NewMap()
		var tally attr.Tally
		Fill(&corev3.Node{Id: "x", Cluster: cluster, Metadata: fields}, m, attr.Limits{MaxValueLength: 9, MaxMapEntries: 1}, &tally)
		return m
	}
	for name, tc := range map[string]struct {
		cluster  string
		metadata map[string]any
		want     string
	}{
		"canonical": {"c", map[string]any{"LABELS": map[string]any{
			"service.istio.io/canonical-name": "a", "app": "b",
		}, "WORKLOAD_NAME": "w"}, "a"},
		"app":                         {"c", map[string]any{"LABELS": map[string]any{"app": "b"}, "WORKLOAD_NAME": "w"}, "b"},
		"workload":                    {"c", map[string]any{"WORKLOAD_NAME": "w"}, "w"},
		"cluster":                     {"r.ns", map[string]any{"NAMESPACE": "ns"}, "r"},
		"cluster of another":          {"r.ns", map[string]any{"NAMESPACE": "s"}, "r.ns"},
		"labels that are no text":     {"c", map[string]any{"LABELS": 3.0}, "c"},
		"too long for an attribute's": {"0123456789", nil, "012345678"},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := fill(tc.cluster, tc.metadata).Get("service.name")
			require.True(t, ok)
			require.Equal(t, tc.want, got.Str())
		})
	}
}

func TestCheck(t *testing.T) {
	require.ErrorIs(t, Check(nil), ErrNoNode)
	require.ErrorIs(t, Check(&corev3.Node{}), ErrNoID)
	require.NoError(t, Check(&corev3.Node{Cluster: "c"}))
	require.NoError(t, Check(&corev3.Node{Id: "i"}))
}
