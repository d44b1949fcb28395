// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package clusteridentityextension says which clusters the sender of a request may speak for, by the client certificate
// that TLS verified and by nothing else. It stands under a receiver's 'auth' for gRPC and under its 'middlewares' for HTTP,
// where an authenticator is not shown the connection. What it found is a [identity.Identity] in the auth data of the
// request, for the cluster_identity processor. The entry point is [NewFactory].
package clusteridentityextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/internal/metadata"
)

// NewFactory returns the factory of the cluster_identity extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newClusterIdentity(set, cfg.(*Config))
}
