// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// maxFile is the largest secret, token or certificate file, in bytes.
const maxFile = 256 << 10

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("file %s is larger than %d bytes", path, maxFile)
	}
	return data, nil
}

// kept is what a file said last, when it said something that can be used.
type kept[T any] struct {
	mu   sync.Mutex
	data []byte
	good T
	has  bool
}

// look reads the file again. If it cannot be used, what was read last is returned, unless expired says that this is of
// no use either; the file is then the failure.
func (k *kept[T]) look(path string, observer FileObserver, parse func([]byte) (T, error), expired func(T) bool) (T, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	data, err := readFile(path)
	if err == nil && k.has && bytes.Equal(data, k.data) && !expired(k.good) {
		return k.good, nil
	}
	var value T
	if err == nil {
		value, err = parse(data)
	}
	if err == nil {
		changed := k.has
		k.data, k.good, k.has = data, value, true
		if changed && observer != nil {
			observer.FileReloaded(path)
		}
		return value, nil
	}
	if !k.has || expired(k.good) {
		return value, err
	}
	if observer != nil {
		observer.FileKept(path, err)
	}
	return k.good, nil
}

// pair is a certificate chain and its key.
type pair struct {
	chain []*x509.Certificate
	key   crypto.PrivateKey
}

// parsePair reads PEM or PKCS#12. Errors of parsers are not quoted: some quote what they read.
func parsePair(path, password string, now time.Time) func([]byte) (pair, error) {
	return func(data []byte) (pair, error) {
		var secret []byte
		if password != "" {
			secret = []byte(password)
		}
		chain, key, err := azidentity.ParseCertificates(data, secret)
		if err != nil || len(chain) == 0 {
			return pair{}, fmt.Errorf("file %s has no certificate with its private key that can be read: write a PEM file with both, the key "+
				"not encrypted, or a PKCS#12 file with 'password'", path)
		}
		own := leaf(chain, key)
		if own == nil {
			return pair{}, fmt.Errorf("file %s has a private key of another certificate than the one in it", path)
		}
		if now.After(own.NotAfter) {
			return pair{}, fmt.Errorf("the certificate in file %s expired at %s, and it is %s by this machine's clock: replace it, and upload the "+
				"public part of the new one to the application", path, own.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
		}
		return pair{chain, key}, nil
	}
}

// leaf returns the certificate that the key belongs to; nil if there is none.
func leaf(chain []*x509.Certificate, key crypto.PrivateKey) *x509.Certificate {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return nil
	}
	for _, c := range chain {
		if public.Equal(c.PublicKey) {
			return c
		}
	}
	return nil
}

func parseSecret(path string) func([]byte) (string, error) {
	return func(data []byte) (string, error) {
		secret := strings.TrimSpace(string(data))
		if secret == "" {
			return "", fmt.Errorf("file %s of 'client_secret_file' is empty: it must have the value of the secret and nothing else", path)
		}
		return secret, nil
	}
}

// readAssertion reads the federated token and says who it is for, for messages.
func readAssertion(path string, now time.Time) (token, who string, failure *Failure) {
	data, err := readFile(path)
	if err != nil {
		return "", "", &Failure{Reason: ReasonFile, Message: fmt.Sprintf("the federated token cannot be read: %s; on AKS, the pod needs the label "+
			"azure.workload.identity/use: \"true\" and a service account with workload identity", clean(err.Error(), 300))}
	}
	token = strings.TrimSpace(string(data))
	c, ok := readClaims(token)
	if !ok {
		return "", "", &Failure{Reason: ReasonFile, Message: fmt.Sprintf("file %s has no federated token in it, that is, no JSON web token", path)}
	}
	who = fmt.Sprintf("; the token is of issuer %q, subject %q and audience %q", clean(c.Issuer, 200), clean(c.Subject, 200), c.audience())
	if end := c.expires(); !end.IsZero() && !now.Before(end) {
		return "", "", &Failure{Reason: ReasonAssertionExpired, Message: fmt.Sprintf("the federated token in file %s expired at %s, and it is %s by this "+
			"machine's clock: the kubelet renews it as long as it is a projected volume, so check that it is one, the kubelet, and the clock%s",
			path, end.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339), who)}
	}
	return token, who, nil
}
