// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// mesh is a mesh whose pods are scraped: what Istio's sidecars write, as mesh_topology leaves it.
type mesh struct {
	workloads, pods, callees, codes int
	// zones are those that the pods of a workload are in, busy is how many of ten series grow.
	zones, busy int
	// both has the callees report, too: as many calls come in as go out.
	both bool
}

var istioMetrics = []string{
	"istio_requests_total", "istio_request_duration_milliseconds", "istio_request_bytes", "istio_response_bytes",
}

var istioBounds = []float64{0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000}

// series is how many series a pod has, points of OTLP.
func (m *mesh) series() int { return m.reporters() * m.callees * m.codes * len(istioMetrics) }

func (m *mesh) reporters() int {
	if m.both {
		return 2
	}
	return 1
}

// start is a time before which nothing was scraped.
var start = time.Unix(1_800_000_000, 0)

const every = 15 * time.Second

// scrape is the nth scrape of a pod; all series of busy callees grow from one to the next.
func (m *mesh) scrape(cluster, workload, pod, n int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	name := "svc-" + strconv.Itoa(workload)
	id := fmt.Sprintf("%s-6d5f7c9b8-%05d", name, pod)
	for _, attr := range [][2]string{
		{"service.instance.id", fmt.Sprintf("10.%d.%d.%d:15090", cluster, workload%250, pod)},
		{"server.address", fmt.Sprintf("10.%d.%d.%d", cluster, workload%250, pod)},
		{"server.port", "15090"},
		{"url.scheme", "http"},
		{"service.name", name + ".shop"},
		{"k8s.cluster.name", "aks-" + strconv.Itoa(cluster)},
		{"k8s.namespace.name", "shop-" + strconv.Itoa(workload%20)},
		{"k8s.pod.name", id},
		{"k8s.node.name", "aks-pool-" + strconv.Itoa(pod)},
		{"k8s.deployment.name", name},
		{"cloud.provider", "azure"},
		{"cloud.platform", "azure.aks"},
		{"cloud.region", "westeurope"},
		{"cloud.availability_zone", "westeurope-" + strconv.Itoa(1+pod%m.zones)},
	} {
		rm.Resource().Attributes().PutStr(attr[0], attr[1])
	}
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName(scrapeScope)
	at := pcommon.NewTimestampFromTime(start.Add(time.Duration(n) * every))
	for _, metric := range istioMetrics {
		om := sm.Metrics().AppendEmpty()
		om.SetName(metric)
		for reporter := range m.reporters() {
			for callee := range m.callees {
				for code := range m.codes {
					r := rand.New(rand.NewPCG(uint64(cluster<<40|workload<<20|pod), uint64(reporter<<16|callee<<8|code)))
					count := uint64(n) * uint64(r.IntN(900))
					if r.IntN(10) >= m.busy {
						count = 0
					}
					attrs := m.point(r, om, at, count)
					m.labels(attrs, [3]int{cluster, workload, pod}, callee, code)
					if reporter == 1 {
						incoming(attrs)
					}
				}
			}
		}
	}
	return md
}

func (m *mesh) point(r *rand.Rand, om pmetric.Metric, at pcommon.Timestamp, count uint64) (attrs pcommon.Map) {
	if om.Name() == istioMetrics[0] {
		if om.Type() == pmetric.MetricTypeEmpty {
			om.SetEmptySum().SetIsMonotonic(true)
			om.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		}
		point := om.Sum().DataPoints().AppendEmpty()
		point.SetTimestamp(at)
		point.SetDoubleValue(float64(count))
		attrs = point.Attributes()
	} else {
		if om.Type() == pmetric.MetricTypeEmpty {
			om.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		}
		point := om.Histogram().DataPoints().AppendEmpty()
		point.SetTimestamp(at)
		point.SetCount(count)
		point.SetSum(float64(count * uint64(20+r.IntN(50))))
		point.ExplicitBounds().FromRaw(istioBounds)
		buckets := make([]uint64, len(istioBounds)+1)
		rest := count
		for i := range 6 {
			part := rest * uint64(r.IntN(700)) / 1000
			buckets[2+i], rest = part, rest-part
		}
		buckets[8] = rest
		point.BucketCounts().FromRaw(buckets)
		attrs = point.Attributes()
	}
	return attrs
}

