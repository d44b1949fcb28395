// SPDX-License-Identifier: Apache-2.0

package fakeapi

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// epoch is when the cluster's pods were started: fixed, so that runs are equal.
var epoch = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

const (
	proxyImage = "mcr.microsoft.com/oss/istio/proxyv2:1.27.1-distroless"
	appImage   = "registry.example/shop/service@sha256:9f2c6f6d7d5d6f1f8b4f3c2e1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b"
	sidecar    = `{"initContainers":["istio-init","istio-proxy"],"containers":null,"volumes":["workload-socket",` +
		`"credential-socket","workload-certs","istio-envoy","istio-data","istio-podinfo","istio-token","istiod-ca-cert",` +
		`"istio-ca-crl"],"imagePullSecrets":null,"revision":"asm-1-27"}`
)

// podObject is the pod as the API server shows it: with its Istio sidecar, and with managedFields, which each client
// gets whether it wants them or not.
func (c *Cluster) podObject(i int) *corev1.Pod {
	p, state := c.pod(i), c.phases[i]
	since := metav1.NewTime(epoch.Add(time.Duration(i%86400)*time.Second + time.Duration(c.lives[i])*time.Hour))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: p.Name, Namespace: p.Namespace, UID: types.UID(p.UID), ResourceVersion: c.version(kindPod, i),
		Generation: 1, CreationTimestamp: since,
	}}
	if p.HostNetwork {
		hostPod(pod, &p)
	} else {
		meshPod(pod, &p, i)
	}
	pod.Spec.NodeName = p.Node
	podStatus(pod, &p, i%c.nodes, state, since)
	if state == ending {
		gone, grace := metav1.NewTime(since.Add(time.Hour)), int64(30)
		pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &gone, &grace
	}
	return pod
}

func meshPod(pod *corev1.Pod, p *Pod, i int) {
	w, yes := i/podsPerWorkload, true
	pod.Labels = map[string]string{
		"app": p.Workload, "version": "v1", "pod-template-hash": templateHash(w), "security.istio.io/tlsMode": "istio",
		"service.istio.io/canonical-name": p.Workload, "service.istio.io/canonical-revision": "v1",
		"app.kubernetes.io/name": p.Workload, "app.kubernetes.io/part-of": "shop", "topology.istio.io/network": Network,
	}
	pod.Annotations = map[string]string{
		"sidecar.istio.io/status": sidecar, "istio.io/rev": "asm-1-27", "prometheus.io/path": "/stats/prometheus",
		"kubectl.kubernetes.io/default-container": "app",
		"prometheus.io/port":                      "15020", "prometheus.io/scrape": "true",
		"checksum/config": "5d41402abc4b2a76b9719d911017c592ae2f6a2f8d7c9b1e0a3f4c5d6e7f8a9b",
	}
	owner := metav1.OwnerReference{APIVersion: "apps/v1", Controller: &yes, BlockOwnerDeletion: &yes, UID: objectUID(kindReplicaSet, w)}
	if p.Kind == "statefulset" {
		owner.Kind, owner.Name = "StatefulSet", p.Workload
		delete(pod.Labels, "pod-template-hash")
		pod.Labels["statefulset.kubernetes.io/pod-name"] = p.Name
		pod.Labels["controller-revision-hash"] = p.Workload + "-" + templateHash(w)
	} else {
		owner.Kind, owner.Name = "ReplicaSet", p.Workload+"-"+templateHash(w)
		pod.GenerateName = owner.Name + "-"
	}
	pod.OwnerReferences = []metav1.OwnerReference{owner}
	pod.ManagedFields = podManagedFields
	pod.Spec = meshSpec
	pod.Spec.ServiceAccountName, pod.Spec.DeprecatedServiceAccount = p.Workload, p.Workload
	pod.Spec.Containers = append([]corev1.Container(nil), meshSpec.Containers...)
	proxy := &pod.Spec.Containers[1]
	proxy.Env = append(append([]corev1.EnvVar(nil), proxy.Env...),
		corev1.EnvVar{Name: "ISTIO_META_WORKLOAD_NAME", Value: p.Workload},
		corev1.EnvVar{Name: "ISTIO_META_OWNER", Value: "kubernetes://apis/apps/v1/namespaces/" + p.Namespace + "/" + p.Kind + "s/" + p.Workload},
		corev1.EnvVar{Name: "ISTIO_META_NETWORK", Value: Network})
}

