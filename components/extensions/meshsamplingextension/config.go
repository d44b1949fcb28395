// SPDX-License-Identifier: Apache-2.0

package meshsamplingextension

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/featuregate"
)

// Config says what share is kept.
type Config struct {
	// TracesPerEdge is how many traces of each edge are kept in an interval: the expectation, once its traffic is known.
	// From 1 to 1 000 000.
	TracesPerEdge int `mapstructure:"traces_per_edge"`
	// MaxTraces is how many traces are kept in an interval of all edges together, which bounds what many rare edges cost.
	// From 1 to 1 000 000 000.
	MaxTraces int `mapstructure:"max_traces"`
	// Interval is from 1s to 1h. Shorter ones follow the traffic sooner, and know less of edges with little.
	Interval time.Duration `mapstructure:"interval"`
	// MaxWeight is how many traces one that is kept stands for at most, from 1 to 1 000 000. It goes before TracesPerEdge and
	// MaxTraces.
	MaxWeight int `mapstructure:"max_weight"`
	// MaxEdges is how many edges are told apart, from 1 to 1 000 000, at some 100 bytes each.
	MaxEdges int `mapstructure:"max_edges"`
}

func createDefaultConfig() component.Config {
	return &Config{TracesPerEdge: 60, MaxTraces: 30_000, Interval: time.Minute, MaxWeight: 1000, MaxEdges: 50_000}
}

// Validate says what is wrong with the configuration. It also turns on the feature gate without which the tail sampling
// processor writes no weights: processors look at it when they are made, which is after this and before extensions are made.
func (c *Config) Validate() error {
	var errs []error
	for _, n := range []struct {
		key         string
		value, most int
	}{
		{"traces_per_edge", c.TracesPerEdge, 1_000_000},
		{"max_traces", c.MaxTraces, 1_000_000_000},
		{"max_weight", c.MaxWeight, 1_000_000},
		{"max_edges", c.MaxEdges, 1_000_000},
	} {
		if n.value < 1 || n.value > n.most {
			errs = append(errs, fmt.Errorf("'%s' is %d: write a number from 1 to %d", n.key, n.value, n.most))
		}
	}
	if c.Interval < time.Second || c.Interval > time.Hour {
		errs = append(errs, fmt.Errorf("'interval' is %s: write 1s to 1h", c.Interval))
	}
	// An error says that there is no such gate. NewEvaluator asks again.
	_ = featuregate.GlobalRegistry().Set(gateID, true)
	return errors.Join(errs...)
}
