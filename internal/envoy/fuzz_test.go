// SPDX-License-Identifier: Apache-2.0

package envoy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func FuzzParseNodeID(f *testing.F) {
	f.Add("sidecar~10.0.0.1~reviews-v1-abc.bookinfo~bookinfo.svc.cluster.local")
	f.Add("ztunnel~~a.b.ns~")
	f.Fuzz(func(t *testing.T, id string) {
		n, err := ParseNodeID(id)
		if err == nil && n.String() != id {
			t.Errorf("%q became %q", id, n.String())
		}
		if err != nil && n != (NodeID{}) {
			t.Errorf("%q: value %+v beside an error", id, n)
		}
	})
}

func FuzzParseClusterName(f *testing.F) {
	f.Add("outbound|9080|v1|reviews.bookinfo.svc.cluster.local;")
	f.Add("outbound_.9080_._.reviews.global")
	f.Add("inbound-vip|9080|http/v1|h")
	f.Add("PassthroughCluster")
	f.Fuzz(func(t *testing.T, name string) {
		c, err := ParseClusterName(name)
		if err != nil {
			if c != (ClusterName{}) {
				t.Errorf("%q: value %+v beside an error", name, c)
			}
			return
		}
		if c.Direction == DirectionUnknown {
			t.Errorf("%q: accepted without a direction", name)
		}
		if again, err := ParseClusterName(c.String()); err != nil || again != c {
			t.Errorf("%q: %+v became %+v (%v)", name, c, again, err)
		}
	})
}

func FuzzParseAddress(f *testing.F) {
	f.Add("10.0.0.1:9080")
	f.Add("[fd00::1]:80")
	f.Add("envoy://connect_originate/10.0.0.1:9080")
	f.Add("envoy://inner_connect_originate/[fd00::9]:15008")
	f.Fuzz(func(t *testing.T, s string) {
		ip, port, ok := ParseAddress(s)
		if !ok {
			if ip != "" || port != 0 {
				t.Errorf("%q: %q %d though not ok", s, ip, port)
			}
			return
		}
		addr, err := netip.ParseAddr(ip)
		if err != nil {
			t.Fatalf("%q: %q is no IP: %v", s, ip, err)
		}
		again, p, ok := ParseAddress(netip.AddrPortFrom(addr, port).String())
		if !ok || again != addr.String() || p != port {
			t.Errorf("%q: %s %d became %s %d", s, addr, port, again, p)
		}
	})
}

func FuzzParseInternalAddress(f *testing.F) {
	f.Add("envoy://connect_originate/10.0.0.1:9080")
	f.Add("envoy://main_internal")
	f.Fuzz(func(t *testing.T, s string) {
		listener, endpoint, ok := ParseInternalAddress(s)
		if !ok {
			if listener != "" || endpoint != "" {
				t.Errorf("%q: %q %q though not ok", s, listener, endpoint)
			}
			return
		}
		if endpoint != "" {
			endpoint = "/" + endpoint
		}
		if s != "envoy://"+listener+endpoint || strings.Contains(listener, "/") {
			t.Errorf("%q: listener %q, endpoint %q", s, listener, endpoint)
		}
	})
}

func FuzzParseServiceHost(f *testing.F) {
	f.Add("reviews.bookinfo.svc.cluster.local")
	f.Add("web-0.web.shop.svc.cluster.local")
	f.Fuzz(func(t *testing.T, host string) {
		service, namespace, ok := ParseServiceHost(host)
		if !ok {
			if service != "" || namespace != "" {
				t.Errorf("%q: %q %q though not ok", host, service, namespace)
			}
			return
		}
		if strings.Contains(service+namespace, ".") || !strings.Contains(host, service+"."+namespace+".svc") {
			t.Errorf("%q: service %q, namespace %q", host, service, namespace)
		}
		again, ns, ok := ParseServiceHost(service + "." + namespace + ".svc.cluster.local")
		if !ok || again != service || ns != namespace {
			t.Errorf("%q: %q %q became %q %q", host, service, namespace, again, ns)
		}
	})
}

func FuzzParseResponseFlags(f *testing.F) {
	f.Add("UF,URX")
	f.Add(" -,NEW9, ")
	f.Add("NoHealthyUpstream,DropOverload")
	f.Fuzz(func(t *testing.T, s string) {
		flags := ParseResponseFlags(s)
		if slices.Contains(flags, "") || flags.Has("-") {
			t.Errorf("%q: %q holds no flag", s, flags)
		}
		if again := ParseResponseFlags(flags.String()); !slices.Equal(again, flags) {
			t.Errorf("%q: %q became %q", s, flags, again)
		}
		first := FirstResponseFlag(s)
		if (len(flags) == 0) != (first == "") || (first != "" && flags[0] != first) {
			t.Errorf("%q: first %q of %q", s, first, flags)
		}
	})
}

func FuzzParseSPIFFE(f *testing.F) {
	f.Add("spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews")
	f.Add("spiffe://td/other")
	f.Add("spiffe://td/ns/a/sa/b,spiffe://td/ns/c/sa/d")
	f.Fuzz(func(t *testing.T, uri string) {
		s, err := ParseSPIFFE(uri)
		if err != nil {
			if s != (SPIFFE{}) {
				t.Errorf("%q: value %+v beside an error", uri, s)
			}
			return
		}
		if again, err := ParseSPIFFE(s.String()); err != nil || again != s {
			t.Errorf("%q: %+v became %+v (%v)", uri, s, again, err)
		}
		if s.Namespace != "" && s.String() != uri {
			t.Errorf("%q became %q", uri, s.String())
		}
	})
}

func FuzzParseEndpointMetadata(f *testing.F) {
	f.Add("reviews-v1;bookinfo;reviews;v1;aks-westeurope")
	f.Add(";;;;aks-northeurope")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseEndpointMetadata(s)
		if err == nil && strings.TrimRight(m.String(), ";") != strings.TrimRight(s, ";") {
			t.Errorf("%q became %q", s, m.String())
		}
		if m.ViaGateway() && strings.TrimLeft(s, ";") != m.Cluster {
			t.Errorf("%q: more than a cluster", s)
		}
		if (err != nil) != (m == EndpointMetadata{}) {
			t.Errorf("%q: value %+v with error %v", s, m, err)
		}
	})
}

func FuzzNormalizeZone(f *testing.F) {
	f.Add("westeurope", "1")
	f.Add("westeurope", "westeurope-1")
	f.Fuzz(func(t *testing.T, region, zone string) {
		once := NormalizeZone(region, zone)
		if twice := NormalizeZone(region, once); twice != once {
			t.Errorf("%q %q: %q became %q", region, zone, once, twice)
		}
		if once != "" && !strings.HasSuffix(once, zone) {
			t.Errorf("%q %q: %q is another zone", region, zone, once)
		}
	})
}
