// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

const (
	// soon bounds each wait; it is generous, because it only matters when something is broken.
	soon = 20 * time.Second
	tick = 5 * time.Millisecond
)

var (
	// quick restarts at once, never not within the life of a test.
	quick = backoff{first: time.Millisecond, last: time.Millisecond}
	never = backoff{first: time.Hour, last: time.Hour}
)

// envVictim makes the test binary the victim of TestChildrenDieWithTheirParent: it names a folder for logs.
const envVictim = "SUPERVISE_TEST_VICTIM_DIR"

// victim starts children, prints their process ids and waits to be killed.
func victim(dir string) int {
	var pids []int
	for i := range 8 {
		p, err := Start(Spec{
			Name: "child", Path: "/bin/sh", Args: []string{"-c", "exec sleep 600"}, LogFile: filepath.Join(dir, strconv.Itoa(i)),
		})
		if err != nil {
			_, _ = os.Stderr.WriteString(err.Error())
			return 1
		}
		pids = append(pids, p.PID())
	}
	if json.NewEncoder(os.Stdout).Encode(pids) != nil {
		return 1
	}
	select {}
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(envVictim); dir != "" {
		os.Exit(victim(dir))
	}
	goleak.VerifyTestMain(m)
}

// journal is what a supervisor logs.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// shell runs a script as the child until the test ends.
func shell(t *testing.T, script string, pauses backoff) (*Process, *journal) {
	t.Helper()
	return launch(t, Spec{Path: "/bin/sh", Args: []string{"-c", script}}, pauses)
}

func launch(t *testing.T, spec Spec, pauses backoff) (*Process, *journal) {
	t.Helper()
	j := &journal{}
	spec.Name = "child"
	spec.LogFile = filepath.Join(t.TempDir(), "log")
	spec.Log = slog.New(slog.NewTextHandler(j, nil))
	p, err := start(spec, pauses)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		_ = p.Stop(ctx) // the test has looked at it, if it is what the test is about
	})
	return p, j
}

// output is what the child wrote, over all restarts.
func output(t *testing.T, p *Process) string {
	raw, err := os.ReadFile(p.spec.LogFile)
	require.NoError(t, err)
	return string(raw)
}

func stop(t *testing.T, p *Process) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	require.NoError(t, p.Stop(ctx))
	require.Zero(t, p.PID())
}

func runsAgain(t *testing.T, p *Process, before int) {
	t.Helper()
	require.Eventually(t, func() bool { pid := p.PID(); return pid != 0 && pid != before }, soon, tick)
}

func TestAKilledChildIsStartedAgain(t *testing.T) {
	p, j := shell(t, "exec sleep 600", quick)
	first := p.PID()
	require.NoError(t, p.Kill())
	require.NotEqual(t, first, p.PID(), "it returns when the old one is gone")
	runsAgain(t, p, first)
	assert.Equal(t, 1, p.Restarts())
	assert.Contains(t, j.String(), `state="signal: killed"`)
	stop(t, p)
	stop(t, p)
	assert.ErrorContains(t, p.Kill(), "child is not running")
}

func TestAChildThatEndsByItselfIsStartedAgainAndSaidSo(t *testing.T) {
	p, j := shell(t, "echo started with $#; exit 3", quick)
	require.Eventually(t, func() bool { return p.Restarts() >= 2 }, soon, tick)
	stop(t, p)
	assert.Contains(t, output(t, p), "started with 0\nstarted with 0\n", "all restarts write to one log")
	assert.Contains(t, j.String(), `state="exit status 3"`)
	assert.Contains(t, j.String(), "log="+p.spec.LogFile)
}

func TestTheChildGetsItsEnvironmentAlone(t *testing.T) {
	t.Setenv("SUPERVISE_PARENT", "seen")
	p, _ := launch(t, Spec{Path: "/bin/sh", Args: []string{"-c", `echo "<$OWN$SUPERVISE_PARENT>"`}, Env: []string{"OWN=own"}}, never)
	require.Eventually(t, func() bool { return p.PID() == 0 }, soon, tick)
	assert.Equal(t, "<own>\n", output(t, p))
}

func TestAHeldChildStaysDownUntilReleased(t *testing.T) {
	// With these pauses a restart within the test is not the backoff's.
	p, j := shell(t, "exec sleep 600", never)
	for range 3 {
		before := p.PID()
		require.NoError(t, p.Hold())
		require.NoError(t, p.Hold(), "it is down already")
		assert.True(t, p.Held())
		assert.Zero(t, p.PID())
		assert.ErrorContains(t, p.Kill(), "child is not running")
		p.Release()
		assert.False(t, p.Held())
		runsAgain(t, p, before)
	}
	pid := p.PID()
	p.Release()
	assert.Equal(t, pid, p.PID(), "releasing what is not held does nothing")
	assert.Zero(t, p.Restarts(), "it did not die")
	assert.Empty(t, j.String())

	require.NoError(t, p.Hold())
	stop(t, p)
	p.Release()
	assert.Zero(t, p.PID(), "what was stopped does not come back")
}

