// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/runtime"
)

const gatewayGroup = "gateway.networking.k8s.io"

var gatewayVersions = []string{"v1", "v1beta1"}

// gatewayResource has the fields of the Gateway API's Gateway that tell an east/west gateway.
type gatewayResource struct {
	object
	Spec struct {
		GatewayClassName string           `json:"gatewayClassName"`
		Addresses        []gatewayAddress `json:"addresses"`
		Listeners        []struct {
			Port     int64  `json:"port"`
			Protocol string `json:"protocol"`
		} `json:"listeners"`
	} `json:"spec"`
	Status struct {
		Addresses []gatewayAddress `json:"addresses"`
	} `json:"status"`
}

type gatewayAddress struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// gatewayList is a page of them.
type gatewayList struct {
	objectList
	Items []gatewayResource `json:"items"`
}

// DeepCopyObject returns a shallow copy: nobody changes a decoded object.
func (o *gatewayResource) DeepCopyObject() runtime.Object { c := *o; return &c }

// DeepCopyObject returns a shallow copy.
func (o *gatewayList) DeepCopyObject() runtime.Object { c := *o; return &c }

// looseString takes an enumeration by its name or its number: Istio's CRDs have accepted both.
type looseString string

// UnmarshalJSON takes a string or a number.
func (s *looseString) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) != nil {
		text = string(data)
	}
	*s = looseString(text)
	return nil
}
