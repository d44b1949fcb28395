// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"slices"

	alsdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"

	"github.com/otelcol-mesh/otelcol-mesh/internal/accesslog"
)

// flag pairs a short form, as text logs and Istio's metrics have it, with its field.
type flag struct {
	short string
	isSet func(*alsdata.ResponseFlags) bool
}

// allFlags are in the order of the protocol (envoy/data/accesslog/v3/accesslog.proto, ResponseFlags); short forms from
// Envoy's source/common/stream_info/utility.h.
var allFlags = []flag{
	{"LH", (*alsdata.ResponseFlags).GetFailedLocalHealthcheck},
	{"UH", (*alsdata.ResponseFlags).GetNoHealthyUpstream},
	{"UT", (*alsdata.ResponseFlags).GetUpstreamRequestTimeout},
	{"LR", (*alsdata.ResponseFlags).GetLocalReset},
	{"UR", (*alsdata.ResponseFlags).GetUpstreamRemoteReset},
	{"UF", (*alsdata.ResponseFlags).GetUpstreamConnectionFailure},
	{"UC", (*alsdata.ResponseFlags).GetUpstreamConnectionTermination},
	{"UO", (*alsdata.ResponseFlags).GetUpstreamOverflow},
	{"NR", (*alsdata.ResponseFlags).GetNoRouteFound},
	{"DI", (*alsdata.ResponseFlags).GetDelayInjected},
	{"FI", (*alsdata.ResponseFlags).GetFaultInjected},
	{"RL", (*alsdata.ResponseFlags).GetRateLimited},
	{"UAEX", isUnauthorized},
	{"RLSE", (*alsdata.ResponseFlags).GetRateLimitServiceError},
	{"DC", (*alsdata.ResponseFlags).GetDownstreamConnectionTermination},
	{"URX", (*alsdata.ResponseFlags).GetUpstreamRetryLimitExceeded},
	{"SI", (*alsdata.ResponseFlags).GetStreamIdleTimeout},
	{"IH", (*alsdata.ResponseFlags).GetInvalidEnvoyRequestHeaders},
	{"DPE", (*alsdata.ResponseFlags).GetDownstreamProtocolError},
	{"UMSDR", (*alsdata.ResponseFlags).GetUpstreamMaxStreamDurationReached},
	{"RFCF", (*alsdata.ResponseFlags).GetResponseFromCacheFilter},
	{"NFCF", (*alsdata.ResponseFlags).GetNoFilterConfigFound},
	{"DT", (*alsdata.ResponseFlags).GetDurationTimeout},
	{"UPE", (*alsdata.ResponseFlags).GetUpstreamProtocolError},
	{"NC", (*alsdata.ResponseFlags).GetNoClusterFound},
	{"OM", (*alsdata.ResponseFlags).GetOverloadManager},
	{"DF", (*alsdata.ResponseFlags).GetDnsResolutionFailure},
	{"DR", (*alsdata.ResponseFlags).GetDownstreamRemoteReset},
}

// Flags returns the short forms of the flags that are set, in the order of the protocol; nil if none is.
func Flags(flags *alsdata.ResponseFlags) []string {
	if flags == nil {
		return nil
	}
	var set []string
	for _, f := range allFlags {
		if f.isSet(flags) {
			set = append(set, f.short)
		}
	}
	return set
}

func isUnauthorized(flags *alsdata.ResponseFlags) bool {
	return flags.GetUnauthorizedDetails() != nil
}

func hasFailure(flags []string) bool {
	return slices.ContainsFunc(flags, accesslog.IsFailureFlag)
}
