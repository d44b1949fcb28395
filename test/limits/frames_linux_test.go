// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// shape is a way to send frames that bring the server work and nothing else.
type shape struct {
	name string
	send func(w *wire)
	// reason is why its connection is ended; empty if gRPC itself ends it or it costs nothing.
	reason string
}

// flood is how many frames the floods have.
const flood = 300_000

// shapes are those of HTTP/2's known weaknesses, and messages in the smallest parts: CVE-2019-9511 to 9518, CVE-2023-44487,
// CVE-2024-27316.
func shapes(t *testing.T) []shape {
	body := largest(t, 43_000)
	whole := message(len(body), body)
	require.Less(t, len(whole), 4*mib)
	repeat := func(write func(*http2.Framer) error) func(*wire) {
		return func(w *wire) { w.frames(flood, write) }
	}
	onStream := func(write func(f *http2.Framer, id uint32) error) func(*wire) {
		return func(w *wire) {
			if id, err := w.open(tracesMethod); err == nil {
				w.frames(flood, func(f *http2.Framer) error { return write(f, id) })
			}
		}
	}
	return []shape{
		{"a request of 4 MiB, a byte in each frame", func(w *wire) {
			if id, err := w.open(tracesMethod); err == nil {
				w.data(id, whole, 1, within)
			}
		}, "small_frames"},
		// As small as frames may be.
		{"a request of 4 MiB, 64 bytes in each frame", func(w *wire) {
			if id, err := w.open(tracesMethod); err == nil {
				w.data(id, whole[:len(whole)-1], 64, patience)
			}
		}, ""},
		{"a byte in each frame, 255 bytes of padding", onStream(func(f *http2.Framer, id uint32) error {
			return f.WriteDataPadded(id, false, []byte{0}, make([]byte, 255))
		}), "small_frames"},
		{"empty frames of data", onStream(func(f *http2.Framer, id uint32) error { return f.WriteData(id, false, nil) }), "small_frames"},
		{"ends of a stream", onStream(func(f *http2.Framer, id uint32) error { return f.WriteData(id, true, nil) }), "control_frames"},
		// gRPC ends the connection at the third, once it gets to it.
		{"pings", repeat(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{1}) }), ""},
		{"answers to pings", repeat(func(f *http2.Framer) error { return f.WritePing(true, [8]byte{1}) }), "control_frames"},
		{"settings", repeat(func(f *http2.Framer) error { return f.WriteSettings() }), "control_frames"},
		{"windows", repeat(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1) }), "control_frames"},
		{"priorities", repeat(func(f *http2.Framer) error { return f.WritePriority(1, http2.PriorityParam{StreamDep: 3}) }), "control_frames"},
		{"resets of one stream", onStream(func(f *http2.Framer, id uint32) error { return f.WriteRSTStream(id, http2.ErrCodeCancel) }), "control_frames"},
		{"frames of no known kind", repeat(func(f *http2.Framer) error { return f.WriteRawFrame(0xfa, 0, 0, nil) }), "control_frames"},
		// At one go, as nothing may stand in between.
		{"headers that go on", func(w *wire) {
			w.frames(1, func(f *http2.Framer) error {
				err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x83}})
				for n := 0; n < flood && err == nil; n++ {
					err = f.WriteContinuation(1, false, nil)
				}
				return err
			})
		}, "control_frames"},
		// What begins and is given up at once is bounded by gRPC, which takes no more calls than it has room for.
		{"calls that are given up at once", func(w *wire) {
			for range flood / 10 {
				id, err := w.open(tracesMethod)
				if err != nil {
					return
				}
				w.frames(1, func(f *http2.Framer) error { return f.WriteRSTStream(id, http2.ErrCodeCancel) })
			}
		}, ""},
	}
}

