// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/deadletter"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// TestKilled kills replays in the middle: every letter arrives, and at most one request of each is sent twice.
func TestKilled(t *testing.T) {
	server := ingestiontest.Start(t, ingestiontest.Config{})
	var letters []deadletter.Letter
	for i := range 200 {
		letters = append(letters, letter(fmt.Sprint("letter ", i)))
	}
	directory := kept(t, letters...)
	binary, err := os.Executable()
	require.NoError(t, err)
	const kills = 5
	for kill := range kills {
		c := exec.CommandContext(t.Context(), binary)
		c.Env = append(os.Environ(), replayDirectory+"="+directory, replayConnection+"="+server.ConnectionString())
		target := len(server.Requests()) + 2 + kill
		require.NoError(t, c.Start())
		for len(server.Requests()) < target {
			require.NoError(t, wait(t.Context(), 100*time.Microsecond))
		}
		require.NoError(t, c.Process.Kill())
		exit, ok := errors.AsType[*exec.ExitError](c.Wait())
		require.True(t, ok)
		require.Equal(t, -1, exit.ExitCode(), "it was killed, and did not end by itself")
	}
	report, err := Run(t.Context(), settings(t, directory, server))
	require.NoError(t, err)
	assert.Positive(t, report.Delivered)
	assert.Empty(t, left(t, directory))
	arrived := map[string]int{}
	for _, name := range names(server) {
		arrived[name]++
	}
	assert.Len(t, arrived, len(letters))
	assert.LessOrEqual(t, len(names(server))-len(letters), 5*kills)
}
