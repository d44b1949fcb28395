// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

func order(n int) []int32 {
	all := make([]int32, n)
	for i := range all {
		all[i] = int32(i)
	}
	return all
}

func TestPackLimits(t *testing.T) {
	p, prefix := newPress(1), keyPrefix(testKey)
	b := batch(10)
	line := len(prefix) + len(b.Item(0).JSON)
	for name, test := range map[string]struct {
		limit limits
		count int
	}{
		"all":              {limits{100, 1 << 20}, 10},
		"items":            {limits{3, 1 << 20}, 3},
		"bytes":            {limits{100, 4*line + 1}, 4},
		"bytes, to the B":  {limits{100, 4 * line}, 4},
		"bytes, one less":  {limits{100, 4*line - 1}, 3},
		"one is too large": {limits{100, 1}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			body, count, size := p.pack(b, order(10), prefix, test.limit)
			defer body.release()
			assert.Equal(t, test.count, count)
			assert.Equal(t, test.count*line, size)
			reader, err := body.open()
			require.NoError(t, err)
			lines, err := readLines(reader)
			require.NoError(t, err)
			require.NoError(t, reader.Close())
			require.Len(t, lines, count)
			for i, text := range lines {
				assert.Equal(t, `{"iKey":"`+testKey+`",`+string(b.Item(i).JSON[1:]), text)
			}
		})
	}
}

// TestPackLarge has items larger than the stage.
func TestPackLarge(t *testing.T) {
	p, b := newPress(1), &items.Batch{}
	for i := range 20 {
		b.Append(items.Item{JSON: fmt.Appendf(nil, `{"n":"%d%s"}`, i, strings.Repeat("y", i*5000))})
	}
	body, count, size := p.pack(b, order(20), keyPrefix("k"), limits{100, 8 << 20})
	assert.Equal(t, 20, count)
	reader, err := body.open()
	require.NoError(t, err)
	lines, err := readLines(reader)
	require.NoError(t, err)
	total := 0
	for i, text := range lines {
		assert.Equal(t, `{"iKey":"k",`+string(b.Item(i).JSON[1:]), text)
		total += len(text) + 1
	}
	assert.Equal(t, total, size)
	assert.True(t, body.taken.Load())

	body.release()
	_, err = reader.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "a reader keeps the body")
	again, err := body.open()
	require.NoError(t, err)
	require.NoError(t, again.Close())
	require.NoError(t, reader.Close())
	require.NoError(t, reader.Close())
	_, err = reader.Read(make([]byte, 1))
	require.ErrorIs(t, err, errBodyGone)
	_, err = body.open()
	require.ErrorIs(t, err, errBodyGone)
}

// TestBodyOutlivesAnswer has a transport that reads the body only after it returned, as real ones do when an answer comes
// early: it must not see the items of another request.
func TestBodyOutlivesAnswer(t *testing.T) {
	var mu sync.Mutex
	var bodies []io.ReadCloser
	dest, _ := stubRig(t, newClock().Now, func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		bodies = append(bodies, r.Body)
		return answerWith(r, 200, nil, nil), nil
	})
	sender := dest.Sender(nil)
	for i := range 10 {
		b := &items.Batch{}
		add(b, i, start)
		require.Equal(t, 1, sender.Send(t.Context(), b).Accepted)
	}
	for i, body := range bodies {
		lines, err := readLines(body)
		require.NoError(t, err)
		require.Len(t, lines, 1)
		assert.Contains(t, lines[0], fmt.Sprintf(`"n%05d"`, i))
		require.NoError(t, body.Close())
	}
}

// TestConnectionIsUsedAgain sends many requests over one connection, whatever the answers are.
func TestConnectionIsUsedAgain(t *testing.T) {
	n := 0
	seen := map[string]bool{}
	s := serve(t, func(w http.ResponseWriter, r *http.Request, lines []string) {
		seen[r.RemoteAddr] = true
		n++
		switch n % 3 {
		case 0:
			answerReport(w, 206, len(lines), len(lines)-1, itemFault(0, 500, strings.Repeat("m", 1000)))
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, strings.Repeat("x", 60<<10))
		default:
			answerReport(w, 200, len(lines), len(lines))
		}
	})
	r := newRig(t, s.URL, nil)
	for range 30 {
		got := r.send(batch(2))
		r.clock.advance(got.Delay)
	}
	assert.Len(t, s.got(), 30)
	assert.Len(t, seen, 1)
}

func TestSettings(t *testing.T) {
	good := Settings{Client: http.DefaultClient, Connection: &fixed{}}
	require.NoError(t, good.Validate())
	for want, change := range map[string]func(*Settings){
		"Client is missing":                     func(s *Settings) { s.Client = nil },
		"Connection is missing":                 func(s *Settings) { s.Connection = nil },
		"MaxItems 64001: write 1 to 64000":      func(s *Settings) { s.MaxItems = 64001 },
		"MaxItems -1: write":                    func(s *Settings) { s.MaxItems = -1 },
		"MaxBodyBytes 1: write 65536 to":        func(s *Settings) { s.MaxBodyBytes = 1 },
		"CompressionLevel 10: write 1 to 9":     func(s *Settings) { s.CompressionLevel = 10 },
		"Timeout -1ns: write a positive":        func(s *Settings) { s.Timeout = -1 },
		"MaxRetryAfter -1ns: write a positive":  func(s *Settings) { s.MaxRetryAfter = -1 },
		"QuotaDelay -1ns: write a positive":     func(s *Settings) { s.QuotaDelay = -1 },
		"HoldDelay -1ns: write a positive":      func(s *Settings) { s.HoldDelay = -1 },
		"MinBackoff -1ns: write a positive":     func(s *Settings) { s.MinBackoff = -1 },
		"ClockSkew -1ns: write a positive":      func(s *Settings) { s.ClockSkew = -1 },
		"MaxBackoff 1ns: write at least MinBac": func(s *Settings) { s.MaxBackoff = 1 },
	} {
		bad := good
		change(&bad)
		_, err := NewDestination(bad)
		require.ErrorContains(t, err, want)
	}
}

func TestClean(t *testing.T) {
	assert.Equal(t, "a b c", clean(" a\x00\n b\xff\u202e c ", ""))
	assert.Equal(t, "(key) and (key)", clean(testKey+" and "+strings.ToUpper(testKey), testKey))
	assert.Equal(t, "bearer (token)!", clean("bearer abcdefghijkl.mn-o!", ""))
	assert.Equal(t, "short key k stays", clean("short key k stays", "k"))
	long := clean(strings.Repeat("é", 2000), "")
	assert.LessOrEqual(t, len(long), maxText)
	assert.True(t, strings.HasSuffix(long, "é…"))
}
