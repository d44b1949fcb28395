// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// secretToken must never be seen outside of a client configuration.
const secretToken = "s3cr3t-t0ken"

// kubeconfig returns one as istioctl create-remote-secret makes it; user and cluster are further lines of these.
func kubeconfig(server, user, cluster string) string {
	return `apiVersion: v1
kind: Config
clusters:
- name: c
  cluster:
    server: ` + server + "\n" + cluster + `
contexts:
- name: x
  context: {cluster: c, user: u}
current-context: x
users:
- name: u
  user:
    token: ` + secretToken + "\n" + user
}

func TestParse(t *testing.T) {
	config, err := parse([]byte(kubeconfig("https://10.0.0.1:6443", "", "")))
	require.NoError(t, err)
	assert.Equal(t, "https://10.0.0.1:6443", config.Host)
	assert.Equal(t, secretToken, config.BearerToken)
	assert.Empty(t, config.BearerTokenFile)
}

func TestWhatIsRefused(t *testing.T) {
	pem := base64.StdEncoding.EncodeToString([]byte("no certificate"))
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "is no kubeconfig; make the secret with `istioctl create-remote-secret`"},
		{"no YAML", "{" + secretToken, "is no kubeconfig"},
		{"a token alone", secretToken, "is no kubeconfig"},
		{"a token in the wrong place", "apiVersion: v1\nkind: Config\nclusters: " + secretToken, "is no kubeconfig"},
		{"another kind", "apiVersion: v1\nkind: Secret\nmetadata: {name: " + secretToken + "}", "is no kubeconfig"},
		{"exec", kubeconfig("https://a", "    exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, interactiveMode: Never}", ""), "'users[].user.exec' is not allowed"},
		{"auth provider", kubeconfig("https://a", "    auth-provider: {name: gcp}", ""), "'users[].user.auth-provider' is not allowed"},
		{"oidc", kubeconfig("https://a", "    auth-provider: {name: oidc}", ""), "'users[].user.auth-provider' is not allowed"},
		{"certificate file", kubeconfig("https://a", "    client-certificate: /etc/passwd", ""), "'users[].user.client-certificate' is not allowed"},
		{"key file", kubeconfig("https://a", "    client-key: /etc/passwd", ""), "'users[].user.client-key' is not allowed"},
		{"token file", kubeconfig("https://a", "    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token", ""), "'users[].user.tokenFile' is not allowed"},
		{"authority file", kubeconfig("https://a", "", "    certificate-authority: /etc/passwd"), "'clusters[].cluster.certificate-authority' is not allowed"},
		{"no server", kubeconfig("''", "", ""), "'clusters[].cluster.server' is missing"},
		{"no context", strings.Replace(kubeconfig("https://a", "", ""), "current-context: x", "current-context: other", 1), "'current-context' names no context"},
		{"no user", strings.Replace(kubeconfig("https://a", "", ""), "user: u}", "user: v}", 1), "'user' is none of 'users'"},
		{"no cluster", strings.Replace(kubeconfig("https://a", "", ""), "cluster: c,", "cluster: d,", 1), "'cluster' is none of 'clusters'"},
		{"bad authority", kubeconfig("https://a", "", "    certificate-authority-data: "+pem), "cannot be used"},
		{"bad URL", kubeconfig("'https://a b'", "", ""), "cannot be used"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse([]byte(tt.text))
			require.ErrorContains(t, err, tt.want)
			assert.NotContains(t, err.Error(), secretToken)
		})
	}
}

// What is refused is so in every user and cluster, not only in those of the current context.
func TestUnusedPartsAreJudgedToo(t *testing.T) {
	config := kubeconfig("https://a", "- name: other\n  user: {tokenFile: /etc/passwd}", "")
	_, err := parse([]byte(config))
	require.ErrorContains(t, err, "tokenFile")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(kubeconfig("https://a", "", "")))
	f.Add([]byte(""))
	f.Add([]byte("users: [" + secretToken))
	f.Fuzz(func(t *testing.T, value []byte) {
		config, err := parse(value)
		if (config == nil) == (err == nil) {
			t.Fatal("exactly one of configuration and error")
		}
		if err == nil && (config.ExecProvider != nil || config.AuthProvider != nil || config.BearerTokenFile != "" ||
			config.CertFile != "" || config.KeyFile != "" || config.CAFile != "") {
			t.Fatal("a configuration that reads a file or runs a program")
		}
	})
}
