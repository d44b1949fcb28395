// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// meshBatch makes items of the size and with the entropy of those of a mesh: random ids, times and durations, and names,
// paths and addresses that come again.
func meshBatch(n int) *items.Batch {
	random := rand.New(rand.NewPCG(3, 4))
	roles := []string{"productpage", "reviews", "ratings", "details", "checkout", "cart", "payment", "frontend"}
	b := &items.Batch{}
	for i := range n {
		role, callee := roles[random.IntN(len(roles))], roles[random.IntN(len(roles))]
		at := start.Add(time.Duration(i) * 731 * time.Microsecond)
		b.Append(items.Item{Time: at, Kind: items.KindDependency, JSON: fmt.Appendf(nil,
			`{"name":"Microsoft.ApplicationInsights.RemoteDependency","time":"%s","tags":{"ai.cloud.role":"%s","ai.cloud.roleInstance":"%s-v1-%08x-%05x",`+
				`"ai.operation.id":"%016x%016x","ai.operation.parentId":"%016x","ai.internal.sdkVersion":"otelcol-mesh:0.5.0"},"data":{"baseType":"RemoteDependencyData",`+
				`"baseData":{"ver":2,"name":"GET /%s/{id}","id":"%016x","resultCode":"200","duration":"00.00:00:00.%06d","success":true,"data":"http://%s:9080/%s/%d","target":"%s","type":"HTTP",`+
				`"properties":{"cloud.region":"westeurope","k8s.cluster.name":"aks-weu-1","k8s.namespace.name":"bookinfo","k8s.pod.name":"%s-v1-%08x-%05x","mesh.destination.cluster":"aks-neu-1",`+
				`"mesh.destination.region":"northeurope","mesh.cross_region":"true","http.request.size":"%d","http.response.size":"%d","network.peer.address":"10.%d.%d.%d","envoy.response_flags":"-",`+
				`"user_agent.original":"Mozilla/5.0 (X11; Linux x86_64)","url.scheme":"http"}}}}`,
			at.Format("2006-01-02T15:04:05.000000Z"), role, role, random.Uint32(), random.Uint32N(1<<20), random.Uint64(), random.Uint64(), random.Uint64(), callee, random.Uint64(),
			random.IntN(400_000), callee, callee, random.IntN(5000), callee, role, random.Uint32(), random.Uint32N(1<<20), random.IntN(3000), random.IntN(9000), random.IntN(256), random.IntN(256), random.IntN(256))})
	}
	return b
}

// discard answers 200 once it read the body.
func discard(r *http.Request) (*http.Response, error) {
	_, err := io.Copy(io.Discard, r.Body)
	_ = r.Body.Close()
	return answerWith(r, 200, http.Header{"Date": {"Mon, 23 Nov 2026 06:00:00 GMT"}}, nil), err
}

func benchmarkSend(b *testing.B, client *http.Client, endpoint string, level, perBatch int) {
	c := &fixed{}
	c.set(b, endpoint, testKey)
	dest, err := NewDestination(Settings{Client: client, Connection: c, CompressionLevel: level, Now: func() time.Time { return start }})
	require.NoError(b, err)
	observer := &recorder{}
	sender := dest.Sender(observer)
	work := meshBatch(perBatch)
	b.ReportAllocs()
	rounds := 0
	for b.Loop() {
		if got := sender.Send(b.Context(), work); got.Accepted != perBatch {
			b.Fatal(got.Err)
		}
		rounds++
	}
	sent := float64(perBatch * rounds)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/sent, "ns/item")
	b.ReportMetric(float64(observer.bytes)/sent, "wire-B/item")
	b.ReportMetric(float64(work.TextBytes())/float64(perBatch), "json-B/item")
}

// BenchmarkSend sends to a transport that throws all away: the cost of the sender alone.
func BenchmarkSend(b *testing.B) {
	for _, level := range []int{1, 2, 3, 4, 5, 6, 7, 9} {
		b.Run(fmt.Sprintf("level=%d/items=1000", level), func(b *testing.B) {
			benchmarkSend(b, &http.Client{Transport: transport(discard)}, "http://127.0.0.1:1", level, 1000)
		})
	}
	for _, n := range []int{10, 100, 5000} {
		b.Run(fmt.Sprintf("level=1/items=%d", n), func(b *testing.B) {
			benchmarkSend(b, &http.Client{Transport: transport(discard)}, "http://127.0.0.1:1", 1, n)
		})
	}
}

// BenchmarkSendHTTP sends over loopback to a server that throws all away, which is part of what is measured.
func BenchmarkSendHTTP(b *testing.B) {
	s := discardServer(b)
	b.Run("level=1/items=1000", func(b *testing.B) { benchmarkSend(b, s.Client(), s.URL, 1, 1000) })
}

// BenchmarkPack makes bodies alone.
func BenchmarkPack(b *testing.B) {
	work := meshBatch(1000)
	order := make([]int32, work.Len())
	for i := range order {
		order[i] = int32(i)
	}
	p, prefix := newPress(1), keyPrefix(testKey)
	b.ReportAllocs()
	for b.Loop() {
		body, n, _ := p.pack(work, order, prefix, limits{items: 64000, bytes: 4 << 20})
		if n != work.Len() {
			b.Fatal(n)
		}
		body.release()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*work.Len()), "ns/item")
}

// BenchmarkAnswer206 judges an answer that names every tenth item.
func BenchmarkAnswer206(b *testing.B) {
	const n = 1000
	errs := make([]byte, 0, 64*n/10)
	for i := 0; i < n; i += 10 {
		if i > 0 {
			errs = append(errs, ',')
		}
		errs = append(errs, itemFault(i, 400, "109: Field 'name' on type 'RequestData' is required but missing or empty.")...)
	}
	body := fmt.Appendf(nil, `{"itemsReceived":%d,"itemsAccepted":%d,"appId":null,"errors":[%s]}`, n, n-n/10, errs)
	dest, _ := stubRig(b, func() time.Time { return start }, func(r *http.Request) (*http.Response, error) {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
		return answerWith(r, 206, nil, body), nil
	})
	sender, work := dest.Sender(nil), meshBatch(n)
	b.ReportAllocs()
	for b.Loop() {
		if got := sender.Send(b.Context(), work); len(got.Dead) != n/10 {
			b.Fatal(got.Err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/item")
}
