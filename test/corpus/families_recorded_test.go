// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/encode"
)

// The pods of the demo's mesh.
const (
	demoIngress     = "aks-westeurope/istio-ingressgateway-79788cd94-abcde"
	demoPage        = "aks-westeurope/productpage-v1-564d4686f-abcde"
	demoDetails     = "aks-westeurope/details-v1-5f4d584748-abcde"
	demoReviews     = "aks-northeurope/reviews-v1-6d5f7c9b8-fghjk"
	demoEastWest    = "aks-northeurope/istio-eastwestgateway-6b9f4d7c85-fghjk"
	demoPageNorth   = "aks-northeurope/productpage-v1-564d4686f-fghjk"
	demoDetailNorth = "aks-northeurope/details-v1-5f4d584748-fghjk"
)

// recordedFamilies are what the Envoys of the demo's mesh really sent, see test/recordings. Their ids, which are blanked
// there, are put in again; the rest is as it came.
func recordedFamilies(of func(string) family) {
	demo := of("demo")
	edge := demo.http(demoIngress, demoPage, productpageHost, 9080)
	local := demo.http(demoPage, demoDetails, detailsHost, 9080)
	north := demo.http(demoPageNorth, demoDetailNorth, detailsHost, 9080)
	far := demo.through(demo.http(demoPage, demoReviews, reviewsHost, 9080), "aks-northeurope/istio-eastwestgateway")
	passed := far
	passed.Proxy = demo.pod(demoEastWest)
	// The demo's proxies are told what the guide says.
	style := guided(29)
	for _, r := range []struct {
		file, signal, form, failure string
		role                        encode.Role
		call                        encode.Call
	}{
		{"spans/ingress-gateway.json", "span", "otlp_spans", "", encode.IngressGateway, edge},
		{"spans/ingress-gateway-upstream.json", "span", "otlp_spans", "", encode.IngressGateway, edge},
		{"spans/ingress-gateway-404.json", "span", "otlp_spans", "404", encode.IngressGateway, edge},
		{"spans/sidecar-inbound.json", "span", "otlp_spans", "", encode.SidecarInbound, local},
		{"spans/sidecar-inbound-remote.json", "span", "otlp_spans", "failover", encode.SidecarInbound, far},
		{"spans/sidecar-outbound.json", "span", "otlp_spans", "", encode.SidecarOutbound, local},
		{"spans/sidecar-outbound-503.json", "span", "otlp_spans", "URX", encode.SidecarOutbound, local},
		{"spans/sidecar-outbound-remote.json", "span", "otlp_spans", "failover", encode.SidecarOutbound, far},
		{"access-logs/als-http-inbound.json", "als", "als", "", encode.SidecarInbound, local},
		{"access-logs/als-http-outbound.json", "als", "als", "", encode.SidecarOutbound, local},
		{"access-logs/als-http-outbound-503.json", "als", "als", "URX", encode.SidecarOutbound, local},
		{"access-logs/als-http-outbound-remote.json", "als", "als", "failover", encode.SidecarOutbound, far},
		{"access-logs/als-tcp-east-west-gateway.json", "als", "als", "failover", encode.EastWestGateway, passed},
		{"access-logs/otlp-inbound.json", "otlp_labels", "otlp_logs", "", encode.SidecarInbound, north},
		{"access-logs/otlp-outbound.json", "otlp_labels", "otlp_logs", "", encode.SidecarOutbound, north},
		{"metrics/prometheus-sidecar.txt", "metric", "prometheus", "", encode.SidecarOutbound, local},
		{"metrics/metrics-service-ingress-gateway.json", "metric", "metrics_service", "", encode.IngressGateway, edge},
	} {
		name := "recorded-" + strings.TrimSuffix(filepath.Base(r.file), filepath.Ext(r.file))
		m := demo.base(r.signal, r.role, &r.call, &shot{
			name: name, about: "recorded from the demo's mesh: test/recordings/testdata/" + r.file, style: style, failure: r.failure,
		})
		content, err := os.ReadFile(filepath.Join("..", "recordings", "testdata", filepath.FromSlash(r.file)))
		if err != nil {
			panic(err)
		}
		file := "input.txt"
		switch r.form {
		case "prometheus":
			m.Inputs[0].Connection, m.Inputs[0].Scraped = "", r.call.From.IP()+":15090"
		case "metrics_service":
			file, m.Items = "input.json", append(m.Items, m.Items[0])
			content = prettied(content)
		default:
			file = "input.json"
			content = prettied([]byte(withIDs(string(content))))
		}
		demo.add(m, file, r.form, content)
	}
}

// withIDs puts ids of the right length in the place of the blanked ones.
func withIDs(text string) string {
	return strings.NewReplacer(
		`"traceId": "01"`, `"traceId": "0102030405060708090a0b0c0d0e0f10"`,
		`"spanId": "01"`, `"spanId": "0102030405060708"`, `"parentSpanId": "01"`, `"parentSpanId": "0807060504030201"`,
		`"startTimeUnixNano": "1"`, `"startTimeUnixNano": "1793527200000000000"`,
		`"endTimeUnixNano": "1"`, `"endTimeUnixNano": "1793527201000000000"`,
		`"timeUnixNano": "1"`, `"timeUnixNano": "1793527200000000000"`,
	).Replace(text)
}
