// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// liveLabels is how many labels of a kind stand in a live line.
const liveLabels = 6

// liveLine is one line about what arrived so far and since the count before.
func liveLine(now time.Time, sum ingestiontest.Summary, before uint64) string {
	since := sum.Accepted - min(before, sum.Accepted) // a reset counts from zero again
	line := fmt.Sprintf("%s  +%d  total %d", now.UTC().Format("15:04:05"), since, sum.Accepted)
	if sum.Rejected > 0 {
		line += fmt.Sprintf("  rejected %d", sum.Rejected)
	}
	if sum.Duplicates > 0 {
		line += fmt.Sprintf("  duplicates %d", sum.Duplicates)
	}
	var lineSb31 strings.Builder
	for _, counts := range []map[string]uint64{sum.ByType, sum.ByRole, sum.ByRegion} {
		if len(counts) > 0 {
			lineSb31.WriteString("  | " + topCounts(counts))
		}
	}
	line += lineSb31.String()
	return line
}

// topCounts lists the largest counts, then how many labels are left out.
func topCounts(counts map[string]uint64) string {
	labels := byCount(counts)
	left := max(0, len(labels)-liveLabels)
	words := make([]string, 0, liveLabels+1)
	for _, label := range labels[:len(labels)-left] {
		words = append(words, fmt.Sprintf("%s %d", label, counts[label]))
	}
	if left > 0 {
		words = append(words, fmt.Sprintf("and %d more", left))
	}
	return strings.Join(words, ", ")
}

func byCount(counts map[string]uint64) []string {
	return slices.SortedFunc(maps.Keys(counts), func(x, y string) int {
		return cmp.Or(cmp.Compare(counts[y], counts[x]), cmp.Compare(x, y))
	})
}

// writeSummary prints the totals, then a table of counts and one of edges.
func writeSummary(out io.Writer, sum ingestiontest.Summary) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nrequests\t%d\naccepted\t%d\nrejected\t%d\nduplicates\t%d\nevicted\t%d\n",
		sum.Requests, sum.Accepted, sum.Rejected, sum.Duplicates, sum.Evicted)
	for _, reason := range byCount(sum.RejectedBy) {
		fmt.Fprintf(w, "  rejected: %s\t%d\n", reason, sum.RejectedBy[reason])
	}
	if len(sum.Groups) > 0 {
		fmt.Fprintln(w, "\nTYPE\tROLE\tREGION\tRESULT\tCOUNT")
		for _, g := range sum.Groups {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\n", g.Type, dash(g.Role), dash(g.Region), dash(g.ResultCode), g.Count)
		}
	}
	if len(sum.Edges) > 0 {
		fmt.Fprintln(w, "\nFROM\tREGION\tTO\tREGION\tCALLS\tFAILED")
		for _, e := range sum.Edges {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\n", dash(e.SourceRole), dash(e.SourceRegion),
				dash(e.DestinationRole), dash(e.DestinationRegion), e.Calls, e.Failed)
		}
	}
	return w.Flush()
}

func dash(label string) string { return cmp.Or(label, "-") }
