// SPDX-License-Identifier: Apache-2.0

package envoy

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParseNodeID(t *testing.T) {
	for _, tt := range []struct {
		name, id string
		want     NodeID
		err      error
	}{
		{
			name: "sidecar",
			id:   "sidecar~10.244.0.23~reviews-v2-7d79d5bd5d-abcde.bookinfo~bookinfo.svc.cluster.local",
			want: NodeID{"sidecar", "10.244.0.23", "reviews-v2-7d79d5bd5d-abcde", "bookinfo", "bookinfo.svc.cluster.local"},
		},
		{
			name: "router",
			id:   "router~10.0.0.14~istio-ingressgateway-1.istio-system~istio-system.svc.cluster.local",
			want: NodeID{"router", "10.0.0.14", "istio-ingressgateway-1", "istio-system", "istio-system.svc.cluster.local"},
		},
		{
			name: "router of a gateway API resource, IPv6",
			id:   "router~2001:db8::14~cross-network-gateway-istio-5d9f.istio-gateways~istio-gateways.svc.cluster.local",
			want: NodeID{
				"router", "2001:db8::14", "cross-network-gateway-istio-5d9f", "istio-gateways",
				"istio-gateways.svc.cluster.local",
			},
		},
		{
			name: "ztunnel",
			id:   "ztunnel~10.244.1.2~ztunnel-x7k2p.istio-system~istio-system.svc.cluster.local",
			want: NodeID{"ztunnel", "10.244.1.2", "ztunnel-x7k2p", "istio-system", "istio-system.svc.cluster.local"},
		},
		{
			name: "agentgateway",
			id:   "agentgateway~10.244.1.9~agw-7c4f.agents~agents.svc.cluster.local",
			want: NodeID{"agentgateway", "10.244.1.9", "agw-7c4f", "agents", "agents.svc.cluster.local"},
		},
		{
			name: "stateful set, pod name with dots",
			id:   "sidecar~10.0.0.1~db.v1.2-0.shop~shop.svc.cluster.local",
			want: NodeID{"sidecar", "10.0.0.1", "db.v1.2-0", "shop", "shop.svc.cluster.local"},
		},
		{name: "waypoint, IPv6", id: "waypoint~fd00::1~w.ns~d", want: NodeID{"waypoint", "fd00::1", "w", "ns", "d"}},
		{name: "dotted pod name", id: "ztunnel~~a.b.ns~", want: NodeID{"ztunnel", "", "a.b", "ns", ""}},
		{name: "no namespace", id: "agentgateway~1.2.3.4~vm~d", want: NodeID{"agentgateway", "1.2.3.4", "vm", "", "d"}},
		{name: "empty, as outside Istio", id: "", err: ErrNodeID},
		{name: "other id", id: "edge-envoy-1", err: ErrNodeID},
		{name: "unknown type", id: "proxy~10.0.0.1~p.ns~d", err: ErrNodeID},
		{name: "bad address", id: "sidecar~10.0.0~p.ns~d", err: ErrNodeID},
		{name: "zoned address", id: "sidecar~fe80::1%eth0~p.ns~d", err: ErrNodeID},
		{name: "three parts", id: "sidecar~10.0.0.1~p.ns", err: ErrNodeID},
		{name: "five parts", id: "sidecar~10.0.0.1~p.ns~d~e", err: ErrNodeID},
		{name: "no pod", id: "sidecar~10.0.0.1~.ns~d", err: ErrNodeID},
		{name: "empty namespace", id: "sidecar~10.0.0.1~p.~d", err: ErrNodeID},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseNodeID(tt.id)
			assert.ErrorIs(t, err, tt.err)
			assert.Equal(t, tt.want, got)
			if tt.err == nil {
				assert.Equal(t, tt.id, got.String())
			}
		})
	}
}

