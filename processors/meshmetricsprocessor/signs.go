// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"cmp"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/early"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/series"
)

// watches are those of one written series: calls elsewhere that fail have two.
type watches []*early.Watch

// Grew tells all of them.
func (w watches) Grew(n float64) {
	for _, one := range w {
		one.Grew(n)
	}
}

// callsOf says whether a metric counts calls, each once for a reporter, and whether all of these failed, or only those with a
// flag that says so are looked at.
func callsOf(name string) (calls, failed, flagged bool) {
	name = strings.TrimSuffix(strings.TrimPrefix(name, "istiocustom."), "_total")
	switch name {
	case "istio_requests", "istio_tcp_connections_opened":
		return true, false, false
	case "istio_tcp_connections_failed":
		return true, true, false
	case "istio_tcp_connections_closed":
		// It was counted when it was opened.
		return true, false, true
	}
	return false, false, false
}

// end is what a point says of one end of a call.
type end struct{ cluster, region, namespace, service string }

// signsOf says what the labels of a written series tell. It looks at those that stay, so that all points of a series say the
// same; without them it says nothing.
func (s *seeds) signsOf(name string, attrs pcommon.Map) (signs []early.Sign, text string) {
	calls, failed, flagged := callsOf(name)
	if !calls {
		return nil, ""
	}
	var from, to end
	var reporter, host, hostNamespace, flags string
	for key, value := range attrs.All() {
		switch key {
		case "reporter":
			reporter = value.AsString()
		case "response_flags":
			flags = value.AsString()
		case "destination_service_name":
			host = value.AsString()
		case "destination_service_namespace":
			hostNamespace = value.AsString()
		case "mesh.source.cluster":
			from.cluster = value.AsString()
		case "mesh.source.region":
			from.region = value.AsString()
		case "mesh.destination.cluster":
			to.cluster = value.AsString()
		case "mesh.destination.region":
			to.region = value.AsString()
		case "mesh.destination.namespace":
			to.namespace = value.AsString()
		case "mesh.destination.service":
			to.service = value.AsString()
		}
	}
	// Who was called, rather than who answered: it is the same for calls that reached nobody.
	if host != "" && host != "unknown" {
		to.service, to.namespace = host, hostNamespace
	}
	if to.service == "" || reporter == "" {
		return nil, ""
	}
	elsewhere := differ(from.cluster, to.cluster) || differ(from.region, to.region)
	failed = failed || hasFailure(flags)
	service := early.Key(s.text(reporter, to.namespace, to.service))
	way := early.Key(s.text(from.cluster, from.region, to.cluster, to.region))
	if elsewhere && !flagged {
		signs = append(signs, early.Sign{Service: service, Way: way, Kind: early.Elsewhere})
	}
	if failed {
		signs = append(signs, early.Sign{Service: service, Kind: early.Failed})
	}
	if len(signs) == 0 {
		signs = append(signs, early.Sign{Service: service, Way: way, Kind: early.Usual})
	}
	return signs, to.text()
}

func differ(a, b string) bool { return a != "" && b != "" && a != b }

func hasFailure(flags string) bool {
	for flag := range strings.SplitSeq(flags, ",") {
		if early.FailureFlag(strings.TrimSpace(flag)) {
			return true
		}
	}
	return false
}

// text says where a call went.
func (e *end) text() string {
	text := e.service
	if e.namespace != "" {
		text += "." + e.namespace
	}
	if place := cmp.Or(e.region, e.cluster); place != "" {
		text += " in " + place
	}
	return text
}

// watch begins to count what a series tells, if it is one of calls. It returns how much memory that takes, as estimated.
func (p *meshMetrics) watch(l *outputLabel) int {
	if p.early == nil {
		return 0
	}
	signs, text := p.seeds.signsOf(l.name, l.attrs)
	for _, sign := range signs {
		l.watches = append(l.watches, p.early.Get(sign, text))
	}
	return len(signs) * (early.WatchBytes + len(text))
}

// Counter returns what is told of the growth of a series; nil for nothing.
func (l *outputLabel) Counter() series.Counter {
	if len(l.watches) == 0 || l.watches[0].Kind() == early.Usual {
		return nil
	}
	return l.watches
}