// attackWithFrames sends each shape by itself, and then the costliest 24 at a time.
func attackWithFrames(t *testing.T, r *role, container int64, dial func(from string) *wire) {
	t.Helper()
	reason := func(why string) int64 { return r.metric(refusedMetric, "reason")[why] }
	all := shapes(t)
	for _, s := range all {
		before, counted, cpu := r.memory("VmRSS"), reason(s.reason), r.cpu()
		peak := r.peak(func() {
			w := dial("127.14.8.1")
			s.send(w)
			if s.reason != "" {
				assert.True(t, w.ended(within), s.name)
			}
			w.close()
		})
		t.Logf("%-45s peak +%.1f MiB, %v of a processor; %d ended", s.name, float64(peak-before)/mib, r.cpu()-cpu, reason(s.reason)-counted)
		assert.Less(t, peak-before, int64(perRequest), s.name)
		if s.reason != "" {
			assert.EqualValues(t, 1, reason(s.reason)-counted, s.name)
		}
	}
	counted := reason("small_frames")
	var fired sync.WaitGroup
	var wires [3][]*wire
	peak := r.peak(func() {
		for i := range parallel + parallel/2 {
			w := dial(fmt.Sprintf("127.14.8.%d", 1+i%4))
			wires[i%3] = append(wires[i%3], w)
			fired.Go(func() { all[i%3].send(w) })
		}
		fired.Wait()
	})
	// Of those with a byte in each frame some may be so slow here, beside the others, that their requests end before their
	// connections. Those with the padding go on until they are ended.
	require.Eventually(t, func() bool {
		requests, padded := closed(wires[0]), closed(wires[2])
		return padded == len(wires[2]) && reason("small_frames")-counted == int64(requests+padded)
	}, within, patience/20)
	t.Logf("24 at a time: %d MiB at the peak", peak/mib)
	require.Less(t, peak, container)
	require.Zero(t, r.process.Restarts())
}

// closed is how many of the connections the server has ended.
func closed(wires []*wire) (n int) {
	for _, w := range wires {
		if w.ended(0) {
			n++
		}
	}
	return n
}

// TestFrames sends an agent what costs an HTTP/2 server more than it brings: no shape costs ten times a request, each that lasts
// is ended and counted, and honest senders go on.
func TestFrames(t *testing.T) {
	s := startSink(t, "127.14.0.53:14317", false)
	r := startAgent(t, "127.14.0.52", s.endpoint)
	beside(t, s, []*honest{overGRPC(t, "127.14.0.54", r.host+":4317"), overHTTP(t, "127.14.0.55", r.host+":4318")}, func() {
		attackWithFrames(t, r, agentContainer*mib, func(from string) *wire { return dialWire(t, from, r.host+":4317") })
	})
}

// TestFramesBehindTLS does it to a hub, by somebody with a certificate.
func TestFramesBehindTLS(t *testing.T) {
	azure, err := ingestiontest.Listen("127.14.0.63:8080", ingestiontest.Config{Light: true, MaxRequests: 1 << 20})
	require.NoError(t, err)
	t.Cleanup(func() {
		azure.DropConnections()
		assert.NoError(t, azure.Shutdown(t.Context()))
	})
	mtls, err := os.ReadFile("../../distribution/examples/hub-mtls.yaml")
	require.NoError(t, err)
	root, dir := pkitest.New(t, "root"), t.TempDir()
	cert, key := root.Issue(t, pkitest.Leaf{Addresses: []string{"127.14.0.62"}}).Write(t, dir)
	r := startRole(t, "hub", "127.14.0.62", hubMemory, []string{string(mtls)}, "APPLICATION_INSIGHTS_CONNECTION_STRING="+azure.ConnectionString(),
		"MESH_HUB_SERVER_CERT_FILE="+cert, "MESH_HUB_SERVER_KEY_FILE="+key, "MESH_HUB_CLIENT_CA_FILE="+pkitest.WriteBundle(t, t.TempDir(), root))
	pool := x509.NewCertPool()
	pool.AddCert(root.Cert)
	agent := root.Issue(t, pkitest.Leaf{URIs: []string{"spiffe://otelcol-mesh/cluster/aks-westeurope/agent"}}).TLS
	config := &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{agent}, NextProtos: []string{"h2"}}
	attackWithFrames(t, r, hubContainer*mib, func(from string) *wire {
		conn, err := tls.DialWithDialer(dialer(from), "tcp", r.host+":14317", config)
		require.NoError(t, err)
		return newWire(t, conn)
	})
}