func TestParseAddress(t *testing.T) {
	for _, tt := range []struct {
		in, ip string
		port   uint16
		ok     bool
	}{
		{"10.0.0.1:9080", "10.0.0.1", 9080, true},
		{"10.0.0.1", "10.0.0.1", 0, true},
		{"[fd00::1]:9080", "fd00::1", 9080, true},
		{"[fd00::1]", "fd00::1", 0, true},
		{"fd00::1", "fd00::1", 0, true},
		{"envoy://connect_originate/10.0.0.1:9080", "10.0.0.1", 9080, true},
		{"envoy://inner_connect_originate/[fd00::9]:15008", "fd00::9", 15008, true},
		{"envoy://connect_originate/echo.default.svc.cluster.local:80", "", 0, false},
		{"envoy:///10.0.0.1:9080", "", 0, false},
		{"envoy://envoy://a/10.0.0.1:9080", "", 0, false},
		{"envoy://main_internal", "", 0, false},
		{"", "", 0, false},
		{"-", "", 0, false},
		{"/var/run/app.sock", "", 0, false},
		{"localhost:80", "", 0, false},
		{"10.0.0.1:", "", 0, false},
		{"10.0.0.1:70000", "", 0, false},
		{"10.0.0.1:123456", "", 0, false},
		{"[10.0.0.1]:80", "", 0, false},
		{"[fd00::1]80", "", 0, false},
		{"[fd00::1", "", 0, false},
		{"[fd00::1]:x", "", 0, false},
		{"fe80::1%eth0", "", 0, false},
		{":80", "", 0, false},
	} {
		t.Run(tt.in, func(t *testing.T) {
			ip, port, ok := ParseAddress(tt.in)
			assert.Equal(t, tt.ok, ok)
			assert.Equal(t, tt.ip, ip)
			assert.Equal(t, tt.port, port)
		})
	}
}

func TestParseServiceHost(t *testing.T) {
	for _, tt := range []struct {
		host, service, namespace string
		ok                       bool
	}{
		{"reviews.bookinfo.svc.cluster.local", "reviews", "bookinfo", true},
		{"reviews.bookinfo.svc", "reviews", "bookinfo", true},
		{"reviews.bookinfo.svc.clusterset.local", "reviews", "bookinfo", true},
		{"web-0.web.shop.svc.cluster.local", "web", "shop", true},
		{"svc.svc.svc.cluster.local", "svc", "svc", true},
		{"reviews.bookinfo", "", "", false},
		{"reviews", "", "", false},
		{"reviews.global", "", "", false},
		{"www.example.com", "", "", false},
		{"a.b.svcs.cluster.local", "", "", false},
		{"a.b.svc.", "", "", false},
		{"*.bookinfo.svc.cluster.local", "", "", false},
		{"reviews.bookinfo.svc.cluster.local:9080", "", "", false},
		{"a..svc.cluster.local", "", "", false},
		{"a.b.c.d.svc.cluster.local", "", "", false},
		{"", "", "", false},
	} {
		t.Run(tt.host, func(t *testing.T) {
			service, namespace, ok := ParseServiceHost(tt.host)
			assert.Equal(t, tt.ok, ok)
			assert.Equal(t, tt.service, service)
			assert.Equal(t, tt.namespace, namespace)
		})
	}
}

func TestParseResponseFlags(t *testing.T) {
	for _, tt := range []struct {
		in, canonical string
		want          ResponseFlags
	}{
		{"", "", nil},
		{"-", "", nil},
		{"DC", "DC", ResponseFlags{"DC"}},
		{"UF,URX", "UF,URX", ResponseFlags{"UF", "URX"}},
		{" UF, ,NEW9,", "UF,NEW9", ResponseFlags{"UF", "NEW9"}},
		{
			"UpstreamConnectionFailure,UpstreamRetryLimitExceeded", "UF,URX",
			ResponseFlags{"UF", "URX"},
		},
		{"NoHealthyUpstream,DC", "UH,DC", ResponseFlags{"UH", "DC"}},
		{"DownstreamRemoteReset,AnotherOne", "DR,AnotherOne", ResponseFlags{"DR", "AnotherOne"}},
		{"nohealthyupstream", "nohealthyupstream", ResponseFlags{"nohealthyupstream"}},
		{"UNC,DO,UDO", "UNC,DO,UDO", ResponseFlags{"UNC", "DO", "UDO"}},
	} {
		t.Run(tt.in, func(t *testing.T) {
			got := ParseResponseFlags(tt.in)
			assert.Equal(t, tt.want, got)
			assert.Equal(t, tt.canonical, got.String())
			first := ""
			if len(tt.want) > 0 {
				first = tt.want[0]
			}
			assert.Equal(t, first, FirstResponseFlag(tt.in))
		})
	}
	flags := ParseResponseFlags("UF,URX")
	assert.True(t, flags.Has("URX"))
	assert.False(t, flags.Has("U"))
}

