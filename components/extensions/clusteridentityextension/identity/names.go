// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// certificateNames are the names of a certificate that rules look at.
type certificateNames struct {
	spiffe, dns, common []string
}

func (n *certificateNames) of(kind nameKind) []string {
	switch kind {
	case spiffeName:
		return n.spiffe
	case dnsName:
		return n.dns
	}
	return n.common
}

// namesOf reads the names. Where there is a SPIFFE id it is the only one, and nothing else names the holder (X509-SVID,
// section 2: exactly one URI among the alternative names): two of them would let a rule choose.
func namesOf(leaf *x509.Certificate) (n certificateNames, err error) {
	for _, uri := range leaf.URIs {
		text := uri.String()
		if !strings.EqualFold(uri.Scheme, "spiffe") {
			continue
		}
		if len(leaf.URIs) > 1 {
			return n, refuse(ReasonAmbiguous, fmt.Sprintf("the certificate has %d URIs beside the SPIFFE id %q: X509-SVID allows one", len(leaf.URIs)-1, clip(text)))
		}
		// The parsed URI is not always what is in the certificate: its scheme is in small letters, and an empty fragment is gone.
		if _, err := ParseSPIFFE(text); err != nil || !hasURI(leaf, text) {
			if err == nil {
				err = errSPIFFE
			}
			return n, refuse(ReasonBadName, fmt.Sprintf("the certificate's URI is %q: %v", clip(text), err))
		}
		n.spiffe = []string{text}
		return n, nil
	}
	for _, name := range leaf.DNSNames {
		n.dns = append(n.dns, strings.ToLower(name))
	}
	for _, part := range leaf.Subject.Names {
		if part.Type.Equal(commonNameOID) {
			text, ok := part.Value.(string)
			if !ok {
				return n, refuse(ReasonBadName, "the certificate's common name is no text")
			}
			n.common = append(n.common, text)
		}
	}
	if len(n.common) > 1 {
		// Which one counts differs between implementations.
		n.common = nil
	}
	return n, nil
}

var (
	commonNameOID = asn1.ObjectIdentifier{2, 5, 4, 3}
	// alternativeNamesOID is the extension, and uriTag the kind of name, of RFC 5280, section 4.2.1.6.
	alternativeNamesOID = asn1.ObjectIdentifier{2, 5, 29, 17}
)

const uriTag = 6

// hasURI says whether the URI is in the certificate byte by byte. The certificate is parsed, so the extension is well formed.
func hasURI(leaf *x509.Certificate, text string) bool {
	for _, extension := range leaf.Extensions {
		if !extension.Id.Equal(alternativeNamesOID) {
			continue
		}
		var names []asn1.RawValue
		if _, err := asn1.Unmarshal(extension.Value, &names); err != nil {
			return false
		}
		return slices.ContainsFunc(names, func(name asn1.RawValue) bool {
			return name.Class == asn1.ClassContextSpecific && name.Tag == uriTag && string(name.Bytes) == text
		})
	}
	return false
}

// Describe names the holder of a certificate for messages.
func Describe(leaf *x509.Certificate) string {
	switch {
	case len(leaf.URIs) > 0:
		return clip(fmt.Sprintf("%q", leaf.URIs[0].String()))
	case len(leaf.DNSNames) > 0:
		return clip(fmt.Sprintf("%q", leaf.DNSNames[0]))
	}
	return clip(fmt.Sprintf("%q", leaf.Subject.String()))
}

// issuerOf returns the hash of the public key of the authority that signed the holder's certificate, in hex.
func issuerOf(chains [][]*x509.Certificate) string {
	if len(chains[0]) < 2 {
		return ""
	}
	sum := sha256.Sum256(chains[0][1].RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}
