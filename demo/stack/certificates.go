// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
)

// certificates are those of the collectors, from one authority: the link from agents to hub is as in a deployment. They
// have nothing to do with those of the mesh.
type certificates struct{ dir string }

// certificatesLast is for how long they are valid: longer than any demo runs.
const certificatesLast = 365 * 24 * time.Hour

func (c certificates) authority() string { return filepath.Join(c.dir, "ca.crt") }

// pair are the files of a role.
func (c certificates) pair(role string) (cert, key string) {
	return filepath.Join(c.dir, role+".crt"), filepath.Join(c.dir, role+".key")
}

// make writes the authority's certificate and a pair for the hub and for the agent of each cluster.
func (c certificates) make() error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return fmt.Errorf("making the folder of the collectors' certificates: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making the authority's key: %w", err)
	}
	root := newCertificate(1, "otelcol-mesh demo")
	root.IsCA, root.BasicConstraintsValid, root.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, root, root, &key.PublicKey, key)
	if err != nil {
		return fmt.Errorf("making the authority: %w", err)
	}
	hub := newCertificate(2, "hub")
	hub.IPAddresses = []net.IP{net.ParseIP(hubHost)}
	errs := []error{writePEM(c.authority(), "CERTIFICATE", der), c.issue("hub", hub, root, key)}
	for i, cluster := range layout.Clusters() {
		agent := newCertificate(int64(3+i), "agent")
		// What the rules of hub.yaml take for this cluster and no other.
		agent.URIs = []*url.URL{{Scheme: "spiffe", Host: "otelcol-mesh", Path: "/cluster/" + cluster.Name + "/agent"}}
		errs = append(errs, c.issue("agent-"+cluster.Name, agent, root, key))
	}
	return errors.Join(errs...)
}

func (c certificates) issue(role string, leaf, root *x509.Certificate, rootKey *ecdsa.PrivateKey) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making the key of %s: %w", role, err)
	}
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, rootKey)
	if err != nil {
		return fmt.Errorf("making the certificate of %s: %w", role, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("writing the key of %s: %w", role, err)
	}
	certFile, keyFile := c.pair(role)
	return errors.Join(writePEM(certFile, "CERTIFICATE", der), writePEM(keyFile, "PRIVATE KEY", keyDER))
}

func newCertificate(serial int64, name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(certificatesLast),
	}
}

func writePEM(file, kind string, der []byte) error {
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("writing the collectors' certificates: %w", err)
	}
	return nil
}
