// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func spec(t *testing.T, script string) Spec {
	t.Helper()
	return Spec{Name: "child", Path: "/bin/sh", Args: []string{"-c", script}, LogFile: filepath.Join(t.TempDir(), "log")}
}

func TestAKilledChildIsStartedAgain(t *testing.T) {
	exits := make(chan *os.ProcessState, 1)
	s := spec(t, "exec sleep 60")
	s.OnExit = func(_ string, state *os.ProcessState) { exits <- state }
	p, err := Start(s)
	require.NoError(t, err)
	first := p.PID()
	require.NoError(t, p.Kill())
	select {
	case state := <-exits:
		assert.Equal(t, "signal: killed", state.String())
	case <-time.After(10 * time.Second):
		t.Fatal("the death was not noticed")
	}
	assert.Eventually(t, func() bool { pid := p.PID(); return pid != 0 && pid != first }, 10*time.Second, 10*time.Millisecond)
	assert.Equal(t, 1, p.Restarts())
	require.NoError(t, p.Stop(10*time.Second))
	assert.Zero(t, p.PID())
	require.NoError(t, p.Stop(time.Second), "a second stop")
}

func TestAChildThatIgnoresSIGTERMIsKilledAndSaidSo(t *testing.T) {
	s := spec(t, `trap "" TERM; echo ready; while :; do sleep 0.05; done`)
	p, err := Start(s)
	require.NoError(t, err)
	require.Eventually(t, func() bool { b, _ := os.ReadFile(s.LogFile); return len(b) > 0 }, 10*time.Second, 10*time.Millisecond)
	assert.ErrorContains(t, p.Stop(50*time.Millisecond), "was killed")
}

func TestAMissingExecutableIsAnError(t *testing.T) {
	s := spec(t, "")
	s.Path = filepath.Join(t.TempDir(), "nothing")
	_, err := Start(s)
	assert.ErrorContains(t, err, "starting child")
}

func TestStopDuringBackoffEndsAtOnce(t *testing.T) {
	exits := make(chan struct{}, 100)
	s := spec(t, "exit 3")
	s.OnExit = func(string, *os.ProcessState) { exits <- struct{}{} }
	p, err := Start(s)
	require.NoError(t, err)
	<-exits
	require.NoError(t, p.Stop(10*time.Second))
}
