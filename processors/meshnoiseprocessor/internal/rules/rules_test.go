// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

var nodeAddress = netip.MustParseAddr("10.240.0.4")

func newRules() *Rules {
	return New(Settings{
		ProbePaths: []string{"/healthz", "/ready"}, ScrapePaths: []string{"/metrics"},
		ProbeUserAgents: []string{"corp-probe/"}, ScrapeUserAgents: []string{"corp-scrape/"},
		ProberAddresses: []netip.Prefix{netip.MustParsePrefix("168.63.129.16/32")},
		FrontDoorIDs:    []string{"0f0c-id"},
		Workloads:       []string{"otelcol-mesh-*", "observability/hub"},
		ScrapeWorkloads: []string{"prometheus"},
		IngestionHosts:  []string{".in.applicationinsights.azure.com", "dc.services.visualstudio.com"},
		IsNode:          func(ip netip.Addr) bool { return ip == nodeAddress },
	})
}

const (
	kubelet  = "kube-probe/1.35"
	inbound  = "inbound|9080||"
	outbound = "outbound|80||web.shop.svc.cluster.local"
)

func get(path string) Call {
	return Call{Method: "GET", URL: "http://web" + path, Status: 200, GRPCStatus: -1}
}

func grpc(path string, status int) Call {
	return Call{Method: "POST", URL: "http://web" + path, Status: 200, GRPCStatus: status}
}

func with(c Call, change func(*Call)) Call {
	change(&c)
	return c
}

func agentOnly(path, userAgent string) Call {
	return with(get(path), func(c *Call) { c.UserAgent = userAgent })
}

func TestProbes(t *testing.T) {
	tests := []struct {
		name string
		call Call
		want Reason
	}{
		{"kubelet at a probe path", agentOnly("/healthz", kubelet), HealthProbe},
		{"kubelet at a rewritten path", agentOnly("/app-health/web/livez", kubelet), HealthProbe},
		{"kubelet from its node at any path", with(agentOnly("/hello", kubelet), func(c *Call) {
			c.Peer, c.UpstreamCluster = "10.240.0.4", inbound
		}), HealthProbe},
		{"from its node in IPv6 form", with(agentOnly("/hello", kubelet), func(c *Call) {
			c.Peer, c.UpstreamCluster = "[::ffff:10.240.0.4]:33000", inbound
		}), HealthProbe},
		{"Istio's readiness on its port", with(get("/healthz/ready"), func(c *Call) { c.LocalAddress = "10.0.0.1:15021" }), HealthProbe},
		{"Istio's readiness by its cluster", with(get("/healthz/ready"), func(c *Call) { c.UpstreamCluster = "agent" }), HealthProbe},
		{"a rewritten probe on its port", with(get("/app-health/web/readyz"), func(c *Call) { c.UpstreamCluster = "inbound|15020||" }), HealthProbe},
		{"Azure's load balancer by its address", with(agentOnly("/status", "Load Balancer Agent"), func(c *Call) {
			c.Peer = "168.63.129.16:50123"
		}), HealthProbe},
		{"Front Door's default", with(agentOnly("/", frontDoorAgent), func(c *Call) { c.Method = "HEAD" }), HealthProbe},
		{"Front Door by its header at a probe path", with(get("/healthz"), func(c *Call) { c.FrontDoorProbe = "1" }), HealthProbe},
		{"Front Door of an own profile", with(get("/status"), func(c *Call) { c.FrontDoorProbe, c.FrontDoorID = "1", "0f0c-id" }), HealthProbe},
		{"Google's load balancer at a probe path", agentOnly("/ready", "GoogleHC/1.0"), HealthProbe},
		{"an own prober", agentOnly("/ready", "corp-probe/2"), HealthProbe},
		{"gRPC health", grpc("/grpc.health.v1.Health/Check", 0), HealthProbe},
		{"gRPC health, streamed", grpc("/grpc.health.v1.Health/Watch", -1), HealthProbe},
		{"gRPC health that failed", grpc("/grpc.health.v1.Health/Check", 14), FailedHealthProbe},
		{"answered 503", with(agentOnly("/healthz", kubelet), func(c *Call) { c.Status = 503 }), FailedHealthProbe},
		{"answered 404", with(agentOnly("/healthz", kubelet), func(c *Call) { c.Status = 404 }), FailedHealthProbe},
		{"not answered", with(agentOnly("/healthz", kubelet), func(c *Call) { c.Status = 0 }), FailedHealthProbe},
		{"redirected", with(agentOnly("/healthz", kubelet), func(c *Call) { c.Status = 302 }), HealthProbe},
		{"path apart from the URL", Call{Method: "GET", Path: "/healthz", UserAgent: kubelet, Status: 200}, HealthProbe},
		{"Istio's path", Call{Method: "GET", URL: "/healthz", UserAgent: kubelet, Status: 200}, HealthProbe},
	}
	check(t, tests)
}

