// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"maps"
	"strconv"
	"strings"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// PodOptions describe a pod.
type PodOptions struct {
	// Namespace is required, and must exist, with the service account.
	Namespace string
	// Name of the pod; empty makes one of the workload's name and Ordinal, in the manner of the workload's kind.
	Name    string
	Ordinal int
	// Workload is the name of what owns the pod; "" for a bare pod, which needs a Name.
	Workload string
	// Kind of the workload: Deployment (the default), StatefulSet, DaemonSet, ReplicaSet, Job, CronJob.
	Kind string
	// Version is the label version; v1 if empty.
	Version string
	// Node that the pod is bound to; empty leaves it unscheduled.
	Node string
	// ServiceAccount of the pod; "default" if empty.
	ServiceAccount string
	// HostNetwork gives the pod its node's addresses.
	HostNetwork bool
	// Plain leaves out what Istio's injector adds.
	Plain bool
	// Network adds the label topology.istio.io/network, as the injector does.
	Network string
	// Labels and Annotations are added to the usual ones.
	Labels, Annotations map[string]string
}

// Pod returns a pod as clusters with Istio have them: owner, hashes, injected sidecar, volumes. With the managed fields
// that the API server adds it is about 11 kB of JSON.
func Pod(o PodOptions) *core.Pod {
	if o.Version == "" {
		o.Version = "v1"
	}
	if o.ServiceAccount == "" {
		o.ServiceAccount = "default"
	}
	pod := &core.Pod{
		ObjectMeta: meta.ObjectMeta{
			Namespace: o.Namespace, Name: o.Name,
			Labels:      map[string]string{"app": o.Workload, "version": o.Version},
			Annotations: map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "9080"},
		},
		Spec: core.PodSpec{
			NodeName: o.Node, ServiceAccountName: o.ServiceAccount, HostNetwork: o.HostNetwork,
			AutomountServiceAccountToken:  new(true),
			TerminationGracePeriodSeconds: new(int64(30)),
			Containers:                    []core.Container{application(o)},
		},
	}
	own(pod, o)
	if !o.Plain {
		inject(pod, o)
	}
	if o.Network != "" {
		pod.Labels[NetworkLabel] = o.Network
	}
	maps.Copy(pod.Labels, o.Labels)
	maps.Copy(pod.Annotations, o.Annotations)
	return pod
}

// own names the pod and its owner as the controllers do.
func own(pod *core.Pod, o PodOptions) {
	if o.Workload == "" {
		return
	}
	h := fnv.New64a()
	h.Write([]byte(o.Workload + "/" + o.Version)) // never fails
	hash := safe(h.Sum64(), 10)
	random := safe(uint64(o.Ordinal)*2_147_483_647, 5) // a prime: names differ as long as ordinals do, up to 14 million
	owner := meta.OwnerReference{APIVersion: "apps/v1", Kind: o.Kind, Name: o.Workload, Controller: new(true), BlockOwnerDeletion: new(true)}
	name := o.Workload + "-" + random
	switch o.Kind {
	case "", "Deployment":
		owner.Kind, owner.Name = "ReplicaSet", o.Workload+"-"+hash
		pod.Labels["pod-template-hash"] = hash
		name = owner.Name + "-" + random
	case "StatefulSet":
		name = o.Workload + "-" + strconv.Itoa(o.Ordinal)
		pod.Labels["statefulset.kubernetes.io/pod-name"] = name
		pod.Labels["apps.kubernetes.io/pod-index"] = strconv.Itoa(o.Ordinal)
		pod.Labels["controller-revision-hash"] = o.Workload + "-" + hash
	case "Job", "CronJob":
		owner.APIVersion, owner.Kind = "batch/v1", "Job"
		if o.Kind == "CronJob" {
			// The controller's name for a run: the minute since 1970 for which it was due.
			owner.Name = o.Workload + "-" + strconv.Itoa(29_000_000+o.Ordinal)
			name = owner.Name + "-" + random
		}
		pod.Labels["job-name"], pod.Labels["batch.kubernetes.io/job-name"] = owner.Name, owner.Name
		pod.Spec.RestartPolicy = core.RestartPolicyNever
	}
	owner.UID = types.UID(fmt.Sprintf("%s-0000-4000-8000-%s", short(owner.Name, 8), short(owner.Name+o.Namespace, 12)))
	pod.OwnerReferences = []meta.OwnerReference{owner}
	if pod.Name == "" {
		pod.Name = name
	}
}

// safe returns n characters of the alphabet that Kubernetes makes names of, which has no vowels.
func safe(value uint64, n int) string {
	const alphabet = "bcdfghjklmnpqrstvwxz2456789"
	text := make([]byte, n)
	for i := range text {
		text[i] = alphabet[value%uint64(len(alphabet))]
		value /= uint64(len(alphabet))
	}
	return string(text)
}

// short returns n hexadecimal digits that depend on the text alone.
func short(text string, n int) string {
	h := fnv.New128a()
	h.Write([]byte(text)) // never fails
	return hex.EncodeToString(h.Sum(nil))[:n]
}

