// SPDX-License-Identifier: Apache-2.0

// Package collectortest is what tests share that run the built distribution as processes: where it is, what it finds in its
// environment, what it answers at its ports, what it counts about itself, and the end of its log. How a process is started
// and what its roles are is each test's own.
package collectortest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// maxLine is the longest line of an answer, in bytes.
const maxLine = 1 << 20

// maxLogged is how much [Tail] shows of one line, in bytes.
const maxLogged = 600

// Binary returns the absolute path of the distribution: what OTELCOL_MESH_BINARY names, or else what `make build` made in the
// module that the test is in. It fails the test if no file is there.
func Binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("OTELCOL_MESH_BINARY")
	if path == "" {
		path = filepath.Join(module(t), "build", "distribution", "otelcol-mesh")
	}
	path, err := filepath.Abs(path)
	require.NoError(t, err)
	require.FileExists(t, path, "the distribution is not built: run 'make build'")
	return path
}

// module is the folder with go.mod: go test runs in the folder of the package.
func module(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		above := filepath.Dir(dir)
		require.NotEqual(t, dir, above, "the test runs outside a module")
		dir = above
	}
}

// Clean returns the variables of parent, each NAME=value, without the settings of a role and without those that hold a
// connection string. Microsoft's own, APPLICATIONINSIGHTS_CONNECTION_STRING, overrides every exporter of the process.
func Clean(parent []string) []string {
	return slices.DeleteFunc(slices.Clone(parent), func(variable string) bool {
		return strings.HasPrefix(variable, "MESH_") || strings.HasPrefix(variable, "APPLICATIONINSIGHTS_") ||
			strings.HasPrefix(variable, "APPLICATION_INSIGHTS_")
	})
}

// Environment returns base with the settings that every shipped configuration reads: all ports are at host, and what is kept is
// in the folder storage; empty where the role keeps nothing. own comes last, so it may set any of them anew.
func Environment(base []string, host, storage string, own ...string) []string {
	env := slices.Concat(base, []string{"MESH_LISTEN_HOST=" + host, "MESH_ADMIN_HOST=" + host, "MESH_DEBUG_HOST=" + host})
	if storage != "" {
		env = append(env, "MESH_STORAGE_DIR="+storage)
	}
	return append(env, own...)
}

// Read asks a port over HTTP and hands the body of the answer to use; nil reads it to its end. path may have a query. The
// connection is not kept, as the process may be another one at the next call. An answer other than 200 is an error.
func Read(ctx context.Context, host, port, path string, use func(body io.Reader) error) error {
	at := "http://" + net.JoinHostPort(host, port) + path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", at, response.Status)
	}
	if use == nil {
		_, err := io.Copy(io.Discard, response.Body)
		return err
	}
	return use(response.Body)
}

// Get is [Read] by lines, which come without their ends; one of more than 1 MiB is an error. use may be nil.
func Get(ctx context.Context, host, port, path string, use func(line string)) error {
	if use == nil {
		return Read(ctx, host, port, path, nil)
	}
	return Read(ctx, host, port, path, func(body io.Reader) error {
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, maxLine)
		for lines.Scan() {
			use(lines.Text())
		}
		return lines.Err()
	})
}

// Tail returns the last lines of a log file, at most count of those that keep chooses; nil chooses all. Lines are cut after 600
// bytes. If the file cannot be read, it returns why: the text is for somebody who reads a failed test.
func Tail(file string, count int, keep func(line string) bool) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	var lines []string
	for line := range strings.Lines(string(raw)) {
		if keep == nil || keep(line) {
			line = strings.TrimRight(line, "\n")
			lines = append(lines, line[:min(len(line), maxLogged)])
		}
	}
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}
