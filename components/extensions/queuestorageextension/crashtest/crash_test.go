// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"bufio"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ledger is what the processes told.
type ledger struct {
	mu        sync.Mutex
	acked     map[int]bool
	delivered map[int]int
	next      int
	other     []string
	news      chan string
}

func newLedger() *ledger {
	return &ledger{acked: map[int]bool{}, delivered: map[int]int{}, news: make(chan string, 1<<16)}
}

func (l *ledger) read(r io.Reader) {
	for in := bufio.NewScanner(r); in.Scan(); {
		l.note(in.Text())
	}
}

func (l *ledger) note(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	word, rest, _ := strings.Cut(line, " ")
	number, err := strconv.Atoi(rest)
	switch {
	case word == "acked" && err == nil:
		l.acked[number] = true
		l.next = max(l.next, number+1)
	case word == "delivered" && err == nil:
		l.delivered[number]++
		l.next = max(l.next, number+1)
	default:
		l.other = append(l.other, line)
	}
	select {
	case l.news <- line:
	default:
	}
}

// lost are requests that were acknowledged and never delivered, twice the deliveries beyond one each.
func (l *ledger) lost() (lost, twice int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for number := range l.acked {
		if l.delivered[number] == 0 {
			lost++
		}
	}
	for _, times := range l.delivered {
		twice += times - 1
	}
	return lost, twice
}

// run is a process that was started.
type run struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	done chan struct{} // all that it told is in the ledger
	// first is the number of its first request.
	first int
}

func launch(t *testing.T, l *ledger, mode, dir, storage, backend string, namespace bool) *run {
	t.Helper()
	l.mu.Lock()
	// One that was killed may have stored a request and told nobody: its number must not come again, or its delivery would be
	// taken for that of another request.
	l.next += 1000
	first := l.next
	l.mu.Unlock()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envMode+"="+mode, envDir+"="+dir, envStorage+"="+storage, envBackend+"="+backend,
		envFirst+"="+strconv.Itoa(first))
	cmd.Stderr = os.Stderr
	if namespace {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		if os.Geteuid() != 0 {
			cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
		}
	}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start(), "a process with a disk of its own needs root or user namespaces")
	r := &run{cmd: cmd, in: in, done: make(chan struct{}), first: first}
	go func() {
		defer close(r.done)
		l.read(out)
	}()
	return r
}

// await waits for a line.
func (l *ledger) await(t *testing.T, r *run, line string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case got := <-l.news:
			if got == line {
				return
			}
		case <-r.done:
			l.mu.Lock()
			defer l.mu.Unlock()
			require.Contains(t, append(drainNews(l), l.other...), line, "the process ended: %v", l.other)
			return
		case <-deadline:
			require.Fail(t, "no "+line)
		}
	}
}

func drainNews(l *ledger) (lines []string) {
	for {
		select {
		case line := <-l.news:
			lines = append(lines, line)
		default:
			return lines
		}
	}
}

// number reads a setting of the environment for longer runs than those of each change.
func number(t *testing.T, env string, otherwise int) int {
	t.Helper()
	text := os.Getenv(env)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, env)
	return n
}

// TestKilledAnyTimeLosesNothing kills a process at random moments of its life, its start included, while its backend
// works, fails now and then, or is down, and counts what arrived in the end. CRASHTEST_KILLS sets how often.
func TestKilledAnyTimeLosesNothing(t *testing.T) {
	kills := number(t, "CRASHTEST_KILLS", 100)
	rng := rand.New(rand.NewPCG(uint64(kills), 3))
	l, dir := newLedger(), t.TempDir()
	backends := []string{"up", "flaky", "down"}
	for i := range kills {
		r := launch(t, l, "feed", dir, "queue_storage", backends[i%len(backends)], false)
		if i%4 != 0 {
			// One in four dies while it starts.
			l.await(t, r, "started")
		}
		timer := time.NewTimer(time.Duration(rng.IntN(120_000)) * time.Microsecond)
		<-timer.C
		require.NoError(t, r.cmd.Process.Kill())
		<-r.done
		_ = r.cmd.Wait() // it says that it was killed
		drainNews(l)
	}
	r := launch(t, l, "drain", dir, "queue_storage", "up", false)
	l.await(t, r, "delivered "+strconv.Itoa(r.first))
	require.NoError(t, r.in.Close())
	<-r.done
	require.NoError(t, r.cmd.Wait(), l.other)

	lost, twice := l.lost()
	t.Logf("%d kills: %d acknowledged, %d delivered, %d of them twice, %d lost", kills, len(l.acked), len(l.delivered), twice, lost)
	assert.Zero(t, lost, "acknowledged and lost")
	assert.LessOrEqual(t, twice, kills*(consumers+1), "at most what was being sent comes twice")
	assert.Greater(t, len(l.acked), 10*kills)
}

// TestFullDiskRefusesAndKeeps fills the disk under a queue to the last byte. What was acknowledged arrives, once; new
// requests are refused as long as there is no room.
func TestFullDiskRefusesAndKeeps(t *testing.T) {
	l := newLedger()
	r := launch(t, l, "full", t.TempDir(), "queue_storage", "down", true)
	<-r.done
	require.NoError(t, r.cmd.Wait(), l.other)
	lost, twice := l.lost()
	t.Logf("%d acknowledged, %d delivered, %d of them twice, %d lost; %v", len(l.acked), len(l.delivered), twice, lost, l.other)
	assert.Greater(t, len(l.acked), 100)
	assert.Zero(t, lost, "acknowledged and lost")
	assert.LessOrEqual(t, twice, consumers)
	assert.Contains(t, strings.Join(l.other, "\n"), "min_free_mib")
}
