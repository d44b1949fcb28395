// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

// DefaultMaxFlows is the default of [Config.MaxFlows].
const DefaultMaxFlows = 10_000

const (
	maxTeams = 1000
	maxHosts = 1000
)

// Config says who pays and how much is kept.
type Config struct {
	// Teams own namespaces. A namespace is of the team that names it, or else of that with the longest beginning of it.
	Teams []Team
	// InternetHosts are called services that are on the internet: hosts, or "*." and a domain. Nobody else knows: a
	// ServiceEntry says that a host is outside of the mesh, and it may still be next door.
	InternetHosts []string
	// MaxFlows is the most different pairs of calling region and namespace and called region, namespace and service of an
	// hour, from 1 to 200 000. What is more is priced by its regions, and has no names.
	MaxFlows int
}

// Team is who pays for what its namespaces call.
type Team struct {
	// Team is its name.
	Team string `mapstructure:"team"`
	// Namespaces are names, or a beginning and "*".
	Namespaces []string `mapstructure:"namespaces"`
	// prevent unkeyed literal initialization
	_ struct{}
}

// Validate says what is wrong, by the keys of the connector below cost.
func (c *Config) Validate() error {
	var errs []error
	if c.MaxFlows < 1 || c.MaxFlows > 200_000 {
		errs = append(errs, fmt.Errorf("max_flows is %d: write a number from 1 to 200000", c.MaxFlows))
	}
	if len(c.Teams) > maxTeams {
		errs = append(errs, fmt.Errorf("teams has %d entries: write at most %d", len(c.Teams), maxTeams))
	}
	if len(c.InternetHosts) > maxHosts {
		errs = append(errs, fmt.Errorf("internet_hosts has %d entries: write at most %d", len(c.InternetHosts), maxHosts))
	}
	seen := map[string]string{}
	for i, t := range c.Teams {
		if t.Team == "" {
			errs = append(errs, fmt.Errorf("teams[%d].team is empty: write the team's name", i))
		}
		if len(t.Namespaces) == 0 {
			errs = append(errs, fmt.Errorf("teams[%d].namespaces is empty: write at least one namespace, or a beginning and *", i))
		}
		for k, n := range t.Namespaces {
			if n == "" || strings.Contains(strings.TrimSuffix(n, "*"), "*") {
				errs = append(errs, fmt.Errorf("teams[%d].namespaces[%d] is %q: write a namespace, or a beginning and * at the end", i, k, n))
			}
			if other, twice := seen[n]; twice {
				errs = append(errs, fmt.Errorf("teams[%d].namespaces[%d] is %q, which is of %q already: write it once", i, k, n, other))
			}
			seen[n] = t.Team
		}
	}
	for i, h := range c.InternetHosts {
		if name := strings.TrimPrefix(h, "*."); name == "" || strings.Contains(name, "*") || !strings.Contains(name, ".") {
			errs = append(errs, fmt.Errorf("internet_hosts[%d] is %q: write a host such as api.example.com, or *.example.com for all below", i, h))
		}
	}
	return errors.Join(errs...)
}

// outside says whether a callee is known to be on the internet: its name is listed, and nothing says that it is in a cluster.
func (c *Config) outside(callee *graph.Callee) bool {
	if callee.Cluster != "" || callee.Region != "" || callee.Workload != "" || callee.Service == "" {
		return false
	}
	name := strings.ToLower(callee.Service)
	return slices.ContainsFunc(c.InternetHosts, func(h string) bool {
		h = strings.ToLower(h)
		if domain, below := strings.CutPrefix(h, "*"); below {
			return strings.HasSuffix(name, domain)
		}
		return name == h
	})
}

// teams finds a namespace's team: the exact name before a beginning, of beginnings the longest.
type teams struct {
	exact     map[string]string
	beginning []beginning
}

type beginning struct{ prefix, team string }

func newTeams(list []Team) teams {
	t := teams{exact: map[string]string{}}
	for _, team := range list {
		for _, n := range team.Namespaces {
			if prefix, open := strings.CutSuffix(n, "*"); open {
				t.beginning = append(t.beginning, beginning{prefix, team.Team})
			} else {
				t.exact[n] = team.Team
			}
		}
	}
	slices.SortStableFunc(t.beginning, func(a, b beginning) int { return len(b.prefix) - len(a.prefix) })
	return t
}

// of returns the team of a namespace; empty if it has none.
func (t *teams) of(namespace string) string {
	if namespace == "" {
		return ""
	}
	if team, ok := t.exact[namespace]; ok {
		return team
	}
	for _, b := range t.beginning {
		if strings.HasPrefix(namespace, b.prefix) {
			return b.team
		}
	}
	return ""
}
