// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/test/bench/kube/fakeapi"
)

// BenchmarkK8sAttributes is what the upstream processor takes for each span of the request that test/bench compares the
// mesh_topology processor by: forty proxies with 25 spans each, 25 attributes a span, fresh from the wire. It writes the near
// end alone; what a transform processor then takes to set the rest is in test/bench.
func BenchmarkK8sAttributes(b *testing.B) {
	const pods, nodes, proxies, each = 1000, 20, 40, 25
	cluster, err := fakeapi.NewCluster(pods, nodes)
	if err != nil {
		b.Fatal(err)
	}
	server := fakeapi.Serve(cluster, fakeapi.Options{})
	defer server.Close()
	kubeconfig := filepath.Join(b.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(server.Kubeconfig()), 0o600); err != nil {
		b.Fatal(err)
	}
	b.Setenv("KUBECONFIG", kubeconfig)
	k, err := newK8sAttributes("", false)
	if err != nil {
		b.Fatal(err)
	}
	if err := k.start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = k.processor.Shutdown(b.Context()) }()
	request := ptrace.NewTraces()
	for p := range proxies {
		pod := cluster.Pod(p)
		resource := request.ResourceSpans().AppendEmpty()
		resource.Resource().Attributes().PutStr("k8s.pod.ip", pod.Address.String())
		scope := resource.ScopeSpans().AppendEmpty()
		for range each {
			span := scope.Spans().AppendEmpty()
			for a := range 25 {
				span.Attributes().PutStr(fmt.Sprintf("attribute.%d", a), fmt.Sprintf("value of attribute %d", a))
			}
		}
		if ok, err := k.right(b.Context(), &pod); err != nil || !ok {
			b.Fatalf("pod %s is not known: %v", pod.Name, err)
		}
	}
	wire, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(request)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		k.sink.Reset()
		traces, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(wire)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := k.processor.ConsumeTraces(b.Context(), traces); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/proxies/each, "ns/span")
}
