// SPDX-License-Identifier: Apache-2.0

// Command otelcol-mesh-explain says who called whom in recorded telemetry, what told each end, and what else was tried and
// why it lost.
package main

import (
	"os"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/explain"
)

func main() {
	os.Exit(explain.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