// TestHiding is what somebody may try who wants a request of theirs not to be seen.
func TestHiding(t *testing.T) {
	tests := []struct {
		name string
		call Call
		want Reason
	}{
		{"a prober's user agent alone", agentOnly("/admin", kubelet), None},
		{"from outside", with(agentOnly("/admin", kubelet), func(c *Call) { c.Peer, c.UpstreamCluster = "203.0.113.9:4000", inbound }), None},
		{"from another pod", with(agentOnly("/admin", kubelet), func(c *Call) { c.Peer, c.UpstreamCluster = "10.0.0.7", inbound }), None},
		{"through a node that translated, at a gateway", with(agentOnly("/admin", kubelet), func(c *Call) {
			c.Peer, c.UpstreamCluster = "10.240.0.4:4000", outbound
		}), None},
		{"an address from a header", with(agentOnly("/admin", kubelet), func(c *Call) { c.Peer, c.UpstreamCluster = "10.240.0.4:0", inbound }), None},
		{"an address from a header, the load balancer's", with(agentOnly("/admin", kubelet), func(c *Call) { c.Peer = "168.63.129.16:0" }), None},
		{"with something to say in the query", agentOnly("/healthz?cmd=id", kubelet), None},
		{"with a query apart", Call{Method: "GET", Path: "/healthz", Query: "x=1", UserAgent: kubelet, Status: 200}, None},
		{"with a body", with(agentOnly("/healthz", kubelet), func(c *Call) { c.Method = "POST" }), None},
		{"below a probe path", agentOnly("/healthz/../admin", kubelet), None},
		{"a path that only looks rewritten", agentOnly("/app-health/web/livez/../../admin", kubelet), None},
		{"a rewritten path without a container", agentOnly("/app-health//livez", kubelet), None},
		{"Istio's readiness path on the application's port", with(get("/healthz/ready"), func(c *Call) { c.LocalAddress = "10.0.0.1:9080" }), None},
		{"an agent's port in the authority", Call{Method: "GET", URL: "http://web:15021/healthz/ready", Status: 200}, None},
		{"Front Door's header alone", with(get("/admin"), func(c *Call) { c.FrontDoorProbe = "1" }), None},
		{"Front Door's header at the root", with(get("/"), func(c *Call) { c.FrontDoorProbe = "1" }), None},
		{"another Front Door's id", with(get("/admin"), func(c *Call) { c.FrontDoorProbe, c.FrontDoorID = "1", "somebody's" }), None},
		{"an own Front Door's id without a probe", with(get("/admin"), func(c *Call) { c.FrontDoorID = "0f0c-id" }), None},
		{"gRPC health by GET", get("/grpc.health.v1.Health/Check"), None},
		{"another method of gRPC health", grpc("/grpc.health.v1.Health/Evil", 0), None},
		{"a scraper's user agent alone", agentOnly("/admin", "Prometheus/3.0"), None},
		{"a scrape with a query", agentOnly("/metrics?x=1", "Prometheus/3.0"), None},
		{"metrics by anybody", agentOnly("/metrics", "curl/8"), None},
		{"Envoy's page on the application's port", with(get("/stats/prometheus"), func(c *Call) { c.LocalAddress = "10.0.0.1:9080" }), None},
		{"a telemetry path that nobody serves", with(grpc("/opentelemetry.proto.collector.trace.v1.TraceService/Export", -1), func(c *Call) {
			c.Status = 404
		}), None},
		{"a telemetry path that is not implemented", grpc("/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs", 12), None},
		{"an OTLP path of an application", with(grpc("/v1/metrics", -1), func(c *Call) { c.UpstreamCluster = inbound }), None},
		{"a host that takes telemetry, named by the caller", Call{
			Method: "POST", URL: "https://dc.services.visualstudio.com/v2/track", UpstreamCluster: "PassthroughCluster", Status: 200,
		}, None},
		{"an ingestion host's name inside another's", Call{
			Method: "POST", URL: "/", UpstreamCluster: "outbound|443||dc.services.visualstudio.com.evil.example", Status: 200,
		}, None},
		{"a host that ends like one", Call{Method: "POST", URL: "/", UpstreamCluster: "outbound|443||evildc.services.visualstudio.com", Status: 200}, None},
		{"an own name in another place", Call{Method: "GET", URL: "/otelcol-mesh-hub", UpstreamCluster: "outbound|80||x-otelcol-mesh-hub.shop.svc.cluster.local", Status: 200}, None},
		{"an own name in another namespace", Call{Method: "GET", URL: "/", UpstreamCluster: "outbound|80||hub.shop.svc.cluster.local", Status: 200}, None},
		{"a tunnel of ambient mode", Call{Method: "GET", URL: "/", UpstreamCluster: "connect_originate", Status: 200}, None},
	}
	check(t, tests)
}

