// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/k8sattributesprocessor"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-mesh/otelcol-mesh/test/bench/kube/fakeapi"
)

// syncTimeout is how long a side may take until it knows all.
const syncTimeout = 10 * time.Minute

// k8sAttributes is upstream's processor, through its factory.
type k8sAttributes struct {
	processor processor.Traces
	sink      *consumertest.TracesSink
}

// newK8sAttributes watches one node, or the whole cluster if it is empty. It extracts what it does by default, or the
// few attributes that both sides have: without the containers, which cost it more. The zone of the node, which ours has,
// would make it watch all nodes; it is left out.
func newK8sAttributes(node string, defaults bool) (*k8sAttributes, error) {
	factory := k8sattributesprocessor.NewFactory()
	config := factory.CreateDefaultConfig()
	settings := map[string]any{
		"auth_type":                 "kubeConfig",
		"passthrough":               false,
		"wait_for_metadata":         true,
		"wait_for_metadata_timeout": syncTimeout.String(),
		"pod_association":           []any{map[string]any{"sources": []any{map[string]any{"from": "resource_attribute", "name": "k8s.pod.ip"}}}},
	}
	if !defaults {
		settings["extract"] = map[string]any{"metadata": []any{
			"k8s.namespace.name", "k8s.pod.name", "k8s.pod.uid", "k8s.pod.start_time", "k8s.deployment.name", "k8s.node.name",
		}}
	}
	if node != "" {
		settings["filter"] = map[string]any{"node": node}
	}
	if err := confmap.NewFromStringMap(settings).Unmarshal(config); err != nil {
		return nil, err
	}
	k := &k8sAttributes{sink: &consumertest.TracesSink{}}
	var err error
	k.processor, err = factory.CreateTraces(context.Background(), processortest.NewNopSettings(factory.Type()), config, k.sink)
	return k, err
}

func (k *k8sAttributes) start(ctx context.Context) error {
	return k.processor.Start(ctx, componenttest.NewNopHost())
}

func (k *k8sAttributes) right(ctx context.Context, want *fakeapi.Pod) (bool, error) {
	k.sink.Reset()
	traces := ptrace.NewTraces()
	spans := traces.ResourceSpans().AppendEmpty()
	spans.Resource().Attributes().PutStr("k8s.pod.ip", want.Address.String())
	spans.ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("call")
	if err := k.processor.ConsumeTraces(ctx, traces); err != nil {
		return false, err
	}
	out := k.sink.AllTraces()
	if len(out) != 1 {
		return false, nil
	}
	has, deployment := out[0].ResourceSpans().At(0).Resource().Attributes(), ""
	if want.Kind == "deployment" {
		deployment = want.Workload
	}
	return str(has, "k8s.pod.name") == want.Name && str(has, "k8s.namespace.name") == want.Namespace && str(has, "k8s.pod.uid") == want.UID &&
		str(has, "k8s.node.name") == want.Node && str(has, "k8s.deployment.name") == deployment, nil
}

func str(m pcommon.Map, key string) string {
	if v, ok := m.Get(key); ok {
		return v.Str()
	}
	return ""
}
