// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var observed = time.Date(2026, 1, 31, 12, 0, 0, 500, time.UTC)

func ownedBy(kind, name string) []metav1.OwnerReference {
	controller := true
	return []metav1.OwnerReference{{Kind: "Bystander", Name: "x"}, {Kind: kind, Name: name, Controller: &controller}}
}

func TestOwner(t *testing.T) {
	// 29497680 minutes are 2026-01-31T12:00Z.
	created := metav1.NewTime(observed)
	hash := map[string]string{"pod-template-hash": "5d8f"}
	tests := []struct {
		name       string
		owners     []metav1.OwnerReference
		labels     map[string]string
		want, kind string
	}{
		{"deployment", ownedBy("ReplicaSet", "cart-5d8f"), hash, "cart", "deployment"},
		{"deployment with dashes", ownedBy("ReplicaSet", "cart-v1-5d8f"), hash, "cart-v1", "deployment"},
		{"hash of another", ownedBy("ReplicaSet", "cart-77"), hash, "cart-77", "replicaset"},
		{"hash without dash", ownedBy("ReplicaSet", "cart5d8f"), hash, "cart5d8f", "replicaset"},
		{"hash alone", ownedBy("ReplicaSet", "-5d8f"), hash, "-5d8f", "replicaset"},
		{"bare replica set", ownedBy("ReplicaSet", "cart"), nil, "cart", "replicaset"},
		{"rollout", ownedBy("ReplicaSet", "cart-9c"), map[string]string{"rollouts-pod-template-hash": "9c"}, "cart", "rollout"},
		{"stateful set", ownedBy("StatefulSet", "db"), nil, "db", "statefulset"},
		{"daemon set", ownedBy("DaemonSet", "cni"), nil, "cni", "daemonset"},
		{"cron job", ownedBy("Job", "report-29497680"), nil, "report", "cronjob"},
		{"cron job missed for a week", ownedBy("Job", "report-29487600"), nil, "report", "cronjob"},
		{"cron job in seconds", ownedBy("Job", "report-1769860800"), nil, "report", "cronjob"},
		{"job", ownedBy("Job", "migrate"), nil, "migrate", "job"},
		{"job named after a date", ownedBy("Job", "report-20260131"), nil, "report-20260131", "job"},
		{"job with a number", ownedBy("Job", "report-7"), nil, "report-7", "job"},
		{"job that is a number", ownedBy("Job", "-29497680"), nil, "-29497680", "job"},
		{"job with a sign", ownedBy("Job", "report-+9497680"), nil, "report-+9497680", "job"},
		{"bare pod", nil, nil, "p", "pod"},
		{"static pod", ownedBy("Node", "n1"), nil, "p", "pod"},
		{"unknown controller", ownedBy("CloneSet", "cart"), nil, "p", "pod"},
		{"controller without name", ownedBy("ReplicaSet", ""), hash, "p", "pod"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name, kind := ownerOf(&metav1.ObjectMeta{Name: "p", OwnerReferences: tt.owners, Labels: tt.labels, CreationTimestamp: created})
			assert.Equal(t, []string{tt.want, tt.kind}, []string{name, kind})
		})
	}
}

func TestCanonical(t *testing.T) {
	tests := []struct {
		labels            map[string]string
		service, revision string
	}{
		{nil, "w", "latest"},
		{map[string]string{"app": "a", "version": "v1"}, "a", "v1"},
		{map[string]string{"app": "a", "app.kubernetes.io/name": "n", "version": "v1", "app.kubernetes.io/version": "2"}, "n", "2"},
		{map[string]string{"app.kubernetes.io/name": "n", labelCanonicalName: "c", labelCanonicalRevision: "r", "version": "v1"}, "c", "r"},
		{map[string]string{labelCanonicalName: "", "app": "a"}, "a", "latest"},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.service, canonicalService(tt.labels, "w"))
		assert.Equal(t, tt.revision, canonicalRevision(tt.labels))
	}
	assert.Equal(t, "over", workloadName(map[string]string{labelWorkload: "over"}, "w"))
	assert.Equal(t, "w", workloadName(nil, "w"))
}

