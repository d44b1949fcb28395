// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const asCommand = "OTELCOL_MESH_INIT_AS_COMMAND"

// TestMain runs the command itself where a test asks for it, with what its container has: root with CAP_CHOWN alone.
func TestMain(m *testing.M) {
	if os.Getenv(asCommand) == "" {
		os.Exit(m.Run())
	}
	// Capabilities belong to the thread.
	runtime.LockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var only [2]unix.CapUserData
	if os.Geteuid() == 0 && os.Getenv(asCommand) == "chown" {
		only[0].Effective, only[0].Permitted = 1<<unix.CAP_CHOWN, 1<<unix.CAP_CHOWN
	}
	if err := unix.Capset(&header, &only[0]); err != nil {
		fmt.Fprintln(os.Stderr, "capset:", err)
		os.Exit(99)
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// command runs the command in a process of its own and returns its exit code and what it wrote.
func command(t *testing.T, capabilities string, args ...string) (int, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"="+capabilities)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		require.IsType(t, &exec.ExitError{}, err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// users are whom the tests give directories to and take them from. Only root can give; for others all are themselves.
func users() (self, agent, former int) {
	if self = os.Geteuid(); self == 0 {
		return 0, 10001, 20002
	}
	return self, self, self
}

func group() int {
	if os.Geteuid() == 0 {
		return 10001
	}
	return os.Getegid()
}

func ownerOf(t *testing.T, path string) (uid int, mode os.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	require.NoError(t, err)
	return int(info.Sys().(*syscall.Stat_t).Uid), info.Mode().Perm()
}

// folder is where a node keeps the directory; a symbolic link on the way to the temporary folder would be refused.
func folder(t *testing.T) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	return path
}

func arguments(extra ...string) []string {
	_, agent, _ := users()
	return append([]string{"--uid=" + strconv.Itoa(agent), "--gid=" + strconv.Itoa(group())}, extra...)
}

// TestMakesAndKeeps prevents that an agent cannot write on a fresh node, and that every later start needs a capability.
func TestMakesAndKeeps(t *testing.T) {
	self, agent, _ := users()
	for name, make := range map[string]func(string){
		"missing":                func(string) {},
		"made by the kubelet":    func(dir string) { require.NoError(t, os.Mkdir(dir, 0o755)) },
		"agent's, mode too wide": func(dir string) { require.NoError(t, os.Mkdir(dir, 0o755)); chown(t, dir, agent) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(folder(t), "storage")
			make(dir)
			code, out := command(t, "chown", arguments(dir)...)
			require.Equal(t, exitDone, code, out)
			uid, mode := ownerOf(t, dir)
			assert.Equal(t, agent, uid)
			assert.Equal(t, os.FileMode(0o700), mode)

			if self == agent || self == 0 {
				code, out = command(t, "none", arguments(dir)...)
				assert.Equal(t, exitDone, code, out)
				assert.Contains(t, out, "already")
			}
		})
	}
}

// TestKeepsWhatWaits prevents that the queue of an agent is touched at a later start.
func TestKeepsWhatWaits(t *testing.T) {
	_, agent, _ := users()
	dir := storage(t, agent, agent)
	before, err := os.Stat(filepath.Join(dir, "queue", "items"))
	require.NoError(t, err)
	code, out := command(t, "chown", arguments(dir)...)
	require.Equal(t, exitDone, code, out)
	after, err := os.Stat(filepath.Join(dir, "queue", "items"))
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

// TestFormerUser prevents that an agent whose user was changed cannot read what waits, and that it takes this from a user
// who was not named.
func TestFormerUser(t *testing.T) {
	self, agent, former := users()
	for _, owner := range []int{former, self} {
		dir := storage(t, owner, former)
		if self == 0 {
			code, out := command(t, "chown", arguments(dir)...)
			require.Equal(t, exitRefused, code, out)
			assert.Contains(t, out, "--former-uid="+strconv.Itoa(former))
			uid, _ := ownerOf(t, dir)
			assert.Equal(t, owner, uid, "refused, and changed nothing")
		}

		code, out := command(t, "chown", arguments("--former-uid="+strconv.Itoa(former), dir)...)
		require.Equal(t, exitDone, code, out)
		for _, path := range []string{"", "queue", "queue/items", "queue/deep", "queue/deep/more"} {
			uid, _ := ownerOf(t, filepath.Join(dir, path))
			assert.Equal(t, agent, uid, path)
		}
		_, mode := ownerOf(t, dir)
		assert.Equal(t, os.FileMode(0o700), mode)
		code, out = command(t, "chown", arguments("--former-uid="+strconv.Itoa(former), dir)...)
		require.Equal(t, exitDone, code, out)
	}
}

// TestEndedInBetween prevents that a node stays without an agent because an earlier run was ended in its middle.
func TestEndedInBetween(t *testing.T) {
	self, agent, former := users()
	dir := storage(t, self, former)
	require.NoError(t, os.Chown(filepath.Join(dir, "queue"), self, group()))
	chown(t, filepath.Join(dir, "queue", "deep"), agent)
	code, out := command(t, "chown", arguments("--former-uid="+strconv.Itoa(former), dir)...)
	require.Equal(t, exitDone, code, out)
	for _, path := range []string{"", "queue", "queue/items", "queue/deep", "queue/deep/more"} {
		uid, _ := ownerOf(t, filepath.Join(dir, path))
		assert.Equal(t, agent, uid, path)
	}
}

// TestRefused holds what must never be given to an agent, whatever the values of the chart say. Nothing of it is changed.
func TestRefused(t *testing.T) {
	self, _, former := users()
	tests := map[string]struct {
		make func(dir string)
		says string
	}{
		"symbolic link": {func(dir string) {
			require.NoError(t, os.Mkdir(dir+"-elsewhere", 0o755))
			require.NoError(t, os.Symlink(dir+"-elsewhere", dir))
		}, "a symbolic link"},
		"file": {func(dir string) { require.NoError(t, os.WriteFile(dir, nil, 0o600)) }, "is a file"},
		"symbolic link inside": {func(dir string) {
			require.NoError(t, os.Mkdir(dir, 0o755))
			require.NoError(t, os.Symlink("/etc/shadow", filepath.Join(dir, "shadow")))
		}, "a symbolic link, which no agent makes"},
		"pipe inside": {func(dir string) {
			require.NoError(t, os.Mkdir(dir, 0o755))
			require.NoError(t, unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
		}, "pipe"},
		"file of two names": {func(dir string) {
			require.NoError(t, os.Mkdir(dir, 0o755))
			require.NoError(t, os.WriteFile(dir+"-other", nil, 0o600))
			require.NoError(t, os.Link(dir+"-other", filepath.Join(dir, "same")))
		}, "has 2 names"},
		"too deep": {func(dir string) {
			deep := filepath.Join(dir, strings.Repeat("d/", maxDepth+1))
			require.NoError(t, os.MkdirAll(deep, 0o755))
			for ; deep != dir; deep = filepath.Dir(deep) {
				chown(t, deep, former)
			}
		}, "folders deep"},
	}
	if self == 0 {
		tests["somebody's folder"] = struct {
			make func(dir string)
			says string
		}{func(dir string) {
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "dpkg"), 0o755))
		}, "belongs to user 0"}
		tests["another user's directory"] = struct {
			make func(dir string)
			says string
		}{func(dir string) {
			require.NoError(t, os.Mkdir(dir, 0o755))
			chown(t, dir, 31000)
		}, "belongs to user 31000"}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(folder(t), "storage")
			tt.make(dir)
			owner, mode := ownerOf(t, dir)
			code, out := command(t, "chown", arguments("--former-uid="+strconv.Itoa(former), dir)...)
			assert.Equal(t, exitRefused, code, out)
			assert.Contains(t, out, tt.says)
			if name != "too deep" {
				uid, after := ownerOf(t, dir)
				assert.Equal(t, owner, uid)
				assert.Equal(t, mode, after)
			}
		})
	}
	t.Run("link on the way", func(t *testing.T) {
		at := folder(t)
		require.NoError(t, os.Mkdir(filepath.Join(at, "real"), 0o755))
		require.NoError(t, os.Symlink("real", filepath.Join(at, "link")))
		code, out := command(t, "chown", arguments(filepath.Join(at, "link", "storage"))...)
		assert.Equal(t, exitRefused, code)
		assert.Contains(t, out, "no symbolic link on the way")
		assert.NoDirExists(t, filepath.Join(at, "real", "storage"))
	})
	t.Run("more than one to make", func(t *testing.T) {
		code, out := command(t, "chown", arguments(filepath.Join(folder(t), "one", "two"))...)
		assert.Equal(t, exitRefused, code)
		assert.Contains(t, out, "no such file or directory")
	})
}

