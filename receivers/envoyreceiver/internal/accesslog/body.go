// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	alsdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
)

// httpBody is the line a person reads: "GET /reviews/0 503 outbound|9080||reviews… 1.2ms [UF,URX]". It leaves out the
// query, which may hold what should not be in plain sight.
func httpBody(entry *alsdata.HTTPAccessLogEntry, flags []string) string {
	request := entry.GetRequest()
	path, _ := splitPath(request.GetPath())
	return line(
		methodName(request.GetRequestMethod()),
		orDash(path),
		strconv.FormatUint(uint64(entry.GetResponse().GetResponseCode().GetValue()), 10),
		tail(entry.GetCommonProperties(), flags),
	)
}

// tcpBody is the line a person reads: "TCP 127.1.0.31:40222 -> 127.1.0.32:9080 outbound|9080||… 12ms [UF]".
func tcpBody(entry *alsdata.TCPAccessLogEntry, flags []string) string {
	common := entry.GetCommonProperties()
	to := addressText(common.GetUpstreamRemoteAddress())
	if to == "" {
		to = addressText(common.GetDownstreamLocalAddress())
	}
	return line("TCP", orDash(addressText(common.GetDownstreamRemoteAddress())), "->", orDash(to), tail(common, flags))
}

func tail(common *alsdata.AccessLogCommon, flags []string) string {
	text := common.GetUpstreamCluster()
	if d := common.GetDuration(); d.IsValid() {
		text += " " + d.AsDuration().Round(10*time.Microsecond).String()
	}
	if len(flags) > 0 {
		text += " [" + strings.Join(flags, ",") + "]"
	}
	return strings.TrimSpace(text)
}

func line(parts ...string) string {
	return strings.TrimSpace(strings.Join(parts, " "))
}

func methodName(method corev3.RequestMethod) string {
	if method == corev3.RequestMethod_METHOD_UNSPECIFIED {
		return "-"
	}
	return method.String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
