// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/otelcol-mesh/otelcol-mesh/demo/supervise"
	"github.com/otelcol-mesh/otelcol-mesh/test/collectortest"
)

// place is where a pod runs: its cluster and namespace, an address of the loopback for the pod's, and the node's name; and
// what the cluster's webhooks and the image add to its environment.
type place struct {
	*region
	namespace, host string
	env             []string
}

// process is a pod that runs: what ends it before the test does, and the folders of its volumes.
type process struct {
	stop    func()
	volumes map[string]string
}

// run runs a pod's container as a process, as a kubelet would: with the arguments and the environment that the API server has
// of it, with volumes from its ConfigMaps and Secrets, and with the rights of its service account. It returns when the pod's
// probes say that it is ready. What a process cannot have is changed: paths lead to a folder
// of the test; the service account's token is in a kubeconfig, as there is no fixed path for it; and each pod has a loopback of
// its own.
func (at place) run(t *testing.T, pod core.PodSpec) process {
	t.Helper()
	dir := t.TempDir()
	volumes := at.materialize(t, pod, dir)
	container := pod.Containers[0]
	path := inFolders(container.VolumeMounts, volumes)
	env := append([]string{
		"PATH=" + os.Getenv("PATH"), "HOSTNAME=" + pod.ServiceAccountName, "MESH_DEBUG_HOST=" + at.host, "MESH_NAMESPACE=" + at.namespace,
	}, at.env...)
	if *pod.AutomountServiceAccountToken {
		kubeconfig := at.Kubeconfig(t, at.namespace, pod.ServiceAccountName)
		env = append(env, "MESH_KUBECONFIG="+kubeconfig, "KUBECONFIG="+kubeconfig)
	}
	for _, v := range container.Env {
		env = append(env, v.Name+"="+path(at.resolve(t, v)))
	}
	var args []string
	for _, arg := range container.Args {
		args = append(args, path(arg))
	}
	log := filepath.Join(dir, "log")
	p, err := supervise.Start(supervise.Spec{Name: pod.ServiceAccountName, Path: collectortest.Binary(t), Args: args, Env: env, LogFile: log})
	require.NoError(t, err)
	stop := sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(*pod.TerminationGracePeriodSeconds)*time.Second)
		defer cancel()
		assert.NoError(t, p.Stop(ctx))
		assert.Zero(t, p.Restarts(), "it ended by itself")
	})
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			raw, _ := os.ReadFile(log) // what of it there is
			t.Logf("end of the log of %s at %s:\n%s", pod.ServiceAccountName, at.host, raw[max(0, len(raw)-6000):])
		}
	})
	for _, probe := range []*core.Probe{container.StartupProbe, container.LivenessProbe, container.ReadinessProbe} {
		url := "http://" + net.JoinHostPort(at.host, strconv.Itoa(port(t, container, probe.HTTPGet.Port.StrVal))) + probe.HTTPGet.Path
		require.Eventually(t, func() bool { return answers(t, url) }, within, 50*time.Millisecond, url)
	}
	return process{stop: stop, volumes: volumes}
}

// inFolders returns what makes of a text, or of the value behind its first "=", that is a path in one of the mounts, the path in
// the volume's folder.
func inFolders(mounts []core.VolumeMount, volumes map[string]string) func(string) string {
	mounts = slices.Clone(mounts)
	slices.SortFunc(mounts, func(a, b core.VolumeMount) int { return cmp.Compare(len(b.MountPath), len(a.MountPath)) })
	return func(text string) string {
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
}

// materialize writes the pod's volumes and returns their folders.
func (at place) materialize(t *testing.T, pod core.PodSpec, dir string) map[string]string {
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
			for name, text := range at.configMap(t, v.ConfigMap.Name) {
				files[name] = []byte(text)
			}
		case v.Secret != nil:
			files = at.secret(t, v.Secret.SecretName)
		case v.Name == "tls" && v.CSI != nil:
			// What the Secrets Store driver would bring of Key Vault: certificate and key in one file.
			data := at.secret(t, "otelcol-mesh-client")
			files["ca.pem"], files["client.pem"] = data["ca.crt"], slices.Concat(data["tls.crt"], data["tls.key"])
		case v.Name == "tls" && v.EmptyDir != nil:
			// What spiffe-helper, the first container, would write of SPIRE's.
			require.Equal(t, "certificates", pod.InitContainers[0].Name)
			for name, key := range map[string]string{"svid_file_name": "tls.crt", "svid_key_file_name": "tls.key", "svid_bundle_file_name": "ca.crt"} {
				found := regexp.MustCompile(name + ` = "(.+)"`).FindStringSubmatch(at.configMap(t, pod.ServiceAccountName+"-spire")["helper.conf"])
				require.NotNil(t, found, name)
				files[found[1]] = at.secret(t, "otelcol-mesh-client")[key]
			}
		}
		for name, raw := range files {
			require.NoError(t, os.WriteFile(filepath.Join(volumes[v.Name], name), raw, 0o400))
		}
	}
	return volumes
}

func (at place) configMap(t *testing.T, name string) map[string]string {
	t.Helper()
	object, err := at.Client.CoreV1().ConfigMaps(at.namespace).Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	return object.Data
}

func (at place) secret(t *testing.T, name string) map[string][]byte {
	t.Helper()
	object, err := at.Client.CoreV1().Secrets(at.namespace).Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	return object.Data
}

// resolve returns the value of a variable.
func (at place) resolve(t *testing.T, v core.EnvVar) string {
	t.Helper()
	switch from := v.ValueFrom; {
	case from == nil:
		return v.Value
	case from.FieldRef != nil:
		value, ok := map[string]string{"status.podIP": at.host, "spec.nodeName": at.node}[from.FieldRef.FieldPath]
		require.True(t, ok, from.FieldRef.FieldPath)
		return value
	default:
		data := at.secret(t, from.SecretKeyRef.Name)
		require.Contains(t, data, from.SecretKeyRef.Key)
		return string(data[from.SecretKeyRef.Key])
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
	_, err := get(t, url)
	return err == nil
}

// get returns the body of an answer; one other than 200 is an error.
func get(t *testing.T, url string) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return string(raw), err
}