// TestWithoutTheCapability prevents a message from which nobody learns what to grant.
func TestWithoutTheCapability(t *testing.T) {
	dir := filepath.Join(folder(t), "storage")
	code, out := command(t, "none", "--uid="+strconv.Itoa(os.Geteuid()+1), "--gid=10001", dir)
	assert.Equal(t, exitRefused, code)
	assert.Contains(t, out, "capabilities.add: [CHOWN]")
}

func TestArguments(t *testing.T) {
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"/a"}, "--uid and --gid are required"},
		{[]string{"--uid=1", "/a"}, "--uid and --gid are required"},
		{[]string{"--uid=-1", "--gid=1", "/a"}, "write a number from 0 to 4294967294"},
		{[]string{"--uid=4294967295", "--gid=1", "/a"}, "write a number from 0 to 4294967294"},
		{[]string{"--uid=1", "--gid=1"}, "one directory is needed, 0 are given"},
		{[]string{"--uid=1", "--gid=1", "/a", "/b"}, "one directory is needed, 2 are given"},
		{[]string{"--uid=1", "--gid=1", "a"}, "absolute path"},
		{[]string{"--uid=1", "--gid=1", "/a/../b"}, "absolute path"},
		{[]string{"--uid=1", "--gid=1", "/a/"}, "absolute path"},
		{[]string{"--uid=1", "--gid=1", "/"}, "absolute path"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, exitUsage, run(tt.args, &stdout, &stderr), tt.args)
		assert.Contains(t, stderr.String(), tt.says)
	}
	var stdout, stderr bytes.Buffer
	assert.Equal(t, exitDone, run([]string{"--help"}, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "--former-uid")
}

func chown(t *testing.T, path string, uid int) {
	t.Helper()
	require.NoError(t, os.Chown(path, uid, group()))
}

// storage is what an agent leaves on a node.
func storage(t *testing.T, owner, inside int) string {
	t.Helper()
	dir := filepath.Join(folder(t), "storage")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "queue", "deep"), 0o700))
	for _, file := range []string{"queue/items", "queue/deep/more"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte("x"), 0o600))
	}
	for _, path := range []string{"queue", "queue/items", "queue/deep", "queue/deep/more"} {
		chown(t, filepath.Join(dir, path), inside)
	}
	require.NoError(t, os.Chmod(dir, 0o700))
	chown(t, dir, owner)
	return dir
}
