// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// write appends the result code: the status of the RPC system, else that of HTTP, that of the database, what Envoy's flags
// come to, the type of the error. 0 means that there was none, and 2, as in other exporters, an error of which nothing is
// told. It returns which attributes the code is.
func (o *outcome) write(e *items.Encoder) usage {
	switch {
	case o.shape == shapeRPC && o.rpc != noCode:
		e.WriteInt(o.rpc)
		return usedRPCResult | o.errorIs(o.rpc)
	case o.shape == shapeRPC && o.text != "":
		e.Write(o.text)
		return usedRPCResult | o.errorIsText()
	case o.http != noCode:
		e.WriteInt(o.http)
		return usedResult | o.errorIs(o.http)
	case o.text != "":
		e.Write(o.text)
		return usedDBResult | o.errorIsText()
	case o.flags != "":
		e.Write(codeOfFlags(o.flags))
	case o.status != ptrace.StatusCodeError:
		e.Write("0")
	case o.errorType != "" && o.errorType != "_OTHER":
		e.Write(o.errorType)
		return usedErrorType
	default:
		e.Write("2")
	}
	return 0
}

// errorIs tells whether the type of the error is that code and nothing more, as the conventions ask for where nothing better
// is known.
func (o *outcome) errorIs(code int64) usage {
	if o.errorType != "" {
		n, err := strconv.ParseInt(o.errorType, 10, 64)
		if (err == nil && n == code) || (o.shape == shapeRPC && grpcCode(o.errorType) == code) {
			return usedErrorType
		}
	}
	return 0
}

func (o *outcome) errorIsText() usage {
	if o.errorType == o.text {
		return usedErrorType
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
