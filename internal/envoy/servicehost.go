// SPDX-License-Identifier: Apache-2.0

package envoy

import "strings"

// ParseServiceHost returns the service and namespace of a Kubernetes service's host name, such as
// "reviews.bookinfo.svc.cluster.local" or "reviews.bookinfo.svc.clusterset.local". For the name of one pod of a
// headless service ("web-0.web.shop.svc.cluster.local") it returns that service. ok is false for other hosts, for
// short names, whose namespace depends on the caller, for wildcards, and for hosts with a port. It does not allocate.
func ParseServiceHost(host string) (service, namespace string, ok bool) {
	first, rest, ok := cutLabel(host)
	if !ok {
		return "", "", false
	}
	second, rest, ok := cutLabel(rest)
	if !ok {
		return "", "", false
	}
	if isServiceDomain(rest) {
		return first, second, true
	}
	third, rest, ok := cutLabel(rest)
	if !ok || !isServiceDomain(rest) {
		return "", "", false
	}
	return second, third, true
}

// cutLabel cuts a DNS label, and the dot after it, off a host name.
func cutLabel(s string) (label, rest string, ok bool) {
	label, rest, ok = strings.Cut(s, ".")
	return label, rest, ok && label != "" && !strings.ContainsAny(label, "*:/|")
}

func isServiceDomain(s string) bool {
	domain, found := strings.CutPrefix(s, "svc")
	if !found || strings.ContainsAny(domain, "*:/|") {
		return false
	}
	return domain == "" || (domain[0] == '.' && len(domain) > 1)
}
