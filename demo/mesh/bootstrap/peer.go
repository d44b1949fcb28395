// SPDX-License-Identifier: Apache-2.0

package bootstrap

import "github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"

// Istio's sidecars tell each other who they are in the headers x-envoy-peer-metadata(-id), which its own filter decodes
// into filter state. Stock Envoy cannot decode that protobuf, so the caller's sidecar sends each field in a header of
// its own and the callee moves them to filter state and removes them before the application.

var peerFields = []string{"workload", "namespace", "service", "version", "cluster"}

func peerHeader(field string) string { return "x-mesh-demo-peer-" + field }

func peerState(field string) string { return "mesh.demo.peer." + field }

func peerHeaderNames() l {
	var names l
	for _, field := range peerFields {
		names = append(names, peerHeader(field))
	}
	return names
}

// peerHeaders are what the caller's proxy adds to each request.
func peerHeaders(p layout.Pod) l {
	fields := podFields(p)
	var headers l
	for _, field := range peerFields {
		headers = append(headers, m{
			"header": m{"key": peerHeader(field), "value": fields[field]}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
		})
	}
	return headers
}

// peerFilter moves the headers to filter state, where the stats logger reads them after the router removed them.
func peerFilter() m {
	var states l
	for _, field := range peerFields {
		states = append(states, m{
			"object_key": peerState(field), "factory_key": "envoy.string",
			"format_string": m{"text_format_source": m{"inline_string": "%REQ(" + peerHeader(field) + ")%"}},
			"skip_if_empty": true,
		})
	}
	return ext("envoy.filters.http.set_filter_state", "envoy.extensions.filters.http.set_filter_state.v3.Config",
		m{"on_request_headers": states})
}
