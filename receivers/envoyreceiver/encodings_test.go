// SPDX-License-Identifier: Apache-2.0

package envoyreceiver

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	alsdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alssvc "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// call is one call as Envoy's operators tell it, by the keys of Istio's JSON format; absent ones print as "-". reporter is
// the pod whose proxy logged it.
type call struct {
	reporter string
	told     map[string]string
}

// textKeys are the operators of Istio's default line, in its order.
var textKeys = []string{
	"start_time", "method", "path", "protocol", "response_code", "response_flags", "response_code_details",
	"connection_termination_details", "upstream_transport_failure_reason", "bytes_received", "bytes_sent", "duration",
	"upstream_service_time", "x_forwarded_for", "user_agent", "request_id", "authority", "upstream_host", "upstream_cluster",
	"upstream_local_address", "downstream_local_address", "downstream_remote_address", "requested_server_name", "route_name",
}

const textFormat = `[%s] "%s %s %s" %s %s %s %s "%s" %s %s %s %s "%s" "%s" "%s" "%s" "%s" %s %s %s %s %s %s` + "\n"

func (c *call) or(key string) string {
	if v := c.told[key]; v != "" {
		return v
	}
	return "-"
}

func (c *call) text() string {
	values := make([]any, len(textKeys))
	for i, key := range textKeys {
		values[i] = c.or(key)
	}
	return fmt.Sprintf(textFormat, values...)
}

// keys are those of the text, and those that users add.
func (c *call) keys() []string {
	return append(slices.Clone(textKeys), "downstream_peer_uri_san")
}

func (c *call) isNumber(key string) bool {
	return slices.Contains([]string{"response_code", "bytes_received", "bytes_sent", "duration"}, key)
}

// object returns the call as Envoy's JSON has it: with typed, numbers are numbers and what is missing is null.
func (c *call) object(typed bool) map[string]any {
	m := map[string]any{}
	for _, key := range c.keys() {
		switch value := c.told[key]; {
		case !typed:
			m[key] = c.or(key)
		case value == "":
			m[key] = nil
		case c.isNumber(key):
			n, _ := strconv.ParseInt(value, 10, 64)
			m[key] = n
		default:
			m[key] = value
		}
	}
	return m
}

// encodings are the ways in which a record can carry the call over OTLP or from a file.
var encodings = map[string]func(*call, plog.LogRecord){
	"text": func(c *call, r plog.LogRecord) { r.Body().SetStr(c.text()) },
	"text with a few labels": func(c *call, r plog.LogRecord) {
		r.Body().SetStr(c.text())
		c.label(r, "upstream_cluster", "response_code", "downstream_peer_uri_san")
	},
	"text with all labels":    func(c *call, r plog.LogRecord) { r.Body().SetStr(c.text()); c.label(r, c.keys()...) },
	"labels":                  func(c *call, r plog.LogRecord) { c.label(r, c.keys()...) },
	"JSON text":               func(c *call, r plog.LogRecord) { r.Body().SetStr(c.json(true)) },
	"JSON text without types": func(c *call, r plog.LogRecord) { r.Body().SetStr(c.json(false)) },
	"JSON map":                func(c *call, r plog.LogRecord) { must(r.Body().SetEmptyMap().FromRaw(c.object(true))) },
	"JSON attributes":         func(c *call, r plog.LogRecord) { must(r.Attributes().FromRaw(c.object(true))) },
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (c *call) label(r plog.LogRecord, keys ...string) {
	for _, key := range keys {
		r.Attributes().PutStr(key, c.or(key))
	}
}

func (c *call) json(typed bool) string {
	text, err := json.Marshal(c.object(typed))
	must(err)
	return string(text)
}

// otlp returns the call as one record of a resource that names the pod, as a file's path does, or the agent.
func (c *call) otlp(encode func(*call, plog.LogRecord)) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	must(rl.Resource().Attributes().FromRaw(map[string]any{
		"k8s.cluster.name": "aks-westeurope", "k8s.namespace.name": "bookinfo", "k8s.pod.name": c.reporter,
	}))
	encode(c, rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty())
	return ld
}

