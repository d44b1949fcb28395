// SPDX-License-Identifier: Apache-2.0

// Command otelcol-mesh-doctor says why telemetry does or does not reach Application Insights, and sends dead letters again.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/doctor"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := doctor.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
