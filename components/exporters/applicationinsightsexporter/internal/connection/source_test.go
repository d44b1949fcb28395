// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secondKey = "0ddba11a-0000-4000-8000-c0ffee00beef"

func line(key string) string {
	return "InstrumentationKey=" + key + ";IngestionEndpoint=https://a.example"
}

// told keeps what an observer was told.
type told struct {
	mu       sync.Mutex
	reloaded []string
	kept     []string
}

func (o *told) ConnectionReloaded(before, now *Info) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reloaded = append(o.reloaded, before.InstrumentationKey()+" "+now.InstrumentationKey())
}

func (o *told) ConnectionKept(_ *Info, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept = append(o.kept, err.Error())
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func TestSourceOfText(t *testing.T) {
	s, err := New(Settings{Text: line(testKey)})
	require.NoError(t, err)
	s.Start()
	defer s.Shutdown()
	require.NoError(t, s.Look())
	assert.Equal(t, testKey, s.Current().InstrumentationKey())
	assert.Zero(t, testing.AllocsPerRun(100, func() { _ = s.Current() }))
}

func TestSourceRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "connection")
	_, err := New(Settings{})
	require.ErrorIs(t, err, errEmpty)
	_, err = New(Settings{Text: line(testKey), File: path})
	require.ErrorIs(t, err, errWhere)
	_, err = New(Settings{File: path})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, path)
	for text, want := range map[string]string{
		"":                                       "is empty",
		testKey:                                  "has no '='",
		line(testKey) + strings.Repeat(" ", 9e3): "",
		line(testKey) + strings.Repeat(";", 9e3): "longer than",
	} {
		write(t, path, text)
		_, err = New(Settings{File: path})
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, path)
		assert.NotContains(t, err.Error(), testKey)
	}
}

func TestSourceOfFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "connection")
	write(t, path, "\ufeff"+line(testKey)+"\r\n")
	observer := &told{}
	s, err := New(Settings{File: path, Observer: observer})
	require.NoError(t, err)
	key := func() string { return s.Current().InstrumentationKey() }
	assert.Equal(t, testKey, key())

	first := s.Current()
	require.NoError(t, s.Look())
	assert.Empty(t, observer.reloaded, "nothing changed")
	assert.Same(t, first, s.Current())

	// A bad content, the same one again, and another bad one: two reasons.
	write(t, path, "InstrumentationKey")
	require.ErrorContains(t, s.Look(), "has no '='")
	require.ErrorContains(t, s.Look(), "has no '='")
	require.NoError(t, os.Remove(path))
	require.ErrorIs(t, s.Look(), os.ErrNotExist)
	assert.Same(t, first, s.Current(), "the last good one stays")
	assert.Len(t, observer.kept, 2)
	assert.Contains(t, s.Failure(), "cannot be read")

	// The old content is back, then a new one.
	write(t, path, line(testKey))
	require.NoError(t, s.Look())
	assert.Empty(t, s.Failure())
	assert.Equal(t, []string{testKey + " " + testKey}, observer.reloaded)
	write(t, path, line(secondKey))
	require.NoError(t, s.Look())
	assert.Equal(t, secondKey, key())
	assert.Equal(t, []string{testKey + " " + testKey, testKey + " " + secondKey}, observer.reloaded)
}

// Kubernetes mounts a secret as links: file → ..data/file, ..data → a directory named by the time. An update renames a
// new link over ..data. The times of the files are made equal here, as they may be.
func TestSourceFollowsASwappedLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		at := time.Unix(1_700_000_000, 0)
		for name, key := range map[string]string{"one": testKey, "two": secondKey} {
			require.NoError(t, os.Mkdir(filepath.Join(root, name), 0o700))
			file := filepath.Join(root, name, "connection")
			write(t, file, line(key))
			require.NoError(t, os.Chtimes(file, at, at))
		}
		data, path := filepath.Join(root, "..data"), filepath.Join(root, "connection")
		require.NoError(t, os.Symlink("one", data))
		require.NoError(t, os.Symlink("..data/connection", path))
		observer := &told{}
		s, err := New(Settings{File: path, Observer: observer, Interval: time.Minute})
		require.NoError(t, err)
		s.Start()
		s.Start()
		defer s.Shutdown()

		require.NoError(t, os.Symlink("two", data+"_tmp"))
		require.NoError(t, os.Rename(data+"_tmp", data))
		time.Sleep(59 * time.Second)
		synctest.Wait()
		assert.Equal(t, testKey, s.Current().InstrumentationKey())
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Equal(t, secondKey, s.Current().InstrumentationKey())
		assert.Equal(t, []string{testKey + " " + secondKey}, observer.reloaded)

		s.Shutdown()
		write(t, filepath.Join(root, "two", "connection"), line(testKey))
		time.Sleep(time.Hour)
		assert.Equal(t, secondKey, s.Current().InstrumentationKey(), "nobody looks after the shutdown")
	})
}

func TestSourceConcurrently(t *testing.T) {
	path := filepath.Join(t.TempDir(), "connection")
	write(t, path, line(testKey))
	s, err := New(Settings{File: path, Interval: time.Millisecond, Observer: &told{}})
	require.NoError(t, err)
	s.Start()
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					key := s.Current().InstrumentationKey()
					if key != testKey && key != secondKey {
						t.Errorf("read %q", key)
						return
					}
				}
			}
		})
	}
	for n := range 50 {
		temporary := path + ".new"
		write(t, temporary, line([]string{testKey, secondKey}[n%2]))
		require.NoError(t, os.Rename(temporary, path))
		require.NoError(t, s.Look())
		assert.Equal(t, []string{testKey, secondKey}[n%2], s.Current().InstrumentationKey())
	}
	close(stop)
	readers.Wait()
	s.Shutdown()
	s.Shutdown()
}
