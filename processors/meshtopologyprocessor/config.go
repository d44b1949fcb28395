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
	// Attributes are the mesh.* attributes to write on spans, log records and metric points. Default: all. What an item has
	// of the others is removed. Each one costs an allocation here and its bytes wherever it is stored. An end of which
	// anything is listed needs its cluster and its mesh.resolution.*, by which a hub merges its findings with an agent's.
	Attributes []string `mapstructure:"attributes"`
	// IstioLabels says what becomes of the labels of Istio's metrics that mesh.* attributes repeat: keep, the default, or
	// drop. Drop removes the six of an end only if each can be read back from the attributes of the same point, so that
	// no two series become one.
	IstioLabels string `mapstructure:"istio_labels"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var (
	_ component.Config    = (*Config)(nil)
	_ confmap.Unmarshaler = (*Config)(nil)
)

// Unmarshal refuses a 'cluster' that is there but empty: an environment variable that was forgotten would otherwise make
// an agent behave as a hub, in silence. So it does with 'attributes', which an empty list would not restrict.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	if err := conf.Unmarshal(c); err != nil {
		return err
	}
	if conf.IsSet("cluster") && c.Cluster == "" {
		return errEmptyCluster
	}
	if conf.IsSet("attributes") && len(c.Attributes) == 0 {
		return errNoAttributes
	}
	return nil
}

// Validate checks the configuration.
func (c *Config) Validate() error {
	if c.Topology == (component.ID{}) {
		return errNoTopology
	}
	if err := checkIstioLabels(c.IstioLabels); err != nil {
		return err
	}
	_, err := attributesOf(c.Attributes)
	return err
}
