// SPDX-License-Identifier: Apache-2.0

package callattr

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

func read(attrs pcommon.Map) Call {
	var c Call
	for key, value := range attrs.All() {
		c.Set(key, value)
	}
	return c
}

func whole(name string) mesh.End {
	return mesh.End{
		Cluster: name, Region: "r-" + name, Zone: "z-" + name, Network: "n-" + name, Namespace: "ns-" + name,
		Workload: "w-" + name, Service: "s-" + name, Version: "v-" + name, Principal: "p-" + name,
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	want := Call{
		Source: whole("a"), Destination: whole("b"), SourceBy: mesh.ByTag, DestinationBy: mesh.BySpanPair,
		Via: "b/istio-system/eastwest", TLS: mesh.TLSMutual, Stale: true,
		sourceStamped: true, destinationStamped: true,
	}
	attrs := pcommon.NewMap()
	want.Write(attrs, &Call{})
	got := read(attrs)
	assert.Equal(t, want, got)
	assert.True(t, got.Stamped())
	locality, _ := attrs.Get(Locality)
	assert.Equal(t, mesh.CrossRegion, locality.Str())
	cross, _ := attrs.Get(CrossCluster)
	assert.True(t, cross.Bool())
}

func TestWriteTouchesOnlyWhatChanged(t *testing.T) {
	before := Call{
		Source: whole("a"), Destination: whole("b"), SourceBy: mesh.ByTag, DestinationBy: mesh.ByGateway, TLS: mesh.TLSUnknown,
	}
	attrs := pcommon.NewMap()
	before.Write(attrs, &Call{})
	now := before
	now.Destination = mesh.End{Workload: "other"}
	now.DestinationBy = mesh.UnknownNoCluster
	now.Write(attrs, &before)
	got := read(attrs)
	assert.Equal(t, now.Destination, got.Destination, "what is not known any more goes")
	assert.Equal(t, now.Source, got.Source)
	_, there := attrs.Get(CrossCluster)
	assert.False(t, there, "an end without a cluster tells nothing of two clusters")

	same := pcommon.NewMap()
	now.Write(same, &now)
	assert.Zero(t, same.Len())
}

func TestOnlyAttributesOfTheCallAreTaken(t *testing.T) {
	var c Call
	v := pcommon.NewValueStr("x")
	for _, key := range []string{
		"http.url", "mesh", "mesh.source.pod", "mesh.upstream.workload", "mesh.network", "mesh.destination.",
	} {
		assert.False(t, c.Set(key, v), key)
	}
	assert.Equal(t, Call{}, c)
	c.Set(SourceResolution, pcommon.NewValueStr("tag"))
	assert.False(t, c.Stamped(), "one resolution alone is not mesh_topology's stamp")
	c.Set(DestinationResolution, pcommon.NewValueStr("guess"))
	assert.False(t, c.Stamped(), "a word that nobody writes is no stamp")
}
