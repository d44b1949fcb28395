// SPDX-License-Identifier: Apache-2.0

package disk

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain is another process that holds a lock until it is killed, if it is told so.
func TestMain(m *testing.M) {
	if path := os.Getenv("DISK_TEST_LOCK"); path != "" {
		held, err := Lock(path)
		fmt.Println(held != nil, err)
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		return
	}
	os.Exit(m.Run())
}

func TestALockIsForOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "here", "lock")
	first, err := Lock(path)
	require.NoError(t, err)
	info, err := os.Stat(filepath.Dir(path))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	_, err = Lock(path)
	used := &InUseError{}
	require.ErrorAs(t, err, &used)
	assert.Equal(t, os.Getpid(), used.Process)
	require.EqualError(t, err, "in use by another collector, or by another component of this one")
	other, err := Lock(path + ".other")
	require.NoError(t, err)
	require.NoError(t, other.Release())
	require.NoError(t, first.Release())

	again, err := Lock(path)
	require.NoError(t, err)
	require.NoError(t, again.Release())
	require.NoError(t, (*Held)(nil).Release())
	_, err = Lock(filepath.Join(path, "below a file"))
	require.Error(t, err)
	require.NotErrorAs(t, err, &used)
}

// TestAKilledProcessGivesItsLockBack has a process of its own, which is killed.
func TestAKilledProcessGivesItsLockBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), "DISK_TEST_LOCK="+path)
	_, err := command.StdinPipe() // It waits for what never comes.
	require.NoError(t, err)
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "true <nil>", strings.TrimSpace(line))
	_, err = Lock(path)
	require.EqualError(t, err, fmt.Sprintf("in use by another collector, process %d", command.Process.Pid))
	require.NoError(t, command.Process.Kill())
	_ = command.Wait()

	held, err := Lock(path)
	require.NoError(t, err)
	require.NoError(t, held.Release())
}

func TestALockWithoutANoteNamesNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held, err := Lock(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err = Lock(path)
	require.EqualError(t, err, "in use by another collector")
	require.NoError(t, held.Release())
}
