// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
	"github.com/otelcol-mesh/otelcol-mesh/demo/stack"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// itemTypes are the columns, in the order a reader looks for them.
var itemTypes = []string{"Request", "Dependency", "Message", "Metric"}

func printFlows(w io.Writer, s *stack.Stack) {
	fmt.Fprintln(w, "\nwhat flows where")
	for _, c := range layout.Clusters() {
		agent := s.Host("agent-" + c.Name)
		fmt.Fprintf(w, "  %-17s ingress %s -> productpage -> details, reviews -> ratings (8 Envoys)\n", c.Name, mesh.IngressURL(c.Name))
		fmt.Fprintf(w, "  %-17s spans -> %s:4317, access logs and gateway metrics -> %s:18090, scrape <- :15090\n", "", agent, agent)
		fmt.Fprintf(w, "  %-17s agent -> hub %s:14317, mutual TLS\n", "", s.Host("hub"))
	}
	fmt.Fprintf(w, "  %-17s -> local Application Insights %s\n", "hub", s.Insights().URL())
	fmt.Fprintln(w, "\ntry, in another terminal")
	fmt.Fprintf(w, "  curl -s %s/summary\n", s.Insights().URL())
	fmt.Fprintf(w, "  curl -s '%s/items?type=Dependency&limit=1'\n", s.Insights().URL())
	for _, action := range []string{"fail", "heal"} {
		fmt.Fprintf(w, "  curl -sX POST '%s/%s?cluster=aks-westeurope&service=reviews'\n", stack.ControlURL, action)
	}
	fmt.Fprintln(w)
}

// printCounts prints one line, short enough for a terminal.
func printCounts(w io.Writer, sum ingestiontest.Summary) {
	parts := make([]string, 0, len(itemTypes))
	for _, t := range itemTypes {
		parts = append(parts, fmt.Sprintf("%s %d", t, sum.ByType[t]))
	}
	for _, region := range slices.Sorted(maps.Keys(sum.ByRegion)) {
		parts = append(parts, fmt.Sprintf("%s %d", region, sum.ByRegion[region]))
	}
	fmt.Fprintf(w, "%s  roles %d | %s | between regions %d\n", time.Now().Format(time.TimeOnly), len(sum.ByRole), strings.Join(parts, " | "), crossRegion(sum))
}

func crossRegion(sum ingestiontest.Summary) (calls uint64) {
	for _, e := range sum.Edges {
		if e.SourceRegion != e.DestinationRegion {
			calls += e.Calls
		}
	}
	return calls
}

type place struct{ region, role string }

// printSummary prints the final tables. It returns an error if nothing arrived of some type, or from some region: then
// the path is broken and the exit code must say so.
func printSummary(w io.Writer, sum ingestiontest.Summary, load mesh.LoadSummary) error {
	// Istio's metrics name the regions of both ends and not the reporter's: a role with a region has the same on all signals.
	regions := map[string]string{}
	for _, g := range sum.Groups {
		if g.Region != "" {
			regions[g.Role] = g.Region
		}
	}
	counts := map[place]map[string]uint64{}
	for _, g := range sum.Groups {
		p := place{cmp.Or(g.Region, regions[g.Role]), g.Role}
		if counts[p] == nil {
			counts[p] = map[string]uint64{}
		}
		counts[p][g.Type] += g.Count
	}
	fmt.Fprintln(w, "\nwhat arrived at Application Insights")
	table := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  REGION\tROLE\t"+strings.ToUpper(strings.Join(itemTypes, "\t")))
	places := slices.SortedFunc(maps.Keys(counts), func(a, b place) int {
		return cmp.Or(strings.Compare(a.region, b.region), strings.Compare(a.role, b.role))
	})
	for _, p := range places {
		fmt.Fprintf(table, "  %s\t%s", orDash(p.region), orDash(p.role))
		for _, t := range itemTypes {
			fmt.Fprintf(table, "\t%*d", len(t), counts[p][t]) // as wide as the column's title, so numbers end below it
		}
		fmt.Fprintln(table)
	}
	table.Flush()
	fmt.Fprintln(w, "  Requests are spans of called services, Dependencies of callers, Messages access log records, Metrics points.")
	fmt.Fprintln(w, "  East/west gateways pass encrypted connections on: they log connections and make no spans.")

	fmt.Fprintln(w, "\nthe Application Map: who calls whom")
	table = tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  FROM\tTO\tCALLS\tFAILED")
	for _, e := range sum.Edges {
		mark := ""
		if e.SourceRegion != e.DestinationRegion {
			mark = "\t<- between regions"
		}
		fmt.Fprintf(table, "  %s\t%s\t%5d\t%6d%s\n", orDash(e.SourceRole), orDash(e.DestinationRole), e.Calls, e.Failed, mark)
	}
	table.Flush()
	fmt.Fprintln(w, "  Failures are part of the load: broken details (503). A missing book (404) is a failure to its caller and to no server.")
	fmt.Fprintf(w, "\nload: %d requests, %d answered as expected; items: %d accepted, %d rejected, %d duplicates\n",
		load.Sent, load.OK, sum.Accepted, sum.Rejected, sum.Duplicates)
	return verdict(sum)
}

func verdict(sum ingestiontest.Summary) error {
	var errs []error
	for _, t := range itemTypes {
		if sum.ByType[t] == 0 {
			hint := ""
			if t == "Metric" {
				hint = " (metrics take a few seconds: let the demo run for 20 or more)"
			}
			errs = append(errs, fmt.Errorf("no %s item arrived%s", t, hint))
		}
	}
	for _, c := range layout.Clusters() {
		if sum.ByRegion[c.Region] == 0 {
			errs = append(errs, fmt.Errorf("nothing arrived from %s", c.Region))
		}
	}
	return errors.Join(errs...)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
