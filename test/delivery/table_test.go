// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"strings"
)

// markdown is the page docs/delivery-faults.md.
func markdown(cases []faultCase, outcomes *book) string {
	var b strings.Builder
	b.WriteString(`# Faults of the endpoint, and what becomes of the items

Each row is one fault, put to both exporters in the same run: items with a number of their own go in, the endpoint does
what the row says, and then it is healthy again. Spans, records and points take turns. *Lost* items are neither at the
endpoint nor in the dead letters. *Twice* is how many the endpoint has more than once. *Says* is what the exporter's own
counters told.

` + "`application_insights`" + ` ran with its storage and its pauses cut short; ` + "`azure_monitor`" + ` is azuremonitorexporter v0.161.0 with a
persistent queue and a timeout, which is the best its configuration offers. Its pauses of 10, 30 and 60 seconds are fixed,
and it reads its key from no file, so a wrong one stays.

The outages of ten minutes are cut short for ` + "`application_insights`" + `, to a dozen rounds of refused attempts; with
OTELCOL_MESH_DELIVERY_OUTAGE=10m they last as long as they say. For ` + "`azure_monitor`" + ` they last 105 seconds: it has given up then.

Made by ` + "`go test ./test/delivery -run TestFaults -update`" + `; the test fails if ours loses one item.

| fault | items | lost | twice | dead-lettered | says | azure_monitor: lost | twice | says |
|---|---:|---:|---:|---:|---|---:|---:|---|
`)
	for i := range cases {
		c := &cases[i]
		our, their := outcomes.get(c, ours), outcomes.get(c, upstream)
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s | %s |\n", c.name, c.items(), our.cells(true), our.said(), their.cells(false), their.said())
	}
	return b.String()
}

func (o *outcome) cells(letters bool) string {
	if o.notRun {
		if letters {
			return "– | – | –"
		}
		return "– | –"
	}
	cells := fmt.Sprintf("%s | %d", emphasis(o.lost), o.duplicates)
	if letters {
		cells += fmt.Sprintf(" | %d", o.dead)
	}
	return cells
}

func emphasis(lost int) string {
	if lost > 0 {
		return fmt.Sprintf("**%d**", lost)
	}
	return "0"
}

func (o *outcome) said() string {
	switch {
	case o.notRun:
		return "not run"
	case o.note == "":
		return o.counter
	default:
		return o.counter + "; " + strings.NewReplacer("|", "/", "\n", " ").Replace(o.note)
	}
}

func firstLine(text string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "panic:") {
			return strings.TrimSpace(line)
		}
	}
	line, _, _ := strings.Cut(text, "\n")
	return line
}
