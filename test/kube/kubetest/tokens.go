// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	authentication "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// leeway is how long the API server takes a token after it expired, for clocks that disagree.
const leeway = time.Minute

// ServiceAccount creates a service account, and its namespace, if they are not there.
func (c *Cluster) ServiceAccount(ctx context.Context, namespace, name string) error {
	if err := c.namespace(ctx, namespace, nil); err != nil {
		return err
	}
	account := &core.ServiceAccount{ObjectMeta: meta.ObjectMeta{Name: name}}
	_, err := c.Client.CoreV1().ServiceAccounts(namespace).Create(ctx, account, meta.CreateOptions{})
	if errors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// Token asks the API server for a token of a service account, as a kubelet does for a pod. The API server grants no life
// below ten minutes.
func (c *Cluster) Token(ctx context.Context, namespace, name string, life time.Duration) (string, error) {
	seconds := int64(life.Seconds())
	request := &authentication.TokenRequest{Spec: authentication.TokenRequestSpec{ExpirationSeconds: &seconds}}
	answer, err := c.Client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, meta.CreateOptions{})
	if err != nil {
		return "", err
	}
	return answer.Status.Token, nil
}

// TokenUntil signs a token of a service account with the cluster's own key, one that the API server takes until that
// moment and no longer, however near it is. A request with a token that was used before may pass up to ten seconds later:
// the API server remembers for so long that it has verified a token.
func (c *Cluster) TokenUntil(ctx context.Context, namespace, name string, until time.Time) (string, error) {
	account, err := c.Client.CoreV1().ServiceAccounts(namespace).Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return "", err
	}
	expires := until.Add(-leeway)
	issued := expires.Add(-time.Hour).Unix()
	return c.pki.sign(map[string]any{
		"iss": issuer, "aud": []string{audience},
		"sub": fmt.Sprintf("system:serviceaccount:%s:%s", namespace, name),
		"iat": issued, "nbf": issued, "exp": expires.Unix(),
		"kubernetes.io": map[string]any{
			"namespace":      namespace,
			"serviceaccount": map[string]any{"name": name, "uid": account.UID},
		},
	})
}

// sign makes a JSON web token with ES256 (RFC 7515, RFC 7518).
func (p *pki) sign(claims map[string]any) (string, error) {
	header, err := json.Marshal(map[string]string{"alg": "ES256", "typ": "JWT"})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(body)
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, p.tokens, digest[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// WriteToken replaces the token in a file at once, as a kubelet does.
func WriteToken(path, token string) error {
	next := path + ".next"
	if err := os.WriteFile(next, []byte(token), 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// ServiceAccountConfig returns the configuration of a client through the cluster's proxy with a token of an hour for a
// service account, which it creates if need be.
func (c *Cluster) ServiceAccountConfig(t testing.TB, namespace, name string) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig(t, namespace, name))
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	return config
}

// Kubeconfig writes a kubeconfig for a service account, which it creates if need be, and returns its path. It leads
// through the cluster's proxy and reads a token of an hour from the file "token" next to it: rewrite that with
// [WriteToken]. The context has the cluster's name.
func (c *Cluster) Kubeconfig(t testing.TB, namespace, name string) string {
	t.Helper()
	return c.KubeconfigVia(t, c.Proxy, namespace, name)
}

// KubeconfigVia is [Cluster.Kubeconfig] through a proxy of its own.
func (c *Cluster) KubeconfigVia(t testing.TB, p *Proxy, namespace, name string) string {
	t.Helper()
	if err := c.ServiceAccount(t.Context(), namespace, name); err != nil {
		t.Fatal(err)
	}
	token, err := c.Token(t.Context(), namespace, name, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := WriteToken(filepath.Join(dir, "token"), token); err != nil {
		t.Fatal(err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[c.Name] = &clientcmdapi.Cluster{Server: p.URL(), CertificateAuthority: c.pki.file("ca.crt")}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{TokenFile: filepath.Join(dir, "token")}
	config.Contexts[c.Name] = &clientcmdapi.Context{Cluster: c.Name, AuthInfo: name}
	config.CurrentContext = c.Name
	path := filepath.Join(dir, "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// CA returns the certificate of the cluster's certificate authority, as PEM: what a kubeconfig embeds.
func (c *Cluster) CA() ([]byte, error) { return os.ReadFile(c.pki.file("ca.crt")) }
