// SPDX-License-Identifier: Apache-2.0

package envoy

import "testing"

// BenchmarkParsers measures each parser on a text as it comes with a span or a log record.
func BenchmarkParsers(b *testing.B) {
	zones, ok := NewZones([]string{"westeurope-1", "westeurope-2", "westeurope-3", "northeurope-1", "northeurope-2", "northeurope-3"})
	if !ok {
		b.Fatal("too many zones")
	}
	var p Peer
	peerAsStruct, flat := encodeStruct(nodeMetadata), flatNode()
	for name, parse := range map[string]func() error{
		"node_id": func() error {
			_, err := ParseNodeID("sidecar~10.244.0.23~reviews-v2-7d79d5bd5d-abcde.bookinfo~bookinfo.svc.cluster.local")
			return err
		},
		"cluster_name": func() error {
			_, err := ParseClusterName("outbound|9080|v1|reviews.bookinfo.svc.cluster.local;")
			return err
		},
		"endpoint_metadata": func() error {
			_, err := ParseEndpointMetadata("reviews-v1;bookinfo;reviews;v1;aks-westeurope")
			return err
		},
		"spiffe":          func() error { _, err := ParseSPIFFE(peerIdentity); return err },
		"peer_struct":     func() error { return p.Parse(peerAsStruct) },
		"peer_text":       func() error { return p.Parse(objectText) },
		"peer_flatbuffer": func() error { return p.Parse(flat) },
		"baggage": func() error {
			return p.Parse("k8s.deployment.name=reviews-v1,service.name=reviews,service.version=v1," +
				"k8s.namespace.name=bookinfo,k8s.cluster.name=aks-westeurope,cloud.region=westeurope")
		},
		"zone_stat": func() error {
			_, err := ParseZoneStat("cluster.outbound|9080||reviews.bookinfo.svc.cluster.local;.zone.westeurope-1.westeurope-2.upstream_rq_200", "westeurope-1")
			return err
		},
		"zone_metric": func() error {
			_, err := zones.ParseMetric("envoy_cluster_zone_westeurope_1_northeurope_2_upstream_rq_time")
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := parse(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
