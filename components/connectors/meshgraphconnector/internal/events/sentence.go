// SPDX-License-Identifier: Apache-2.0

package events

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
)

// maxNamed is how many callers the sentence names; the attribute has up to [failover.MaxCallers].
const maxNamed = 3

// Sentence is the event for somebody who was just woken up: what, since when, how much, why, and who is hit.
func Sentence(e *failover.Event) string {
	var b strings.Builder
	service := serviceName(e.Service)
	from, to := names(e)
	if e.Phase == failover.Ended {
		ended(&b, e, service, from, to)
		return b.String()
	}
	switch {
	case e.Kind == failover.Deployment:
		fmt.Fprintf(&b, "Deployment of %s, which deletes all endpoints in %s before there are new ones:", service, from)
	case e.Kind != failover.Failover:
		fmt.Fprintf(&b, "Unexpected shift of %s, without a sign that anything failed:", service)
	case e.Phase == failover.Updated && e.Scope == failover.Whole:
		fmt.Fprintf(&b, "Now the whole region %s fails over, %s too:", e.From.Region, service)
	case e.Phase == failover.Updated:
		fmt.Fprintf(&b, "Failover of %s, no longer of the whole region %s:", service, e.From.Region)
	case e.Scope == failover.Whole:
		fmt.Fprintf(&b, "Failover of the whole region %s, here of %s:", e.From.Region, service)
	default:
		fmt.Fprintf(&b, "Failover of %s:", service)
	}
	fmt.Fprintf(&b, " %s of the calls from %s go to %s instead of %s, %s so far.",
		percent(e.Share), known(e.Caller), to, from, count(e.Moved, "request"))
	if len(e.Evidence) > 0 {
		b.WriteString(" Evidence: ")
		for i := range e.Evidence {
			if i > 0 {
				b.WriteString("; ")
			}
			b.WriteString(e.Evidence[i].Detail)
		}
		b.WriteByte('.')
	}
	callers(&b, e.Callers)
	return b.String()
}

func ended(b *strings.Builder, e *failover.Event, service, from, to string) {
	what := "Failover"
	switch e.Kind {
	case failover.Unexpected:
		what = "Unexpected shift"
	case failover.Deployment:
		what = "Shift for a deployment"
	}
	lasted := e.End.Sub(e.Start).Round(time.Second)
	switch e.Reason {
	case "recovered":
		fmt.Fprintf(b, "%s of %s is over after %s: calls from %s go to %s again.", what, service, lasted, known(e.Caller), from)
	case "no_traffic":
		fmt.Fprintf(b, "%s of %s is not followed any more after %s: nobody in %s calls it.", what, service, lasted, known(e.Caller))
	case "accepted":
		fmt.Fprintf(b, "%s of %s has lasted %s and counts as usual from now on: calls from %s go to %s.",
			what, service, lasted, known(e.Caller), to)
	case "deployment_over":
		fmt.Fprintf(b, "The deployment of %s is over after %s, and calls from %s still go to %s.", service, lasted, known(e.Caller), to)
	case "evidence_found":
		fmt.Fprintf(b, "%s of %s turned out to be a failover after %s.", what, service, lasted)
	default:
		fmt.Fprintf(b, "%s of %s is over after %s.", what, service, lasted)
	}
	fmt.Fprintf(b, " %s went to %s, %s of the calls at most.", count(e.Moved, "request"), to, percent(e.Share))
}

func callers(b *strings.Builder, list []string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, " Affected: %s", strings.Join(list[:min(len(list), maxNamed)], ", "))
	switch more := len(list) - maxNamed; {
	case len(list) >= failover.MaxCallers:
		fmt.Fprintf(b, " and at least %d more", more)
	case more > 0:
		fmt.Fprintf(b, " and %d more", more)
	}
	b.WriteByte('.')
}

// names are both places: by region, and by cluster where two are in one region.
func names(e *failover.Event) (from, to string) {
	if e.From.Region == e.To.Region {
		return placeName(e.From), placeName(e.To)
	}
	return regionName(e.From), regionName(e.To)
}

func regionName(p failover.Place) string {
	if p.Region == "" {
		return placeName(p)
	}
	if p.Cluster == "" {
		return p.Region
	}
	return p.Region + " (" + p.Cluster + ")"
}

func placeName(p failover.Place) string {
	if p.Cluster == "" {
		return known(p.Region)
	}
	return "cluster " + p.Cluster
}

func known(name string) string {
	if name == "" {
		return "an unknown place"
	}
	return name
}

func serviceName(s failover.Service) string {
	if s.Namespace == "" {
		return s.Name
	}
	return s.Name + "." + s.Namespace
}

// percent has no decimals from 1 % on, and never says 0 or 100 of what is only nearly so.
func percent(share float64) string {
	p := share * 100
	switch {
	case p > 0 && p < 1:
		return strconv.FormatFloat(math.Max(p, 0.1), 'f', 1, 64) + " %"
	case p > 99 && p < 100:
		return "99 %"
	}
	return strconv.FormatFloat(math.Min(p, 100), 'f', 0, 64) + " %"
}

func count(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.FormatUint(n, 10) + " " + what + "s"
}
