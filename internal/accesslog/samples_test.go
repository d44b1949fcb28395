// SPDX-License-Identifier: Apache-2.0

package accesslog

// Lines as proxies wrote them.
const (
	eastWest = `[2022-11-03T18:22:51.440Z] "- - -" 0 - - - "-" 12184 17251 59279 - "-" "-" "-" "-" "172.16.0.60:9080" ` +
		`outbound_.9080_._.reviews.global 172.16.1.139:40738 172.16.1.139:15443 172.16.0.74:64843 outbound_.9080_._.reviews.global -`
	inbound = `[2026-11-01T10:00:00.000Z] "GET /reviews/1 HTTP/1.1" 200 - via_upstream - "-" 0 358 12 11 "-" "curl/8.0" ` +
		`"e4e8c177-3962-9359-945e-61e7175cd867" "reviews:9080" "127.1.0.31:9080" inbound|9080|| 127.0.0.6:43211 127.1.0.31:9080 ` +
		`127.1.0.21:55000 outbound_.9080_._.reviews.bookinfo.svc.cluster.local default`
	failed = `[2026-11-01T10:00:00.000Z] "GET /details/0 HTTP/1.1" 503 URX,UF ` +
		`upstream_reset_before_response_started{connection failure,delayed connect error: 111} - "delayed connect error: 111" ` +
		`0 145 1 - "10.0.0.9,10.0.0.7" "curl/8.0" "e4e8c177" "details:9080" "127.1.0.25:9080" ` +
		`outbound|9080||details.bookinfo.svc.cluster.local - 10.96.0.9:9080 127.1.0.21:40000 - default`
	badRequest = `[2026-11-01T10:00:00.000Z] "- - HTTP/1.1" 400 DPE http1.codec_error - "-" 0 11 0 - "-" "-" "-" "-" "-" - - ` +
		`10.96.0.9:9080 127.1.0.21:40000 - -`
	// Istio 1.3 to 1.5, with the status of Mixer.
	mixer = `[2020-01-05T09:12:25.106Z] "GET /status/418 HTTP/1.1" 418 - "-" "-" 0 135 3 1 "-" "curl/7.60.0" ` +
		`"84fa3d06-37a8-9b88-9cf3-bfe3ab5d8e4c" "httpbin:8000" "127.0.0.1:80" inbound|8000|http|httpbin.default.svc.cluster.local - ` +
		`172.30.146.73:80 172.30.146.82:38618 outbound_.8000_._.httpbin.default.svc.cluster.local default`
	// Istio 1.6 to 1.8.
	withoutDetails = `[2020-11-25T21:26:18.409Z] "GET /status/418 HTTP/1.1" 418 - "-" 0 135 4 4 "-" "curl/7.73.0-DEV" ` +
		`"84961386-6d84-929d-98bd-c5aee93b5c88" "httpbin:8000" "10.44.1.27:80" outbound|8000||httpbin.foo.svc.cluster.local ` +
		`10.44.1.23:37652 10.0.45.184:8000 10.44.1.23:46520 - default`
	// Before the route was logged.
	withoutRoute = `[2019-09-02T15:52:06.727Z] "GET / HTTP/2" 200 - "-" 0 135 4 4 "-" "-" "84961386" "httpbin:8000" "10.44.1.27:80" ` +
		`outbound|8000||httpbin.foo.svc.cluster.local 10.44.1.23:37652 10.0.45.184:8000 10.44.1.23:46520 httpbin.foo`
	// Envoy's own default.
	plainEnvoy = `[2026-11-01T10:00:00.000Z] "POST /api HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" "cc21d9b0" "locations" "tcp://10.0.2.1:80"`
	// Istio with omitEmptyValues.
	omitted = `[2026-11-01T10:00:00.000Z] "  " 0    "" 12184 17251 59279  "" "" "" "" "172.16.0.60:9080" ` +
		`outbound_.9080_._.reviews.global 172.16.1.139:40738 172.16.1.139:15443 172.16.0.74:64843 outbound_.9080_._.reviews.global `

	istioJSON = `{"start_time":"2026-11-01T10:00:00.000Z","route_name":"default","method":"GET","path":"/reviews/1",` +
		`"protocol":"HTTP/1.1","response_code":200,"response_flags":"-","response_code_details":"via_upstream",` +
		`"connection_termination_details":null,"bytes_received":0,"bytes_sent":358,"duration":12,"upstream_service_time":"11",` +
		`"x_forwarded_for":null,"user_agent":"curl/8.0","request_id":"e4e8c177-3962-9359-945e-61e7175cd867",` +
		`"authority":"reviews:9080","upstream_host":"127.1.0.31:9080","upstream_cluster":"inbound|9080||",` +
		`"upstream_local_address":"127.0.0.6:43211","downstream_local_address":"127.1.0.31:9080",` +
		`"downstream_remote_address":"127.1.0.21:55000",` +
		`"requested_server_name":"outbound_.9080_._.reviews.bookinfo.svc.cluster.local","upstream_transport_failure_reason":null}`

	ztunnelOld = `2024-04-11T15:38:42.182974Z  INFO access: connection complete src.addr=10.244.0.24:46238 ` +
		`src.workload="shell-6b4b7d9c5-x2v5k" src.namespace="default" src.identity="spiffe://cluster.local/ns/default/sa/default" ` +
		`dst.addr=10.244.0.42:15008 dst.hbone_addr=10.96.108.116:80 dst.service="echo.default.svc.cluster.local" ` +
		`direction="outbound" bytes_sent=67 bytes_recv=490 duration="13ms"`
	ztunnelTabs = "2024-05-04T09:59:05.028709Z\tinfo\taccess\tconnection complete\t" +
		`src.addr=10.244.1.12:60059 src.workload="sleep-7656cf8794-r7zb9" src.namespace="default" ` +
		`src.identity="spiffe://cluster.local/ns/default/sa/sleep" dst.addr=10.244.1.10:9080 dst.hbone_addr="10.244.1.10:9080" ` +
		`dst.service="productpage.default.svc.cluster.local" dst.workload="productpage-v1-87d54dd59-fn6vw" ` +
		`dst.namespace="productpage" dst.identity="spiffe://cluster.local/ns/default/sa/bookinfo-productpage" ` +
		`direction="inbound" bytes_sent=175 bytes_recv=80 duration="1ms"`
	ztunnelDenied = "2025-10-30T22:23:01.119792Z\terror\taccess\tconnection complete\t" +
		`src.addr=10.217.0.2:44480 dst.addr=10.217.0.248:8080 dst.workload="golang-ex-6d957754b-nfbfv" dst.namespace="test" ` +
		`direction="inbound" bytes_sent=0 bytes_recv=0 duration="0ms" ` +
		`error="connection closed due to policy rejection: explicitly denied by: istio-system/istio_converted_static_strict"`
	ztunnelFailed = "2026-08-10T08:19:58.950669Z\twarn\taccess\tconnection failed\t" +
		`src.addr=10.244.0.6:57866 dst.addr=10.96.0.10:53 direction="outbound" error="unknown source: \"10.244.0.6\""`
	ztunnelJSON = `{"level":"info","time":"2026-08-10T08:19:58.950669Z","scope":"access","message":"connection complete",` +
		`"src.addr":"10.244.0.6:57866","src.workload":"http-client-7fc85576c4-h95l5","src.namespace":"default",` +
		`"src.identity":"spiffe://cluster.local/ns/default/sa/http-client-sa","src.cluster":"aks-a","dst.addr":"10.244.0.7:15008",` +
		`"dst.hbone_addr":"10.244.0.7:18080","dst.service":"http-service.default.svc.cluster.local",` +
		`"dst.workload":"http-server-7bbf596dd9-4rgdc","dst.namespace":"default",` +
		`"dst.identity":"spiffe://cluster.local/ns/default/sa/http-server-sa","dst.cluster":"aks-a","direction":"outbound",` +
		`"bytes_sent":16,"bytes_recv":16,"duration":"1006ms"}`
)

var allSamples = []string{
	eastWest, inbound, failed, badRequest, mixer, withoutDetails, withoutRoute, plainEnvoy, omitted, istioJSON,
	ztunnelOld, ztunnelTabs, ztunnelDenied, ztunnelFailed, ztunnelJSON,
}
