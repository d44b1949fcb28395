// SPDX-License-Identifier: Apache-2.0

package accesslog

// Attributes of a record that have no semantic convention. The README explains each.
const (
	keyLogName      = "envoy.log.name"
	keyType         = "envoy.access_log.type"
	keyIntermediate = "envoy.access_log.intermediate"
	keySampleRate   = "envoy.access_log.sample_rate"
	keyStreamID     = "envoy.stream.id"
	keyRouteName    = "envoy.route.name"
	keyFlags        = "envoy.response.flags"
	keyTermination  = "envoy.connection.termination_details"

	keyUpstreamCluster  = "envoy.upstream.cluster"
	keyUpstreamAddress  = "envoy.upstream.address"
	keyUpstreamLocal    = "envoy.upstream.local_address"
	keyUpstreamAttempts = "envoy.upstream.request.attempts"
	keyUpstreamFailure  = "envoy.upstream.transport_failure_reason"
	keyUpstreamSent     = "envoy.upstream.wire.sent_bytes"
	keyUpstreamReceived = "envoy.upstream.wire.received_bytes"

	keyDownstreamAddress  = "envoy.downstream.address"
	keyDownstreamLocal    = "envoy.downstream.local_address"
	keyDownstreamDirect   = "envoy.downstream.direct_address"
	keyDownstreamFailure  = "envoy.downstream.transport_failure_reason"
	keyDownstreamSent     = "envoy.downstream.wire.sent_bytes"
	keyDownstreamReceived = "envoy.downstream.wire.received_bytes"

	keyDuration            = "envoy.duration_ms"
	keyLastRx              = "envoy.timing.last_downstream_rx_ms"
	keyFirstUpstreamTx     = "envoy.timing.first_upstream_tx_ms"
	keyLastUpstreamTx      = "envoy.timing.last_upstream_tx_ms"
	keyFirstUpstreamRx     = "envoy.timing.first_upstream_rx_ms"
	keyLastUpstreamRx      = "envoy.timing.last_upstream_rx_ms"
	keyFirstDownstreamTx   = "envoy.timing.first_downstream_tx_ms"
	keyLastDownstreamTx    = "envoy.timing.last_downstream_tx_ms"
	keyRequestID           = "envoy.request.id"
	keyOriginalPath        = "envoy.request.original_path"
	keyRequestHeadersSize  = "envoy.request.headers.size"
	keyResponseHeadersSize = "envoy.response.headers.size"
	keyCodeDetails         = "envoy.response.code_details"

	keyUpstreamHeaderSent       = "envoy.upstream.header.sent_bytes"
	keyUpstreamHeaderReceived   = "envoy.upstream.header.received_bytes"
	keyDownstreamHeaderSent     = "envoy.downstream.header.sent_bytes"
	keyDownstreamHeaderReceived = "envoy.downstream.header.received_bytes"

	keySNI       = "envoy.tls.sni"
	keySessionID = "envoy.tls.session_id"
	keyPeerSAN   = "envoy.tls.peer.san"
	keyPeerSANs  = "envoy.tls.peer.sans"
	keyLocalSAN  = "envoy.tls.local.san"
	keyLocalSANs = "envoy.tls.local.sans"
	keyBytesSent = "envoy.bytes.sent"

	keyBytesReceived = "envoy.bytes.received"

	prefixCustomTag       = "envoy.custom_tag."
	prefixFilterState     = "envoy.filter_state."
	prefixMetadata        = "envoy.metadata."
	prefixRequestHeader   = "http.request.header."
	prefixResponseHeader  = "http.response.header."
	prefixResponseTrailer = "envoy.response.trailer."
)
