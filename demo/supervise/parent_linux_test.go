// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestChildrenDieWithTheirParent kills a process that supervises with SIGKILL, which leaves it no time to clean up.
func TestChildrenDieWithTheirParent(t *testing.T) {
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), envVictim+"="+t.TempDir())
	parent.Stderr = os.Stderr
	output, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	var pids []int
	require.NoError(t, json.NewDecoder(output).Decode(&pids))
	require.Len(t, pids, 8)
	for _, pid := range pids {
		require.True(t, alive(t, pid))
	}
	require.NoError(t, parent.Process.Kill())
	require.Error(t, parent.Wait())
	for _, pid := range pids {
		require.Eventually(t, func() bool { return !alive(t, pid) }, soon, tick)
	}
}

// alive tells whether a process runs; a zombie that nobody has waited for yet does not.
func alive(t *testing.T, pid int) bool {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return false
	}
	require.NoError(t, err)
	return !bytes.Contains(status, []byte("State:\tZ"))
}

// onDyingThread calls do on a thread that ends after it, and returns the thread's id.
func onDyingThread(do func()) int {
	id := make(chan int, 1)
	go func() {
		runtime.LockOSThread()
		if syscall.Gettid() == syscall.Getpid() {
			// The main thread ends with the process only. While this goroutine keeps it, the next one gets another.
			defer runtime.UnlockOSThread()
			id <- onDyingThread(do)
			return
		}
		// A goroutine that ends with its thread locked takes the thread along.
		do()
		id <- syscall.Gettid()
	}()
	return <-id
}

// TestAChildOutlivesTheThreadThatStartedIt prevents the bug that the kernel takes the end of a thread for the end of the
// parent.
func TestAChildOutlivesTheThreadThatStartedIt(t *testing.T) {
	script := `trap "echo bye; exit 0" TERM; echo ready; while :; do sleep 0.05; done`
	spec := Spec{Name: "child", Path: "/bin/sh", Args: []string{"-c", script}, LogFile: filepath.Join(t.TempDir(), "log")}
	var p *Process
	var err error
	id := onDyingThread(func() { p, err = start(spec, never) })
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join("/proc/self/task", strconv.Itoa(id)))
		return errors.Is(err, os.ErrNotExist)
	}, soon, tick)
	require.Eventually(t, func() bool { return output(t, p) == "ready\n" }, soon, tick)
	stop(t, p)
	// A child that the kernel was told to kill has no time to say this.
	assert.Equal(t, "ready\nbye\n", output(t, p))
}

// TestKillTakesTheGroupAlong prevents the leftovers of a child that has children.
func TestKillTakesTheGroupAlong(t *testing.T) {
	p, _ := shell(t, `sleep 600 & echo $!; wait`, never)
	var grandchild int
	require.Eventually(t, func() bool {
		_, err := fmt.Sscanln(output(t, p), &grandchild)
		return err == nil
	}, soon, tick)
	require.NoError(t, p.Hold())
	require.Eventually(t, func() bool { return !alive(t, grandchild) }, soon, tick)
}