// als returns the call as a message of the access log service.
func (c *call) als(t *testing.T) []byte {
	metadata, err := structpb.NewStruct(map[string]any{"CLUSTER_ID": "aks-westeurope", "NAMESPACE": "bookinfo", "NAME": c.reporter})
	require.NoError(t, err)
	message := &alssvc.StreamAccessLogsMessage{Identifier: &alssvc.StreamAccessLogsMessage_Identifier{
		Node: &corev3.Node{Id: "sidecar~" + pods[c.reporter] + "~" + c.reporter + ".bookinfo~bookinfo.svc.cluster.local", Metadata: metadata},
	}}
	if c.told["protocol"] != "" {
		message.LogEntries = &alssvc.StreamAccessLogsMessage_HttpLogs{HttpLogs: &alssvc.StreamAccessLogsMessage_HTTPAccessLogEntries{
			LogEntry: []*alsdata.HTTPAccessLogEntry{c.httpEntry()},
		}}
	} else {
		message.LogEntries = &alssvc.StreamAccessLogsMessage_TcpLogs{TcpLogs: &alssvc.StreamAccessLogsMessage_TCPAccessLogEntries{
			LogEntry: []*alsdata.TCPAccessLogEntry{{
				CommonProperties: c.common(),
				ConnectionProperties: &alsdata.ConnectionProperties{
					ReceivedBytes: uint64(c.number("bytes_received")), SentBytes: uint64(c.number("bytes_sent")),
				},
			}},
		}}
	}
	data, err := proto.Marshal(message)
	require.NoError(t, err)
	return data
}

func (c *call) number(key string) int64 {
	n, _ := strconv.ParseInt(c.told[key], 10, 64)
	return n
}

func (c *call) common() *alsdata.AccessLogCommon {
	at, err := time.Parse(time.RFC3339Nano, c.told["start_time"])
	must(err)
	common := &alsdata.AccessLogCommon{
		StartTime: timestamppb.New(at), Duration: durationpb.New(time.Duration(c.number("duration")) * time.Millisecond),
		UpstreamCluster: c.told["upstream_cluster"], UpstreamRemoteAddress: address(c.told["upstream_host"]),
		UpstreamLocalAddress: address(c.told["upstream_local_address"]), DownstreamRemoteAddress: address(c.told["downstream_remote_address"]),
		DownstreamLocalAddress: address(c.told["downstream_local_address"]), RouteName: c.told["route_name"],
		UpstreamTransportFailureReason: c.told["upstream_transport_failure_reason"],
		ConnectionTerminationDetails:   c.told["connection_termination_details"], ResponseFlags: flagsOf(c.told["response_flags"]),
	}
	if sni, san := c.told["requested_server_name"], c.told["downstream_peer_uri_san"]; sni+san != "" {
		common.TlsProperties = &alsdata.TLSProperties{TlsSniHostname: sni}
		if san != "" {
			common.TlsProperties.PeerCertificateProperties = &alsdata.TLSProperties_CertificateProperties{
				SubjectAltName: []*alsdata.TLSProperties_CertificateProperties_SubjectAltName{
					{San: &alsdata.TLSProperties_CertificateProperties_SubjectAltName_Uri{Uri: san}},
				},
			}
		}
	}
	return common
}

func (c *call) httpEntry() *alsdata.HTTPAccessLogEntry {
	return &alsdata.HTTPAccessLogEntry{
		CommonProperties: c.common(),
		ProtocolVersion: map[string]alsdata.HTTPAccessLogEntry_HTTPVersion{
			"HTTP/1.0": alsdata.HTTPAccessLogEntry_HTTP10, "HTTP/1.1": alsdata.HTTPAccessLogEntry_HTTP11, "HTTP/2": alsdata.HTTPAccessLogEntry_HTTP2,
		}[c.told["protocol"]],
		Request: &alsdata.HTTPRequestProperties{
			RequestMethod: corev3.RequestMethod(corev3.RequestMethod_value[c.told["method"]]), Path: c.told["path"],
			Authority: c.told["authority"], UserAgent: c.told["user_agent"], RequestId: c.told["request_id"],
			ForwardedFor: c.told["x_forwarded_for"], RequestBodyBytes: uint64(c.number("bytes_received")),
		},
		Response: &alsdata.HTTPResponseProperties{
			ResponseCode: wrapperspb.UInt32(uint32(c.number("response_code"))), ResponseBodyBytes: uint64(c.number("bytes_sent")),
			ResponseCodeDetails: c.told["response_code_details"],
		},
	}
}

