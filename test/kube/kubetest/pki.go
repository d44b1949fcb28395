// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// pki is the cluster's certificate authority, the certificates of the API server and of its administrator, and the key
// that signs service account tokens, all as files.
type pki struct {
	dir string
	ca  *x509.Certificate
	key *ecdsa.PrivateKey
	// tokens signs service account tokens.
	tokens *ecdsa.PrivateKey
}

func newPKI(dir string) (*pki, error) {
	p := &pki{dir: dir}
	var err error
	if p.key, err = newKey(); err != nil {
		return nil, err
	}
	if p.tokens, err = newKey(); err != nil {
		return nil, err
	}
	template := certificate("kubetest-ca", "")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	template.ExtKeyUsage = nil // which would limit what it may sign
	der, err := x509.CreateCertificate(rand.Reader, template, template, p.key.Public(), p.key)
	if err != nil {
		return nil, err
	}
	if p.ca, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(p.tokens.Public())
	if err != nil {
		return nil, err
	}
	server := certificate("kube-apiserver", "")
	server.IPAddresses = []net.IP{net.ParseIP(loopback)}
	server.DNSNames = []string{"localhost", "kubernetes.default.svc"}
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return p, errors.Join(
		p.write("ca.crt", "CERTIFICATE", der),
		p.writeKey("sa.key", p.tokens),
		p.write("sa.pub", "PUBLIC KEY", public),
		p.issue("server", server),
		p.issue("admin", certificate("admin", "system:masters")),
	)
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// certificate is a template for a client. Kubernetes takes the user from the common name, the groups from organization.
func certificate(name, group string) *x509.Certificate {
	now := time.Now()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if group != "" {
		c.Subject.Organization = []string{group}
	}
	return c
}

// issue writes name.crt and name.key.
func (p *pki) issue(name string, template *x509.Certificate) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.ca, key.Public(), p.key)
	if err != nil {
		return err
	}
	return errors.Join(p.write(name+".crt", "CERTIFICATE", der), p.writeKey(name+".key", key))
}

func (p *pki) writeKey(name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return p.write(name, "PRIVATE KEY", der)
}

func (p *pki) write(name, kind string, der []byte) error {
	return os.WriteFile(p.file(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func (p *pki) file(name string) string { return filepath.Join(p.dir, name) }

// read returns a file that was written before; nil, which makes every connection fail, if somebody removed it.
func (p *pki) read(name string) []byte {
	text, err := os.ReadFile(p.file(name))
	if err != nil {
		return nil
	}
	return text
}