// incoming turns a call round: who called is called.
func incoming(attrs pcommon.Map) {
	turned := pcommon.NewMap()
	for name, value := range attrs.All() {
		switch {
		case strings.HasPrefix(name, "destination_service"):
		case strings.HasPrefix(name, "source_"):
			name = "destination_" + strings.TrimPrefix(name, "source_")
		case strings.HasPrefix(name, "destination_"):
			name = "source_" + strings.TrimPrefix(name, "destination_")
		case strings.HasPrefix(name, "mesh.source."):
			name = "mesh.destination." + strings.TrimPrefix(name, "mesh.source.")
		case strings.HasPrefix(name, "mesh.destination."):
			name = "mesh.source." + strings.TrimPrefix(name, "mesh.destination.")
		}
		value.CopyTo(turned.PutEmpty(name))
	}
	workload := text(turned, "destination_workload")
	turned.PutStr("destination_service", workload+".shop-1.svc.cluster.local")
	turned.PutStr("destination_service_name", workload)
	turned.PutStr("reporter", "destination")
	turned.MoveTo(attrs)
}

func (m *mesh) labels(attrs pcommon.Map, from [3]int, callee, code int) {
	cluster, workload := "aks-"+strconv.Itoa(from[0]), "svc-"+strconv.Itoa(from[1])
	target, region := "callee-"+strconv.Itoa(callee), "westeurope"
	remote := cluster
	if callee%4 == 3 {
		remote, region = "aks-"+strconv.Itoa((from[0]+1)%10), "northeurope"
	}
	namespace := "shop-" + strconv.Itoa(from[1]%20)
	attrs.EnsureCapacity(44)
	for _, attr := range [][2]string{
		{"reporter", "source"},
		{"source_workload", workload},
		{"source_canonical_service", workload},
		{"source_canonical_revision", "v1"},
		{"source_workload_namespace", namespace},
		{"source_principal", "spiffe://cluster.local/ns/" + namespace + "/sa/" + workload},
		{"source_app", workload},
		{"source_version", "v1"},
		{"source_cluster", cluster},
		{"destination_workload", target},
		{"destination_workload_namespace", "shop-1"},
		{"destination_principal", "spiffe://cluster.local/ns/shop-1/sa/" + target},
		{"destination_app", target},
		{"destination_version", "v1"},
		{"destination_service", target + ".shop-1.svc.cluster.local"},
		{"destination_canonical_service", target},
		{"destination_canonical_revision", "v1"},
		{"destination_service_name", target},
		{"destination_service_namespace", "shop-1"},
		{"destination_cluster", remote},
		{"request_protocol", "http"},
		{"response_code", strconv.Itoa(200 + 100*code)},
		{"grpc_response_status", ""},
		{"response_flags", "-"},
		{"connection_security_policy", "unknown"},
		{"mesh.source.cluster", cluster},
		{"mesh.source.region", "westeurope"},
		{"mesh.source.zone", "westeurope-" + strconv.Itoa(1+from[2]%m.zones)},
		{"mesh.source.namespace", namespace},
		{"mesh.source.workload", workload},
		{"mesh.source.service", workload},
		{"mesh.source.version", "v1"},
		{"mesh.source.principal", "spiffe://cluster.local/ns/" + namespace + "/sa/" + workload},
		{"mesh.destination.cluster", remote},
		{"mesh.destination.region", region},
		{"mesh.destination.namespace", "shop-1"},
		{"mesh.destination.workload", target},
		{"mesh.destination.service", target},
		{"mesh.destination.version", "v1"},
		{"mesh.destination.principal", "spiffe://cluster.local/ns/shop-1/sa/" + target},
		{"mesh.traffic.locality", "cross_zone"},
		{"mesh.resolution.source", "label"},
		{"mesh.resolution.destination", "label"},
		{"mesh.tls", "mutual"},
	} {
		attrs.PutStr(attr[0], attr[1])
	}
}
