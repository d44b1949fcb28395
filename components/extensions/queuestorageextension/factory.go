// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package queuestorageextension keeps the queues of exporters on disk. It writes the files of file_storage, and closes
// the holes through which exporterhelper's persistent queue loses what it acknowledged. The entry point is [NewFactory].
package queuestorageextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/queuestorageextension/internal/metadata"
)

// NewFactory returns the factory of the queue_storage extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newQueueStorage(set, cfg.(*Config))
}