func address(text string) *corev3.Address {
	host, port, ok := strings.Cut(text, ":")
	if !ok {
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	must(err)
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(n)},
	}}}
}

func flagsOf(text string) *alsdata.ResponseFlags {
	flags := &alsdata.ResponseFlags{}
	for flag := range strings.SplitSeq(text, ",") {
		switch flag {
		case "UF":
			flags.UpstreamConnectionFailure = true
		case "URX":
			flags.UpstreamRetryLimitExceeded = true
		case "UH":
			flags.NoHealthyUpstream = true
		case "DC":
			flags.DownstreamConnectionTermination = true
		}
	}
	return flags
}

// pods are the reporters, and addresses those of everybody, in the topology that the cases of mesh_topology share.
var (
	pods      = map[string]string{"productpage-v1-1": "127.1.0.21", "reviews-v1-1": "127.1.0.31"}
	addresses = []string{
		"127.1.0.21", "127.1.0.31", "127.1.0.14", "127.1.0.61", "127.1.0.250", "127.1.100.3", "127.2.0.15", "127.2.0.41",
		"127.0.0.6", "203.0.113.9", "",
	}
)

// randomCall makes up a call: of either side, well or failed, with or without an upstream.
func randomCall(random *rand.Rand) *call {
	pick := func(values ...string) string { return values[random.IntN(len(values))] }
	at := func(port string) string {
		if a := pick(addresses...); a != "" {
			return a + ":" + port
		}
		return ""
	}
	c := &call{reporter: pick(slices.Sorted(maps.Keys(pods))...), told: map[string]string{
		"start_time": "2026-11-01T10:00:00.123Z", "response_code": pick("200", "404", "503", "0"),
		"response_flags": pick("", "", "UF", "UF,URX", "UH", "DC"), "bytes_received": pick("0", "12184"), "bytes_sent": pick("0", "358"),
		"duration": pick("0", "12", "59279"), "upstream_host": at("9080"), "upstream_local_address": at("40000"),
		"downstream_local_address": at("9080"), "downstream_remote_address": at(pick("55000", "0")),
		"upstream_cluster": pick("outbound|9080||reviews.bookinfo.svc.cluster.local", "inbound|9080||", "PassthroughCluster",
			"BlackHoleCluster", "InboundPassthroughCluster", "my-cluster"),
		"requested_server_name": pick("", "outbound_.9080_._.reviews.bookinfo.svc.cluster.local"), "route_name": pick("", "default"),
		"connection_termination_details":    pick("", "", "downstream_peer_cert_too_old"),
		"upstream_transport_failure_reason": pick("", "", "delayed connect error: 111"),
		"downstream_peer_uri_san":           pick("", "spiffe://west.mesh/ns/bookinfo/sa/bookinfo-productpage"),
	}}
	if strings.HasPrefix(c.told["downstream_remote_address"], "127.1.0.31:") {
		// Certificates do not lie: this address is another's. A line of text, which has no certificate in it, says so as well.
		delete(c.told, "downstream_peer_uri_san")
	}
	if random.IntN(4) == 0 {
		c.told["response_code"] = "0"
		return c
	}
	maps.Copy(c.told, map[string]string{
		"method": pick("GET", "POST", "DELETE"), "path": pick("/reviews/1", "/reviews/1?full=1&x=%20", "/"),
		"protocol": pick("HTTP/1.0", "HTTP/1.1", "HTTP/2"), "authority": pick("reviews:9080", "reviews", "[fd00::1]:80"),
		"user_agent": pick("", "curl/8.0", `my "great" agent`, "a - b"), "request_id": pick("", "e4e8c177-3962-9359-945e-61e7175cd867"),
		"x_forwarded_for": pick("", "10.0.0.9", "10.0.0.9,10.0.0.7"), "response_code_details": pick("", "via_upstream"),
		"upstream_service_time": pick("", "11"),
	})
	return c
}
