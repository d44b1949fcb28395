// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"errors"

	"go.opentelemetry.io/collector/component"
)

var errNoTopology = errors.New("'topology' is missing: write the id of a mesh_topology extension")

// Config of the processor.
type Config struct {
	// Topology is the id of the mesh_topology extension to ask. Default mesh_topology.
	Topology component.ID `mapstructure:"topology"`
	// Cluster is the name of the cluster the collector runs in and all of its telemetry comes from, as at an agent. Empty
	// means that telemetry of several clusters arrives here, as at the hub: then connections tell nothing, and only what
	// the telemetry itself says counts.
	Cluster string `mapstructure:"cluster"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var _ component.Config = (*Config)(nil)

// Validate checks the configuration.
func (c *Config) Validate() error {
	if c.Topology == (component.ID{}) {
		return errNoTopology
	}
	return nil
}