func TestParseSPIFFE(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want SPIFFE
		err  error
	}{
		{in: "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews", want: SPIFFE{"cluster.local", "bookinfo", "bookinfo-reviews"}},
		{in: "spiffe://westeurope.example.com/ns/a/sa/b", want: SPIFFE{"westeurope.example.com", "a", "b"}},
		{in: "spiffe://td", want: SPIFFE{TrustDomain: "td"}},
		{in: "spiffe://td/workload/7", want: SPIFFE{TrustDomain: "td"}},
		{in: "spiffe://td/ns/a/sa/", want: SPIFFE{TrustDomain: "td"}},
		{in: "spiffe://td/ns//sa/b", want: SPIFFE{TrustDomain: "td"}},
		{in: "spiffe://td/ns/a/sa/b/c", want: SPIFFE{TrustDomain: "td"}},
		{in: "spiffe://td/ns/a/b/sa/c", want: SPIFFE{TrustDomain: "td"}},
		{in: "spiffe://td/ns/a/sa/b,spiffe://td/ns/c/sa/d", want: SPIFFE{TrustDomain: "td"}},
		{in: "spiffe://td/ns/a/sa/b,c", want: SPIFFE{TrustDomain: "td"}},
		{in: "spiffe://td/ns/a/sa/b?x=y", want: SPIFFE{TrustDomain: "td"}},
		{in: "spiffe://td/ns/../sa/b", want: SPIFFE{TrustDomain: "td"}},
		{in: "", err: ErrSPIFFE},
		{in: "unknown", err: ErrSPIFFE},
		{in: "spiffe://..", err: ErrSPIFFE},
		{in: "spiffe:///ns/a/sa/b", err: ErrSPIFFE},
		{in: "spiffe://user@td/ns/a/sa/b", err: ErrSPIFFE},
		{in: "https://td/ns/a/sa/b", err: ErrSPIFFE},
	} {
		t.Run(tt.in, func(t *testing.T) {
			got, err := ParseSPIFFE(tt.in)
			assert.ErrorIs(t, err, tt.err)
			assert.Equal(t, tt.want, got)
		})
	}
	const id = "spiffe://cluster.local/ns/a/sa/b"
	s, err := ParseSPIFFE(id)
	assert.NoError(t, err)
	assert.Equal(t, id, s.String())
}

func TestParseEndpointMetadata(t *testing.T) {
	for _, tt := range []struct {
		in      string
		want    EndpointMetadata
		gateway bool
		whole   string
		err     error
	}{
		{
			in:   "reviews-v1;bookinfo;reviews;v1;aks-westeurope",
			want: EndpointMetadata{"reviews-v1", "bookinfo", "reviews", "v1", "aks-westeurope"},
		},
		{in: ";;;;aks-northeurope", want: EndpointMetadata{Cluster: "aks-northeurope"}, gateway: true},
		{in: "w;ns;c;r;", want: EndpointMetadata{Workload: "w", Namespace: "ns", CanonicalName: "c", Revision: "r"}},
		{
			in: "w;ns;c;r", whole: "w;ns;c;r;",
			want: EndpointMetadata{Workload: "w", Namespace: "ns", CanonicalName: "c", Revision: "r"},
		},
		{in: "w;ns", whole: "w;ns;;;", want: EndpointMetadata{Workload: "w", Namespace: "ns"}},
		{in: ";ns;;;c", want: EndpointMetadata{Namespace: "ns", Cluster: "c"}},
		{in: ";;svc;;c", want: EndpointMetadata{CanonicalName: "svc", Cluster: "c"}},
		{in: ";;;;", err: ErrEndpointMetadata},
		{in: "", err: ErrEndpointMetadata},
		{in: "-", err: ErrEndpointMetadata},
		{in: ";;", err: ErrEndpointMetadata},
		{in: "w", err: ErrEndpointMetadata},
		{in: "w;ns;c;r;c;x", err: ErrEndpointMetadata},
	} {
		t.Run(tt.in, func(t *testing.T) {
			got, err := ParseEndpointMetadata(tt.in)
			assert.ErrorIs(t, err, tt.err)
			assert.Equal(t, tt.want, got)
			assert.Equal(t, tt.gateway, got.ViaGateway())
			if tt.whole == "" {
				tt.whole = tt.in
			}
			if tt.err == nil {
				assert.Equal(t, tt.whole, got.String())
			}
		})
	}
}

