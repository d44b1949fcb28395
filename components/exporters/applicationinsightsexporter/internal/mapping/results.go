// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// write appends the result code: the status of the RPC system, else that of HTTP, else what Envoy's flags come to, else the
// type of the error. 0 means that there was none, and 2, as in other exporters, an error of which nothing is told. It returns which
// attributes the code is.
func (o *outcome) write(e *items.Encoder) usage {
	switch {
	case o.shape == shapeRPC && o.rpc != noCode:
		e.WriteInt(o.rpc)
		return usedRPCResult
	case o.shape == shapeRPC && o.rpcText != "":
		e.Write(o.rpcText)
	case o.http != noCode:
		e.WriteInt(o.http)
		return usedResult
	case o.flags != "":
		e.Write(codeOfFlags(o.flags))
	case o.status != ptrace.StatusCodeError:
		e.Write("0")
	case o.errorType != "" && o.errorType != "_OTHER":
		e.Write(o.errorType)
	default:
		e.Write("2")
	}
	return 0
}

// codeOfFlags is the HTTP status that Envoy would have answered with had there been anybody to answer to, for a call that
// ended without one: 499 if the caller went away, 504 for a timeout, 503 if no upstream could be had. Other flags stay
// as they are. Of several the first counts.
func codeOfFlags(flags string) string {
	first, _, _ := strings.Cut(flags, ",")
	switch first {
	case "DC", "DownstreamConnectionTermination":
		return "499"
	case "UT", "UpstreamRequestTimeout":
		return "504"
	case "UF", "UH", "NR", "UO", "UpstreamConnectionFailure", "NoHealthyUpstream", "NoRouteFound", "UpstreamOverflow":
		return "503"
	default:
		return first
	}
}
