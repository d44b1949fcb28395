// SPDX-License-Identifier: Apache-2.0

package pairing

import (
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

const (
	pair      = "span_pair"
	noAddress = "unknown:no_address"
	behind    = "unknown:behind_gateway"
)

// calls are spans that tell each other something.
func calls() []pairingCase {
	both := want{source: "frontend-v1", destination: "backend-v1", by: pair}
	return []pairingCase{
		{
			name:  "sidecar to sidecar",
			spans: []Facts{client(1, 9), server(2, 1, backend)},
			want:  []want{both, both},
		},
		{
			name: "one id for both, as Zipkin may have it",
			// Before the client of a pair came, its server looks like an attempt at the call above.
			passing: conflictDestination,
			spans: []Facts{
				client(1, 9), server(1, 9, backend),
				// The call that the answering pod makes shares its id with its own server span, under the same parent.
				client(3, 1, proxy(2), from(backend, mesh.ByTag), to(mesh.End{Namespace: "shop", Service: "other"}, mesh.UnknownNoAddress), host(3000)),
				server(3, 1, other, proxy(4), host(3000)),
			},
			want: []want{both, both, {source: "backend-v1", destination: "other", by: pair}, {source: "backend-v1", destination: "other", by: pair}},
		},
		{
			name:    "one id for both, and one service that calls itself",
			passing: conflictAttempts | conflictSource | conflictDestination,
			spans: []Facts{
				client(1, 9), server(1, 9, backend), client(3, 1, proxy(2), from(backend, mesh.ByTag)), server(3, 1, backend2, proxy(4)),
			},
			want: []want{both, both, {source: "backend-v1", destination: "backend-v2", by: pair}, {source: "backend-v1", destination: "backend-v2", by: pair}},
		},
		{
			name:  "a failed call has its target too",
			spans: []Facts{client(1, 9, code(503)), server(2, 1, backend, code(503))},
			want:  []want{both, both},
		},
		{
			name: "weaker evidence that contradicts is replaced",
			spans: []Facts{
				client(1, 9, to(mesh.End{Cluster: "west"}, mesh.ByGateway)),
				server(2, 1, backend, from(mesh.End{Cluster: "north", Namespace: "shop"}, mesh.ByTrustDomain)),
			},
			want: []want{
				{source: "frontend-v1", destination: "backend-v1", by: pair, conflict: conflictDestination},
				{source: "frontend-v1", destination: "backend-v1", by: pair, conflict: conflictSource},
			},
		},
		{
			name: "a cluster without a workload is completed and stays what told it",
			spans: []Facts{
				client(1, 9, to(mesh.End{Cluster: "north"}, mesh.ByEndpointMetadata)), server(2, 1, backend),
			},
			want: []want{{source: "frontend-v1", destination: "backend-v1", by: "endpoint_metadata"}, both},
		},
		{
			name: "a gateway's request and its attempt",
			spans: []Facts{
				gateway(1, 0), attempt(2, 1), server(3, 2, backend),
			},
			want: []want{
				{source: "ingress", destination: "backend-v1", by: pair},
				{source: "ingress", destination: "backend-v1", by: pair},
				{source: "ingress", destination: "backend-v1", by: pair},
			},
		},
		{
			name: "an attempt that knows its end tells the request",
			spans: []Facts{
				gateway(1, 0), attempt(2, 1, to(backend, mesh.ByIP)),
			},
			want: []want{{source: "ingress", destination: "backend-v1", by: pair}, {source: "ingress", destination: "backend-v1", by: "ip"}},
		},
		{
			name: "what is passed on is as weak as it was",
			spans: []Facts{
				gateway(1, 0), attempt(2, 1, to(mesh.End{Cluster: "north"}, mesh.ByGateway)),
			},
			want: []want{
				{source: "ingress", destination: "-", by: "gateway", waits: true}, {source: "ingress", destination: "-", by: "gateway", waits: true},
			},
			late: []want{{source: "ingress", destination: "-", by: "gateway"}, {source: "ingress", destination: "-", by: "gateway"}},
		},
		{
			name: "retries of a gateway: the attempt that answered counts",
			spans: []Facts{
				gateway(1, 0), attempt(2, 1, to(backend2, mesh.ByIP), code(503)), attempt(3, 1, to(backend, mesh.ByIP)),
			},
			want: []want{
				{source: "ingress", destination: "backend-v1", by: pair},
				{source: "ingress", destination: "backend-v2"},
				{source: "ingress", destination: "backend-v1"},
			},
		},
		{
			name: "retries of a sidecar: the server that answered counts",
			spans: []Facts{
				client(1, 9), server(2, 1, backend2, code(503)), server(3, 1, backend, proxy(4)),
			},
			want: []want{both, {source: "frontend-v1", destination: "backend-v2", by: pair}, both},
		},
		{
			name: "retries of a sidecar that knows where the last attempt went",
			spans: []Facts{
				client(1, 9, to(mesh.End{Cluster: "north"}, mesh.ByEndpointMetadata)), server(2, 1, backend2, code(503)), server(3, 1, backend, proxy(4)),
			},
			want: []want{
				{source: "frontend-v1", destination: "backend-v1", by: "endpoint_metadata"},
				{source: "frontend-v1", destination: "backend-v2", by: pair},
				both,
			},
		},
		{
			name:  "the client gave up first",
			spans: []Facts{client(1, 9, code(504), gaveUp), server(2, 1, backend, code(0), cutOff, lasting(48*time.Millisecond))},
			want:  []want{both, both},
		},
		{
			name: "a gateway that is called is the called end, and calls in turn",
			spans: []Facts{
				client(1, 9, to(mesh.End{Namespace: "istio-system", Service: "ingress"}, mesh.UnknownNoAddress)),
				gateway(2, 1, proxy(5), to(backend, mesh.ByIP)),
			},
			want: []want{{source: "frontend-v1", destination: "ingress", by: pair}, {source: "ingress", destination: "backend-v1", by: "ip"}},
		},
		{
			name: "a waypoint carries",
			spans: []Facts{
				client(1, 9), waypoint(2, 1), waypoint(3, 2, func(f *Facts) { f.Named = false }),
				server(4, 3, backend, func(f *Facts) { f.Call.Via = "" }),
			},
			want: []want{both, both, both, both},
		},
	}
}

// noCalls are spans that must not tell each other anything, or not all.
func noCalls() []pairingCase {
	alone := want{source: "frontend-v1", destination: "-", by: noAddress, waits: true}
	kept := want{source: "frontend-v1", destination: "-", by: noAddress}
	return []pairingCase{
		{
			name: "a pod's inbound span is not the caller of its outbound span",
			spans: []Facts{
				server(1, 9, backend), client(2, 1, proxy(2), from(backend, mesh.ByTag), to(mesh.End{Namespace: "shop", Service: "other"}, mesh.UnknownNoAddress)),
			},
			want: []want{
				{source: "-", destination: "backend-v1", by: behind, waits: true},
				{source: "backend-v1", destination: "-", by: noAddress, waits: true},
			},
		},
		{
			name:  "an outbound span under another sidecar's is not its call",
			spans: []Facts{client(1, 9), client(2, 1, proxy(2), from(backend, mesh.ByTag))},
			want:  []want{alone, {source: "backend-v1", destination: "-", by: noAddress, waits: true}},
		},
		{
			name: "headers were passed on: the server knows another caller",
			spans: []Facts{
				client(1, 9), server(2, 1, backend, from(other, mesh.ByIP)),
			},
			want: []want{
				{source: "frontend-v1", destination: "-", by: noAddress, waits: true, conflict: conflictSource},
				{source: "other", destination: "backend-v1", by: "ip", conflict: conflictSource},
			},
		},
		{
			name: "headers were passed on: the client knows another target",
			spans: []Facts{
				client(1, 9, to(other, mesh.ByIP)), server(2, 1, backend),
			},
			want: []want{
				{source: "frontend-v1", destination: "other", by: "ip", conflict: conflictDestination},
				{source: "-", destination: "backend-v1", by: behind, conflict: conflictDestination},
			},
		},
		{
			name: "headers were passed on: another service was asked for, by another host",
			spans: []Facts{
				client(1, 9, to(mesh.End{Namespace: "shop", Service: "proxy"}, mesh.UnknownNoAddress)),
				server(2, 1, backend, host(2000)),
			},
			want: []want{
				{source: "frontend-v1", destination: "-", by: noAddress, waits: true, conflict: conflictDestination},
				{source: "-", destination: "backend-v1", by: behind, conflict: conflictDestination},
			},
		},
		{
			name: "the call left the mesh and came back",
			spans: []Facts{
				client(1, 9, to(mesh.End{Service: "api.example.com"}, mesh.UnknownExternal)), server(2, 1, backend),
			},
			want: []want{
				{source: "frontend-v1", destination: "-", by: "unknown:external"}, {source: "-", destination: "backend-v1", by: behind},
			},
		},
		{
			name: "two servers answered alike in two clusters",
			spans: []Facts{
				client(1, 9), server(2, 1, backend), server(3, 1, backend2, proxy(4)),
			},
			want: []want{
				{source: "frontend-v1", destination: "-", by: noAddress, conflict: conflictAttempts},
				{source: "frontend-v1", destination: "backend-v1", by: pair},
				{source: "frontend-v1", destination: "backend-v2", by: pair},
			},
		},
		{
			name: "exhausted retries: which was the last, and did it reach anybody?",
			spans: []Facts{
				client(1, 9, code(503), gaveUp, func(f *Facts) { f.Exhausted = true }), server(2, 1, backend, code(503)), server(3, 1, backend2, code(503), proxy(4)),
			},
			want: []want{
				kept, {source: "frontend-v1", destination: "backend-v1", by: pair}, {source: "frontend-v1", destination: "backend-v2", by: pair},
			},
		},
		{
			name:  "the first attempt failed, the server of the last one is not known",
			spans: []Facts{client(1, 9), server(2, 1, backend2, code(503))},
			want:  []want{alone, {source: "frontend-v1", destination: "backend-v2", by: pair}},
		},
		{
			name: "the first attempt failed, the last one took too long",
			spans: []Facts{
				client(1, 9, code(504), gaveUp), server(2, 1, backend2, code(503), lasting(49*time.Millisecond)),
			},
			want: []want{alone, {source: "frontend-v1", destination: "backend-v2", by: pair}},
		},
		{
			name: "the first attempt took too long, and so did the last one",
			spans: []Facts{
				client(1, 9, code(504), gaveUp), server(2, 1, backend2, code(0), cutOff, lasting(25*time.Millisecond)),
			},
			want: []want{alone, {source: "frontend-v1", destination: "backend-v2", by: pair}},
		},
		{
			name:  "another gRPC status",
			spans: []Facts{client(1, 9, grpc(0)), server(2, 1, backend, grpc(14))},
			want:  []want{alone, {source: "frontend-v1", destination: "backend-v1", by: pair}},
		},
		{
			name: "the first attempt reached a server, the last one nobody",
			spans: []Facts{
				client(1, 9, code(503), to(named, mesh.UnknownNoUpstream), gaveUp, func(f *Facts) { f.NoTarget = true }), server(2, 1, backend, code(503)),
			},
			want: []want{
				{source: "frontend-v1", destination: "-", by: "unknown:no_upstream"}, {source: "frontend-v1", destination: "backend-v1", by: pair},
			},
		},
		{
			name: "a copied request, as older proxies send it",
			spans: []Facts{
				client(1, 9), server(2, 1, backend2, func(f *Facts) { f.Host, f.ShadowOf = 2000, 1000 }),
			},
			want: []want{alone, {source: "frontend-v1", destination: "backend-v2", by: pair}},
		},
		{
			name: "a copied request beside the request",
			spans: []Facts{
				client(1, 9), server(2, 1, backend, proxy(4)),
				attempt(3, 1, from(frontend, mesh.ByTag), to(backend2, mesh.ByIP), proxy(1), func(f *Facts) { f.Mirror = true }),
			},
			want: []want{
				{source: "frontend-v1", destination: "backend-v1", by: pair},
				{source: "frontend-v1", destination: "backend-v1", by: pair},
				{source: "frontend-v1", destination: "backend-v2", by: "ip"},
			},
		},
		{
			name: "a side call, such as to an authorization service",
			spans: []Facts{
				gateway(1, 0), attempt(2, 1, to(other, mesh.ByIP), func(f *Facts) { f.Upstream = 101 }),
			},
			want: []want{{source: "ingress", destination: "-", by: noAddress, waits: true}, {source: "ingress", destination: "other"}},
		},
		{
			name:  "a span that is its own parent",
			spans: []Facts{client(1, 1)},
			want:  []want{alone},
		},
		{
			name:  "two spans that are each other's parent",
			spans: []Facts{waypoint(1, 2), waypoint(2, 1, proxy(4))},
			want:  []want{{source: "-", destination: "-", waits: true}, {source: "-", destination: "-", waits: true}},
		},
		{
			name: "nothing that another span can tell",
			spans: []Facts{
				client(1, 9, to(backend, mesh.ByIP)), server(2, 8, backend, from(frontend, mesh.ByIP)), server(3, 0, backend),
			},
			want: []want{
				{source: "frontend-v1", destination: "backend-v1", by: "ip"},
				{source: "frontend-v1", destination: "backend-v1", by: "ip"},
				{source: "-", destination: "backend-v1", by: behind},
			},
		},
		{
			name:  "another trace",
			spans: []Facts{client(1, 9), server(2, 1, backend, func(f *Facts) { f.Trace = TraceID{2} })},
			want:  []want{alone, {source: "-", destination: "backend-v1", by: behind, waits: true}},
		},
		{
			name:  "negative time between two proxies",
			spans: []Facts{client(1, 9, func(f *Facts) { f.Duration = time.Millisecond }), server(2, 1, backend)},
			want:  []want{{source: "frontend-v1", destination: "backend-v1"}, {source: "frontend-v1", destination: "backend-v1"}},
		},
	}
}
