// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// TestHubEndsThoughPeersHang prevents that a peer keeps a hub from ending: one that is killed for it loses what it holds. Each is
// a connection in another state, and none of them does anything any more.
func TestHubEndsThoughPeersHang(t *testing.T) {
	t.Parallel()
	r := newRig(t, 7, ingestiontest.Config{})
	p := newPKI(t)
	hub := r.startHub(r.hubFiles(p.root, p.root), p.rules())
	h := &hanging{t: t, hub: hub, config: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool(), Certificates: []tls.Certificate{p.agent(west).TLS}}}
	h.config.RootCAs.AddCert(p.root.Cert)
	for _, hang := range []func(){
		// gRPC: no handshake, half of one, no word after it, no call, and a call without an end.
		func() { h.dial("14317") }, func() { h.halfHandshake("14317") }, func() { h.tls("14317", "h2") }, func() { h.idle("14317") }, func() { h.halfCall("14317") },
		// HTTP, the same; and half a head and half a body.
		func() { h.dial("14318") }, func() { h.halfHandshake("14318") }, func() { h.tls("14318", "http/1.1") }, func() { h.idle("14318") }, func() { h.halfCall("14318") },
		func() { h.write(h.tls("14318", "http/1.1"), "POST /v1/logs HT") }, func() { h.write(h.tls("14318", "http/1.1"), halfBody) },
		// The receiver's own port.
		func() { h.dial("14319") }, func() { h.write(h.dial("14319"), halfBody) },
	} {
		hang()
	}
	hub.eventually("the three unfinished requests are there", func() bool { return hub.metric("otelcol_extension_request_limits_streams") == 3 })
	hub.eventually("it listens to signals", hub.inControlLoop)
	began := time.Now()
	hub.stop() // within 30 seconds, as a kubelet has it
	t.Logf("it ended after %s", time.Since(began).Round(time.Millisecond))
	assert.Equal(t, 1, hub.logged("Shutdown complete"))
}

// inControlLoop says whether the collector has taken over signals, a moment after it is ready: its first goroutine waits in a select
// then.
func (o *role) inControlLoop() bool {
	var goroutines []byte
	require.NoError(o.t, o.get("1777", "/debug/pprof/goroutine?debug=2", func(body io.Reader) (err error) {
		goroutines, err = io.ReadAll(body)
		return err
	}))
	return bytes.Contains(goroutines, []byte("goroutine 1 [select"))
}

const halfBody = "POST /v1/logs HTTP/1.1\r\nHost: hub\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000\r\n\r\n1"

// hanging makes connections that hang.
type hanging struct {
	t      *testing.T
	hub    *role
	config *tls.Config
}

func (h *hanging) dial(port string) net.Conn {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(h.hub.host, port), within)
	require.NoError(h.t, err)
	h.t.Cleanup(func() { conn.Close() })
	return conn
}

func (h *hanging) write(conn net.Conn, text string) {
	_, err := io.WriteString(conn, text)
	require.NoError(h.t, err)
}

// halfHandshake sends the first bytes of one.
func (h *hanging) halfHandshake(port string) { h.write(h.dial(port), "\x16\x03\x01\x02\x00\x01") }

func (h *hanging) tls(port, protocol string) net.Conn {
	config := h.config.Clone()
	config.ServerName, config.NextProtos = h.hub.host, []string{protocol}
	conn := tls.Client(h.dial(port), config)
	require.NoError(h.t, conn.HandshakeContext(h.t.Context()))
	return conn
}

// idle begins HTTP/2, answers the settings, and has no call.
func (h *hanging) idle(port string) *http2.Framer {
	conn := h.tls(port, "h2")
	h.write(conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, conn)
	require.NoError(h.t, framer.WriteSettings())
	for {
		frame, err := framer.ReadFrame()
		require.NoError(h.t, err)
		if settings, ok := frame.(*http2.SettingsFrame); ok && !settings.IsAck() {
			require.NoError(h.t, framer.WriteSettingsAck())
			return framer
		}
	}
}

// halfCall begins a call and never ends its message.
func (h *hanging) halfCall(port string) {
	framer := h.idle(port)
	var head bytes.Buffer
	encoder := hpack.NewEncoder(&head)
	path, content := "/opentelemetry.proto.collector.logs.v1.LogsService/Export", "application/grpc"
	if port != "14317" {
		path, content = "/v1/logs", "application/x-protobuf"
	}
	for _, field := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":path", path}, {":authority", "hub"}, {"content-type", content}, {"te", "trailers"}} {
		require.NoError(h.t, encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}))
	}
	require.NoError(h.t, framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head.Bytes(), EndHeaders: true}))
	require.NoError(h.t, framer.WriteData(1, false, []byte{0, 0, 0, 1, 0, 1, 2, 3}))
	require.NoError(h.t, framer.WritePing(false, [8]byte{1}))
	for {
		frame, err := framer.ReadFrame()
		require.NoError(h.t, err, fmt.Sprint("the answer to the ping at ", port))
		if ping, ok := frame.(*http2.PingFrame); ok && ping.IsAck() {
			return
		}
	}
}