func TestNormalizeZone(t *testing.T) {
	for _, tt := range []struct{ region, zone, want string }{
		{"westeurope", "1", "westeurope-1"},
		{"westeurope", "12", "westeurope-12"},
		{"westeurope", "westeurope-1", "westeurope-1"},
		{"westeurope", "0", ""},
		{"westeurope", "", ""},
		{"westeurope", "-", ""},
		{"", "1", ""},
		{"", "westeurope-1", "westeurope-1"},
		{"europe-west4", "europe-west4-a", "europe-west4-a"},
	} {
		t.Run(tt.region+"/"+tt.zone, func(t *testing.T) {
			assert.Equal(t, tt.want, NormalizeZone(tt.region, tt.zone))
		})
	}
}

func TestParsersDoNotAllocate(t *testing.T) {
	for name, parse := range map[string]func(){
		"node id":            func() { _, _ = ParseNodeID("sidecar~10.0.0.1~reviews-v1-abc.bookinfo~bookinfo.svc.cluster.local") },
		"no node id":         func() { _, _ = ParseNodeID("") },
		"cluster name":       func() { _, _ = ParseClusterName("outbound|9080|v1|reviews.bookinfo.svc.cluster.local;") },
		"other cluster name": func() { _, _ = ParseClusterName("service_a") },
		"address":            func() { _, _, _ = ParseAddress("10.0.0.1:9080") },
		"service host":       func() { _, _, _ = ParseServiceHost("reviews.bookinfo.svc.cluster.local") },
		"no flags":           func() { _ = ParseResponseFlags("-") },
		"first flag":         func() { _ = FirstResponseFlag("UF,URX") },
		"next flag":          func() { _, _ = NextResponseFlag("NoHealthyUpstream,URX") },
		"internal address":   func() { _, _, _ = ParseInternalAddress("envoy://connect_originate/10.0.0.1:9080") },
		"SPIFFE":             func() { _, _ = ParseSPIFFE("spiffe://cluster.local/ns/a/sa/b") },
		"endpoint metadata":  func() { _, _ = ParseEndpointMetadata("w;ns;c;r;cluster") },
		"zone":               func() { _ = NormalizeZone("westeurope", "westeurope-1") },
	} {
		t.Run(name, func(t *testing.T) {
			assert.Zero(t, testing.AllocsPerRun(100, parse))
		})
	}
}

func TestParseInternalAddress(t *testing.T) {
	for in, want := range map[string][2]string{
		"envoy://connect_originate/10.0.0.1:9080":           {"connect_originate", "10.0.0.1:9080"},
		"envoy://inner_connect_originate/172.18.0.9:15008":  {"inner_connect_originate", "172.18.0.9:15008"},
		"envoy://connect_originate/[fd00::1]:80":            {"connect_originate", "[fd00::1]:80"},
		"envoy://main_internal":                             {"main_internal", ""},
		"envoy://connect_originate/;10.0.0.1:8080;10.0.0.2": {"connect_originate", ";10.0.0.1:8080;10.0.0.2"},
		"envoy://":                 {},
		"envoy:///10.0.0.1":        {},
		"envoy://main_internal/":   {},
		"10.0.0.1:9080":            {},
		"":                         {},
		"http://connect_originate": {},
	} {
		listener, endpoint, ok := ParseInternalAddress(in)
		assert.Equal(t, want, [2]string{listener, endpoint}, in)
		assert.Equal(t, want != [2]string{}, ok, in)
	}
}

func TestErrors(t *testing.T) {
	assert.EqualError(t, ErrNodeID, "not an Istio node id (type~address~pod.namespace~domain)")
	assert.EqualError(t, ErrPeerTooLarge, "not Istio peer metadata: too_large")
	assert.ErrorIs(t, ErrPeerConflict, ErrPeer)
	assert.NotErrorIs(t, ErrPeer, ErrPeerConflict)
	assert.NotErrorIs(t, ErrPeerEmpty, ErrPeerConflict)
	assert.NotErrorIs(t, ErrNodeID, ErrClusterName)
	assert.NotErrorIs(t, ErrZoneAmbiguous, ErrPeer)
	assert.Equal(t, "ambiguous", ErrorReason(fmt.Errorf("of a metric: %w", ErrZoneAmbiguous)))
	assert.Empty(t, ErrorReason(ErrNodeID))
	assert.Empty(t, ErrorReason(io.EOF))
	assert.Empty(t, ErrorReason(nil))
}
