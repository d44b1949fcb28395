// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func process(t *testing.T, directory, name string, size, limit int) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	binary, err := os.Executable()
	require.NoError(t, err)
	c := exec.CommandContext(t.Context(), binary)
	c.Env = append(os.Environ(), writerDirectory+"="+directory, writerName+"="+name,
		writerSize+"="+strconv.Itoa(size), writerLimit+"="+strconv.Itoa(limit))
	errs := &bytes.Buffer{}
	c.Stderr = errs
	return c, errs
}

// TestKilled kills a process that writes, again and again: each letter that it was told to be kept is there, once, and
// every line but a last one is whole.
func TestKilled(t *testing.T) {
	directory := t.TempDir()
	kept := map[string]bool{}
	const kills = 12
	for kill := range kills {
		c, errs := process(t, directory, fmt.Sprint("run", kill), 3000, 0)
		out, err := c.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			kept[strings.TrimPrefix(lines.Text(), "kept ")] = true
			if n == kill {
				require.NoError(t, c.Process.Kill())
			}
		}
		require.Error(t, c.Wait())
		require.Empty(t, errs.String())
	}
	letters, damage := readAll(t, directory)
	assert.Zero(t, damage.Unreadable)
	assert.LessOrEqual(t, damage.Torn, kills)
	have := map[string]int{}
	for _, l := range letters {
		have[id(t, l)]++
	}
	for name := range kept {
		assert.Equal(t, 1, have[name], name)
	}
	// Beyond those, each process may have written one that it had no time to tell of.
	assert.LessOrEqual(t, len(letters), len(kept)+kills)
	files, err := Files(directory)
	require.NoError(t, err)
	assert.Len(t, files, kills, "each process has a file of its own")
}

// TestProcessesShareADirectory lets processes write at once into a directory that is too small: what is there and what
// made room is what was kept, to the letter, and no line holds two.
func TestProcessesShareADirectory(t *testing.T) {
	directory := t.TempDir()
	var (
		all           sync.WaitGroup
		mu            sync.Mutex
		kept, evicted int
	)
	for i := range 3 {
		all.Go(func() {
			c, errs := process(t, directory, fmt.Sprint("replica", i), 60_000, 60)
			out, err := c.Output()
			assert.NoError(t, err, errs.String())
			mu.Lock()
			defer mu.Unlock()
			for line := range strings.Lines(string(out)) {
				what, value, _ := strings.Cut(strings.TrimSpace(line), " ")
				if what == "kept" {
					kept++
					continue
				}
				n, err := strconv.Atoi(value)
				assert.NoError(t, err)
				evicted += n
			}
		})
	}
	all.Wait()
	letters, damage := readAll(t, directory)
	assert.Equal(t, Damage{}, damage)
	assert.Equal(t, 180, kept)
	assert.Equal(t, kept, len(letters)+evicted)
	assert.Positive(t, evicted)
}
