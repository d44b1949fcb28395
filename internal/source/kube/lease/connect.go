// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// namespaceFile is where Kubernetes tells a pod its own namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// Connect returns how to reach the API server: as a kubeconfig file says, by its current context unless another is named,
// or, without a file, as the service account of the pod that the process runs in. It does not talk to the API server.
func Connect(kubeconfig, context string) (*rest.Config, error) {
	if kubeconfig == "" {
		return rest.InClusterConfig()
	}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig},
		&clientcmd.ConfigOverrides{CurrentContext: context},
	).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig %q: %w", kubeconfig, err)
	}
	return config, nil
}

// PodNamespace returns the namespace of the pod that the process runs in, and an error outside of a pod.
func PodNamespace() (string, error) {
	content, err := os.ReadFile(namespaceFile)
	if err != nil {
		return "", err
	}
	namespace := strings.TrimSpace(string(content))
	if namespace == "" {
		return "", errors.New(namespaceFile + " is empty")
	}
	return namespace, nil
}
