// SPDX-License-Identifier: Apache-2.0

package envoy

import (
	"slices"
	"strings"
)

// ResponseFlags are the reasons, in Envoy's order, why a response is not simply what the upstream sent: short forms
// such as "UH" or "DC" (Envoy documentation, access log operator %RESPONSE_FLAGS%). Flags that this package does not
// know are kept as they came. The long forms of %RESPONSE_FLAGS_LONG% ("NoHealthyUpstream") become the short ones.
type ResponseFlags []string

// ParseResponseFlags splits a comma-separated list of flags. "-" and the empty text mean none and give nil, without
// allocation.
func ParseResponseFlags(s string) ResponseFlags {
	var flags ResponseFlags
	for s != "" {
		var flag string
		flag, s = NextResponseFlag(s)
		if flag == "" {
			continue
		}
		if flags == nil {
			flags = make(ResponseFlags, 0, 1+strings.Count(s, ","))
		}
		flags = append(flags, flag)
	}
	return flags
}

// FirstResponseFlag returns the first flag of a list, "" if there is none. It does not allocate.
func FirstResponseFlag(s string) string {
	for s != "" {
		var flag string
		if flag, s = NextResponseFlag(s); flag != "" {
			return flag
		}
	}
	return ""
}

// Has reports whether flag, in its short form, is among the flags.
func (f ResponseFlags) Has(flag string) bool {
	return slices.Contains(f, flag)
}

// String returns the flags joined by commas, "" for none.
func (f ResponseFlags) String() string {
	return strings.Join(f, ",")
}

// NextResponseFlag returns the flag before the first comma in its short form, "" for none, and the text after the comma,
// for a loop that ends when there is no more text. It does not allocate.
func NextResponseFlag(s string) (flag, rest string) {
	flag, rest, _ = strings.Cut(s, ",")
	flag = strings.TrimSpace(flag)
	if flag == "-" {
		flag = ""
	}
	return shortFlag(flag), rest
}

// longestShort is the length of the longest short form, UMSDR.
const longestShort = 5

// shortFlag returns the short form of a flag (envoyproxy/envoy source/common/stream_info/utility.h). A flag that is
// short, or that this package does not know, stays.
func shortFlag(flag string) string {
	if len(flag) <= longestShort {
		return flag
	}
	if short, ok := shortFlags[flag]; ok {
		return short
	}
	return flag
}

// shortFlags are the short forms by the long ones.
var shortFlags = map[string]string{
	"FailedLocalHealthCheck":           "LH",
	"NoHealthyUpstream":                "UH",
	"UpstreamRequestTimeout":           "UT",
	"LocalReset":                       "LR",
	"UpstreamRemoteReset":              "UR",
	"UpstreamConnectionFailure":        "UF",
	"UpstreamConnectionTermination":    "UC",
	"UpstreamOverflow":                 "UO",
	"NoRouteFound":                     "NR",
	"DelayInjected":                    "DI",
	"FaultInjected":                    "FI",
	"RateLimited":                      "RL",
	"UnauthorizedExternalService":      "UAEX",
	"RateLimitServiceError":            "RLSE",
	"DownstreamConnectionTermination":  "DC",
	"UpstreamRetryLimitExceeded":       "URX",
	"StreamIdleTimeout":                "SI",
	"InvalidEnvoyRequestHeaders":       "IH",
	"DownstreamProtocolError":          "DPE",
	"UpstreamMaxStreamDurationReached": "UMSDR",
	"ResponseFromCacheFilter":          "RFCF",
	"NoFilterConfigFound":              "NFCF",
	"DurationTimeout":                  "DT",
	"UpstreamProtocolError":            "UPE",
	"NoClusterFound":                   "NC",
	"OverloadManagerTerminated":        "OM",
	"DnsResolutionFailed":              "DF",
	"DropOverload":                     "DO",
	"DownstreamRemoteReset":            "DR",
	"UnconditionalDropOverload":        "UDO",
}
