// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// The exporters' limit for one request: so long that a busy machine does not reach it. Ours meets a hang with it too, as an
// honest request that took longer would be stored twice. Nothing is asked of upstream, which need not wait so long.
const (
	clientTimeout = 20 * time.Second
	shortTimeout  = 2 * time.Second
)

// world is what one exporter meets in one case: an endpoint of its own, and what else the case needs.
type world struct {
	t      *testing.T
	dir    string
	server *ingestiontest.Server
	// foreign is an endpoint at another address, nil unless the case asks for it.
	foreign *ingestiontest.Server
	names   *nameServer
	// authority issued the server's certificate, nil for plain HTTP.
	authority *ingestiontest.Authority
	// tokenFile and connectionFile are files that the exporter reads, empty for none.
	tokenFile, connectionFile string
	// patient says that the exporter is ours, which never gives up.
	patient bool
	// timeout is the exporter's limit for one request.
	timeout time.Duration
	// host is what the exporter calls the endpoint, key what it calls itself.
	host, key string
}

// upstreamSide is the side of the worlds that upstream meets; ours has one for each signal.
const upstreamSide = 2

// newWorld starts the endpoint at an address that no other case uses at the same time.
func newWorld(t *testing.T, c *faultCase, number int, side byte) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), key: ingestiontest.DefaultInstrumentationKey, timeout: clientTimeout}
	if c.hangs && side == upstreamSide {
		w.timeout = shortTimeout
	}
	cfg := ingestiontest.Config{InstrumentationKeys: []string{w.key}, Ledger: markers}
	ip := fmt.Sprintf("127.8.%d.%d", side, number+1)
	if c.tls {
		w.addAuthority(&cfg, ip)
	}
	if c.endpoint != nil {
		c.endpoint(&cfg)
	}
	w.server = w.listen(ip, cfg)
	w.host = w.server.Addr()
	if c.foreign {
		w.foreign = w.listen(fmt.Sprintf("127.8.%d.%d", side+100, number+1), ingestiontest.Config{Ledger: markers})
	}
	if c.arrange != nil {
		c.arrange(w)
	}
	require.NoError(t, w.server.Fault(c.faults(w)...))
	return w
}

func (w *world) listen(ip string, cfg ingestiontest.Config) *ingestiontest.Server {
	server, err := ingestiontest.Listen(net.JoinHostPort(ip, "0"), cfg)
	require.NoError(w.t, err)
	w.t.Cleanup(func() {
		// Clients keep connections; they are of no more use.
		server.DropConnections()
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		assert.NoError(w.t, server.Shutdown(ctx))
	})
	return server
}

// addAuthority begins with a certificate that has expired.
func (w *world) addAuthority(cfg *ingestiontest.Config, ip string) {
	var err error
	w.authority, err = ingestiontest.NewAuthority()
	require.NoError(w.t, err)
	expired, err := w.authority.Issue(time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour), ip)
	require.NoError(w.t, err)
	cfg.TLS = &expired
}

func (w *world) renewCertificate() {
	host, _, err := net.SplitHostPort(w.server.Addr())
	require.NoError(w.t, err)
	renewed, err := w.authority.Issue(time.Now().Add(-time.Hour), time.Now().Add(time.Hour), host)
	require.NoError(w.t, err)
	w.server.SetCertificate(renewed)
}

// connection is the connection string as it is to be used now.
func (w *world) connection() string {
	scheme, _, _ := strings.Cut(w.server.URL(), "://")
	return fmt.Sprintf("InstrumentationKey=%s;IngestionEndpoint=%s://%s/", w.key, scheme, w.host)
}

// named gives the endpoint a host name of a region, which only this world uses, and returns it with the port.
func (w *world) named(server *ingestiontest.Server, region, domain string) string {
	w.names = theNames
	ip, port, err := net.SplitHostPort(server.Addr())
	require.NoError(w.t, err)
	name := fmt.Sprintf("%s-%s.%s", region, strings.ReplaceAll(ip, ".", "-"), domain)
	w.names.add(name, ip)
	return net.JoinHostPort(name, port)
}

func (w *world) writeConnection() {
	w.writeFile(w.connectionFile, w.connection())
}

// writeFile replaces a file as a whole, as Kubernetes does with a mounted secret.
func (w *world) writeFile(name, text string) {
	require.NoError(w.t, os.WriteFile(name+".new", []byte(text), 0o600))
	require.NoError(w.t, os.Rename(name+".new", name))
}

func (w *world) deadLetters() string { return filepath.Join(w.dir, "dead") }

// addClient adds what both exporters have in common: the settings of the HTTP client.
func (w *world) addClient(cfg map[string]any) {
	if w.authority != nil {
		cfg["tls"] = map[string]any{"ca_pem": string(w.authority.PEM())}
	}
	if w.tokenFile != "" {
		cfg["auth"] = map[string]any{"authenticator": "token"}
	}
}

func (w *world) spec(c *faultCase, exporter, signal string) spec {
	s := spec{
		Name: c.name + " " + exporter, Exporter: exporter, Signal: signal,
		Storage: filepath.Join(w.dir, "storage"), Token: w.tokenFile,
		Items: c.items(), Requests: 3, Odd: c.odd,
	}
	if c.gated {
		s.Gate, s.Requests = filepath.Join(w.dir, "gate"), c.items()/100
	}
	require.NoError(w.t, os.MkdirAll(s.Storage, 0o700))
	if w.names != nil {
		s.Names = w.names.address()
	}
	if exporter == ours {
		s.Config = ourConfig(w)
	} else {
		s.Config = upstreamConfig(w)
	}
	return s
}

// letter is a line of the dead letters.
type letter struct {
	Reason  string          `json:"reason"`
	Status  int             `json:"status"`
	Message string          `json:"message"`
	Item    json.RawMessage `json:"item"`
}

// letters reads the dead letters and returns the numbers of their items with the reasons. What cannot be read yet, as the
// last line of a file that is being written, is left out.
func (w *world) letters() map[uint64]letter {
	found := map[uint64]letter{}
	files, err := os.ReadDir(w.deadLetters())
	if os.IsNotExist(err) {
		return found
	}
	require.NoError(w.t, err)
	for _, file := range files {
		raw, err := os.ReadFile(filepath.Join(w.deadLetters(), file.Name()))
		if err != nil || !file.Type().IsRegular() {
			continue
		}
		lines := bufio.NewScanner(bytes.NewReader(raw))
		lines.Buffer(nil, 4<<20)
		for lines.Scan() {
			var l letter
			if json.Unmarshal(lines.Bytes(), &l) != nil || l.Reason == "" {
				continue
			}
			if number, ok := ingestiontest.NumberOf(markers, lines.Bytes()); ok {
				found[number] = l
			}
		}
	}
	return found
}
