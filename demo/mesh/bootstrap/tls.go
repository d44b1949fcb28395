// SPDX-License-Identifier: Apache-2.0

package bootstrap

import "github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"

// upstreamTLS is Istio's mutual TLS towards one service: the service account is checked, and the SNI names service and
// port so that an east/west gateway can route without ending the TLS session.
func upstreamTLS(p Params, s layout.Service) m {
	context := commonTLS(p, m{"exact": "spiffe://" + layout.TrustDomain + "/ns/" + s.Namespace + "/sa/bookinfo-" + s.Name})
	context["alpn_protocols"] = istioALPN
	return ext("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", m{
		"common_tls_context": context, "sni": sni(s),
	})
}

// downstreamTLS is the sidecar's STRICT inbound side: any identity of the trust domain, but always an identity.
func downstreamTLS(p Params) m {
	context := commonTLS(p, m{"prefix": "spiffe://" + layout.TrustDomain + "/"})
	context["alpn_protocols"] = l{"istio-http/1.1", "http/1.1"}
	return ext("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", m{
		"common_tls_context": context, "require_client_certificate": true,
	})
}

func commonTLS(p Params, peer m) m {
	files := p.Pod.Certs(p.CertDir)
	return m{
		"tls_params": m{"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
		"tls_certificates": l{m{
			"certificate_chain": m{"filename": files.Chain}, "private_key": m{"filename": files.Key},
		}},
		"validation_context": m{
			"trusted_ca":                    m{"filename": files.Root},
			"match_typed_subject_alt_names": l{m{"san_type": "URI", "matcher": peer}},
		},
	}
}

func tlsInspector() m {
	return ext("envoy.filters.listener.tls_inspector", "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector", nil)
}
