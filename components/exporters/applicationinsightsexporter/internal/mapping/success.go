// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// successRules say which calls have failed.
type successRules struct {
	clientErrorIsFailure bool
	successes            []int64
}

func newSuccessRules(s *Settings) successRules {
	r := successRules{clientErrorIsFailure: s.ClientErrorIsFailure}
	for _, code := range s.AdditionalSuccessStatusCodes {
		r.successes = append(r.successes, int64(code))
	}
	return r
}

// outcome is what a span says of how it ended.
type outcome struct {
	// called is about a span of the called side.
	called bool
	shape  shape
	status ptrace.StatusCode
	// http and rpc are the codes; without one they are noCode.
	http, rpc int64
	// flags are Envoy's response flags, or empty.
	flags string
	// errorType is error.type, or empty.
	errorType string
	// text is the code of an RPC system or a database as it names it.
	text string
}

const noCode = -1

// outcomeOf collects what a span says of how it ended.
func outcomeOf(s shape, a *attributes, status ptrace.StatusCode, called bool) outcome {
	o := outcome{
		called: called, shape: s, status: status, http: noCode, rpc: noCode,
		flags: a.text(fieldFlags), errorType: a.text(fieldErrorType),
	}
	if o.flags == "-" {
		o.flags = ""
	}
	if code, ok := a.whole(fieldStatus); ok && code > 0 {
		o.http = code
	}
	switch s {
	case shapeRPC:
		o.readRPC(a)
	case shapeDatabase:
		o.text = a.asText(fieldDBStatus)
	}
	return o
}

// readRPC reads the status of RPC. Only gRPC's numbers and names are gRPC's.
func (o *outcome) readRPC(a *attributes) {
	if code, ok := a.whole(fieldGRPCStatus); ok && code >= 0 {
		o.rpc = code
		return
	}
	o.text = a.asText(fieldRPCStatus)
	if system := a.text(fieldRPCSystem); system != "" && system != systemGRPC {
		return
	}
	if code, ok := a.whole(fieldRPCStatus); ok && code >= 0 {
		o.rpc = code
	} else {
		o.rpc = grpcCode(o.text)
	}
}

const systemGRPC = "grpc"

// success follows the semantic conventions on span status. An application's explicit OK beats all codes. A code decides
// where the conventions derive the status from it; where they leave it unset but allow for another error (a response that
// broke off, redirects without end), an ERROR counts.
func (r *successRules) success(o *outcome) bool {
	if o.status == ptrace.StatusCodeOk {
		return true
	}
	switch {
	case o.shape == shapeRPC && o.rpc != noCode:
		return r.rpcSuccess(o)
	case o.http != noCode:
		return r.httpSuccess(o)
	case o.status == ptrace.StatusCodeError:
		return false
	default:
		// A proxy that has flags, and no code, sent no response.
		return o.flags == ""
	}
}

func (r *successRules) httpSuccess(o *outcome) bool {
	switch {
	case slices.Contains(r.successes, o.http):
		return true
	case o.http >= 500:
		return false
	case o.http >= 400:
		return o.called && !r.clientErrorIsFailure
	default:
		return o.status != ptrace.StatusCodeError
	}
}

// rpcSuccess: at the caller every code but OK is a failure, at the called side only those that say that the server failed.
func (r *successRules) rpcSuccess(o *outcome) bool {
	switch {
	case o.rpc == 0:
		return o.status != ptrace.StatusCodeError
	case !o.called:
		return false
	default:
		return !serverFailure(o.rpc)
	}
}

// serverFailure says that a gRPC code is an error of the server's: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL,
// UNAVAILABLE and DATA_LOSS by the conventions for gRPC, and codes that gRPC does not have.
func serverFailure(code int64) bool {
	switch code {
	case 2, 4, 12, 13, 14, 15:
		return true
	default:
		return code > 16
	}
}

var grpcCodes = []string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
	"DATA_LOSS", "UNAUTHENTICATED",
}

// grpcCode returns the number of a code by its name, or noCode.
func grpcCode(name string) int64 {
	if name == "" {
		return noCode
	}
	return int64(slices.Index(grpcCodes, name)) // -1 is noCode
}
