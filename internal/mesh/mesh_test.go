// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLocality(t *testing.T) {
	at := func(region, zone string) *End { return &End{Region: region, Zone: zone} }
	tests := []struct {
		name                string
		source, destination *End
		want                string
	}{
		{"one zone", at("westeurope", "westeurope-1"), at("westeurope", "westeurope-1"), SameZone},
		{"two zones", at("westeurope", "westeurope-1"), at("westeurope", "westeurope-2"), CrossZone},
		{"two regions", at("westeurope", "westeurope-1"), at("northeurope", "northeurope-1"), CrossRegion},
		{"two regions without zones", at("westeurope", ""), at("northeurope", ""), CrossRegion},
		{"one region without a zone", at("westeurope", ""), at("westeurope", "westeurope-1"), UnknownLocality},
		{"bare zones without regions", at("", "1"), at("", "1"), UnknownLocality},
		{"one region missing", at("westeurope", "westeurope-1"), at("", "westeurope-1"), UnknownLocality},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, Locality(tt.source, tt.destination))
			assert.Equal(t, tt.want, Locality(tt.destination, tt.source))
		})
	}
}

func TestCrossCluster(t *testing.T) {
	value, known := CrossCluster(&End{Cluster: "a"}, &End{Cluster: "b"})
	assert.True(t, value)
	assert.True(t, known)
	value, known = CrossCluster(&End{Cluster: "a"}, &End{Cluster: "a"})
	assert.False(t, value)
	assert.True(t, known)
	_, known = CrossCluster(&End{Cluster: "a"}, &End{})
	assert.False(t, known, "an unknown cluster is never taken to be the same one")
}

func TestResolutionWordsRoundTrip(t *testing.T) {
	seen := map[string]bool{}
	for r := range ResolutionCount {
		word := r.String()
		require.NotEmpty(t, word)
		require.False(t, seen[word], "two resolutions are written %q", word)
		seen[word] = true
		back, ok := ParseResolution(word)
		require.True(t, ok)
		require.Equal(t, r, back)
		assert.Equal(t, !strings.HasPrefix(word, "unknown:"), r.Known(), word)
	}
	_, ok := ParseResolution("guess")
	assert.False(t, ok)
}

func TestStronger(t *testing.T) {
	ranking := []Resolution{
		ByTag, ByPeerMetadata, ByEndpointMetadata, ByIP, ByLabel, BySpanPair, ByGateway, ByTrustDomain, UnknownExternal,
	}
	for i, strong := range ranking {
		assert.False(t, strong.Stronger(strong))
		for _, weak := range ranking[i+1:] {
			assert.True(t, strong.Stronger(weak), "%s over %s", strong, weak)
			assert.False(t, weak.Stronger(strong), "%s over %s", weak, strong)
		}
	}
	assert.False(t, UnknownConflict.Stronger(UnknownNoEvidence))
}

func TestFillKeepsWhatIsKnown(t *testing.T) {
	e := End{Cluster: "a", Workload: "reviews-v1"}
	e.Fill(&End{
		Cluster: "b", Region: "r", Zone: "z", Network: "n", Namespace: "ns",
		Workload: "w", Service: "s", Version: "v", Principal: "p",
	})
	assert.Equal(t, End{
		Cluster: "a", Region: "r", Zone: "z", Network: "n", Namespace: "ns",
		Workload: "reviews-v1", Service: "s", Version: "v", Principal: "p",
	}, e)
}

func TestContradicts(t *testing.T) {
	e := &End{Cluster: "a", Namespace: "bookinfo", Workload: "reviews-v1", Service: "reviews", Principal: "p"}
	assert.False(t, e.Contradicts(&End{}))
	assert.False(t, e.Contradicts(&End{Cluster: "a", Service: "other"}))
	assert.True(t, e.Contradicts(&End{Cluster: "b"}))
	assert.True(t, e.Contradicts(&End{Namespace: "other"}))
	assert.True(t, e.Contradicts(&End{Workload: "reviews-v2"}))
	assert.True(t, e.Contradicts(&End{Principal: "q"}))
}
