// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package azureauthextension puts Microsoft Entra ID tokens on requests that exporters send to Azure Monitor. It has no
// server side: it cannot stand under a receiver's 'auth'. The entry points are [NewFactory] and, for a diagnosis,
// [Config.Credential] and [Config.CheckURL].
package azureauthextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/azureauthextension/internal/metadata"
)

// NewFactory returns the factory of the azure_auth extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newAzureAuth(set, cfg.(*Config))
}