func hostPod(pod *corev1.Pod, p *Pod) {
	yes := true
	pod.GenerateName = p.Workload + "-"
	pod.Labels = map[string]string{"k8s-app": p.Workload, "controller-revision-hash": "6d5f8b7c9", "pod-template-generation": "3"}
	pod.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: "DaemonSet", Name: p.Workload, UID: objectUID(kindOther, 1), Controller: &yes, BlockOwnerDeletion: &yes,
	}}
	pod.ManagedFields = podManagedFields
	pod.Spec = corev1.PodSpec{HostNetwork: true, ServiceAccountName: p.Workload, Containers: []corev1.Container{{Name: "agent", Image: appImage}}}
}

func podStatus(pod *corev1.Pod, p *Pod, node int, state phase, since metav1.Time) {
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodPending, QOSClass: corev1.PodQOSBurstable, StartTime: &since,
		HostIP: nodeAddress(node).String(), HostIPs: []corev1.HostIP{{IP: nodeAddress(node).String()}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: since}},
	}
	if state == starting {
		return
	}
	ready := corev1.ConditionTrue
	if state == ending {
		ready = corev1.ConditionFalse
	}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.PodIP, pod.Status.PodIPs = p.Address.String(), []corev1.PodIP{{IP: p.Address.String()}}
	for _, t := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: t, Status: corev1.ConditionTrue, LastTransitionTime: since})
	}
	for _, t := range []corev1.PodConditionType{corev1.PodReady, corev1.ContainersReady} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: t, Status: ready, LastTransitionTime: since})
	}
	for i := range pod.Spec.InitContainers {
		s := containerStatus(&pod.Spec.InitContainers[i], p, i, since)
		s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Reason: "Completed", StartedAt: since, FinishedAt: since, ContainerID: s.ContainerID,
		}}
		pod.Status.InitContainerStatuses = append(pod.Status.InitContainerStatuses, s)
	}
	for i := range pod.Spec.Containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, containerStatus(&pod.Spec.Containers[i], p, i+8, since))
	}
}

func containerStatus(of *corev1.Container, p *Pod, n int, since metav1.Time) corev1.ContainerStatus {
	started := true
	seed := mix(uint64(len(p.UID)) + uint64(p.UID[0])<<8 + uint64(p.UID[1])<<16 + uint64(p.UID[2])<<24 + uint64(n)<<32)
	id := fmt.Sprintf("containerd://%016x%016x%016x%016x", seed, mix(seed), mix(seed+1), mix(seed+2))
	return corev1.ContainerStatus{
		Name: of.Name, Image: of.Image, Ready: true, Started: &started, ContainerID: id,
		ImageID: of.Image + "@sha256:1b3c5d7e9f0a2b4c6d8e0f1a3b5c7d9e1f0a2b4c6d8e0f1a3b5c7d9e1f0a2b4c",
		State:   corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: since}},
	}
}

func mounts(paths ...string) []corev1.VolumeMount {
	var m []corev1.VolumeMount
	for i := 0; i+1 < len(paths); i += 2 {
		m = append(m, corev1.VolumeMount{Name: paths[i], MountPath: paths[i+1]})
	}
	return append(m, corev1.VolumeMount{Name: "kube-api-access-x7k2p", ReadOnly: true, MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"})
}

func fieldEnv(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}}
}

func limits(cpu, memory string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
}

