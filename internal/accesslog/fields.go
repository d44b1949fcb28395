// SPDX-License-Identifier: Apache-2.0

package accesslog

// Field is one fact of an Envoy access log.
type Field uint8

// The fields. Up to RouteName they are those of Istio's default formats (istio/istio pilot/pkg/model/telemetry_logging.go);
// the others are Envoy's command operators of the same name, which users add as labels.
const (
	FieldNone Field = iota
	StartTime
	Method
	Path
	Protocol
	ResponseCode
	ResponseFlags
	ResponseCodeDetails
	TerminationDetails
	TransportFailure
	BytesReceived
	BytesSent
	Duration
	UpstreamServiceTime
	ForwardedFor
	UserAgent
	RequestID
	Authority
	UpstreamHost
	UpstreamCluster
	UpstreamLocal
	DownstreamLocal
	DownstreamRemote
	ServerName
	RouteName

	DownstreamDirect
	DownstreamFailure
	PeerSAN
	LocalSAN
	TLSVersion
	StreamID
	Attempts
	GRPCStatusNumber
	UpstreamWireSent
	UpstreamWireReceived
	DownstreamWireSent
	DownstreamWireReceived

	// NumFields is one past the last field.
	NumFields
)

// fieldNames are the keys of Istio's JSON format, and command operators in lower case.
var fieldNames = [NumFields]string{
	StartTime: "start_time", Method: "method", Path: "path", Protocol: "protocol", ResponseCode: "response_code",
	ResponseFlags: "response_flags", ResponseCodeDetails: "response_code_details",
	TerminationDetails: "connection_termination_details", TransportFailure: "upstream_transport_failure_reason",
	BytesReceived: "bytes_received", BytesSent: "bytes_sent", Duration: "duration",
	UpstreamServiceTime: "upstream_service_time", ForwardedFor: "x_forwarded_for", UserAgent: "user_agent",
	RequestID: "request_id", Authority: "authority", UpstreamHost: "upstream_host", UpstreamCluster: "upstream_cluster",
	UpstreamLocal: "upstream_local_address", DownstreamLocal: "downstream_local_address",
	DownstreamRemote: "downstream_remote_address", ServerName: "requested_server_name", RouteName: "route_name",
	DownstreamDirect: "downstream_direct_remote_address", DownstreamFailure: "downstream_transport_failure_reason",
	PeerSAN: "downstream_peer_uri_san", LocalSAN: "downstream_local_uri_san", TLSVersion: "downstream_tls_version",
	StreamID: "stream_id", Attempts: "upstream_request_attempt_count", GRPCStatusNumber: "grpc_status_number",
	UpstreamWireSent: "upstream_wire_bytes_sent", UpstreamWireReceived: "upstream_wire_bytes_received",
	DownstreamWireSent: "downstream_wire_bytes_sent", DownstreamWireReceived: "downstream_wire_bytes_received",
}

var fieldsByName = func() map[string]Field {
	fields := make(map[string]Field, NumFields)
	for f, name := range fieldNames {
		if name != "" {
			fields[name] = Field(f)
		}
	}
	return fields
}()

// FieldOf returns the field that a JSON key or the label of an OpenTelemetry access log names, FieldNone for another
// name. It does not allocate.
func FieldOf(name string) Field { return fieldsByName[name] }

// String returns the field's key in Istio's JSON format, "" for one out of range.
func (f Field) String() string {
	if f >= NumFields {
		return ""
	}
	return fieldNames[f]
}

// ZtunnelField is one fact of a ztunnel access log.
type ZtunnelField uint8

// The fields of ztunnel (istio/ztunnel src/proxy/metrics.rs and src/telemetry.rs).
const (
	ZtunnelNone ZtunnelField = iota
	ZtunnelTime
	ZtunnelLevel
	ZtunnelMessage
	SourceAddress
	// SourceName is the name of the calling pod; where ztunnel does not know the pod, that of its workload or service.
	SourceName
	SourceNamespace
	SourceIdentity
	SourceCluster
	// DestinationAddress is whom ztunnel connected to, or on the called side which address was connected to: the pod, a
	// waypoint or an east/west gateway, with HBONE on port 15008.
	DestinationAddress
	// HBONETarget is the address asked for within the tunnel: "ip:port", or "host:port" through an east/west gateway.
	HBONETarget
	// DestinationService is the host name of the service that was called.
	DestinationService
	// DestinationName is as SourceName, of whoever has DestinationAddress.
	DestinationName
	DestinationNamespace
	DestinationIdentity
	DestinationCluster
	// Direction is "outbound" at the calling side and "inbound" at the called one.
	Direction
	// ZtunnelBytesSent and ZtunnelBytesReceived are as the reporting side's workload saw them, so the calling side's
	// "sent" is the called side's "received"; see [Ztunnel.Bytes].
	ZtunnelBytesSent
	ZtunnelBytesReceived
	ZtunnelDuration
	ZtunnelError

	// NumZtunnelFields is one past the last field.
	NumZtunnelFields
)

var ztunnelNames = [NumZtunnelFields]string{
	ZtunnelTime: "time", ZtunnelLevel: "level", ZtunnelMessage: "message",
	SourceAddress: "src.addr", SourceName: "src.workload", SourceNamespace: "src.namespace",
	SourceIdentity: "src.identity", SourceCluster: "src.cluster",
	DestinationAddress: "dst.addr", HBONETarget: "dst.hbone_addr", DestinationService: "dst.service",
	DestinationName: "dst.workload", DestinationNamespace: "dst.namespace", DestinationIdentity: "dst.identity",
	DestinationCluster: "dst.cluster", Direction: "direction", ZtunnelBytesSent: "bytes_sent",
	ZtunnelBytesReceived: "bytes_recv", ZtunnelDuration: "duration", ZtunnelError: "error",
}

var ztunnelByName = func() map[string]ZtunnelField {
	fields := make(map[string]ZtunnelField, NumZtunnelFields)
	for f, name := range ztunnelNames {
		if name != "" {
			fields[name] = ZtunnelField(f)
		}
	}
	return fields
}()

// ZtunnelFieldOf returns the field that a key of ztunnel's log names, ZtunnelNone for another name. It does not allocate.
func ZtunnelFieldOf(name string) ZtunnelField { return ztunnelByName[name] }

// String returns the field's key in ztunnel's log, "" for one out of range.
func (f ZtunnelField) String() string {
	if f >= NumZtunnelFields {
		return ""
	}
	return ztunnelNames[f]
}
