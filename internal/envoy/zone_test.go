// SPDX-License-Identifier: Apache-2.0

package envoy

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseZoneStat(t *testing.T) {
	const reviews = "outbound|9080||reviews.bookinfo.svc.cluster.local"
	for _, tt := range []struct {
		name, in, from string
		want           ZoneStat
		err            error
	}{
		{
			name: "code", from: "westeurope-1",
			in:   "cluster." + reviews + ".zone.westeurope-1.westeurope-2.upstream_rq_200",
			want: ZoneStat{reviews, "westeurope-1", "westeurope-2", "upstream_rq_200"},
		},
		{
			name: "Istio since 1.23", from: "1",
			in:   "cluster." + reviews + ";.zone.1.northeurope-3.upstream_rq_2xx",
			want: ZoneStat{reviews, "1", "northeurope-3", "upstream_rq_2xx"},
		},
		{
			name: "within one zone", from: "westeurope-1",
			in:   "cluster.service_a.zone.westeurope-1.westeurope-1.upstream_rq_time",
			want: ZoneStat{"service_a", "westeurope-1", "westeurope-1", "upstream_rq_time"},
		},
		{
			name: "tags have taken cluster and code", from: "europe-west4-c",
			in:   "cluster.zone.europe-west4-c.europe-west4-a.upstream_rq",
			want: ZoneStat{"", "europe-west4-c", "europe-west4-a", "upstream_rq"},
		},
		{
			name: "a tag has taken the first part of the cluster", from: "a",
			in:   "cluster.bookinfo.svc.cluster.local.zone.a.b.upstream_rq_completed",
			want: ZoneStat{"bookinfo.svc.cluster.local", "a", "b", "upstream_rq_completed"},
		},
		{
			name: "a host with a label zone", from: "westeurope-1",
			in:   "cluster.outbound|443||api.zone.example.zone.westeurope-1.b.upstream_rq_200",
			want: ZoneStat{"outbound|443||api.zone.example", "westeurope-1", "b", "upstream_rq_200"},
		},
		{
			name: "statistic of a cluster whose host looks like zones", from: "westeurope-1",
			in: "cluster.outbound|443||api.zone.example.com.upstream_rq_200", err: ErrZoneStat,
		},
		{
			name: "the same, the host ends with the cluster", from: "example",
			in: "cluster.outbound|443||api.zone.example.com;.upstream_rq_200", err: ErrZoneStat,
		},
		{
			name: "the cluster's name ends before", from: "a",
			in: "cluster.outbound|443||api;.x.zone.a.b.upstream_rq_200", err: ErrZoneStat,
		},
		{name: "zone twice", from: "a", in: "cluster.x.zone.a.zone.a.b.upstream_rq_200", err: ErrZoneAmbiguous},
		{name: "zone twice, no cluster", from: "a", in: "cluster.zone.a.zone.a.b.upstream_rq_200", err: ErrZoneAmbiguous},
		{name: "another zone", from: "b", in: "cluster.x.zone.a.b.upstream_rq_200", err: ErrZoneStat},
		{name: "a longer zone", from: "a", in: "cluster.x.zone.b-a.b.upstream_rq_200", err: ErrZoneStat},
		{name: "a longer label", from: "a", in: "cluster.xzone.a.b.upstream_rq_200", err: ErrZoneStat},
		{name: "no zone of its own", in: "cluster.x.zone..b.upstream_rq_200", err: ErrZoneStat},
		{name: "no destination", from: "a", in: "cluster.x.zone.a..upstream_rq_200", err: ErrZoneStat},
		{name: "one zone", from: "a", in: "cluster.x.zone.a.upstream_rq_200", err: ErrZoneStat},
		{name: "no cluster", from: "a", in: "cluster..zone.a.b.upstream_rq_200", err: ErrZoneStat},
		{name: "ordinary", from: "a", in: "cluster." + reviews + ".upstream_rq_200", err: ErrZoneStat},
		{name: "load balancer", from: "a", in: "cluster.x.lb_zone_routing_cross_zone", err: ErrZoneStat},
		{name: "other end", from: "a", in: "cluster.x.zone.a.b.upstream_rq_200.p99", err: ErrZoneStat},
		{name: "other word", from: "a", in: "cluster.x.zone.a.b.upstream_rqs", err: ErrZoneStat},
		{name: "not a cluster's", from: "a", in: "http.x.zone.a.b.upstream_rq_200", err: ErrZoneStat},
		{name: "empty", from: "a", in: "", err: ErrZoneStat},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseZoneStat(tt.in, tt.from)
			assert.Equal(t, tt.err, err)
			assert.Equal(t, tt.want, got)
			assert.Zero(t, testing.AllocsPerRun(10, func() { _, _ = ParseZoneStat(tt.in, tt.from) }))
		})
	}
}

