// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
)

const (
	childVariable = "REQUEST_LIMITS_TEST_CHILD"
	// containerLimit is the memory limit of an agent's container, softLimit what its GOMEMLIMIT is then.
	containerLimit = 400 << 20
	softLimit      = "320MiB"
	parallel       = 16
)

// TestChild is the process that [TestMemory] attacks: an OTLP receiver with the extension, until its input ends. As a test
// by itself it does nothing.
func TestChild(t *testing.T) {
	if os.Getenv(childVariable) == "" {
		return
	}
	f := newFixture(t, nil, nil, func(context.Context, ptrace.Traces) error { return nil })
	fmt.Printf("listening %s %s\n", f.grpc, f.http)
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

type child struct {
	fixture
	pid int
}

func startChild(t *testing.T) *child {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestChild$") //nolint:gosec // this binary
	command.Env = append(os.Environ(), childVariable+"=1", "GOMEMLIMIT="+softLimit)
	in, err := command.StdinPipe()
	require.NoError(t, err)
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = in.Close()
		require.NoError(t, command.Wait())
	})
	c := &child{pid: command.Process.Pid}
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	_, err = fmt.Sscanf(line, "listening %s %s", &c.grpc, &c.http)
	require.NoError(t, err)
	return c
}

// memory returns a line of the process's status in bytes: VmRSS or VmHWM, its peak.
func (c *child) memory(t *testing.T, name string) int64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(c.pid), "status"))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name+":" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			require.NoError(t, err)
			return kib << 10
		}
	}
	require.FailNow(t, "no such line", name)
	return 0
}

// cpu is the time that the process has run on a processor; what else the machine does is not in it.
func (c *child) cpu(t *testing.T) (sum time.Duration) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(c.pid), "task", "*", "schedstat"))
	require.NoError(t, err)
	for _, file := range files {
		raw, err := os.ReadFile(file) //nolint:gosec // of our own child
		if err != nil {
			continue // the thread is gone
		}
		ran, _, _ := strings.Cut(string(raw), " ")
		n, err := strconv.ParseInt(ran, 10, 64)
		require.NoError(t, err)
		sum += time.Duration(n)
	}
	return sum
}

func (c *child) resetPeak(t *testing.T) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join("/proc", strconv.Itoa(c.pid), "clear_refs"), []byte("5"), 0o600))
}

// TestMemory sends requests of 4 MiB that are mostly structure, plain and compressed, over both protocols, one by one and
// 16 at a time, while an honest sender goes on.
func TestMemory(t *testing.T) {
	c := startChild(t)
	conn := c.dial(t, "127.0.0.2")
	good := honest(t, 500)
	require.NoError(t, send(t.Context(), conn, tracesMethod, good))
	start := c.memory(t, "VmRSS")
	for name, r := range structures() {
		c.resetPeak(t)
		before := c.memory(t, "VmRSS")
		took := make([]time.Duration, 0, 5)
		for range cap(took) {
			began := c.cpu(t)
			err := send(t.Context(), conn, r.method, r.body)
			took = append(took, c.cpu(t)-began)
			require.Equal(t, codes.InvalidArgument, status.Code(err), "%s: %v", name, err)
		}
		grown := c.memory(t, "VmHWM") - before
		t.Logf("%s: %d bytes refused with %v of a processor at best; peak +%.1f MiB", name, len(r.body), slices.Min(took), float64(grown)/(1<<20))
		require.LessOrEqual(t, grown, int64(10*(4<<20)*raceFactor), name)
		require.Less(t, slices.Min(took), 20*time.Millisecond*raceFactor, name)
	}

	large := honest(t, 43_000)
	require.Greater(t, len(large), 3<<20)
	require.Less(t, len(large), 4<<20)
	c.resetPeak(t)
	var attackers sync.WaitGroup
	for i := range max(parallel/raceFactor, 2) {
		attackers.Go(func() {
			own := c.dial(t, "127.0.0.3")
			// The largest that is allowed: taken, or told to come again.
			err := send(context.Background(), own, tracesMethod, large, grpc.UseCompressor(gzip.Name))
			if !slices.Contains([]codes.Code{codes.OK, codes.ResourceExhausted, codes.Canceled}, status.Code(err)) {
				t.Errorf("an honest request of %d bytes: %v", len(large), err)
			}
			for name, r := range structures() {
				compression := []string{"identity", gzip.Name, "zstd"}[i%3]
				if err := send(context.Background(), own, r.method, r.body, grpc.UseCompressor(compression)); err == nil {
					t.Errorf("%s was taken", name)
				}
				if answer, _ := c.post(t, r.path, typeProto, r.body); answer.StatusCode == http.StatusOK {
					t.Errorf("%s was taken over HTTP", name)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		attackers.Wait()
		close(done)
	}()
	served := 0
	for attacked := true; attacked; {
		require.NoError(t, send(t.Context(), conn, tracesMethod, good), "honest request %d", served)
		served++
		select {
		case <-done:
			attacked = false
		default:
		}
	}
	peak := c.memory(t, "VmHWM")
	t.Logf("%d at once: %d honest requests served beside; memory %.0f MiB before, %.0f MiB at the peak", max(parallel/raceFactor, 2), served,
		float64(start)/(1<<20), float64(peak)/(1<<20))
	require.Less(t, peak, int64(containerLimit*raceFactor))
}
