// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

// reason is which limit a request met, in the words of the metric.
type reason string

const (
	reasonMalformed        reason = "malformed"
	reasonResources        reason = "resources"
	reasonScopes           reason = "scopes"
	reasonRecords          reason = "records"
	reasonMetrics          reason = "metrics"
	reasonEvents           reason = "events"
	reasonLinks            reason = "links"
	reasonAttributes       reason = "attributes"
	reasonValues           reason = "values"
	reasonExemplars        reason = "exemplars"
	reasonBuckets          reason = "buckets"
	reasonObjectAttributes reason = "attributes_per_object"
	reasonDepth            reason = "depth"
	reasonKeyBytes         reason = "key_bytes"
	reasonValueBytes       reason = "value_bytes"
	reasonDecodedBytes     reason = "decoded_bytes"
	reasonExpansion        reason = "expansion"
	reasonRequestBytes     reason = "request_bytes"
	reasonUnreadable       reason = "unreadable"
	reasonUnknownMessage   reason = "unknown_message"
	reasonUnknownPath      reason = "unknown_path"
	reasonConcurrentBytes  reason = "concurrent_bytes"
	reasonStreams          reason = "streams"
	reasonReading          reason = "reading"
	reasonSlow             reason = "slow"
	reasonMemory           reason = "memory"
	reasonConnections      reason = "connections"
	reasonHeaderBytes      reason = "header_bytes"
	reasonSmallFrames      reason = "small_frames"
	reasonControlFrames    reason = "control_frames"
	reasonEnding           reason = "ending"
)

// transport is how a request came, in the words of the metric.
type transport string

const (
	overGRPC transport = "grpc"
	overHTTP transport = "http"
)
