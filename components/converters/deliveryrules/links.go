// SPDX-License-Identifier: Apache-2.0

package deliveryrules

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// openLinks warns of the OTLP exporters in use whose link anybody on the way can read, or pose as the other end of. It is a
// warning and no refusal: somebody wrote `insecure: true`, and a mesh below may encrypt. What stays on this machine is fine.
func (g *graph) openLinks() map[string][]string {
	warnings := map[string][]string{}
	for _, id := range slices.Sorted(maps.Keys(g.used)) {
		settings := section(g.exporters, id)
		kind, _, _ := strings.Cut(id, "/")
		switch kind {
		case "otlp", "otlp_grpc":
			warnings[id] = openGRPC("exporters::"+id, settings)
		case "otlphttp", "otlp_http":
			warnings[id] = openHTTP("exporters::"+id, settings)
		case "loadbalancing", "load_balancing", "inventory_broadcast", "mesh_balancing":
			// It resolves names to other machines.
			warnings[id] = openGRPC("exporters::"+id+"::protocol::otlp", section(section(settings, "protocol"), "otlp"))
		}
	}
	return warnings
}

func openGRPC(key string, settings map[string]any) []string {
	if ownTLS(settings) {
		return nil
	}
	tls := section(settings, "tls")
	endpoint := text(settings["endpoint"])
	if local(endpoint) {
		return nil
	}
	// As gRPC clients of the collector have it: an authority, or https, makes it TLS all the same.
	if yes(tls["insecure"]) && text(tls["ca_file"]) == "" && text(tls["ca_pem"]) == "" &&
		!strings.HasPrefix(endpoint, "https://") {
		return []string{unencrypted(key+"::tls::insecure: true", endpoint)}
	}
	return unverified(key, tls, endpoint)
}

// ownTLS says whether the TLS of a gRPC client is that of a cluster_identity extension, which warns of it itself.
func ownTLS(settings map[string]any) bool {
	list, _ := settings["middlewares"].([]any)
	return slices.ContainsFunc(list, func(middleware any) bool {
		m, _ := middleware.(map[string]any)
		kind, _, _ := strings.Cut(text(m["id"]), "/")
		return kind == "cluster_identity"
	})
}

func openHTTP(key string, settings map[string]any) (warnings []string) {
	for _, name := range []string{"endpoint", "traces_endpoint", "logs_endpoint", "metrics_endpoint"} {
		endpoint := text(settings[name])
		if endpoint == "" || local(endpoint) {
			continue
		}
		if strings.HasPrefix(strings.ToLower(endpoint), "http://") {
			warnings = append(warnings, unencrypted(key+"::"+name, endpoint))
		} else {
			warnings = append(warnings, unverified(key, section(settings, "tls"), endpoint)...)
		}
	}
	return slices.Compact(warnings)
}

func unencrypted(key, endpoint string) string {
	return fmt.Sprintf("%s sends without TLS%s: whoever is on the way reads and changes the telemetry, and the other end cannot know who sends. "+
		"For one machine only; elsewhere write tls with ca_file, cert_file and key_file", key, to(endpoint))
}

func unverified(key string, tls map[string]any, endpoint string) []string {
	if !yes(tls["insecure_skip_verify"]) {
		return nil
	}
	return []string{fmt.Sprintf("%s::tls::insecure_skip_verify: true accepts any certificate%s: whoever is on the way can pose as the other end. "+
		"Write false, and ca_file", key, to(endpoint))}
}

func to(endpoint string) string {
	if endpoint == "" {
		return ""
	}
	return " to " + endpoint
}

// local says whether an endpoint is on this machine.
func local(endpoint string) bool {
	if scheme, _, ok := strings.Cut(endpoint, ":"); ok && (scheme == "unix" || scheme == "unix-abstract") {
		return true
	}
	if _, after, ok := strings.Cut(endpoint, "://"); ok {
		endpoint = strings.TrimLeft(after, "/")
	}
	endpoint, _, _ = strings.Cut(endpoint, "/")
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil {
		host = strings.Trim(endpoint, "[]")
	}
	address, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && address.Unmap().IsLoopback()
}

func text(value any) string {
	s, _ := value.(string)
	return s
}

// yes reads a switch as a configuration may have it: from the environment it may come as a text.
func yes(value any) bool { return value == true || strings.EqualFold(text(value), "true") }
