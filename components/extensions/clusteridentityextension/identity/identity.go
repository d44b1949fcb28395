// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"slices"
	"time"
)

// Identity is a sender that a certificate proves. It is immutable. It is what the extension puts into the collector's
// client.Info as the auth data, so it has that interface's two methods.
type Identity struct {
	// Name is the SPIFFE id, DNS name or common name by which a rule knew the sender.
	Name string
	// Issuer is the SHA-256 of the public key of the authority that signed the certificate, in hex.
	Issuer string
	// Expires is when the certificate ends.
	Expires time.Time

	clusters []string
	// many holds the clusters if they are more than a walk through them is good for. It is the rule's: nobody may change it.
	many map[string]struct{}
	any  bool
	mute bool
}

// few is up to how many names are walked through: that is faster than to hash one.
const few = 8

// indexOf returns the names as a set; nil if they are few.
func indexOf(clusters []string) map[string]struct{} {
	if len(clusters) <= few {
		return nil
	}
	index := make(map[string]struct{}, len(clusters))
	for _, name := range clusters {
		index[name] = struct{}{}
	}
	return index
}

// MaySpeakFor says whether the sender may report about the cluster. Names are compared byte by byte. The empty name is no
// cluster's.
func (i *Identity) MaySpeakFor(cluster string) bool {
	if i.any {
		return cluster != ""
	}
	if i.many != nil {
		_, ok := i.many[cluster]
		return ok
	}
	return slices.Contains(i.clusters, cluster)
}

// MayTellInventories says whether the sender may tell the inventory of its clusters.
func (i *Identity) MayTellInventories() bool { return !i.mute }

// Any says whether the sender may speak for every cluster.
func (i *Identity) Any() bool { return i.any }

// Sole returns the cluster if the sender may speak for exactly one; empty otherwise.
func (i *Identity) Sole() string {
	if i.any || len(i.clusters) != 1 {
		return ""
	}
	return i.clusters[0]
}

// Clusters returns the clusters that the sender may speak for; [AnyCluster] alone for all of them.
func (i *Identity) Clusters() []string {
	if i.any {
		return []string{AnyCluster}
	}
	return slices.Clone(i.clusters)
}

// The names of the attributes that [Identity.GetAttribute] knows.
const (
	AttributeName     = "cluster_identity.name"
	AttributeIssuer   = "cluster_identity.issuer"
	AttributeClusters = "cluster_identity.clusters"
)

// GetAttribute returns an attribute for other components that read the collector's auth data; nil for another name.
func (i *Identity) GetAttribute(name string) any {
	switch name {
	case AttributeName:
		return i.Name
	case AttributeIssuer:
		return i.Issuer
	case AttributeClusters:
		return i.Clusters()
	}
	return nil
}

// GetAttributeNames returns the names of the attributes.
func (i *Identity) GetAttributeNames() []string {
	return []string{AttributeName, AttributeIssuer, AttributeClusters}
}

// Reason is why a certificate was refused.
type Reason string

// The reasons.
const (
	// ReasonNoConnection: the request did not come over a connection that shows its certificate.
	ReasonNoConnection Reason = "no_connection"
	// ReasonNoTLS: the connection is not encrypted.
	ReasonNoTLS Reason = "no_tls"
	// ReasonNotVerified: nobody verified a certificate.
	ReasonNotVerified Reason = "not_verified"
	// ReasonExpired: the certificate or an authority above it is not valid any more, or not yet.
	ReasonExpired Reason = "expired"
	// ReasonAuthority: the certificate is an authority's own.
	ReasonAuthority Reason = "authority"
	// ReasonBadName: the name in the certificate is none.
	ReasonBadName Reason = "bad_name"
	// ReasonAmbiguous: the certificate has two names.
	ReasonAmbiguous Reason = "ambiguous"
	// ReasonIssuer: a rule knows the name but wants another authority.
	ReasonIssuer Reason = "issuer"
	// ReasonNoRule: no rule knows the name.
	ReasonNoRule Reason = "no_rule"
)

// Refusal is the error of [Rules.Identify].
type Refusal struct {
	Reason  Reason
	message string
}

// Refuse makes a refusal with a message for people.
func Refuse(reason Reason, message string) *Refusal {
	return &Refusal{Reason: reason, message: message}
}

func refuse(reason Reason, message string) error { return Refuse(reason, message) }

// Error implements error.
func (r *Refusal) Error() string { return r.message }