func probe(path string, port int) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: path, Port: intstr.FromInt32(int32(port)), Scheme: corev1.URISchemeHTTP,
		}},
		InitialDelaySeconds: 1, TimeoutSeconds: 3, PeriodSeconds: 15, SuccessThreshold: 1, FailureThreshold: 4,
	}
}

func proxyEnv() []corev1.EnvVar {
	return []corev1.EnvVar{
		{Name: "PILOT_CERT_PROVIDER", Value: "istiod"},
		{Name: "CA_ADDR", Value: "istiod-asm-1-27.istio-system.svc:15012"},
		fieldEnv("POD_NAME", "metadata.name"), fieldEnv("POD_NAMESPACE", "metadata.namespace"), fieldEnv("INSTANCE_IP", "status.podIP"),
		fieldEnv("SERVICE_ACCOUNT", "spec.serviceAccountName"), fieldEnv("HOST_IP", "status.hostIP"),
		{Name: "PROXY_CONFIG", Value: `{"discoveryAddress":"istiod-asm-1-27.istio-system.svc:15012","tracing":{},"holdApplicationUntilProxyStarts":true,"meshId":"shop"}` + "\n"},
		{Name: "ISTIO_META_POD_PORTS", Value: `[{"name":"http","containerPort":8080,"protocol":"TCP"}]`},
		{Name: "ISTIO_META_APP_CONTAINERS", Value: "app"},
		{Name: "ISTIO_META_CLUSTER_ID", Value: "weu-1"},
		fieldEnv("ISTIO_META_NODE_NAME", "spec.nodeName"),
		{Name: "ISTIO_META_INTERCEPTION_MODE", Value: "REDIRECT"},
		{Name: "ISTIO_META_MESH_ID", Value: "shop"},
		{Name: "TRUST_DOMAIN", Value: TrustDomain},
	}
}

