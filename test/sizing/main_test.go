// SPDX-License-Identifier: Apache-2.0

// Package sizing measures what one replica of each role carries: the built distribution with its shipped configurations and
// mutual TLS, two agents, a router, two replicas of the hub, and the endpoint in another process, the test's. CPU time is that
// of each process by the kernel's account, which other load on the machine changes little. docs/sizing.md has the figures.
package sizing

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
	"github.com/otelcol-mesh/otelcol-mesh/demo/supervise"
	"github.com/otelcol-mesh/otelcol-mesh/test/collectortest"
)

// within bounds every wait; it matters only when something is broken.
const within = 60 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector is one process.
type collector struct {
	role, host, dir, log string
	process              *supervise.Process
}

// certificate issues what a role shows, and returns the folder with ca.crt, tls.crt and tls.key.
func certificate(t *testing.T, a *pkitest.Authority, uri string, dns ...string) string {
	t.Helper()
	dir := t.TempDir()
	leaf := pkitest.Leaf{DNS: dns, Addresses: []string{"127.12.3.10", "127.12.3.11"}}
	if uri != "" {
		leaf.URIs = []string{uri}
	}
	a.Issue(t, leaf).Rename(t, dir)
	pkitest.RenameBundle(t, dir, a)
	return dir
}

func start(t *testing.T, role, host string, files []string, env ...string) *collector {
	t.Helper()
	c := &collector{role: role, host: host, dir: t.TempDir()}
	c.log = filepath.Join(c.dir, "log")
	topology, err := filepath.Abs("../../distribution/examples/topology.yaml")
	require.NoError(t, err)
	var args []string
	for _, file := range files {
		if !strings.HasPrefix(file, "yaml:") {
			file = "../../distribution/" + file
		}
		args = append(args, "--config", file)
	}
	storage := filepath.Join(c.dir, "storage")
	require.NoError(t, os.Mkdir(storage, 0o700))
	c.process, err = supervise.Start(supervise.Spec{
		Name: role, Path: collectortest.Binary(t), Args: args, LogFile: c.log, Log: slog.New(slog.DiscardHandler),
		Env: append(collectortest.Environment([]string{"PATH=" + os.Getenv("PATH")}, host, storage, "MESH_TOPOLOGY_FILE="+topology), env...),
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		assert.NoError(t, c.process.Stop(ctx))
		if t.Failed() {
			t.Log(c.tail())
		}
	})
	require.Eventually(t, func() bool { return c.get("13133", "/") == nil }, within, 50*time.Millisecond, "not ready: %s", role)
	return c
}

func (c *collector) get(port, path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return collectortest.Get(ctx, c.host, port, path, nil)
}

// metric is the sum of one of the collector's own metrics.
func (c *collector) metric(t *testing.T, name string) float64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	sum, _, err := collectortest.Metric(ctx, c.host, name)
	require.NoError(t, err)
	return sum
}

func (c *collector) tail() string { return c.role + ":\n" + collectortest.Tail(c.log, 10, nil) }

// disk is the size of the collector's storage in bytes.
func (c *collector) disk() (sum int64) {
	_ = filepath.WalkDir(filepath.Join(c.dir, "storage"), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // a file that was just deleted
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return nil
	})
	return sum
}

// relay passes connections on and counts the bytes that clients send.
type relay struct {
	listener net.Listener
	sent     atomic.Int64
	running  sync.WaitGroup
	mu       sync.Mutex
	open     map[net.Conn]bool
}

func newRelay(t *testing.T, from, to string) *relay {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", from)
	require.NoError(t, err)
	r := &relay{listener: listener, open: map[net.Conn]bool{}}
	r.running.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			r.mu.Lock()
			r.open[in], r.open[out] = true, true
			r.mu.Unlock()
			r.running.Go(func() { r.copy(out, in, &r.sent) })
			r.running.Go(func() { r.copy(in, out, nil) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		r.mu.Lock()
		for c := range r.open {
			_ = c.Close()
		}
		r.mu.Unlock()
		r.running.Wait()
	})
	return r
}

func (r *relay) copy(to, from net.Conn, count *atomic.Int64) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if count != nil {
				count.Add(int64(n))
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	err := errors.Join(to.Close(), from.Close())
	_ = err // the other direction may have closed them
	r.mu.Lock()
	delete(r.open, to)
	delete(r.open, from)
	r.mu.Unlock()
}
