// SPDX-License-Identifier: Apache-2.0

package envoy

import "strings"

// ErrSPIFFE reports that a text is not a SPIFFE id.
var ErrSPIFFE error = &Error{Format: "a SPIFFE id (spiffe://trust-domain/ns/namespace/sa/service-account)"}

// SPIFFE is a workload's identity in a mesh.
type SPIFFE struct {
	// TrustDomain is never empty for an id that was parsed.
	TrustDomain string
	// Namespace and ServiceAccount are both empty if the id's path is not Istio's.
	Namespace, ServiceAccount string
}

// ParseSPIFFE reads "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews". An id with another path gives its trust
// domain alone. It returns [ErrSPIFFE] for anything else, such as "unknown" and "". It does not allocate.
// Source of the format: the SPIFFE-ID specification, and istio/istio pkg/spiffe.
func ParseSPIFFE(uri string) (SPIFFE, error) {
	id, ok := strings.CutPrefix(uri, "spiffe://")
	if !ok {
		return SPIFFE{}, ErrSPIFFE
	}
	domain, path, _ := strings.Cut(id, "/")
	if !isTrustDomain(domain) {
		return SPIFFE{}, ErrSPIFFE
	}
	s := SPIFFE{TrustDomain: domain}
	tail, ok := strings.CutPrefix(path, "ns/")
	if !ok {
		return s, nil
	}
	namespace, account, ok := strings.Cut(tail, "/sa/")
	if !ok || !isName(namespace) || !isName(account) {
		return s, nil
	}
	s.Namespace, s.ServiceAccount = namespace, account
	return s, nil
}

// String returns the id as a URI; without a namespace or a service account it is the trust domain's own id.
func (s SPIFFE) String() string {
	if s.Namespace == "" || s.ServiceAccount == "" {
		return "spiffe://" + s.TrustDomain
	}
	return "spiffe://" + s.TrustDomain + "/ns/" + s.Namespace + "/sa/" + s.ServiceAccount
}

// isTrustDomain allows upper case beside what SPIFFE allows, as Istio does not check.
func isTrustDomain(s string) bool {
	return isName(s)
}

// isName says whether the text can be a segment of an id's path. A list of ids, "spiffe://td/ns/a/sa/b,spiffe://…", and
// what else a text may go on with, is no name.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return s != "" && s != "." && s != ".."
}