func TestLocality(t *testing.T) {
	tests := []struct {
		name, region, zone string
		got                func() (string, string)
	}{
		{"node", "westeurope", "westeurope-1", func() (string, string) {
			return nodeLocality(map[string]string{labelRegion: "westeurope", labelZone: "westeurope-1"})
		}},
		{"old labels", "westeurope", "westeurope-2", func() (string, string) {
			return nodeLocality(map[string]string{labelOldRegion: "westeurope", labelOldZone: "westeurope-2"})
		}},
		{"bare zone", "westeurope", "westeurope-3", func() (string, string) {
			return nodeLocality(map[string]string{labelRegion: "westeurope", labelZone: "3"})
		}},
		{"fault domain", "westeurope", "", func() (string, string) {
			return nodeLocality(map[string]string{labelRegion: "westeurope", labelZone: "0"})
		}},
		{"pod", "r", "z", func() (string, string) { return podLocality(map[string]string{labelLocality: "r.z.s"}) }},
		{"pod, old label", "r", "z", func() (string, string) { return podLocality(map[string]string{labelOldLocality: "r.z"}) }},
		{"slashes keep dots", "r.1", "z.2", func() (string, string) { return podLocality(map[string]string{labelOldLocality: "r.1/z.2/s"}) }},
		{"new goes first", "n", "", func() (string, string) {
			return podLocality(map[string]string{labelLocality: "n", labelOldLocality: "o"})
		}},
		{"none", "", "", func() (string, string) { return podLocality(nil) }},
		{"bare zone of a pod", "westeurope", "westeurope-1", func() (string, string) { return podLocality(map[string]string{labelLocality: "westeurope.1"}) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			region, zone := tt.got()
			assert.Equal(t, []string{tt.region, tt.zone}, []string{region, zone})
		})
	}
}

func TestTimes(t *testing.T) {
	at := func(seconds int) metav1.Time {
		return metav1.NewTime(observed.Add(time.Duration(seconds) * time.Second))
	}
	ptr := func(v metav1.Time) *metav1.Time { return &v }
	ready := func(status corev1.ConditionStatus, since metav1.Time) []corev1.PodCondition {
		return []corev1.PodCondition{{Type: corev1.PodReadyToStartContainers, Status: status, LastTransitionTime: since}}
	}
	held := []struct {
		name        string
		status      corev1.PodStatus
		since, seen time.Time
	}{
		{"sandbox", corev1.PodStatus{StartTime: ptr(at(-60)), Conditions: ready("True", at(-50))}, at(-50).Time, at(-49).Time},
		{"sandbox just now", corev1.PodStatus{Conditions: ready("True", at(0))}, observed, observed},
		{"sandbox by a clock ahead", corev1.PodStatus{Conditions: ready("True", at(30))}, observed, observed},
		{"sandbox lost", corev1.PodStatus{StartTime: ptr(at(-60)), Conditions: ready("False", at(-50))}, at(-60).Time, observed},
		{"old kubelet", corev1.PodStatus{StartTime: ptr(at(-60))}, at(-60).Time, observed},
		{"nothing", corev1.PodStatus{}, observed, observed},
	}
	for _, tt := range held {
		since, seen := heldSince(&tt.status, observed)
		assert.True(t, tt.since.Equal(since) && tt.seen.Equal(seen), "%s: %s %s", tt.name, since, seen)
	}

	grace := int64(30)
	for name, tt := range map[string]struct {
		meta     metav1.ObjectMeta
		earliest time.Time
	}{
		"at once":     {metav1.ObjectMeta{}, observed},
		"moved back":  {metav1.ObjectMeta{DeletionTimestamp: ptr(at(-20)), DeletionGracePeriodSeconds: new(int64)}, at(-20).Time},
		"still grace": {metav1.ObjectMeta{DeletionTimestamp: ptr(at(20)), DeletionGracePeriodSeconds: &grace}, at(-10).Time},
		"clock ahead": {metav1.ObjectMeta{DeletionTimestamp: ptr(at(20))}, observed},
	} {
		earliest, latest := deletedBetween(&tt.meta, observed)
		assert.True(t, tt.earliest.Equal(earliest) && latest.Equal(observed), name)
	}

	done := func(s int) corev1.ContainerStatus {
		return corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: at(s)}}}
	}
	earliest, latest := finishedBetween(&corev1.PodStatus{
		InitContainerStatuses: []corev1.ContainerStatus{done(-90)}, ContainerStatuses: []corev1.ContainerStatus{done(-40), done(-50), {}},
	}, observed)
	assert.True(t, at(-40).Time.Equal(earliest) && observed.Equal(latest))
	earliest, _ = finishedBetween(&corev1.PodStatus{}, observed)
	assert.True(t, earliest.IsZero())
}

func TestPod(t *testing.T) {
	pod := aPod("cart-5d8f-x", "3f9a2b1c-0000-4000-8000-00000000abcd", "10.0.0.1", "1")
	pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: "fd00::1"}, corev1.PodIP{IP: "10.0.0.1"}, corev1.PodIP{IP: "nonsense"}, corev1.PodIP{IP: "127.0.0.1"})
	pod.Labels[labelNetwork] = "net-b"
	item := trimPod(pod, observed, "istio-system")
	assert.Equal(t, []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}, item.state.Addresses)
	assert.Equal(t, 2, item.invalid)
	assert.Equal(t, "net-b", item.state.Network)
	assert.Equal(t, byte(0x3f), item.state.UID[0])
	assert.Equal(t, byte(0xcd), item.state.UID[15])
	assert.Nil(t, item.istiod)

	pod.Status.PodIPs, pod.Status.PodIP = nil, "10.0.0.7"
	assert.Equal(t, "10.0.0.7", trimPod(pod, observed, "").state.Addresses[0].String(), "an old API server has podIP alone")

	pod.Status.PodIP = ""
	item = trimPod(pod, observed, "")
	assert.Empty(t, item.state.Addresses)
	assert.True(t, item.state.Since.IsZero())
	assert.False(t, item.ended)

	pod.Status.PodIP, pod.Status.Phase = "10.0.0.7", corev1.PodSucceeded
	item = trimPod(pod, observed, "")
	assert.True(t, item.ended)
	assert.Empty(t, item.state.Addresses, "a finished pod's status keeps an address that is another's by now")
}

