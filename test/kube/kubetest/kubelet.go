// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"context"
	"encoding/json"
	"net/netip"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// Kubelet says about pods what a kubelet would, with the same fields at the same stages. It keeps nothing and is safe for
// concurrent use. Its requests are the administrator's.
type Kubelet struct {
	client kubernetes.Interface
	// Now stamps conditions; the API server keeps whole seconds, rounded down.
	Now func() time.Time
}

// Kubelet returns the kubelet of all nodes.
func (c *Cluster) Kubelet() *Kubelet { return &Kubelet{client: c.Client, Now: time.Now} }

// Accept says that the node has taken the pod: startTime and hostIP, pending, no sandbox and hence no address. Tests that
// do not need the stage leave it out, as [Kubelet.Run] says the same.
func (k *Kubelet) Accept(ctx context.Context, pod *core.Pod, host netip.Addr) (*core.Pod, error) {
	now := meta.NewTime(k.Now())
	status := pod.Status.DeepCopy()
	status.Phase, status.StartTime = core.PodPending, &now
	setHost(status, host)
	conditions(status, now, core.ConditionFalse, core.ConditionFalse, "ContainersNotReady")
	return k.patch(ctx, pod, status)
}

// Run says that the pod has its sandbox with these addresses (the first is podIP), and that its containers run and are
// ready. A kubelet says it at most a few times, and all at once if the images are there.
func (k *Kubelet) Run(ctx context.Context, pod *core.Pod, host netip.Addr, addresses ...netip.Addr) (*core.Pod, error) {
	now := meta.NewTime(k.Now())
	status := pod.Status.DeepCopy()
	status.Phase = core.PodRunning
	if status.StartTime == nil {
		status.StartTime = &now
	}
	setHost(status, host)
	status.PodIPs = nil
	for _, a := range addresses {
		status.PodIPs = append(status.PodIPs, core.PodIP{IP: a.String()})
	}
	if len(addresses) > 0 {
		status.PodIP = addresses[0].String()
	}
	conditions(status, now, core.ConditionTrue, core.ConditionTrue, "")
	status.ContainerStatuses = nil
	for i := range pod.Spec.Containers {
		container := &pod.Spec.Containers[i]
		status.ContainerStatuses = append(status.ContainerStatuses, core.ContainerStatus{
			Name: container.Name, Image: container.Image, Ready: true, Started: new(true),
			ImageID:     container.Image + "@sha256:" + short(container.Image, 32) + short(container.Name, 32),
			ContainerID: "containerd://" + short(string(pod.UID)+container.Name, 32) + short(container.Name, 32),
			State:       core.ContainerState{Running: &core.ContainerStateRunning{StartedAt: now}},
		})
	}
	return k.patch(ctx, pod, status)
}

// Complete says that all containers ended, with success or not, as those of a job do. The status keeps the addresses, but
// the sandbox is gone and the node may give them to another pod.
func (k *Kubelet) Complete(ctx context.Context, pod *core.Pod, success bool) (*core.Pod, error) {
	now := meta.NewTime(k.Now())
	status := pod.Status.DeepCopy()
	status.Phase = core.PodSucceeded
	ended := core.ContainerStateTerminated{Reason: "Completed", FinishedAt: now}
	reason := "PodCompleted"
	if !success {
		status.Phase, reason = core.PodFailed, "PodFailed"
		ended.Reason, ended.ExitCode = "Error", 1
	}
	conditions(status, now, core.ConditionFalse, core.ConditionFalse, reason)
	for i := range status.ContainerStatuses {
		container := &status.ContainerStatuses[i]
		terminated := ended
		if running := container.State.Running; running != nil {
			terminated.StartedAt = running.StartedAt
		}
		terminated.ContainerID = container.ContainerID
		container.Ready, container.Started = false, new(false)
		container.State = core.ContainerState{Terminated: &terminated}
	}
	return k.patch(ctx, pod, status)
}

// Remove takes the pod out of the API server, as a kubelet does when the pod was to be deleted and nothing of it is left.
// On a pod that nobody asked to delete, it is a forced deletion.
func (k *Kubelet) Remove(ctx context.Context, pod *core.Pod) error {
	return k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, meta.DeleteOptions{
		GracePeriodSeconds: new(int64(0)), Preconditions: meta.NewUIDPreconditions(string(pod.UID)),
	})
}

// Terminate asks to delete the pod within a grace period of whole seconds, above 0, as users and controllers do: the pod
// stays until [Kubelet.Remove]. A pod that is bound to no node goes at once.
func (k *Kubelet) Terminate(ctx context.Context, pod *core.Pod, grace time.Duration) error {
	return k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, meta.DeleteOptions{
		GracePeriodSeconds: new(max(1, int64(grace.Seconds()))), Preconditions: meta.NewUIDPreconditions(string(pod.UID)),
	})
}

func setHost(status *core.PodStatus, host netip.Addr) {
	if host.IsValid() {
		status.HostIP, status.HostIPs = host.String(), []core.HostIP{{IP: host.String()}}
	}
}

// conditions sets all conditions; what does not change keeps its time.
func conditions(status *core.PodStatus, now meta.Time, sandbox, ready core.ConditionStatus, reason string) {
	set := func(kind core.PodConditionType, value core.ConditionStatus, reason string) {
		for i := range status.Conditions {
			if c := &status.Conditions[i]; c.Type == kind {
				if c.Status != value {
					c.LastTransitionTime = now
				}
				c.Status, c.Reason = value, reason
				return
			}
		}
		status.Conditions = append(status.Conditions, core.PodCondition{Type: kind, Status: value, Reason: reason, LastTransitionTime: now})
	}
	set(core.PodReadyToStartContainers, sandbox, "")
	set(core.PodInitialized, core.ConditionTrue, "")
	set(core.PodReady, ready, reason)
	set(core.ContainersReady, ready, reason)
	set(core.PodScheduled, core.ConditionTrue, "")
}

// patch sends the whole status with the pod's uid, as kubelets do: another pod of the name refuses it.
func (k *Kubelet) patch(ctx context.Context, pod *core.Pod, status *core.PodStatus) (*core.Pod, error) {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err != nil {
		return nil, err
	}
	return k.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, body, meta.PatchOptions{}, "status")
}