func TestScrapesAndTelemetry(t *testing.T) {
	tests := []struct {
		name string
		call Call
		want Reason
	}{
		{"Prometheus", agentOnly("/metrics", "Prometheus/3.0"), Scrape},
		{"an own scraper", agentOnly("/metrics", "corp-scrape/1"), Scrape},
		{"this collector", agentOnly("/stats/prometheus", "otelcol-mesh/0.1"), Scrape},
		{"Envoy's page on its port", with(get("/stats/prometheus"), func(c *Call) { c.LocalAddress = "[fd00::1]:15090" }), Scrape},
		{"the page by its cluster", with(get("/stats/prometheus"), func(c *Call) { c.UpstreamCluster = "prometheus_stats" }), Scrape},
		{"OTLP over gRPC", grpc("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", 0), Telemetry},
		{"access logs", grpc("/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs", 0), Telemetry},
		{"a service's OTLP port", with(grpc("/v1/traces", -1), func(c *Call) { c.UpstreamCluster = "outbound|4318||otel.shop.svc.cluster.local" }), Telemetry},
		{"a collector's OTLP port", with(grpc("/v1/logs", -1), func(c *Call) { c.UpstreamCluster = "inbound|4318||" }), Telemetry},
		{"configuration", Call{UpstreamCluster: "xds-grpc"}, Telemetry},
		{"Zipkin", Call{UpstreamCluster: "zipkin"}, Telemetry},
		{"an own service, whatever is asked", Call{Method: "GET", URL: "/?a=b", UpstreamCluster: "outbound|80||otelcol-mesh-hub.observability.svc.cluster.local", Status: 500}, Telemetry},
		{"an own service of one namespace", Call{UpstreamCluster: "outbound|80||hub.observability.svc.cluster.local"}, Telemetry},
		{"reported by an own proxy", Call{NodeID: "sidecar~10.0.0.1~otelcol-mesh-agent-x2b.observability~d"}, Telemetry},
		{"from an own workload", Call{Source: Workload{"observability", "otelcol-mesh-agent"}}, Telemetry},
		{"to an own workload", Call{Destination: Workload{"observability", "hub"}}, Telemetry},
		{"Application Insights", Call{UpstreamCluster: "outbound|443||westeurope-5.in.applicationinsights.azure.com"}, Telemetry},
		{"Application Insights, classic", Call{UpstreamCluster: "outbound|443||dc.services.visualstudio.com"}, Telemetry},
		{"a user's call", get("/cart"), None},
		{"nothing", Call{}, None},
		{"Envoy's words for nothing", Call{Method: "-", URL: "-", UserAgent: "-", UpstreamCluster: "-", NodeID: "-", Peer: "-", LocalAddress: "-"}, None},
	}
	check(t, tests)
}

func check(t *testing.T, tests []struct {
	name string
	call Call
	want Reason
},
) {
	t.Helper()
	r := newRules()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want.String(), r.Judge(&tt.call).String())
			if look := r.Look(); tt.want != None {
				assert.True(t, look.Suspect(&tt.call), "the quick look must not pass it over")
			}
		})
	}
}

func TestPoints(t *testing.T) {
	tests := []struct {
		name   string
		labels Labels
		want   Reason
	}{
		{"a user's call", Labels{Source: Workload{"shop", "web"}, Destination: Workload{"shop", "cart"}, Called: Workload{"shop", "cart"}, CalledHost: "cart.shop.svc.cluster.local"}, None},
		{"to an own workload", Labels{Source: Workload{"shop", "web"}, Destination: Workload{"observability", "otelcol-mesh-agent"}}, Telemetry},
		{"to an own service", Labels{Called: Workload{"observability", "hub"}}, Telemetry},
		{"a service of that name elsewhere", Labels{Called: Workload{"shop", "hub"}}, None},
		{"from an own workload", Labels{Source: Workload{"x", "otelcol-mesh-hub"}}, Telemetry},
		{"a scrape", Labels{Source: Workload{"monitoring", "prometheus"}, Destination: Workload{"shop", "cart"}}, Scrape},
		{"a question to Prometheus", Labels{Destination: Workload{"monitoring", "prometheus"}}, None},
		{"an ingestion host", Labels{CalledHost: "dc.services.visualstudio.com", Called: Workload{"", "dc.services.visualstudio.com"}}, Telemetry},
		{"an ingestion host past the mesh", Labels{CalledHost: "dc.services.visualstudio.com", Called: Workload{"", "PassthroughCluster"}}, None},
		{"Envoy's cluster of configuration", Labels{UpstreamCluster: "xds-grpc"}, Telemetry},
		{"Envoy's cluster of its own page", Labels{UpstreamCluster: "prometheus_stats"}, Scrape},
		{"Envoy's cluster of the agent", Labels{UpstreamCluster: "agent"}, HealthProbe},
		{"Envoy's cluster of a user's service", Labels{UpstreamCluster: outbound}, None},
	}
	r := newRules()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want.String(), r.JudgePoint(&tt.labels).String())
		})
	}
}

