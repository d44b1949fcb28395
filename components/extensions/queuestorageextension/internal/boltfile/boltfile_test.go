// SPDX-License-Identifier: Apache-2.0

package boltfile

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// sample is a file that bbolt wrote, with n keys of which some were deleted again.
func sample(t testing.TB, n int, options *bbolt.Options) ([]byte, map[string]string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db, err := bbolt.Open(path, 0o600, options)
	require.NoError(t, err)
	want := map[string]string{}
	for i := range n {
		key, value := strconv.Itoa(i), string(bytes.Repeat([]byte{byte(i)}, i*37%9000))
		require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("default"))
			if err != nil {
				return err
			}
			if i%3 == 2 {
				delete(want, strconv.Itoa(i-1))
				if err := b.Delete([]byte(strconv.Itoa(i - 1))); err != nil {
					return err
				}
			}
			want[key] = value
			return b.Put([]byte(key), []byte(value))
		}))
	}
	require.NoError(t, db.Close())
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	return raw, want
}

// TestCheckFindsWhatBoltWrote holds the reader against the writer, in all layouts that a file can have.
func TestCheckFindsWhatBoltWrote(t *testing.T) {
	for _, options := range []*bbolt.Options{
		{NoSync: true},
		{NoSync: true, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType},
		{NoSync: true, PageSize: 1024},
		{NoSync: true, PageSize: 16384},
	} {
		for _, n := range []int{0, 1, 5, 300} {
			raw, want := sample(t, n, options)
			got := map[string]string{}
			require.NoError(t, Check(bytes.NewReader(raw), int64(len(raw)), func(e *Entry) error {
				value, err := e.Value()
				got[string(e.Key)] = string(value)
				return err
			}))
			assert.Equal(t, want, got)
			found, err := Salvage(bytes.NewReader(raw), int64(len(raw)), func(e *Entry) error {
				if e.Bucket != "" {
					assert.Contains(t, want, string(e.Key))
				}
				return nil
			})
			require.NoError(t, err)
			assert.Empty(t, found, "nothing is wrong with it")
		}
	}
}

// TestCheckSeesMissingMeta: bbolt opens a file with one meta page, and so loses the last transaction in silence.
func TestCheckSeesMissingMeta(t *testing.T) {
	raw, want := sample(t, 20, &bbolt.Options{NoSync: true, PageSize: 4096})
	for at := range 2 {
		harmed := bytes.Clone(raw)
		harmed[at*4096+20] ^= 1
		require.ErrorIs(t, Check(bytes.NewReader(harmed), int64(len(harmed)), nil), ErrDamaged)
		got := map[string]struct{}{}
		_, err := Salvage(bytes.NewReader(harmed), int64(len(harmed)), func(e *Entry) error {
			got[string(e.Key)] = struct{}{}
			return nil
		})
		require.NoError(t, err)
		for key := range want {
			assert.Contains(t, got, key)
		}
	}
}

// FuzzFile: no file makes the reader panic or run without end, and bbolt opens and walks whatever passes the check.
func FuzzFile(f *testing.F) {
	raw, _ := sample(f, 12, &bbolt.Options{NoSync: true, PageSize: 1024})
	f.Add(raw, uint32(0), byte(0))
	f.Add(raw, uint32(1024+8), byte(1))
	f.Add(raw, uint32(3*1024+10), byte(0xff))
	f.Add(raw[:3000], uint32(2048), byte(7))
	f.Fuzz(func(t *testing.T, file []byte, at uint32, flip byte) {
		if len(file) > 0 {
			file = bytes.Clone(file)
			file[int(at)%len(file)] ^= flip
		}
		visits := 0
		_, _ = Salvage(bytes.NewReader(file), int64(len(file)), func(e *Entry) error {
			visits++
			_, err := e.Value()
			return err
		})
		if Check(bytes.NewReader(file), int64(len(file)), nil) != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "db")
		require.NoError(t, os.WriteFile(path, file, 0o600))
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true, NoSync: true})
		require.NoError(t, err)
		require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("default"))
			if err != nil {
				return err
			}
			return b.Put([]byte("new"), []byte("value"))
		}))
		require.NoError(t, db.Close())
	})
}
