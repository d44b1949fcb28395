// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// endpointVariable makes a process of the benchmark's own program the endpoint.
const endpointVariable = "OTELCOL_MESH_BENCH_ENDPOINT"

// counter counts the items that came, and lets one wait for a number of them.
type counter struct {
	mu      sync.Mutex
	changed *sync.Cond
	items   int
	bytes   int64
}

// serveEndpoint takes every track request until in ends. It counts the lines and looks at nothing.
func serveEndpoint(in io.Reader, out io.Writer) error {
	c := &counter{}
	c.changed = sync.NewCond(&c.mu)
	listener, err := net.Listen("tcp", "127.8.30.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v2.1/track", c.track)
	mux.HandleFunc("GET /wait", func(w http.ResponseWriter, r *http.Request) {
		want, _ := strconv.Atoi(r.FormValue("items"))
		c.mu.Lock()
		for c.items < want {
			c.changed.Wait()
		}
		n, sent := c.items, c.bytes
		c.mu.Unlock()
		fmt.Fprintf(w, "%d %d", n, sent)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		_, _ = io.Copy(io.Discard, in)
		_ = server.Close()
	}()
	fmt.Fprintln(out, "listening", listener.Addr())
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func (c *counter) track(w http.ResponseWriter, r *http.Request) {
	compressed := &countingReader{from: r.Body}
	body, err := gzip.NewReader(compressed)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	items := 0
	buffer := make([]byte, 64<<10)
	for {
		n, err := body.Read(buffer)
		items += bytes.Count(buffer[:n], []byte{'\n'})
		if err != nil {
			break
		}
	}
	c.mu.Lock()
	c.items += items
	c.bytes += compressed.n
	c.changed.Broadcast()
	c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	fmt.Fprintf(w, `{"itemsReceived":%d,"itemsAccepted":%d,"appId":null,"errors":[]}`, items, items)
}

type countingReader struct {
	from io.Reader
	n    int64
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.n += int64(n)
	return n, err
}

// endpointProcess is that process.
type endpointProcess struct {
	address string
	cmd     *exec.Cmd
}

// startEndpoint starts the endpoint; it ends with the benchmark, however that ends, as its input ends then.
func startEndpoint(b *testing.B) *endpointProcess {
	b.Helper()
	self, err := os.Executable()
	require.NoError(b, err)
	e := &endpointProcess{cmd: exec.Command(self)}
	e.cmd.Env = append(os.Environ(), endpointVariable+"=1")
	e.cmd.Stderr = os.Stderr
	in, err := e.cmd.StdinPipe()
	require.NoError(b, err)
	out, err := e.cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, e.cmd.Start())
	b.Cleanup(func() {
		require.NoError(b, in.Close())
		require.NoError(b, e.cmd.Wait())
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(b, err)
	_, e.address, _ = strings.Cut(strings.TrimSpace(line), " ")
	return e
}

// wait returns when so many items have come since the start: the number, and the bytes on the wire.
func (e *endpointProcess) wait(b *testing.B, items int) (came int, sent int64) {
	b.Helper()
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, fmt.Sprintf("http://%s/wait?items=%d", e.address, items), http.NoBody)
	require.NoError(b, err)
	request.Close = true
	client := http.Client{Timeout: time.Minute}
	response, err := client.Do(request)
	require.NoError(b, err, "not all items were delivered")
	defer response.Body.Close()
	_, err = fmt.Fscanf(response.Body, "%d %d", &came, &sent)
	require.NoError(b, err)
	return came, sent
}