func TestParseZoneMetric(t *testing.T) {
	zones, ok := NewZones([]string{
		"europe-west4-a", "europe-west4-c", "westeurope-1", "westeurope-2", "westeurope_1", "1", "a", "a-b", "b", "b-b", "", "a",
	})
	require.True(t, ok)
	for _, tt := range []struct {
		name, in string
		want     ZoneStat
		err      error
	}{
		{
			name: "istio/istio#20060",
			in:   "envoy_cluster_zone_europe_west4_c_europe_west4_a_upstream_rq_time",
			want: ZoneStat{From: "europe-west4-c", To: "europe-west4-a", Stat: "upstream_rq_time"},
		},
		{
			name: "code in a label", in: "envoy_cluster_zone_westeurope_2_1_upstream_rq",
			want: ZoneStat{From: "westeurope-2", To: "1", Stat: "upstream_rq"},
		},
		{
			name: "histogram", in: "envoy_cluster_zone_b_a_upstream_rq_time_bucket",
			want: ZoneStat{From: "b", To: "a", Stat: "upstream_rq_time_bucket"},
		},
		{name: "two zones written alike", in: "envoy_cluster_zone_b_westeurope_1_upstream_rq", err: ErrZoneAmbiguous},
		{name: "two borders", in: "envoy_cluster_zone_a_b_b_upstream_rq", err: ErrZoneAmbiguous},
		{name: "unknown source", in: "envoy_cluster_zone_x_b_upstream_rq", err: ErrZoneUnknown},
		{name: "unknown destination", in: "envoy_cluster_zone_b_x_upstream_rq", err: ErrZoneUnknown},
		{name: "no border", in: "envoy_cluster_zone_bXa_upstream_rq", err: ErrZoneUnknown},
		{name: "one zone", in: "envoy_cluster_zone_b_upstream_rq", err: ErrZoneUnknown},
		{name: "cluster in the name", in: "envoy_cluster_outbound_80__x_zone_b_a_upstream_rq", err: ErrZoneStat},
		{name: "another metric", in: "envoy_cluster_zone_b_a_requests", err: ErrZoneStat},
		{name: "no metric of Envoy", in: "istio_requests_total", err: ErrZoneStat},
		{name: "longer word", in: "envoy_cluster_zone_b_a_upstream_rqs", err: ErrZoneUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := zones.ParseMetric(tt.in)
			assert.Equal(t, tt.err, err)
			assert.Equal(t, tt.want, got)
			assert.Zero(t, testing.AllocsPerRun(10, func() { _, _ = zones.ParseMetric(tt.in) }))
		})
	}
	_, err := Zones{}.ParseMetric("envoy_cluster_zone_b_a_upstream_rq")
	assert.ErrorIs(t, err, ErrZoneUnknown)
}

func TestNewZonesHasACeiling(t *testing.T) {
	names := make([]string, maxZones+1)
	for i := range names {
		names[i] = "zone-" + strconv.Itoa(i)
	}
	_, ok := NewZones(names[:maxZones])
	assert.True(t, ok)
	_, ok = NewZones(names)
	assert.False(t, ok)
}

func FuzzParseZoneStat(f *testing.F) {
	f.Add("cluster.outbound|80||a.zone.b.svc.cluster.local;.zone.westeurope-1.westeurope-2.upstream_rq_200", "westeurope-1")
	f.Add("cluster.zone.a.b.upstream_rq", "a")
	f.Add("cluster.x.zone.a.zone.a.b.upstream_rq_2xx", "a")
	f.Fuzz(func(t *testing.T, name, from string) {
		z, err := ParseZoneStat(name, from)
		if err != nil {
			if z != (ZoneStat{}) {
				t.Errorf("%q: value %+v beside an error", name, z)
			}
			return
		}
		cluster := z.Cluster + "."
		if z.Cluster == "" {
			cluster = ""
		}
		tail := "zone." + z.From + "." + z.To + "." + z.Stat
		if z.From != from || (name != "cluster."+cluster+tail && name != "cluster."+z.Cluster+";."+tail) {
			t.Errorf("%q: %+v", name, z)
		}
		if z.To == "" || strings.ContainsAny(z.To, ".;|") {
			t.Errorf("%q: destination %q", name, z.To)
		}
	})
}

func FuzzParseZoneMetric(f *testing.F) {
	f.Add("envoy_cluster_zone_europe_west4_c_europe_west4_a_upstream_rq_time", "europe-west4-a,europe-west4-c")
	f.Add("envoy_cluster_zone_a_b_b_upstream_rq", "a,a-b,b,b-b")
	f.Fuzz(func(t *testing.T, name, list string) {
		names := strings.Split(list, ",")
		zones, ok := NewZones(names)
		if !ok {
			return
		}
		z, err := zones.ParseMetric(name)
		if err != nil {
			return
		}
		// Whatever pair of known zones gives the name, it must be the one found.
		write := func(s string) string { return strings.Map(prometheusRune, s) }
		if name != "envoy_cluster_zone_"+write(z.From)+"_"+write(z.To)+"_"+z.Stat {
			t.Errorf("%q: %+v", name, z)
		}
		for _, from := range names {
			for _, to := range names {
				if (from == z.From && to == z.To) || from == "" || to == "" {
					continue
				}
				if rest, ok := strings.CutPrefix(name, "envoy_cluster_zone_"+write(from)+"_"+write(to)); ok && isZoneStat(rest) {
					t.Errorf("%q: %+v, but %s and %s give it too", name, z, from, to)
				}
			}
		}
	})
}
