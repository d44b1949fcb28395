// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// A scrape asks the exporter for its state while the metrics are held; start and shutdown make and end metrics. Neither may
// hold what the other needs.
func TestAScrapeAndTheEndDoNotWaitForEachOther(t *testing.T) {
	endpoint := ingestiontest.Start(t, ingestiontest.Config{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 30 {
			r := create(t, config(t, quick, to(endpoint)))
			over, scraping := make(chan struct{}), sync.WaitGroup{}
			for range 2 {
				scraping.Go(func() {
					for {
						select {
						case <-over:
							return
						default:
							_ = r.tel.Reader.Collect(context.Background(), &metricdata.ResourceMetrics{})
						}
					}
				})
			}
			host := newHost()
			for _, c := range r.components() {
				if c.Start(context.Background(), host) != nil {
					t.Error("it does not start")
				}
			}
			r.stop(t)
			close(over)
			scraping.Wait()
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		require.Fail(t, "a scrape and the start or the end of the exporter wait for each other")
	}
}
