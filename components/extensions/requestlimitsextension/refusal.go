// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"fmt"
	"net/http"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/requestlimitsextension/internal/otlpwalk"
)

// refusal is why a request is not taken, and what its sender is told.
type refusal struct {
	reason  reason
	message string
	// code and http are the answers over gRPC and HTTP.
	code codes.Code
	http int
	// retryAfter is zero if trying again cannot help.
	retryAfter time.Duration
}

// grpc returns the answer over gRPC. RetryInfo is what makes RESOURCE_EXHAUSTED one that senders of OTLP retry:
// https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-throttling.
func (r *refusal) grpc() *status.Status {
	s := status.New(r.code, r.message)
	if r.retryAfter == 0 {
		return s
	}
	detailed, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(r.retryAfter)})
	if err != nil {
		return s
	}
	return detailed
}

// keys are the settings behind the reasons of the walk.
var keys = map[otlpwalk.Reason]struct {
	reason reason
	key    string
}{
	otlpwalk.Resources:        {reasonResources, "max_resources"},
	otlpwalk.Scopes:           {reasonScopes, "max_scopes"},
	otlpwalk.Records:          {reasonRecords, "max_records"},
	otlpwalk.MetricNames:      {reasonMetrics, "max_metrics"},
	otlpwalk.Events:           {reasonEvents, "max_events"},
	otlpwalk.Links:            {reasonLinks, "max_links"},
	otlpwalk.Attributes:       {reasonAttributes, "max_attributes"},
	otlpwalk.Values:           {reasonValues, "max_values"},
	otlpwalk.Exemplars:        {reasonExemplars, "max_exemplars"},
	otlpwalk.Buckets:          {reasonBuckets, "max_buckets"},
	otlpwalk.ObjectAttributes: {reasonObjectAttributes, "max_attributes_per_object"},
	otlpwalk.Depth:            {reasonDepth, "max_depth"},
	otlpwalk.KeyBytes:         {reasonKeyBytes, "max_key_bytes"},
	otlpwalk.ValueBytes:       {reasonValueBytes, "max_value_bytes"},
	otlpwalk.DecodedBytes:     {reasonDecodedBytes, "max_decoded_bytes"},
}

func violated(v *otlpwalk.Violation, size int64, expansion bool, cfg *RequestConfig) *refusal {
	if v.Reason == otlpwalk.Malformed {
		return malformed("the request is not what OTLP defines")
	}
	if v.Reason == otlpwalk.DecodedBytes && expansion {
		return tooMuch(reasonExpansion, fmt.Sprintf(
			"%d bytes decode to more than %d times their size ('request::max_expansion')", size, cfg.MaxExpansion))
	}
	k := keys[v.Reason]
	return tooMuch(k.reason, fmt.Sprintf("the request is over 'request::%s' (%d)", k.key, v.Limit))
}

func malformed(message string) *refusal {
	return &refusal{
		reason: reasonMalformed, message: prefix + message,
		code: codes.InvalidArgument, http: http.StatusBadRequest,
	}
}

// tooMuch is a limit of one request: the sender cannot send it again, only smaller ones.
func tooMuch(reason reason, message string) *refusal {
	return &refusal{
		reason: reason, message: prefix + message,
		code: codes.InvalidArgument, http: http.StatusRequestEntityTooLarge,
	}
}

// busy is a limit of all requests together: later there is room again.
func busy(reason reason, message string, after time.Duration) *refusal {
	return &refusal{
		reason: reason, message: prefix + message,
		code: codes.ResourceExhausted, http: http.StatusServiceUnavailable, retryAfter: after,
	}
}

// tooSlow is for a request whose sender took too long with it while others waited, or altogether. Over gRPC the call ends
// as CANCELED, which senders of OTLP retry.
func tooSlow(after time.Duration) *refusal {
	return busy(reasonSlow, "the request came too slowly ('min_read_time', 'max_read_time')", after)
}

// noTurn is for a request that was not read in time because of others.
func noTurn(after time.Duration) *refusal {
	return busy(reasonReading, "too many requests are being read ('max_reading', 'max_reading_per_peer')", after)
}

// tooMuchMemory is for a stream that was ended as the process takes more than it may.
func tooMuchMemory(after time.Duration) *refusal {
	return busy(reasonMemory, "the process takes too much memory ('max_process_bytes')", after)
}

const prefix = "request_limits: "
