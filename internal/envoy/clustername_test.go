// SPDX-License-Identifier: Apache-2.0

package envoy

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParseClusterName(t *testing.T) {
	const reviews = "reviews.bookinfo.svc.cluster.local"
	for _, tt := range []struct {
		in        string
		want      ClusterName
		canonical string
		err       error
	}{
		{in: "outbound|9080||" + reviews, want: ClusterName{Direction: Outbound, Port: 9080, Host: reviews}},
		{in: "outbound|9080|v1|" + reviews, want: ClusterName{Direction: Outbound, Port: 9080, Subset: "v1", Host: reviews}},
		{
			in: "outbound|9080||" + reviews + ";", canonical: "outbound|9080||" + reviews,
			want: ClusterName{Direction: Outbound, Port: 9080, Host: reviews},
		},
		{
			in: "outbound_.9080_._." + reviews, canonical: "outbound|9080||" + reviews,
			want: ClusterName{Direction: Outbound, Port: 9080, Host: reviews},
		},
		{
			in: "outbound_.9080_.v1_.reviews.global", canonical: "outbound|9080|v1|reviews.global",
			want: ClusterName{Direction: Outbound, Port: 9080, Subset: "v1", Host: "reviews.global"},
		},
		{in: "inbound|9080||", want: ClusterName{Direction: Inbound, Port: 9080}},
		{in: "inbound|9080||;", canonical: "inbound|9080||", want: ClusterName{Direction: Inbound, Port: 9080}},
		{
			in:   "inbound|9080|http|" + reviews, // before Istio 1.8
			want: ClusterName{Direction: Inbound, Port: 9080, Subset: "http", Host: reviews},
		},
		{
			in:   "inbound-vip|9080|http|" + reviews,
			want: ClusterName{Direction: InboundVIP, Port: 9080, Protocol: "http", Host: reviews},
		},
		{
			in:   "inbound-vip|9080|http/v1|" + reviews,
			want: ClusterName{Direction: InboundVIP, Port: 9080, Protocol: "http", Subset: "v1", Host: reviews},
		},
		{in: "outbound|443||*.example.com", want: ClusterName{Direction: Outbound, Port: 443, Host: "*.example.com"}},
		{
			in: "outbound_.443_.v-1_.*.example.com", canonical: "outbound|443|v-1|*.example.com",
			want: ClusterName{Direction: Outbound, Port: 443, Subset: "v-1", Host: "*.example.com"},
		},
		{
			in: "outbound_.9080_.v1_." + reviews + ";", canonical: "outbound|9080|v1|" + reviews,
			want: ClusterName{Direction: Outbound, Port: 9080, Subset: "v1", Host: reviews},
		},
		{
			in:   "inbound-vip|9080|tcp|" + reviews,
			want: ClusterName{Direction: InboundVIP, Port: 9080, Protocol: "tcp", Host: reviews},
		},
		{in: "PassthroughCluster", want: ClusterName{Direction: Passthrough, Fixed: "PassthroughCluster"}},
		{
			in: "PassthroughCluster;", canonical: "PassthroughCluster",
			want: ClusterName{Direction: Passthrough, Fixed: "PassthroughCluster"},
		},
		{in: "BlackHoleCluster", want: ClusterName{Direction: BlackHole, Fixed: "BlackHoleCluster"}},
		{
			in:   "InboundPassthroughCluster",
			want: ClusterName{Direction: InboundPassthrough, Fixed: "InboundPassthroughCluster"},
		},
		{
			in:   "InboundPassthroughClusterIpv4",
			want: ClusterName{Direction: InboundPassthrough, Fixed: "InboundPassthroughClusterIpv4"},
		},
		{
			in:   "InboundPassthroughClusterIpv6",
			want: ClusterName{Direction: InboundPassthrough, Fixed: "InboundPassthroughClusterIpv6"},
		},
		{in: "outbound_.9080_._.", err: ErrClusterName},
		{in: "outbound_.9080", err: ErrClusterName},
		{in: "Passthrough", err: ErrClusterName},
		{in: "", err: ErrClusterName},
		{in: ";", err: ErrClusterName},
		{in: "-", err: ErrClusterName},
		{in: "service_a", err: ErrClusterName},
		{in: "outbound|9080|v1", err: ErrClusterName},
		{in: "outbound|9080||", err: ErrClusterName},
		{in: "inbound-vip|9080|http|", err: ErrClusterName},
		{in: "outbound|99999||h", err: ErrClusterName},
		{in: "outbound|||h", err: ErrClusterName},
		{in: "outbound|+80||h", err: ErrClusterName},
		{in: "outbound|80||h|x", err: ErrClusterName},
		{in: "sideways|80||h", err: ErrClusterName},
	} {
		t.Run(tt.in, func(t *testing.T) {
			got, err := ParseClusterName(tt.in)
			assert.ErrorIs(t, err, tt.err)
			assert.Equal(t, tt.want, got)
			if tt.err != nil {
				return
			}
			if tt.canonical == "" {
				tt.canonical = tt.in
			}
			assert.Equal(t, tt.canonical, got.String())
		})
	}
	assert.Equal(t, "unknown", Direction(-1).String())
	assert.Equal(t, "unknown", Direction(99).String())
	assert.Equal(t, "unknown", ClusterName{}.String())
}

func TestInternalClusterNames(t *testing.T) {
	for name, tunnel := range map[string]bool{
		"xds-grpc": false, "sds-grpc": false, "agent": false, "prometheus_stats": false, "zipkin": false,
		"encap": true, "main_internal": true, "connect_originate": true, "connect_terminate": true,
		"inner_connect_originate": true, "outer_connect_originate": true,
	} {
		c, err := ParseClusterName(name)
		assert.NoError(t, err, name)
		assert.Equal(t, ClusterName{Direction: Internal, Fixed: name}, c)
		assert.Equal(t, name, c.String())
		assert.Equal(t, tunnel, c.Tunnel(), name)
	}
}