func TestWithoutTopologyANodeProvesNothing(t *testing.T) {
	r := newRules()
	r.IsNode = nil
	call := with(agentOnly("/hello", kubelet), func(c *Call) { c.Peer, c.UpstreamCluster = "10.240.0.4", inbound })
	assert.Equal(t, None, r.Judge(&call))
}

// TestALookForgets: what it remembers of one call must not stick to the next.
func TestALookForgets(t *testing.T) {
	look := newRules().Look()
	own := Call{UpstreamCluster: "zipkin", NodeID: "sidecar~10.0.0.1~otelcol-mesh-agent-x2b.observability~d"}
	user := get("/cart")
	for range 3 {
		assert.False(t, look.Suspect(&user))
		assert.True(t, look.Suspect(&own))
		assert.True(t, look.Suspect(&own))
	}
	assert.False(t, look.Suspect(&Call{}))
}

func TestReasonWords(t *testing.T) {
	assert.Equal(t, "failed_health_probe", FailedHealthProbe.String())
	assert.Equal(t, "telemetry", (ReasonCount + 7).String(), "out of range must not panic")
	assert.Empty(t, None.String())
}

func TestJudgingDoesNotAllocate(t *testing.T) {
	r := newRules()
	calls := []Call{
		get("/cart"),
		with(agentOnly("/hello", kubelet), func(c *Call) { c.Peer, c.UpstreamCluster = "10.240.0.4:5000", inbound }),
		{UpstreamCluster: "outbound|80||otelcol-mesh-hub.observability.svc.cluster.local"},
	}
	look := r.Look()
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		for i := range calls {
			if look.Suspect(&calls[i]) {
				r.Judge(&calls[i])
			}
		}
	}))
}

// FuzzJudge holds three promises: nothing is noise that the quick look passes over, a user agent alone hides nothing, and
// nothing panics.
func FuzzJudge(f *testing.F) {
	f.Add("GET", "http://web/healthz", kubelet, inbound, "sidecar~10.0.0.1~web-1.shop~d", "10.240.0.4:1", "10.0.0.1:15021", "1", 200, -1)
	f.Add("POST", "/opentelemetry.proto.collector.logs.v1.LogsService/Export", "OTel/1", "outbound|4317||c.d.svc", "", "", "", "", 200, 0)
	f.Add("HEAD", "/?", frontDoorAgent, "outbound|443||a.in.applicationinsights.azure.com;", "-", "-", "-", "", 0, 14)
	f.Add("GET", "https://", "Prometheus/", "agent", "~", ":0", "[::]:15090", "0", 503, 12)
	r := newRules()
	f.Fuzz(func(t *testing.T, method, url, userAgent, cluster, node, peer, local, probe string, status, grpcStatus int) {
		c := Call{
			Method: method, URL: url, UserAgent: userAgent, UpstreamCluster: cluster, NodeID: node, Peer: peer, LocalAddress: local,
			FrontDoorProbe: probe, Status: status, GRPCStatus: grpcStatus,
		}
		reason := r.Judge(&c)
		if look := r.Look(); reason != None && !look.Suspect(&c) {
			t.Fatalf("%s was passed over: %+v", reason, c)
		}
		if reason == None {
			return
		}
		// What remains when all is taken away but what a caller chooses freely, and a path that is none of a prober's.
		alone := Call{Method: method, URL: "/admin", UserAgent: userAgent, FrontDoorProbe: probe, Status: status, GRPCStatus: grpcStatus}
		if hidden := r.Judge(&alone); hidden != None {
			t.Fatalf("hidden as %s by %q", hidden, strings.ToValidUTF8(userAgent, "?"))
		}
	})
}
