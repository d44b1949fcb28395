// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube"
)

// The errors about a kubeconfig are our own throughout: those of the YAML library and of client-go quote what they
// cannot read, which may be a token.
var (
	errNoKubeconfig = errors.New("the value is no kubeconfig; make the secret with `istioctl create-remote-secret`")
	errUnusable     = errors.New("the kubeconfig cannot be used: its certificates or its server's URL are malformed; make the secret anew with `istioctl create-remote-secret`")
)

// parse makes a client configuration of a secret's value. It refuses what istiod refuses, and every auth provider:
// none is compiled in.
func parse(value []byte) (*rest.Config, error) {
	if len(value) == 0 {
		return nil, errNoKubeconfig
	}
	config, err := clientcmd.Load(value)
	if err != nil {
		return nil, errNoKubeconfig
	}
	if err := sanitize(config); err != nil {
		return nil, err
	}
	if err := complete(config); err != nil {
		return nil, err
	}
	out, err := clientcmd.NewDefaultClientConfig(*config, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, errUnusable
	}
	if _, err := rest.TLSConfigFor(out); err != nil {
		return nil, errUnusable
	}
	if _, _, err := rest.DefaultServerURL(out.Host, "", schema.GroupVersion{Version: "v1"}, false); err != nil {
		return nil, errUnusable
	}
	return out, nil
}

// sanitize refuses what would run a program or read a file here. It looks at all users and clusters, not only at those
// of the current context, since nothing good comes with the others either.
func sanitize(config *api.Config) error {
	for _, name := range slices.Sorted(maps.Keys(config.AuthInfos)) {
		user := config.AuthInfos[name]
		for _, forbidden := range []struct {
			present bool
			field   string
			instead string
		}{
			{user.Exec != nil, "exec", "token"},
			{user.AuthProvider != nil, "auth-provider", "token"},
			{user.ClientCertificate != "", "client-certificate", "client-certificate-data"},
			{user.ClientKey != "", "client-key", "client-key-data"},
			{user.TokenFile != "", "tokenFile", "token"},
		} {
			if forbidden.present {
				return fmt.Errorf("'users[].user.%s' is not allowed in a remote secret, as it runs a program or reads a file of this machine; write '%s'",
					forbidden.field, forbidden.instead)
			}
		}
	}
	for _, cluster := range config.Clusters {
		if cluster.CertificateAuthority != "" {
			return errors.New("'clusters[].cluster.certificate-authority' is not allowed in a remote secret, as it reads a file of this machine; write 'certificate-authority-data'")
		}
	}
	return nil
}

// complete says which part of the current context is missing. client-go would fill in the address localhost:8080.
func complete(config *api.Config) error {
	current, ok := config.Contexts[config.CurrentContext]
	if !ok {
		return errors.New("'current-context' names no context of the kubeconfig; write one of 'contexts'")
	}
	cluster, ok := config.Clusters[current.Cluster]
	switch {
	case !ok:
		return errors.New("the current context's 'cluster' is none of 'clusters'")
	case cluster.Server == "":
		return errors.New("'clusters[].cluster.server' is missing; write the URL of the cluster's API server")
	case current.AuthInfo != "" && config.AuthInfos[current.AuthInfo] == nil:
		return errors.New("the current context's 'user' is none of 'users'")
	}
	return nil
}

// newClient makes the client for the secrets.
func newClient(s *kube.ClientSettings) (corev1.SecretsGetter, error) {
	config, err := s.Load()
	if err != nil {
		return nil, fmt.Errorf("the client for the remote secrets: %w", err)
	}
	config.UserAgent = "otelcol-mesh/" + s.Version
	client, err := corev1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("the client for the remote secrets: %w", err)
	}
	return client, nil
}
