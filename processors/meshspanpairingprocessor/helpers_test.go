// SPDX-License-Identifier: Apache-2.0

package meshspanpairingprocessor

import (
	"testing/synctest"
	"time"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/processor"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshspanpairingprocessor/internal/metadatatest"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
)

var ignoreTime = metricdatatest.IgnoreTimestamp()

func set(key, value string) attribute.Set { return attribute.NewSet(attribute.String(key, value)) }

// pass lets time pass within a synctest bubble, and what it sets in motion come to rest.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func settings(tel *componenttest.Telemetry) processor.Settings { return metadatatest.NewSettings(tel) }
