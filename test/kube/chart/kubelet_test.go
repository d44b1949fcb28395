// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/otelcol-mesh/otelcol-mesh/demo/supervise"
	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
)

// place is where a pod runs: its namespace, an address of the loopback for the pod's, and the node's name.
type place struct{ namespace, host, node string }

// run runs a pod's container as a process, as a kubelet would: with the arguments and the environment that the API server has
// of it, with volumes from its ConfigMaps and Secrets, and with the rights of its service account. It returns when the pod's
// probes say that it is ready. What a process cannot have is changed: paths lead to a folder of the test; the service
// account's token is in a kubeconfig; and each pod has a loopback of its own.
func run(t *testing.T, c *kubetest.Cluster, pod core.PodSpec, at place) {
	t.Helper()
	dir := t.TempDir()
	volumes := materialize(t, c, pod, at.namespace, dir)
	container := pod.Containers[0]
	mounts := slices.Clone(container.VolumeMounts)
	slices.SortFunc(mounts, func(a, b core.VolumeMount) int { return cmp.Compare(len(b.MountPath), len(a.MountPath)) })
	path := func(text string) string {
		before, value, found := strings.Cut(text, "=")
		if !found {
			before, value = "", text
		} else {
			before += "="
		}
		for _, m := range mounts {
			if rest, ok := strings.CutPrefix(value+"/", m.MountPath+"/"); ok {
				return before + strings.TrimSuffix(filepath.Join(volumes[m.Name], rest), "/")
			}
		}
		return text
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "HOSTNAME=" + pod.ServiceAccountName, "MESH_DEBUG_HOST=" + at.host, "MESH_NAMESPACE=" + at.namespace}
	if *pod.AutomountServiceAccountToken {
		env = append(env, "MESH_KUBECONFIG="+c.Kubeconfig(t, at.namespace, pod.ServiceAccountName))
	}
	if pod.ServiceAccountName == "otelcol-mesh-hub" {
		// What the webhook of Azure's workload identity adds to pods with its label.
		env = append(env, "AZURE_CLIENT_ID=00000000-0000-0000-0000-000000000001", "AZURE_TENANT_ID=00000000-0000-0000-0000-00000000000a",
			"AZURE_FEDERATED_TOKEN_FILE="+filepath.Join(dir, "token"))
	}
	for _, v := range container.Env {
		env = append(env, v.Name+"="+path(resolve(t, c, v, at)))
	}
	var args []string
	for _, arg := range container.Args {
		args = append(args, path(arg))
	}
	log := filepath.Join(dir, "log")
	p, err := supervise.Start(supervise.Spec{Name: pod.ServiceAccountName, Path: binary(t), Args: args, Env: env, LogFile: log})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(*pod.TerminationGracePeriodSeconds)*time.Second)
		defer cancel()
		assert.NoError(t, p.Stop(ctx))
		assert.Zero(t, p.Restarts(), "it ended by itself")
		if t.Failed() {
			raw, _ := os.ReadFile(log) // what of it there is
			t.Logf("end of the log of %s:\n%s", pod.ServiceAccountName, raw[max(0, len(raw)-6000):])
		}
	})
	for _, probe := range []*core.Probe{container.StartupProbe, container.LivenessProbe, container.ReadinessProbe} {
		url := "http://" + net.JoinHostPort(at.host, strconv.Itoa(port(t, container, probe.HTTPGet.Port.StrVal))) + probe.HTTPGet.Path
		require.Eventually(t, func() bool { return answers(t, url) }, within, 50*time.Millisecond, url)
	}
}

// materialize writes the pod's volumes and returns their folders.
func materialize(t *testing.T, c *kubetest.Cluster, pod core.PodSpec, namespace, dir string) map[string]string {
	t.Helper()
	volumes := map[string]string{"storage": filepath.Join(dir, "storage")} // the hub's is a claim
	for _, v := range pod.Volumes {
		volumes[v.Name] = filepath.Join(dir, v.Name)
	}
	for _, folder := range volumes {
		require.NoError(t, os.MkdirAll(folder, 0o700))
	}
	for _, v := range pod.Volumes {
		files := map[string][]byte{}
		switch {
		case v.ConfigMap != nil:
			object, err := c.Client.CoreV1().ConfigMaps(namespace).Get(t.Context(), v.ConfigMap.Name, metav1.GetOptions{})
			require.NoError(t, err)
			for name, text := range object.Data {
				files[name] = []byte(text)
			}
		case v.Secret != nil:
			object, err := c.Client.CoreV1().Secrets(namespace).Get(t.Context(), v.Secret.SecretName, metav1.GetOptions{})
			require.NoError(t, err)
			files = object.Data
		case v.CSI != nil:
			// SPIRE's names and Key Vault's, for what the driver would bring.
			object, err := c.Client.CoreV1().Secrets(namespace).Get(t.Context(), "otelcol-mesh-client", metav1.GetOptions{})
			require.NoError(t, err)
			for name, key := range map[string]string{"bundle.pem": "ca.crt", "svid.pem": "tls.crt", "svid_key.pem": "tls.key"} {
				files[name], files[key] = object.Data[key], object.Data[key]
			}
		}
		for name, raw := range files {
			require.NoError(t, os.WriteFile(filepath.Join(volumes[v.Name], name), raw, 0o400))
		}
	}
	return volumes
}

// resolve returns the value of a variable.
func resolve(t *testing.T, c *kubetest.Cluster, v core.EnvVar, at place) string {
	t.Helper()
	switch from := v.ValueFrom; {
	case from == nil:
		return v.Value
	case from.FieldRef != nil:
		value, ok := map[string]string{"status.podIP": at.host, "spec.nodeName": at.node}[from.FieldRef.FieldPath]
		require.True(t, ok, from.FieldRef.FieldPath)
		return value
	default:
		object, err := c.Client.CoreV1().Secrets(at.namespace).Get(t.Context(), from.SecretKeyRef.Name, metav1.GetOptions{})
		require.NoError(t, err)
		require.Contains(t, object.Data, from.SecretKeyRef.Key)
		return string(object.Data[from.SecretKeyRef.Key])
	}
}

func port(t *testing.T, container core.Container, name string) int {
	t.Helper()
	for _, p := range container.Ports {
		if p.Name == name {
			return int(p.ContainerPort)
		}
	}
	require.Fail(t, "no port "+name)
	return 0
}

func answers(t *testing.T, url string) bool {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// binary returns the distribution as ocb built it.
func binary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("OTELCOL_MESH_BINARY")
	if path == "" {
		path = filepath.Join("..", "..", "..", "build", "distribution", "otelcol-mesh")
	}
	path, err := filepath.Abs(path)
	require.NoError(t, err)
	require.FileExists(t, path, "the distribution is not built: run 'make build'")
	return path
}
