// SPDX-License-Identifier: Apache-2.0

package kube

import "github.com/otelcol-mesh/otelcol-mesh/internal/topology"

// trimDestinationRule returns what a DestinationRule says of failover. Outlier detection alone says it too: Istio's
// locality load balancing is on unless it is turned off.
func trimDestinationRule(rule *destinationRule) (topology.FailoverSpec, bool) {
	policy := &rule.Spec.TrafficPolicy
	spec := topology.FailoverSpec{
		Namespace: rule.Namespace, Name: rule.Name, Host: rule.Spec.Host,
		OutlierDetection: policy.OutlierDetection != nil,
	}
	setting := policy.LoadBalancer.LocalityLbSetting
	if setting == nil {
		return spec, spec.OutlierDetection
	}
	spec.Disabled = setting.Enabled != nil && !*setting.Enabled
	spec.Priority = setting.FailoverPriority
	for i := range setting.Failover {
		spec.From = append(spec.From, setting.Failover[i].From)
		spec.To = append(spec.To, setting.Failover[i].To)
	}
	return spec, true
}
