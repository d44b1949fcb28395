// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"errors"
	"strings"
)

// The longest SPIFFE id and trust domain, in bytes (SPIFFE-ID, section 2.3).
const (
	maxSPIFFE      = 2048
	maxTrustDomain = 255
)

const spiffeScheme = "spiffe://"

// errSPIFFE is the one error of [ParseSPIFFE]: whoever reads it sees the id beside it.
var errSPIFFE = errors.New("it is no SPIFFE id as the specification writes it")

// SPIFFE is a SPIFFE id.
type SPIFFE struct {
	// TrustDomain is lower case letters, digits, dots, dashes and underscores.
	TrustDomain string
	// Path is empty, or begins with a slash and has no empty, "." or ".." segment.
	Path string
}

// ParseSPIFFE reads a SPIFFE id by the SPIFFE-ID specification, section 2: no user, port, query, fragment or percent
// encoding, a lower case trust domain, and letters, digits, dots, dashes and underscores in the path. What is written in
// any other way is refused rather than normalized: two spellings of one id are how such checks are passed by.
func ParseSPIFFE(text string) (SPIFFE, error) {
	rest, ok := strings.CutPrefix(text, spiffeScheme)
	if !ok || len(text) > maxSPIFFE {
		return SPIFFE{}, errSPIFFE
	}
	id := SPIFFE{TrustDomain: rest}
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		id.TrustDomain, id.Path = rest[:slash], rest[slash:]
	}
	if id.TrustDomain == "" || len(id.TrustDomain) > maxTrustDomain || strings.IndexFunc(id.TrustDomain, notTrustDomain) >= 0 {
		return SPIFFE{}, errSPIFFE
	}
	if id.Path == "" {
		return id, nil
	}
	for segment := range strings.SplitSeq(id.Path[1:], "/") {
		if segment == "" || segment == "." || segment == ".." || strings.IndexFunc(segment, notPath) >= 0 {
			return SPIFFE{}, errSPIFFE
		}
	}
	return id, nil
}

// String returns the id as it was read.
func (s SPIFFE) String() string { return spiffeScheme + s.TrustDomain + s.Path }

func notTrustDomain(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_'
}

func notPath(c rune) bool { return notTrustDomain(c) && (c < 'A' || c > 'Z') }
