// SPDX-License-Identifier: Apache-2.0

package kube

// canonicalService returns the canonical service, by Istio's order of labels.
func canonicalService(labels map[string]string, workload string) string {
	if v := first(labels, labelCanonicalName, labelAppName, labelApp); v != "" {
		return v
	}
	return workload
}

// canonicalRevision returns the canonical revision, by Istio's order of labels.
func canonicalRevision(labels map[string]string) string {
	if v := first(labels, labelCanonicalRevision, labelAppVersion, labelVersion); v != "" {
		return v
	}
	return "latest"
}

// workloadName returns the name of a pod's workload: Istio's override, or the owner's.
func workloadName(labels map[string]string, owner string) string {
	if v := labels[labelWorkload]; v != "" {
		return v
	}
	return owner
}
