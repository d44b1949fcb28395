// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// AnyCluster in the clusters of a rule lets the holder speak for every cluster.
const AnyCluster = "*"

// Rule maps certificates to clusters. Exactly one of SPIFFE, DNS and CommonName is there.
//
// In each of them {cluster} stands for the name of the cluster and * for anything, within one part between slashes;
// beside other text in its part neither stands for a dot.
type Rule struct {
	// SPIFFE is a template of the SPIFFE id, such as spiffe://{cluster}.example.com/ns/otelcol-mesh/sa/*.
	SPIFFE string `mapstructure:"spiffe"`
	// DNS is a template of a DNS name among the certificate's alternative names. Case does not count.
	DNS string `mapstructure:"dns"`
	// CommonName is a template of the subject's only common name.
	CommonName string `mapstructure:"common_name"`
	// Clusters are those that the holder may speak for; needed unless the template has {cluster}, and then forbidden. The
	// entry * stands for all of them.
	Clusters []string `mapstructure:"clusters"`
	// Issuers, if there are any, are the authorities of which one must be in the verified chain above the certificate: the
	// SHA-256 of their public keys (DER SubjectPublicKeyInfo) in hex. They tell clusters apart that share a trust domain and
	// a root. The key id in a certificate is no substitute: whoever may sign may write it.
	Issuers []string `mapstructure:"issuers"`
	// NoInventories keeps the holder from telling inventories, that is who has which address in the cluster: for agents, whose
	// certificate is on every node, where the inventory has one of its own.
	NoInventories bool `mapstructure:"no_inventories"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// Rules are the rules of a configuration. Safe for concurrent use.
type Rules struct {
	all []rule
}

type nameKind uint8

const (
	spiffeName nameKind = iota
	dnsName
	commonName
)

type rule struct {
	kind     nameKind
	template template
	clusters []string
	// many is the index of the clusters if they are many, made once and not for each request.
	many map[string]struct{}
	any  bool
	// mute says that inventories are not taken.
	mute    bool
	issuers map[[sha256.Size]byte]struct{}
}

// Compile checks the rules. The errors name the keys.
func Compile(rules []Rule) (*Rules, error) {
	compiled := &Rules{}
	var errs []error
	for i := range rules {
		r, err := compileRule(&rules[i])
		if err != nil {
			errs = append(errs, fmt.Errorf("'rules[%d]': %w", i, err))
			continue
		}
		compiled.all = append(compiled.all, r)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return compiled, nil
}

func compileRule(configured *Rule) (r rule, err error) {
	var text, key string
	named := 0
	for kind, name := range [...]struct{ key, text string }{{"spiffe", configured.SPIFFE}, {"dns", configured.DNS}, {"common_name", configured.CommonName}} {
		if name.text != "" {
			named++
			r.kind, key, text = nameKind(kind), name.key, name.text
		}
	}
	if named != 1 {
		return r, errors.New("write exactly one of 'spiffe', 'dns' and 'common_name'")
	}
	if r.kind == dnsName {
		text = strings.ToLower(text)
	}
	if r.kind == spiffeName {
		probe := strings.NewReplacer(placeholder, "x", wildcard, "x").Replace(text)
		if _, err := ParseSPIFFE(probe); err != nil {
			return r, fmt.Errorf("'spiffe' is %q: write one such as spiffe://{cluster}.example.com/ns/otelcol-mesh/sa/*, with a lower case trust domain", text)
		}
	}
	if r.template, err = compile(text); err != nil {
		return r, fmt.Errorf("'%s' is %q: %w", key, text, err)
	}
	if err := r.speaksFor(configured.Clusters, key); err != nil {
		return r, err
	}
	if r.mute = configured.NoInventories; r.mute && r.any {
		return r, errors.New("'no_inventories' is set, and 'clusters' has *, whose holder is not checked at all: remove the one or the other")
	}
	return r, r.signedBy(configured.Issuers)
}

func (r *rule) speaksFor(clusters []string, key string) error {
	if r.template.captures() == (len(clusters) > 0) {
		return fmt.Errorf("write either {cluster} in '%s' or the names under 'clusters', and not both", key)
	}
	for _, name := range clusters {
		if name == AnyCluster {
			r.any = true
			continue
		}
		if err := checkConfigured(name); err != nil {
			return fmt.Errorf("'clusters' has %w", err)
		}
		r.clusters = append(r.clusters, name)
	}
	if r.any && len(clusters) > 1 {
		return errors.New("'clusters' has * beside names: * stands for every cluster, remove the one or the others")
	}
	r.many = indexOf(r.clusters)
	return nil
}

func (r *rule) signedBy(issuers []string) error {
	for _, text := range issuers {
		sum, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
		if err != nil || len(sum) != sha256.Size {
			return fmt.Errorf("'issuers' has %q: write the SHA-256 of the authority's public key in hex (openssl x509 -in ca.pem -noout -pubkey | "+
				"openssl pkey -pubin -outform der | sha256sum)", clip(text))
		}
		if r.issuers == nil {
			r.issuers = map[[sha256.Size]byte]struct{}{}
		}
		r.issuers[[sha256.Size]byte(sum)] = struct{}{}
	}
	return nil
}

// Identify says who holds the certificate, by the chains that TLS verified and the time. All chains begin with the same
// certificate, the holder's own. The error is a [*Refusal].
func (r *Rules) Identify(chains [][]*x509.Certificate, now time.Time) (*Identity, error) {
	if len(chains) == 0 || len(chains[0]) == 0 {
		return nil, refuse(ReasonNotVerified, "the connection has no verified client certificate: set 'client_ca_file' under the receiver's 'tls'")
	}
	leaf := chains[0][0]
	valid := validChains(chains, now)
	if len(valid) == 0 {
		return nil, refuse(ReasonExpired, fmt.Sprintf("the certificate of %s, or the authority above it, is not valid now (it ends %s): connect with a new one",
			Describe(leaf), leaf.NotAfter.UTC().Format(time.RFC3339)))
	}
	if mayBeAuthority(leaf) {
		// X509-SVID, section 5.2. Who holds its key can sign a certificate of any name below it.
		return nil, refuse(ReasonAuthority, fmt.Sprintf("the certificate of %s is an authority's (CA:TRUE, or a key usage that signs certificates): "+
			"connect with one that it signed, and keep its key off the nodes", Describe(leaf)))
	}
	names, err := namesOf(leaf)
	if err != nil {
		return nil, err
	}
	wrongIssuer := false
	for i := range r.all {
		candidate := &r.all[i]
		id, err := candidate.identify(&names)
		switch {
		case err != nil:
			return nil, err
		case id == nil:
		case !candidate.trusts(valid):
			wrongIssuer = true
		default:
			id.Issuer, id.Expires = issuerOf(valid), leaf.NotAfter
			return id, nil
		}
	}
	if wrongIssuer {
		return nil, refuse(ReasonIssuer, fmt.Sprintf("the certificate of %s fits a rule, but none of the rule's 'issuers' signed it (its authority is %s)", Describe(leaf), issuerOf(valid)))
	}
	return nil, refuse(ReasonNoRule, fmt.Sprintf("no rule of cluster_identity says which cluster %s may speak for: add one under 'rules'", Describe(leaf)))
}

// identify returns who the names are by this rule; nil if it says nothing of them.
func (r *rule) identify(names *certificateNames) (*Identity, error) {
	var found *Identity
	for _, name := range names.of(r.kind) {
		cluster, ok := r.template.match(name)
		if !ok {
			continue
		}
		id := &Identity{Name: name, any: r.any, clusters: r.clusters, many: r.many, mute: r.mute}
		if r.template.captures() {
			if err := checkCaptured(cluster); err != nil {
				return nil, refuse(ReasonBadName, fmt.Sprintf("the certificate of %q names a cluster that is none: %v", clip(name), err))
			}
			id.clusters, id.many = []string{cluster}, nil
		}
		if found != nil && !slices.Equal(found.clusters, id.clusters) {
			return nil, refuse(ReasonAmbiguous, fmt.Sprintf("the certificate names two clusters, %q and %q: use one for each", clip(found.Name), clip(name)))
		}
		if found == nil {
			found = id
		}
	}
	return found, nil
}

// trusts says whether an authority of the rule is in a chain.
func (r *rule) trusts(chains [][]*x509.Certificate) bool {
	if r.issuers == nil {
		return true
	}
	for _, chain := range chains {
		for _, authority := range chain[1:] {
			if _, ok := r.issuers[sha256.Sum256(authority.RawSubjectPublicKeyInfo)]; ok {
				return true
			}
		}
	}
	return false
}

// mayBeAuthority says whether a certificate may sign others.
func mayBeAuthority(leaf *x509.Certificate) bool {
	return leaf.IsCA || leaf.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0
}

// validChains returns the chains of which every certificate is valid now. TLS looks at that once, when a connection
// begins, and connections live for long.
func validChains(chains [][]*x509.Certificate, now time.Time) [][]*x509.Certificate {
	for i, chain := range chains {
		if !isValid(chain, now) {
			rest := slices.Clone(chains[:i])
			for _, other := range chains[i+1:] {
				if isValid(other, now) {
					rest = append(rest, other)
				}
			}
			return rest
		}
	}
	return chains
}

func isValid(chain []*x509.Certificate, now time.Time) bool {
	for _, c := range chain {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return false
		}
	}
	return len(chain) > 0
}
