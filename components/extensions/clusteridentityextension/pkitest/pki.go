// SPDX-License-Identifier: Apache-2.0

// Package pkitest makes authorities and certificates for tests.
package pkitest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Authority signs certificates.
type Authority struct {
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// chain are the certificates of intermediate authorities that a holder has to show, in DER.
	chain [][]byte
}

// Loopback is an address of this machine for servers of tests: on 127.0.0.1 any connection that somebody makes may take a port
// that was found free before it is listened on.
const Loopback = "127.11.9.1"

// Leaf is what a certificate says. Without times it is valid for an hour, since an hour ago; without addresses it is good
// for 127.0.0.1 and [Loopback], without usages for clients and servers.
type Leaf struct {
	URIs, DNS           []string
	CommonName          string
	NotBefore, NotAfter time.Time
	Addresses           []string
	Usages              []x509.ExtKeyUsage
	// RawURIs are written as they are, where url.Parse would not leave them so.
	RawURIs []string
	// KeyUsage is added to that of signatures.
	KeyUsage x509.KeyUsage
	// Authority says that the certificate may sign others.
	Authority bool
}

// Pair is a certificate with its key.
type Pair struct {
	TLS             tls.Certificate
	CertPEM, KeyPEM []byte
}

// New makes a root authority.
func New(t testing.TB, name string) *Authority {
	t.Helper()
	return authority(t, name, nil, time.Now().Add(24*time.Hour))
}

// Sub makes an authority below another one.
func (a *Authority) Sub(t testing.TB, name string) *Authority {
	t.Helper()
	return a.SubUntil(t, name, time.Now().Add(24*time.Hour))
}

// SubUntil makes one that ends at a time.
func (a *Authority) SubUntil(t testing.TB, name string, end time.Time) *Authority {
	t.Helper()
	return authority(t, name, a, end)
}

func authority(t testing.TB, name string, parent *Authority, end time.Time) *Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: end,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	signer := &Authority{Cert: template, key: key}
	if parent != nil {
		signer = parent
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer.Cert, &key.PublicKey, signer.key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	made := &Authority{Cert: cert, key: key}
	if parent != nil {
		made.chain = append([][]byte{der}, parent.chain...)
	}
	return made
}

// PEM returns the authority's own certificate.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Cert.Raw})
}

// KeyHash returns what a rule's 'issuers' lists.
func (a *Authority) KeyHash() string {
	sum := sha256.Sum256(a.Cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// Issue signs a certificate.
func (a *Authority) Issue(t testing.TB, leaf Leaf) Pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	if leaf.NotBefore.IsZero() {
		leaf.NotBefore = time.Now().Add(-time.Hour)
	}
	if leaf.NotAfter.IsZero() {
		leaf.NotAfter = time.Now().Add(time.Hour)
	}
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: leaf.CommonName}, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature | leaf.KeyUsage, ExtKeyUsage: leaf.Usages, DNSNames: leaf.DNS,
		IsCA: leaf.Authority, BasicConstraintsValid: leaf.Authority,
	}
	if leaf.RawURIs != nil {
		template.ExtraExtensions = []pkix.Extension{rawURIs(t, leaf.RawURIs)}
	}
	if leaf.Usages == nil {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	}
	if leaf.Addresses == nil {
		leaf.Addresses = []string{"127.0.0.1", Loopback}
	}
	for _, text := range leaf.Addresses {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(text))
	}
	for _, text := range leaf.URIs {
		uri, err := url.Parse(text)
		require.NoError(t, err)
		template.URIs = append(template.URIs, uri)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Cert, &key.PublicKey, a.key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	p := Pair{
		CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPEM:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
	}
	for _, above := range a.chain {
		p.CertPEM = append(p.CertPEM, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: above})...)
	}
	p.TLS, err = tls.X509KeyPair(p.CertPEM, p.KeyPEM)
	require.NoError(t, err)
	return p
}

// rawURIs is the extension of alternative names (RFC 5280, section 4.2.1.6) with URIs alone.
func rawURIs(t testing.TB, uris []string) pkix.Extension {
	t.Helper()
	var names []asn1.RawValue
	for _, text := range uris {
		names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(text)})
	}
	value, err := asn1.Marshal(names)
	require.NoError(t, err)
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}
}

// Authority signs with a key that is nobody's authority, as who holds an agent's key may try to.
func (p Pair) Authority() *Authority {
	return &Authority{Cert: p.TLS.Leaf, key: p.TLS.PrivateKey.(*ecdsa.PrivateKey), chain: p.TLS.Certificate}
}

// SelfSigned makes a certificate that nobody else signed.
func SelfSigned(t testing.TB, leaf Leaf) Pair {
	t.Helper()
	return New(t, "self").Issue(t, leaf)
}

// Write swaps the files tls.crt and tls.key in a folder at once, as Kubernetes does with a projected secret: a link named
// ..data leads to a folder, and is replaced.
func (p Pair) Write(t testing.TB, dir string) (certFile, keyFile string) {
	t.Helper()
	swap(t, dir, map[string][]byte{"tls.crt": p.CertPEM, "tls.key": p.KeyPEM})
	return filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
}

// WriteBundle swaps the file ca.crt in a folder.
func WriteBundle(t testing.TB, dir string, authorities ...*Authority) (file string) {
	t.Helper()
	var data []byte
	for _, a := range authorities {
		data = append(data, a.PEM()...)
	}
	swap(t, dir, map[string][]byte{"ca.crt": data})
	return filepath.Join(dir, "ca.crt")
}

// Rename replaces the files tls.crt and tls.key in a folder one after the other, as most tools do: for a moment they do
// not fit together.
func (p Pair) Rename(t testing.TB, dir string) (certFile, keyFile string) {
	t.Helper()
	return rename(t, dir, "tls.crt", p.CertPEM), rename(t, dir, "tls.key", p.KeyPEM)
}

// RenameBundle replaces the file ca.crt in a folder.
func RenameBundle(t testing.TB, dir string, authorities ...*Authority) (file string) {
	t.Helper()
	var data []byte
	for _, a := range authorities {
		data = append(data, a.PEM()...)
	}
	return rename(t, dir, "ca.crt", data)
}

func rename(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	file := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(file+".new", data, 0o600))
	require.NoError(t, os.Rename(file+".new", file))
	return file
}

func swap(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	next := filepath.Join(dir, "..v"+serial(t).String())
	require.NoError(t, os.Mkdir(next, 0o700))
	for name, data := range files {
		require.NoError(t, os.WriteFile(filepath.Join(next, name), data, 0o600))
	}
	link := filepath.Join(dir, "..data")
	before, _ := os.Readlink(link)
	require.NoError(t, os.Symlink(filepath.Base(next), link+".new"))
	require.NoError(t, os.Rename(link+".new", link))
	for name := range files {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			require.NoError(t, os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
		}
	}
	if before != "" {
		require.NoError(t, os.RemoveAll(filepath.Join(dir, before)))
	}
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	return n
}