// meshSpec is what all injected pods have in common.
var meshSpec = func() corev1.PodSpec {
	grace, mode, expiry, user, no, yes := int64(30), int32(420), int64(43200), int64(1337), false, true
	volumes := []corev1.Volume{}
	for _, name := range []string{"workload-socket", "workload-certs", "istio-envoy", "istio-data"} {
		volumes = append(volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	}
	token := func(name, audience, path string) corev1.Volume {
		return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			DefaultMode: &mode,
			Sources:     []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: audience, ExpirationSeconds: &expiry, Path: path}}},
		}}}
	}
	volumes = append(volumes, token("istio-token", "istio-ca", "istio-token"), token("kube-api-access-x7k2p", "", "token"), corev1.Volume{
		Name: "istiod-ca-cert", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "istio-ca-root-cert"}, DefaultMode: &mode,
		}},
	})
	security := &corev1.SecurityContext{
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}, Privileged: &no, RunAsUser: &user, RunAsGroup: &user,
		RunAsNonRoot: &yes, ReadOnlyRootFilesystem: &yes, AllowPrivilegeEscalation: &no,
	}
	every := func(c corev1.Container) corev1.Container {
		c.TerminationMessagePath, c.ImagePullPolicy = "/dev/termination-log", corev1.PullIfNotPresent
		return c
	}
	return corev1.PodSpec{
		Volumes: volumes, RestartPolicy: corev1.RestartPolicyAlways, TerminationGracePeriodSeconds: &grace, DNSPolicy: corev1.DNSClusterFirst,
		SchedulerName: corev1.DefaultSchedulerName, EnableServiceLinks: &yes, SecurityContext: &corev1.PodSecurityContext{},
		Tolerations: []corev1.Toleration{
			{Key: "node.kubernetes.io/not-ready", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &grace},
			{Key: "node.kubernetes.io/unreachable", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &grace},
		},
		InitContainers: []corev1.Container{every(corev1.Container{
			Name: "istio-init", Image: proxyImage, VolumeMounts: mounts(),
			Args: []string{
				"istio-iptables", "-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT",
				"-i", "*", "-x", "", "-b", "*", "-d", "15090,15021,15020", "--log_output_level=default:info",
			},
			Resources: corev1.ResourceRequirements{Limits: limits("2", "1Gi"), Requests: limits("100m", "128Mi")},
		})},
		Containers: []corev1.Container{
			every(corev1.Container{
				Name: "app", Image: appImage, Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
				Env: []corev1.EnvVar{
					{Name: "LOG_LEVEL", Value: "info"},
					{Name: "OTEL_EXPORTER_OTLP_ENDPOINT", Value: "http://otel-agent.observability:4317"},
					fieldEnv("POD_IP", "status.podIP"),
					{Name: "DATABASE_HOST", Value: "db.internal.example"},
				},
				Resources:    corev1.ResourceRequirements{Limits: limits("1", "512Mi"), Requests: limits("250m", "256Mi")},
				VolumeMounts: mounts(),
			}),
			every(corev1.Container{
				Name: "istio-proxy", Image: proxyImage, Env: proxyEnv(), SecurityContext: security,
				Args: []string{
					"proxy", "sidecar", "--domain", "$(POD_NAMESPACE).svc.cluster.local", "--proxyLogLevel=warning",
					"--proxyComponentLogLevel=misc:error", "--log_output_level=default:info",
				},
				Ports:     []corev1.ContainerPort{{Name: "http-envoy-prom", ContainerPort: 15090, Protocol: corev1.ProtocolTCP}},
				Resources: corev1.ResourceRequirements{Limits: limits("2", "1Gi"), Requests: limits("100m", "128Mi")},
				VolumeMounts: mounts("workload-socket", "/var/run/secrets/workload-spiffe-uds",
					"workload-certs", "/var/run/secrets/workload-spiffe-credentials", "istiod-ca-cert", "/var/run/secrets/istio",
					"istio-data", "/var/lib/istio/data", "istio-envoy", "/etc/istio/proxy", "istio-token", "/var/run/secrets/tokens"),
				ReadinessProbe: probe("/healthz/ready", 15021),
			}),
		},
	}
}()

// podManagedFields says who wrote which field: the controller manager what it made, the kubelet the status.
var podManagedFields = func() []metav1.ManagedFieldsEntry {
	created := metav1.NewTime(epoch)
	made := `{"f:metadata":{"f:annotations":{".":{},"f:checksum/config":{}},"f:generateName":{},"f:labels":{".":{},"f:app":{},"f:app.kubernetes.io/name":{},` +
		`"f:app.kubernetes.io/part-of":{},"f:pod-template-hash":{},"f:version":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"0\"}":{}}},` +
		`"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:env":{},"f:image":{},"f:livenessProbe":{},"f:name":{},"f:ports":{},"f:resources":{}}},` +
		`"f:dnsPolicy":{},"f:enableServiceLinks":{},"f:restartPolicy":{},"f:schedulerName":{},"f:serviceAccountName":{},"f:terminationGracePeriodSeconds":{}}}`
	var conditions []string
	for _, t := range []string{"ContainersReady", "Initialized", "PodReadyToStartContainers", "Ready"} {
		conditions = append(conditions, `"k:{\"type\":\"`+t+`\"}":{".":{},"f:lastTransitionTime":{},"f:status":{}}`)
	}
	status := `{"f:status":{"f:conditions":{` + strings.Join(conditions, ",") +
		`},"f:containerStatuses":{},"f:hostIP":{},"f:hostIPs":{},"f:initContainerStatuses":{},"f:phase":{},"f:podIP":{},"f:podIPs":{},"f:startTime":{}}}`
	return []metav1.ManagedFieldsEntry{
		{
			Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1",
			Time: &created, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(made),
		},
		{
			Manager: "kubelet", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1",
			Time: &created, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(status), Subresource: "status",
		},
	}
}()
