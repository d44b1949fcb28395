// SPDX-License-Identifier: Apache-2.0

// Package azuredomain knows the domains that take telemetry for Azure Monitor, cloud by cloud. A token, or an item with
// its key, should go to no others unless somebody named them.
package azuredomain

import (
	"net"
	"strings"
)

// Cloud is one of the clouds that Azure runs separately from each other.
type Cloud string

// The clouds.
const (
	Public     Cloud = "public"
	Government Cloud = "government"
	China      Cloud = "china"
)

// Clouds are all of them.
var Clouds = []Cloud{Public, Government, China}

// domains are those of the ingestion endpoints: of Application Insights, global and regional, and of data collection
// endpoints, which have a label of their own below "ingest.monitor", and private links of both. Microsoft alone can have
// names below them. dc.services.visualstudio.com is the global endpoint of connection strings that name none.
var domains = map[Cloud][]string{
	Public:     {"applicationinsights.azure.com", "dc.services.visualstudio.com", "ingest.monitor.azure.com"},
	Government: {"applicationinsights.azure.us", "applicationinsights.us", "ingest.monitor.azure.us"},
	China:      {"applicationinsights.azure.cn", "ingest.monitor.azure.cn"},
}

// Of returns the domains of a cloud's ingestion endpoints; none if the cloud is not known.
func Of(cloud Cloud) []string { return append([]string(nil), domains[cloud]...) }

// CloudOf returns the cloud that a host, without its port, takes telemetry for; false if it belongs to none.
func CloudOf(host string) (Cloud, bool) {
	for _, cloud := range Clouds {
		if Within(host, domains[cloud]) {
			return cloud, true
		}
	}
	return "", false
}

// Audience is what Entra ID tokens for Azure Monitor in the cloud are issued for; that of the public one if the cloud is
// not known.
func (c Cloud) Audience() string {
	switch c {
	case Government:
		return "https://monitor.azure.us"
	case China:
		return "https://monitor.azure.cn"
	}
	return "https://monitor.azure.com"
}

// Within says whether a host, without its port, is one of the domains or below one. It disregards case and one dot at
// the end. An address is within a domain only if it is written the same.
func Within(host string, list []string) bool {
	host = normal(host)
	if host == "" {
		return false
	}
	for _, domain := range list {
		domain = normal(domain)
		if host == domain || (domain != "" && net.ParseIP(host) == nil && strings.HasSuffix(host, "."+domain)) {
			return true
		}
	}
	return false
}

// Same says whether two hosts, without their ports, may stand for each other in a redirect: they are equal, or both take
// telemetry for the same cloud.
func Same(a, b string) bool {
	if a = normal(a); a != "" && a == normal(b) {
		return true
	}
	first, ok := CloudOf(a)
	second, too := CloudOf(b)
	return ok && too && first == second
}

func normal(host string) string {
	return strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), "."))
}