func TestIstiod(t *testing.T) {
	for image, want := range map[string]string{
		"docker.io/istio/pilot:1.27.1":                  "1.27.1",
		"host:5000/istio/pilot:1.27.1-distroless":       "1.27.1",
		"host:5000/istio/pilot:1.26.0-debug@sha256:00":  "1.26.0",
		"host:5000/istio/pilot":                         "",
		"host:5000/istio/pilot@sha256:0123":             "",
		"gcr.io/gloo-mesh/pilot:1.25.2-solo-distroless": "1.25.2-solo",
	} {
		assert.Equal(t, want, imageVersion(image))
	}
	pod := aPod("istiod-1", "u", "10.0.0.1", "1")
	pod.Namespace, pod.Labels = "istio-system", map[string]string{"app": "istiod"}
	pod.Spec.Containers = []corev1.Container{{Name: "other", Image: "x:9"}, {Name: "discovery", Image: "istio/pilot:1.27.1"}}
	require.NotNil(t, trimPod(pod, observed, "istio-system").istiod)
	assert.Equal(t, istiod{"default", "1.27.1"}, *trimPod(pod, observed, "istio-system").istiod)
	pod.Labels[labelRevision] = "canary"
	assert.Equal(t, "canary", trimPod(pod, observed, "istio-system").istiod.revision)
	assert.Nil(t, trimPod(pod, observed, "elsewhere").istiod)
}

func TestUID(t *testing.T) {
	static := uidOf("0123456789abcdef0123456789abcdef")
	assert.Equal(t, byte(0x01), static[0])
	assert.Zero(t, uidOf(""))
	assert.NotZero(t, uidOf("not-hex-zz"))
	assert.NotEqual(t, uidOf("odd-a"), uidOf("odd-b"))
}

// TestWaypointPods prevents that a waypoint is taken for a workload that is called, by whichever label its Istio gives it.
func TestWaypointPods(t *testing.T) {
	for _, tt := range []struct {
		label, value string
		want         bool
	}{
		{"gateway.istio.io/managed", "istio.io-mesh-controller", true},
		{"gateway.networking.k8s.io/gateway-class-name", "istio-waypoint", true},
		{"gateway.istio.io/managed", "istio.io-gateway-controller", false},
		{"gateway.networking.k8s.io/gateway-class-name", "istio", false},
		{"app", "istio-waypoint", false},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "shop", Labels: map[string]string{tt.label: tt.value}}}
		item := trimPod(pod, time.Unix(1, 0), "istio-system")
		assert.Equal(t, tt.want, item.state.Waypoint, "%s=%s", tt.label, tt.value)
	}
}

// TestTemplateRevision prevents that a deployment shows only for owners that put the hash into their pods' names.
func TestTemplateRevision(t *testing.T) {
	all := map[string]string{"pod-template-hash": "5d8f", "rollouts-pod-template-hash": "77aa", "controller-revision-hash": "web-66cc"}
	with := func(more ...string) map[string]string {
		labels := maps.Clone(all)
		for i := 0; i < len(more); i += 2 {
			labels[more[i]] = more[i+1]
		}
		return labels
	}
	for name, tt := range map[string]struct {
		owner, ownerName string
		labels           map[string]string
		want             string
	}{
		"a deployment":               {"ReplicaSet", "web-5d8f", with(), "5d8f"},
		"a rollout":                  {"ReplicaSet", "web-77aa", with(), "77aa"},
		"a stateful set":             {"StatefulSet", "web", with(), "web-66cc"},
		"a daemon set":               {"DaemonSet", "web", with(), "web-66cc"},
		"a stateful set of long ago": {"StatefulSet", "web", nil, ""},
		"a bare replica set":         {"ReplicaSet", "web", with(), ""},
		"a job":                      {"Job", "web", with(), ""},
		"a name that others share":   {"StatefulSet", "web", with("service.istio.io/workload-name", "shared"), ""},
		"nobody's":                   {"", "", with(), ""},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "shop", Labels: tt.labels}}
		if tt.owner != "" {
			controller := true
			pod.OwnerReferences = []metav1.OwnerReference{{Kind: tt.owner, Name: tt.ownerName, Controller: &controller}}
		}
		assert.Equal(t, tt.want, trimPod(pod, time.Unix(1, 0), "istio-system").state.Revision, name)
	}
}
