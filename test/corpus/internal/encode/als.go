// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	servicev3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/world"
)

// ALS returns the entry as Envoy sends it to an access log service: the first message of a stream.
func ALS(role Role, c *Call, s *Style) *servicev3.StreamAccessLogsMessage {
	reporter := c.reporter(role)
	message := &servicev3.StreamAccessLogsMessage{Identifier: &servicev3.StreamAccessLogsMessage_Identifier{
		LogName: "http_envoy_accesslog",
		Node:    node(role, reporter, s),
	}}
	common := commonOf(role, c, s)
	if c.tcp() {
		message.Identifier.LogName = "tcp_envoy_accesslog"
		common.AccessLogType = datav3.AccessLogType_TcpConnectionEnd
		message.LogEntries = &servicev3.StreamAccessLogsMessage_TcpLogs{
			TcpLogs: &servicev3.StreamAccessLogsMessage_TCPAccessLogEntries{LogEntry: []*datav3.TCPAccessLogEntry{{
				CommonProperties:     common,
				ConnectionProperties: &datav3.ConnectionProperties{ReceivedBytes: 12184, SentBytes: 17251},
			}}},
		}
		return message
	}
	common.AccessLogType = datav3.AccessLogType_DownstreamEnd
	message.LogEntries = &servicev3.StreamAccessLogsMessage_HttpLogs{
		HttpLogs: &servicev3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: []*datav3.HTTPAccessLogEntry{{
			CommonProperties: common, ProtocolVersion: version(c),
			Request: &datav3.HTTPRequestProperties{
				RequestMethod: corev3.RequestMethod(corev3.RequestMethod_value[c.Method]), Scheme: "http", Authority: c.authority(),
				Path: c.Path, UserAgent: "bookinfo", RequestId: c.requestID(),
			},
			Response: &datav3.HTTPResponseProperties{
				ResponseCode: wrapperspb.UInt32(uint32(c.Status)), ResponseBodyBytes: 109,
				ResponseCodeDetails: or(c.Details, "via_upstream"),
			},
		}}},
	}
	return message
}

func version(c *Call) datav3.HTTPAccessLogEntry_HTTPVersion {
	switch c.Protocol {
	case "HTTP/2":
		return datav3.HTTPAccessLogEntry_HTTP2
	case "HTTP/3":
		return datav3.HTTPAccessLogEntry_HTTP3
	}
	return datav3.HTTPAccessLogEntry_HTTP11
}

func commonOf(role Role, c *Call, s *Style) *datav3.AccessLogCommon {
	a := accessOf(role, c, s)
	common := &datav3.AccessLogCommon{
		StartTime: timestamppb.New(c.At), Duration: durationpb.New(12 * time.Millisecond),
		DownstreamRemoteAddress: socket(a.downstreamRemote), DownstreamDirectRemoteAddress: socket(a.downstreamRemote),
		DownstreamLocalAddress: socket(a.downstreamLocal), UpstreamRemoteAddress: socket(a.host),
		UpstreamLocalAddress: socket(a.local), UpstreamCluster: strings.TrimPrefix(a.cluster, "-"), RouteName: strings.TrimPrefix(a.route, "-"),
		UpstreamRequestAttemptCount: uint32(c.Retries + 1), ResponseFlags: responseFlags(c.Flags),
		TlsProperties: tls(role, c, a.sni), FilterStateObjects: peers(role, c, s),
	}
	if s.Guide {
		common.CustomTags = map[string]string{}
		if host := c.upstreamHost(role); host != "" {
			common.CustomTags["mesh.upstream.host"] = host
		}
		for _, tag := range c.guideTags(role, s) {
			common.CustomTags[tag[0]] = tag[1]
		}
	}
	return common
}

// socket returns an address, nil for "-". Internal addresses are those of Envoy's internal listeners.
func socket(text string) *corev3.Address {
	if inner, ok := strings.CutPrefix(text, "envoy://"); ok {
		listener, endpoint, _ := strings.Cut(inner, "/")
		return &corev3.Address{Address: &corev3.Address_EnvoyInternalAddress{EnvoyInternalAddress: &corev3.EnvoyInternalAddress{
			AddressNameSpecifier: &corev3.EnvoyInternalAddress_ServerListenerName{ServerListenerName: listener}, EndpointId: endpoint,
		}}}
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return nil
	}
	n, _ := strconv.ParseUint(port, 10, 16)
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(n)},
	}}}
}

// tls returns what Envoy tells of the connection that the call came on; nil if it was plain text.
func tls(role Role, c *Call, sni string) *datav3.TLSProperties {
	switch {
	case role == EastWestGateway:
		return &datav3.TLSProperties{TlsSniHostname: sni}
	case role == IngressGateway || !c.peerProven(role):
		return nil
	}
	return &datav3.TLSProperties{
		TlsVersion: datav3.TLSProperties_TLSv1_3, TlsSniHostname: strings.TrimPrefix(sni, "-"),
		PeerCertificateProperties:  &datav3.TLSProperties_CertificateProperties{SubjectAltName: uri(c.From)},
		LocalCertificateProperties: &datav3.TLSProperties_CertificateProperties{SubjectAltName: uri(c.reporter(role))},
	}
}

