// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"
)

// Action is what becomes of a resource.
type Action string

// The actions.
const (
	// Reject drops the resource. If nothing of the request is left, the sender is told.
	Reject Action = "reject"
	// Quarantine keeps the resource under the sender's own cluster, marked, with what it claims moved aside.
	Quarantine Action = "quarantine"
	// Overwrite writes the cluster of the certificate.
	Overwrite Action = "overwrite"
	// Accept passes the resource as it is.
	Accept Action = "accept"
)

// Config of the processor. Everything that is found is counted, whatever becomes of it.
type Config struct {
	// Unverified is what becomes of requests whose sender no cluster_identity extension verified: reject (default) or
	// accept, which is for one machine's loopback only.
	Unverified Action `mapstructure:"unverified"`
	// Unnamed is what becomes of resources that name no cluster: overwrite (default), which rejects where the certificate
	// names several clusters, reject or accept.
	Unnamed Action `mapstructure:"unnamed"`
	// ForeignCluster is what becomes of resources that name a cluster that the certificate does not: reject (default) or
	// quarantine. Inventories are rejected in any case.
	ForeignCluster Action `mapstructure:"foreign_cluster"`
	// ForeignSide is what becomes of resources with an item that puts the reporter into such a cluster: reject (default) or
	// quarantine.
	ForeignSide Action `mapstructure:"foreign_side"`
	// Malformed is what becomes of resources with a claim that different readers would read differently: reject (default)
	// or quarantine.
	Malformed Action `mapstructure:"malformed"`
	// UnsetNames are names that a proxy says whose owner gave its cluster none; they count as no claim. Default Kubernetes,
	// Istio's own. Where a cluster is really called so, list none.
	UnsetNames []string `mapstructure:"unset_names"`
	// ClusterUIDs are the uids (of the namespace kube-system) by clusters' names. An inventory of a cluster that is listed
	// may tell this uid or none, and one of a cluster that is not may not tell it. A uid that is not listed is held to the
	// cluster that told it first.
	ClusterUIDs map[string]string `mapstructure:"cluster_uids"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var _ component.Config = (*Config)(nil)

func createDefaultConfig() component.Config {
	return &Config{
		Unverified: Reject, Unnamed: Overwrite, ForeignCluster: Reject, ForeignSide: Reject, Malformed: Reject,
		UnsetNames: []string{"Kubernetes"},
	}
}

// Validate checks the configuration.
func (c *Config) Validate() error {
	return errors.Join(
		checkAction("unverified", c.Unverified, Reject, Accept), checkAction("unnamed", c.Unnamed, Overwrite, Reject, Accept),
		checkAction("foreign_cluster", c.ForeignCluster, Reject, Quarantine), checkAction("foreign_side", c.ForeignSide, Reject, Quarantine),
		checkAction("malformed", c.Malformed, Reject, Quarantine), c.checkUIDs(),
	)
}

func checkAction(key string, action Action, allowed ...Action) error {
	if slices.Contains(allowed, action) {
		return nil
	}
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	return fmt.Errorf("'%s' is %q: write %s", key, action, strings.Join(words, " or "))
}

func (c *Config) checkUIDs() error {
	for cluster, uid := range c.ClusterUIDs {
		if cluster == "" || uid == "" {
			return errors.New("'cluster_uids' has an empty name or uid: write <cluster>: <uid of the namespace kube-system>")
		}
	}
	return nil
}