func application(o PodOptions) core.Container {
	var env []core.EnvVar
	for i, name := range []string{"LOG_LEVEL", "SERVICES_DOMAIN"} {
		env = append(env, core.EnvVar{Name: name, Value: strings.Repeat("value-", 2+i) + o.Workload})
	}
	return core.Container{
		Name: "app", Image: "shop/" + o.Workload + ":" + o.Version, ImagePullPolicy: core.PullIfNotPresent,
		Ports: []core.ContainerPort{{Name: "http", ContainerPort: 9080}},
		Env:   env,
		Resources: core.ResourceRequirements{
			Requests: core.ResourceList{core.ResourceCPU: resource.MustParse("250m"), core.ResourceMemory: resource.MustParse("256Mi")},
			Limits:   core.ResourceList{core.ResourceMemory: resource.MustParse("512Mi")},
		},
	}
}

// inject adds what Istio's injector does, in its shape: init container, proxy with its environment, volumes, annotations.
func inject(pod *core.Pod, o PodOptions) {
	maps.Copy(pod.Labels, map[string]string{
		"security.istio.io/tlsMode": "istio", "service.istio.io/canonical-name": o.Workload,
		"service.istio.io/canonical-revision": o.Version,
	})
	pod.Annotations["istio.io/rev"] = "default"
	pod.Annotations["kubectl.kubernetes.io/default-container"] = "app"
	pod.Annotations["sidecar.istio.io/status"] = `{"initContainers":["istio-init"],"containers":["istio-proxy"],"volumes":` +
		`["workload-socket","istio-envoy","istio-data"],"imagePullSecrets":null,"revision":"default"}`
	pod.Spec.InitContainers = append(pod.Spec.InitContainers, core.Container{
		Name: "istio-init", Image: "istio/proxyv2:1.27.1",
		Args: []string{
			"istio-iptables", "-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT", "-i", "*", "-x", "", "-b", "*",
			"-d", "15090,15021,15020", "--log_output_level=default:info",
		},
		SecurityContext: &core.SecurityContext{
			Capabilities: &core.Capabilities{Add: []core.Capability{"NET_ADMIN", "NET_RAW"}, Drop: []core.Capability{"ALL"}},
			RunAsUser:    new(int64(0)), RunAsGroup: new(int64(0)), RunAsNonRoot: new(false), Privileged: new(false),
		},
	})
	pod.Spec.Containers = append(pod.Spec.Containers, proxyContainer(o))
	for _, name := range []string{"workload-socket", "istio-envoy", "istio-data"} {
		pod.Spec.Volumes = append(pod.Spec.Volumes, core.Volume{
			Name: name, VolumeSource: core.VolumeSource{EmptyDir: &core.EmptyDirVolumeSource{}},
		})
	}
}

func proxyContainer(o PodOptions) core.Container {
	field := func(name, path string) core.EnvVar {
		return core.EnvVar{Name: name, ValueFrom: &core.EnvVarSource{FieldRef: &core.ObjectFieldSelector{FieldPath: path}}}
	}
	env := []core.EnvVar{
		{Name: "CA_ADDR", Value: "istiod.istio-system.svc:15012"},
		field("POD_NAME", "metadata.name"), field("POD_NAMESPACE", "metadata.namespace"), field("INSTANCE_IP", "status.podIP"),
		field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
		{Name: "PROXY_CONFIG", Value: `{"discoveryAddress":"istiod.istio-system.svc:15012","tracing":{}}`},
		{Name: "ISTIO_META_CLUSTER_ID", Value: "Kubernetes"},
		field("ISTIO_META_NODE_NAME", "spec.nodeName"),
		{Name: "ISTIO_META_WORKLOAD_NAME", Value: o.Workload},
		{Name: "ISTIO_META_OWNER", Value: "kubernetes://apis/apps/v1/namespaces/" + o.Namespace + "/deployments/" + o.Workload},
		{Name: "ISTIO_META_MESH_ID", Value: "cluster.local"},
		{Name: "ISTIO_META_NETWORK", Value: o.Network},
		{Name: "TRUST_DOMAIN", Value: "cluster.local"},
	}
	return core.Container{
		Name: "istio-proxy", Image: "istio/proxyv2:1.27.1",
		Args: []string{
			"proxy", "sidecar", "--domain", "$(POD_NAMESPACE).svc.cluster.local", "--proxyLogLevel=warning",
			"--proxyComponentLogLevel=misc:error", "--log_output_level=default:info",
		},
		Ports: []core.ContainerPort{{Name: "http-envoy-prom", ContainerPort: 15090}},
		Env:   env,
		VolumeMounts: []core.VolumeMount{
			{Name: "workload-socket", MountPath: "/var/run/secrets/workload-spiffe-uds"},
			{Name: "istio-data", MountPath: "/var/lib/istio/data"},
			{Name: "istio-envoy", MountPath: "/etc/istio/proxy"},
		},
	}
}