func TestNobodyWaitsForTheBackoff(t *testing.T) {
	p, j := shell(t, "exec sleep 600", never)
	first := p.PID()
	require.NoError(t, p.Kill())
	require.Eventually(t, func() bool { return j.String() != "" }, soon, tick)
	require.NoError(t, p.Hold())
	p.Release()
	runsAgain(t, p, first)
	require.NoError(t, p.Kill())
	stop(t, p) // fails if it has to wait
}

// TestReleaseIsNotLeftOver prevents a hold and release from cutting a later pause short.
func TestReleaseIsNotLeftOver(t *testing.T) {
	p, _ := shell(t, "exec sleep 600", never)
	for range 50 {
		before := p.PID()
		held := make(chan error, 1)
		go func() { held <- p.Hold() }()
		for !p.Held() {
			runtime.Gosched()
		}
		p.Release() // most often before the child is gone
		require.NoError(t, <-held)
		runsAgain(t, p, before)
		require.Empty(t, p.wake)
	}
}

func TestStopAsksFirst(t *testing.T) {
	p, _ := shell(t, `trap "echo bye; exit 0" TERM; echo ready; while :; do sleep 0.05; done`, never)
	require.Eventually(t, func() bool { return output(t, p) == "ready\n" }, soon, tick)
	stop(t, p)
	assert.Equal(t, "ready\nbye\n", output(t, p))
}

func TestAChildThatIgnoresSIGTERMIsKilledAndSaidSo(t *testing.T) {
	p, _ := shell(t, `trap "" TERM; echo ready; while :; do sleep 0.05; done`, never)
	require.Eventually(t, func() bool { return output(t, p) == "ready\n" }, soon, tick)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := p.Stop(ctx)
	require.ErrorIs(t, err, ErrKilled)
	require.ErrorContains(t, err, "child was killed: it did not end within")
	assert.Zero(t, p.PID())
	assert.Zero(t, p.Restarts())
}

func TestAMissingExecutableIsAnError(t *testing.T) {
	dir := t.TempDir()
	_, err := Start(Spec{Name: "child", Path: filepath.Join(dir, "nothing"), LogFile: filepath.Join(dir, "log")})
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, "starting child")
}

func TestALogThatCannotBeOpenedIsAnError(t *testing.T) {
	_, err := Start(Spec{Name: "child", Path: "/bin/sh", LogFile: filepath.Join(t.TempDir(), "nothing", "log")})
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, "opening the log of child")
}

// TestAnExecutableThatVanishesIsTriedAgain is the installation of a new version under a running supervisor.
func TestAnExecutableThatVanishesIsTriedAgain(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.Symlink("/bin/sh", program))
	p, j := launch(t, Spec{Path: program, Args: []string{"-c", "exec sleep 600"}}, quick)
	first := p.PID()
	require.NoError(t, os.Remove(program))
	require.NoError(t, p.Kill())
	require.Eventually(t, func() bool { return strings.Contains(j.String(), "does not start") }, soon, tick)
	assert.Zero(t, p.Restarts())
	require.NoError(t, os.Symlink("/bin/sh", program))
	runsAgain(t, p, first)
	assert.Equal(t, 1, p.Restarts())
}

// TestEveryoneAtOnce has all switches thrown while the child dies and comes back; the race detector watches.
func TestEveryoneAtOnce(t *testing.T) {
	p, _ := shell(t, "exec sleep 600", quick)
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 10 {
				_ = p.Kill() // there may be none to kill
				assert.NoError(t, p.Hold())
				p.Release()
			}
		})
	}
	work.Wait()
	runsAgain(t, p, 0)
	work.Go(func() { stop(t, p) })
	work.Go(func() { stop(t, p) })
	work.Wait()
}

func TestBackoff(t *testing.T) {
	b := backoff{first: time.Second, last: 5 * time.Second, steady: time.Minute}
	for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second} {
		assert.Equal(t, want, b.next(time.Minute))
	}
	assert.Equal(t, time.Second, b.next(time.Minute+1), "it ran long enough")
	assert.Equal(t, 2*time.Second, b.next(0))
	b.reset()
	assert.Equal(t, time.Second, b.next(0))
}
