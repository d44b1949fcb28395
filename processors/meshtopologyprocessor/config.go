// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"errors"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
)

var (
	errNoTopology   = errors.New("'topology' is missing: write the id of a mesh_topology extension")
	errEmptyCluster = errors.New("'cluster' is empty: write the name of the cluster this collector runs in, or remove the key where telemetry of several clusters arrives")
)

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

var (
	_ component.Config    = (*Config)(nil)
	_ confmap.Unmarshaler = (*Config)(nil)
)

// Unmarshal refuses a 'cluster' that is there but empty: an environment variable that was forgotten would otherwise make
// an agent behave as a hub, in silence.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	if err := conf.Unmarshal(c); err != nil {
		return err
	}
	if conf.IsSet("cluster") && c.Cluster == "" {
		return errEmptyCluster
	}
	return nil
}

// Validate checks the configuration.
func (c *Config) Validate() error {
	if c.Topology == (component.ID{}) {
		return errNoTopology
	}
	return nil
}
