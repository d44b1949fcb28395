// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(writerDirectory) != "" {
		os.Exit(writer())
	}
	goleak.VerifyTestMain(m)
}

var testTime = time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC)

// recorder is an observer that adds up.
type recorder struct {
	mu      sync.Mutex
	written map[string]int
	evicted int
	files   int
	bytes   int64
}

func newRecorder() *recorder { return &recorder{written: map[string]int{}} }

func (r *recorder) LettersWritten(destination, reason string, letters int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written[destination+"/"+reason] += letters
}

func (r *recorder) LettersEvicted(letters int, _ int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.evicted += letters
}

func (r *recorder) LettersStored(files int, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files, r.bytes = files, bytes
}

func (r *recorder) letters() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, letters := range r.written {
		n += letters
	}
	return n
}

func settings(directory string) Settings {
	return Settings{Directory: directory, MaxMiB: 2, MaxFileMiB: 1}
}

// open returns a store that the test closes.
func open(t testing.TB, s Settings, o Observer) *Store {
	t.Helper()
	store, err := Open(s, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

// letter makes one whose item has an id and about so many bytes.
func letter(id string, size int) Letter {
	return Letter{
		Time: testTime, Destination: "team-a", Reason: ReasonInvalid, Status: 400, Message: "109: Field 'name'",
		Item: json.RawMessage(fmt.Sprintf(`{"id":%q,"text":%q}`, id, strings.Repeat("x", size))),
	}
}

func id(t testing.TB, l Letter) string {
	t.Helper()
	var item struct {
		ID string `json:"id"`
	}
	require.NoError(t, json.Unmarshal(l.Item, &item))
	return item.ID
}

// readAll returns the letters of all files, the oldest first.
func readAll(t testing.TB, directory string) (letters []Letter, damage Damage) {
	t.Helper()
	files, err := Files(directory)
	require.NoError(t, err)
	for _, f := range files {
		opened, err := os.Open(f.Path)
		require.NoError(t, err)
		reader := NewReader(opened)
		for {
			entry, err := reader.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			letters = append(letters, entry.Letter)
		}
		damage.Torn += reader.Damaged().Torn
		damage.Unreadable += reader.Damaged().Unreadable
		require.NoError(t, opened.Close())
	}
	return letters, damage
}

// The variables that make the test binary a process that writes letters.
const (
	writerDirectory = "DEADLETTER_TEST_DIRECTORY"
	writerName      = "DEADLETTER_TEST_NAME"
	writerSize      = "DEADLETTER_TEST_SIZE"
	writerLimit     = "DEADLETTER_TEST_LIMIT"
)

// writer writes letters until its limit, or for ever, and prints each id when the letter counts as kept; at the end, how
// many letters made room.
func writer() int {
	var size, limit int
	_, _ = fmt.Sscan(os.Getenv(writerSize), &size)
	_, _ = fmt.Sscan(os.Getenv(writerLimit), &limit)
	seen := newRecorder()
	store, err := Open(settings(os.Getenv(writerDirectory)), seen)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	out := bufio.NewWriter(os.Stdout)
	for i := 0; limit == 0 || i < limit; i++ {
		l := letter(fmt.Sprintf("%s-%d", os.Getenv(writerName), i), size)
		// A file that others hold just now is no failure: the exporter tries again as well.
		for tries := 0; ; tries++ {
			if err = store.Write(context.Background(), []Letter{l}); err == nil {
				break
			}
			if tries == 1000 {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		fmt.Fprintf(out, "kept %s\n", fmt.Sprintf("%s-%d", os.Getenv(writerName), i))
		if err := out.Flush(); err != nil {
			return 1
		}
	}
	fmt.Fprintf(out, "evicted %d\n", seen.evicted)
	if err := errors.Join(out.Flush(), store.Close()); err != nil {
		return 1
	}
	return 0
}
