// SPDX-License-Identifier: Apache-2.0

package envoysemconvprocessor

import "go.opentelemetry.io/collector/component"

// Config is what users write under envoy_semconv. Every combination of values is valid.
type Config struct {
	// KeepOriginalAttributes keeps the attributes under Envoy's own names beside the new ones; each is stored and
	// billed once more. False, the default, drops those that were translated.
	KeepOriginalAttributes bool `mapstructure:"keep_original_attributes"`

	// SetSpanStatus sets the status of spans that have none to ERROR if the call failed by the semantic conventions of
	// its kind. True is the default; a status that is set already never changes.
	SetSpanStatus bool `mapstructure:"set_span_status"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var _ component.Config = (*Config)(nil)

func createDefaultConfig() component.Config {
	return &Config{SetSpanStatus: true}
}
