// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output tells of each write.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{}
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.wrote <- struct{}{}:
	default:
	}
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// find waits until the output matches, and returns the first group.
func (o *output) find(ctx context.Context, t *testing.T, pattern string) string {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	for {
		if found := expression.FindStringSubmatch(o.String()); found != nil {
			return found[1]
		}
		select {
		case <-o.wrote:
		case <-ctx.Done():
			require.Fail(t, "not printed", "%s in %s", pattern, o)
		}
	}
}

func TestRun(t *testing.T) {
	limit, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ctx, interrupt := context.WithCancel(limit)
	out := &output{wrote: make(chan struct{}, 1)}
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{"-listen", "127.0.0.1:0", "-live", "-keys", "k1,k2"}, out) }()
	url := out.find(limit, t, `InstrumentationKey=k1;IngestionEndpoint=(http://\S+)`)

	item := `{"name":"n","time":"` + time.Now().UTC().Format(time.RFC3339) + `","iKey":"k2","tags":{"ai.cloud.role":"reviews"},
		"data":{"baseType":"EventData","baseData":{"name":"e","properties":{"cloud.region":"westeurope"}}}}`
	request, err := http.NewRequestWithContext(limit, http.MethodPost, url+"/v2.1/track", strings.NewReader("["+item+",{}]"))
	require.NoError(t, err)
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusPartialContent, response.StatusCode)
	out.find(limit, t, `(total 1  rejected 1  \| Event 1  \| reviews 1  \| westeurope 1)`)

	err = run(limit, []string{"-listen", strings.TrimPrefix(url, "http://")}, io.Discard)
	require.ErrorContains(t, err, "the port is in use")
	require.ErrorContains(t, err, "-listen")

	interrupt()
	require.NoError(t, <-done)
	assert.Regexp(t, `(?m)^Event +reviews +westeurope +- +1$`, out.String())
	assert.Regexp(t, `(?m)^rejected +1$`, out.String())
}

func TestRunRefusesBadFlags(t *testing.T) {
	for want, args := range map[string][]string{
		"unexpected argument": {"listen"},
		"length mode":         {"-lengths", "odd"},
		"auth mode":           {"-auth", "odd"},
		"not defined":         {"-odd"},
		"listening on":        {"-listen", "127.0.0.1:99999"},
	} {
		require.ErrorContains(t, run(t.Context(), args, io.Discard), want)
	}
	require.ErrorIs(t, run(t.Context(), []string{"-h"}, io.Discard), flag.ErrHelp)
}

func TestLiveLine(t *testing.T) {
	now := time.Date(2026, 11, 22, 21, 0, 5, 0, time.UTC)
	roles := map[string]uint64{}
	for i := range 8 {
		roles[fmt.Sprint("r", i)] = uint64(i)
	}
	assert.Equal(t, "21:00:05  +7  total 10  duplicates 2  | r7 7, r6 6, r5 5, r4 4, r3 3, r2 2, and 2 more",
		liveLine(now, ingestiontest.Summary{Accepted: 10, Duplicates: 2, ByRole: roles}, 3))
	assert.Equal(t, "21:00:05  +0  total 2", liveLine(now, ingestiontest.Summary{Accepted: 2}, 5), "after a reset")
}
