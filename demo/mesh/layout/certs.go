// SPDX-License-Identifier: Apache-2.0

package layout

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
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// certLifetime outlives every demo; Istio's own is 24 hours with rotation, which a static file cannot have.
const certLifetime = 7 * 24 * time.Hour

// CertFiles are the paths of one identity's files.
type CertFiles struct {
	// Root is the mesh's root certificate, Chain the workload's certificate, Key its private key, all PEM.
	Root, Chain, Key string
}

// Certs returns where WriteCerts puts the files of the pod's identity.
func (p Pod) Certs(dir string) CertFiles {
	return CertFiles{
		Root:  filepath.Join(dir, "root-cert.pem"),
		Chain: filepath.Join(dir, p.ServiceAccount+".pem"),
		Key:   filepath.Join(dir, p.ServiceAccount+"-key.pem"),
	}
}

// WriteCerts makes a new root and one certificate for each service account, valid for seven days, in dir.
// Key files are readable by the owner only.
func WriteCerts(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	root := template(1)
	root.Subject = pkix.Name{Organization: []string{TrustDomain}}
	root.IsCA, root.BasicConstraintsValid, root.KeyUsage = true, true, x509.KeyUsageCertSign
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, &rootKey.PublicKey, rootKey)
	if err != nil {
		return fmt.Errorf("root certificate: %w", err)
	}
	var errs []error
	for i, p := range Pods() {
		files := p.Certs(dir)
		if i == 0 {
			errs = append(errs, writePEM(files.Root, "CERTIFICATE", rootDER))
		}
		errs = append(errs, writeLeaf(p, files, int64(i)+2, root, rootKey))
	}
	return errors.Join(errs...)
}

func writeLeaf(p Pod, files CertFiles, serial int64, root *x509.Certificate, rootKey *ecdsa.PrivateKey) error {
	id, err := url.Parse(p.Principal())
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leaf := template(serial)
	// Istio's workload certificates have an empty subject: the URI alone is the identity.
	leaf.URIs = []*url.URL{id}
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, rootKey)
	if err != nil {
		return fmt.Errorf("certificate of %s: %w", p.ServiceAccount, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(writePEM(files.Chain, "CERTIFICATE", der), writePEM(files.Key, "PRIVATE KEY", keyDER))
}

func template(serial int64) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(certLifetime),
	}
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
