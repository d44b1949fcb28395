// SPDX-License-Identifier: Apache-2.0

// Package components lists the factories of the otelcol-mesh distribution for tests that run a collector in process.
// The distribution that users run is assembled by ocb from builder-config.yaml; the test beside this file holds the
// two lists equal. The entry points are [Factories], [Providers] and
// [Converters].
package components

import (
	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/azuremonitorexporter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/fileexporter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/loadbalancingexporter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/prometheusexporter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/bearertokenauthextension"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/healthcheckextension"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/pprofextension"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/cumulativetodeltaprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/filterprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/redactionprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/tailsamplingprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/transformprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/filelogreceiver"
	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/prometheusreceiver"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/forwardconnector"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/debugexporter"
	"go.opentelemetry.io/collector/exporter/otlpexporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/zpagesextension"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/batchprocessor"
	"go.opentelemetry.io/collector/processor/memorylimiterprocessor"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector"
	"github.com/otelcol-mesh/otelcol-mesh/components/converters/deliveryrules"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/inventorybroadcastexporter"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/meshbalancingexporter"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/azureauthextension"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshsamplingextension"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/queuestorageextension"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/requestlimitsextension"
	"github.com/otelcol-mesh/otelcol-mesh/processors/clusteridentityprocessor"
	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor"
	"github.com/otelcol-mesh/otelcol-mesh/processors/exponentialhistogramprocessor"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshnoiseprocessor"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshprivacyprocessor"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshspanpairingprocessor"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/meshinventoryreceiver"
)

// Factories returns the factories of every component in builder-config.yaml. It fails only if two of one kind share a
// component type.
func Factories() (otelcol.Factories, error) {
	var f otelcol.Factories
	var err error
	if f.Extensions, err = otelcol.MakeFactoryMap[extension.Factory](
		meshsamplingextension.NewFactory(),
		meshtopologyextension.NewFactory(),
		queuestorageextension.NewFactory(),
		azureauthextension.NewFactory(),
		clusteridentityextension.NewFactory(),
		requestlimitsextension.NewFactory(),
		zpagesextension.NewFactory(),
		bearertokenauthextension.NewFactory(),
		healthcheckextension.NewFactory(),
		pprofextension.NewFactory(),
		filestorage.NewFactory(),
	); err != nil {
		return otelcol.Factories{}, err
	}
	if f.Receivers, err = otelcol.MakeFactoryMap[receiver.Factory](
		envoyreceiver.NewFactory(),
		meshinventoryreceiver.NewFactory(),
		otlpreceiver.NewFactory(),
		prometheusreceiver.NewFactory(),
		filelogreceiver.NewFactory(),
	); err != nil {
		return otelcol.Factories{}, err
	}
	if f.Processors, err = otelcol.MakeFactoryMap[processor.Factory](
		meshtopologyprocessor.NewFactory(),
		envoysemconvprocessor.NewFactory(),
		meshspanpairingprocessor.NewFactory(),
		meshnoiseprocessor.NewFactory(),
		exponentialhistogramprocessor.NewFactory(),
		meshmetricsprocessor.NewFactory(),
		meshprivacyprocessor.NewFactory(),
		clusteridentityprocessor.NewFactory(),
		memorylimiterprocessor.NewFactory(),
		batchprocessor.NewFactory(),
		filterprocessor.NewFactory(),
		transformprocessor.NewFactory(),
		tailsamplingprocessor.NewFactory(),
		cumulativetodeltaprocessor.NewFactory(),
		redactionprocessor.NewFactory(),
	); err != nil {
		return otelcol.Factories{}, err
	}
	if f.Exporters, err = otelcol.MakeFactoryMap[exporter.Factory](
		applicationinsightsexporter.NewFactory(),
		inventorybroadcastexporter.NewFactory(),
		meshbalancingexporter.NewFactory(),
		otlpexporter.NewFactory(),
		otlphttpexporter.NewFactory(),
		debugexporter.NewFactory(),
		fileexporter.NewFactory(),
		prometheusexporter.NewFactory(),
		azuremonitorexporter.NewFactory(),
		loadbalancingexporter.NewFactory(),
	); err != nil {
		return otelcol.Factories{}, err
	}
	if f.Connectors, err = otelcol.MakeFactoryMap[connector.Factory](
		meshgraphconnector.NewFactory(),
		forwardconnector.NewFactory(),
	); err != nil {
		return otelcol.Factories{}, err
	}
	f.Telemetry = otelconftelemetry.NewFactory()
	return f, nil
}

// Providers returns the factories of the configuration providers in builder-config.yaml.
func Providers() []confmap.ProviderFactory {
	return []confmap.ProviderFactory{
		envprovider.NewFactory(),
		fileprovider.NewFactory(),
		yamlprovider.NewFactory(),
	}
}

// Converters returns the factories of the configuration converters in builder-config.yaml.
func Converters() []confmap.ConverterFactory {
	return []confmap.ConverterFactory{
		deliveryrules.NewFactory(),
	}
}
