// SPDX-License-Identifier: Apache-2.0

package kube

import "k8s.io/apimachinery/pkg/runtime"

const istioGroup = "networking.istio.io"

// istioVersions are the versions whose fields the types below have, newest first.
var istioVersions = []string{"v1", "v1beta1", "v1alpha3"}

// workloadEntry has the fields of Istio's WorkloadEntry that place an end.
type workloadEntry struct {
	object
	Spec entrySpec `json:"spec"`
}

// entrySpec is an address outside of Kubernetes: a WorkloadEntry, or an endpoint of a ServiceEntry.
type entrySpec struct {
	Address        string            `json:"address"`
	Labels         map[string]string `json:"labels"`
	Network        string            `json:"network"`
	Locality       string            `json:"locality"`
	ServiceAccount string            `json:"serviceAccount"`
}

// workloadEntryList is a page of them.
type workloadEntryList struct {
	objectList
	Items []workloadEntry `json:"items"`
}

// serviceEntry has the fields of Istio's ServiceEntry that name a destination.
type serviceEntry struct {
	object
	Spec struct {
		Hosts     []string           `json:"hosts"`
		Addresses []string           `json:"addresses"`
		Location  looseString        `json:"location"`
		Ports     []serviceEntryPort `json:"ports"`
		Endpoints []entrySpec        `json:"endpoints"`
	} `json:"spec"`
}

type serviceEntryPort struct {
	Number int64 `json:"number"`
}

// serviceEntryList is a page of them.
type serviceEntryList struct {
	objectList
	Items []serviceEntry `json:"items"`
}

// destinationRule has the fields of Istio's DestinationRule that tell where traffic fails over to.
type destinationRule struct {
	object
	Spec struct {
		Host          string `json:"host"`
		TrafficPolicy struct {
			LoadBalancer struct {
				LocalityLbSetting *localitySetting `json:"localityLbSetting"`
			} `json:"loadBalancer"`
			OutlierDetection *struct{} `json:"outlierDetection"`
		} `json:"trafficPolicy"`
	} `json:"spec"`
}

type localitySetting struct {
	Enabled  *bool `json:"enabled"`
	Failover []struct {
		From string `json:"from"`
		To   string `json:"to"`
	} `json:"failover"`
	FailoverPriority []string `json:"failoverPriority"`
}

// destinationRuleList is a page of them.
type destinationRuleList struct {
	objectList
	Items []destinationRule `json:"items"`
}

// The objects are decoded, trimmed and dropped: nobody changes them, so a copy may share what they hold.

// DeepCopyObject returns a shallow copy.
func (o *workloadEntry) DeepCopyObject() runtime.Object { c := *o; return &c }

// DeepCopyObject returns a shallow copy.
func (o *workloadEntryList) DeepCopyObject() runtime.Object { c := *o; return &c }

// DeepCopyObject returns a shallow copy.
func (o *serviceEntry) DeepCopyObject() runtime.Object { c := *o; return &c }

// DeepCopyObject returns a shallow copy.
func (o *serviceEntryList) DeepCopyObject() runtime.Object { c := *o; return &c }

// DeepCopyObject returns a shallow copy.
func (o *destinationRule) DeepCopyObject() runtime.Object { c := *o; return &c }

// DeepCopyObject returns a shallow copy.
func (o *destinationRuleList) DeepCopyObject() runtime.Object { c := *o; return &c }