func uri(p *world.Place) []*datav3.TLSProperties_CertificateProperties_SubjectAltName {
	return []*datav3.TLSProperties_CertificateProperties_SubjectAltName{{
		San: &datav3.TLSProperties_CertificateProperties_SubjectAltName_Uri{Uri: p.Principal()},
	}}
}

// peers is the filter state in which Istio keeps what the proxies told each other.
func peers(role Role, c *Call, s *Style) map[string]*anypb.Any {
	if !s.Peers {
		return nil
	}
	out := map[string]*anypb.Any{}
	prefix := ""
	if s.Istio < 24 {
		prefix = "wasm."
	}
	add := func(name string, p *world.Place) {
		packed, err := anypb.New(peer(p, s))
		if err != nil {
			panic(err)
		}
		out[prefix+name] = packed
		if prefix != "" {
			id, _ := anypb.New(wrapperspb.String(nodeID(SidecarOutbound, p)))
			out[prefix+name+"_id"] = id
		}
	}
	if (role == SidecarInbound || role == Waypoint) && c.From != nil && !c.NoAnswer && (!c.Plain || role == Waypoint) {
		add("downstream_peer", c.From)
	}
	if role != SidecarInbound && role != EastWestGateway && c.To != nil && !c.NoAnswer && c.server() != "" {
		add("upstream_peer", c.To)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func peer(p *world.Place, s *Style) *structpb.Struct {
	fields := map[string]any{}
	put := func(name, value string) {
		if value != "" {
			fields[name] = value
		}
	}
	if s.Istio < 24 {
		put("NAME", p.Pod.Name)
		put("NAMESPACE", p.Workload.Namespace)
		put("CLUSTER_ID", s.clusterOf(p))
		put("WORKLOAD_NAME", p.Workload.Name)
		fields["LABELS"] = map[string]any{
			"app": p.Workload.Service, "service.istio.io/canonical-name": p.Workload.Service,
			"service.istio.io/canonical-revision": or(p.Workload.Version, "latest"),
		}
	} else {
		put("type", p.Workload.Kind)
		put("workload", p.Workload.Name)
		put("name", p.Pod.Name)
		put("cluster", s.clusterOf(p))
		put("namespace", p.Workload.Namespace)
		put("service", p.Workload.Service)
		put("revision", or(p.Workload.Version, "latest"))
		put("app", p.Workload.Service)
		put("version", p.Workload.Version)
	}
	if s.Istio >= 29 {
		put("identity", p.Principal())
		put("region", p.Cluster.Region)
		put("availability_zone", bareZone(p))
	}
	out, err := structpb.NewStruct(fields)
	if err != nil {
		panic(err)
	}
	return out
}

// node is what Istio's proxies say of themselves.
func node(role Role, p *world.Place, s *Style) *corev3.Node {
	fields := map[string]any{
		"INSTANCE_IPS": strings.Join(p.Pod.Addresses, ","), "ISTIO_VERSION": fmt.Sprintf("1.%d.0", s.Istio), "MESH_ID": "mesh1",
		"NAME": p.Pod.Name, "NAMESPACE": p.Workload.Namespace, "WORKLOAD_NAME": p.Workload.Name,
		"SERVICE_ACCOUNT": p.Workload.ServiceAccount,
		"LABELS": map[string]any{
			"app": or(p.Workload.Service, p.Workload.Name), "service.istio.io/canonical-name": or(p.Workload.Service, p.Workload.Name),
			"service.istio.io/canonical-revision": or(p.Workload.Version, "latest"),
		},
	}
	for name, value := range map[string]string{
		"CLUSTER_ID": s.clusterOf(p), "NETWORK": p.End().Network, "NODE_NAME": p.Pod.Node,
	} {
		if value != "" {
			fields[name] = value
		}
	}
	if p.Workload.Kind == "deployment" {
		fields["OWNER"] = "kubernetes://apis/apps/v1/namespaces/" + p.Workload.Namespace + "/deployments/" + p.Workload.Name
	}
	metadata, err := structpb.NewStruct(fields)
	if err != nil {
		panic(err)
	}
	return &corev3.Node{
		Id: nodeID(role, p), Cluster: serviceCluster(p), Metadata: metadata, UserAgentName: "envoy",
		Locality: &corev3.Locality{Region: p.Cluster.Region, Zone: bareZone(p)},
	}
}

// responseFlags turns the short forms into Envoy's message.
func responseFlags(flags string) *datav3.ResponseFlags {
	if flags == "" {
		return nil
	}
	has := strings.Split(flags, ",")
	on := func(flag string) bool { return slices.Contains(has, flag) }
	return &datav3.ResponseFlags{
		NoHealthyUpstream: on("UH"), UpstreamConnectionFailure: on("UF"), UpstreamOverflow: on("UO"), NoRouteFound: on("NR"),
		NoClusterFound: on("NC"), UpstreamRetryLimitExceeded: on("URX"), UpstreamRequestTimeout: on("UT"),
		DownstreamConnectionTermination: on("DC"), UpstreamConnectionTermination: on("UC"), UpstreamRemoteReset: on("UR"),
		DnsResolutionFailure: on("DF"), FailedLocalHealthcheck: on("LH"),
	}
}
