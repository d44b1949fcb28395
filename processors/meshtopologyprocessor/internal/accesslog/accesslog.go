// SPDX-License-Identifier: Apache-2.0

// Package accesslog reads the line that Istio's proxies log by default. The entry point is [Parse].
package accesslog

import "strings"

// Line is the part of a line that tells the two ends of a call. Fields are as they stand in the line; "-" stands for
// nothing.
type Line struct {
	UpstreamHost, UpstreamCluster, UpstreamLocal  string
	DownstreamLocal, DownstreamRemote, ServerName string
}

// Parse reads the end of a line in Istio's default text format (istio/istio pilot/pkg/model/telemetry_logging.go):
//
//	[time] "request" … "authority" "upstream host" cluster local local remote server-name route
//
// It works backward from the end, because the fields in front of the upstream host are the caller's to choose: a quote
// within a user agent must not shift an address of the caller's making into the place of a real one. ok is false for a
// line of another form. Parse does not allocate.
func Parse(line string) (l Line, ok bool) {
	line = strings.TrimRight(line, "\n")
	if !strings.HasPrefix(line, "[") {
		return Line{}, false
	}
	var route string
	for _, field := range []*string{
		&route, &l.ServerName, &l.DownstreamRemote, &l.DownstreamLocal, &l.UpstreamLocal, &l.UpstreamCluster,
	} {
		if line, *field, ok = cutLast(line); !ok {
			return Line{}, false
		}
	}
	line, ok = strings.CutSuffix(line, `"`)
	start := strings.LastIndexByte(line, '"')
	if !ok || start < 0 || !strings.HasSuffix(line[:start], `" `) {
		return Line{}, false
	}
	l.UpstreamHost = line[start+1:]
	return l, l.UpstreamHost != "" && !strings.Contains(l.UpstreamHost, " ")
}

// cutLast cuts the last word off. A word is never empty and never quoted.
func cutLast(s string) (rest, word string, ok bool) {
	i := strings.LastIndexByte(s, ' ')
	if i < 0 || i == len(s)-1 {
		return "", "", false
	}
	rest, word = s[:i], s[i+1:]
	return rest, word, strings.IndexByte(word, '"') < 0
}
