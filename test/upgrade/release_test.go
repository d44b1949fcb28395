// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/test/collectortest"
)

// releases are two that an upgrade goes from and to, and back. They differ in the program's version and in each role's
// configuration.
func releases(t *testing.T) [2]release {
	t.Helper()
	binary := collectortest.Binary(t)
	// Another one to come from or go to, such as that of the release before.
	other := os.Getenv("OTELCOL_MESH_OTHER_BINARY")
	if other == "" {
		other = relabel(t, binary)
	}
	r := [2]release{
		{version: version(t, binary), binary: binary},
		{version: version(t, other), binary: other, overlays: map[string]string{
			"agent":  "exporters: {otlp_grpc/hub: {sending_queue: {num_consumers: 6, batch: {flush_timeout: 500ms}}}}",
			"hub":    "{exporters: {application_insights: {sending_queue: {num_consumers: 4}}}, processors: {mesh_span_pairing: {wait: 4s}}}",
			"router": "processors: {memory_limiter: {check_interval: 2s}}",
		}},
	}
	require.NotEqual(t, r[0].version, r[1].version)
	return r
}

func version(t *testing.T, binary string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), binary, "--version").Output()
	require.NoError(t, err)
	return strings.TrimSpace(strings.TrimPrefix(string(out), "otelcol-mesh version"))
}

// relabel copies the program and changes its version in place, to one as long: the same code under another name, without
// the minutes that building it anew would take.
func relabel(t *testing.T, binary string) string {
	t.Helper()
	old := version(t, binary)
	require.Regexp(t, regexp.MustCompile(`^\d+\.\d+\.\d+`), old)
	next := []byte(old)
	last := regexp.MustCompile(`^\d+\.\d+\.\d+`).FindStringIndex(old)[1] - 1
	next[last] = '0' + (next[last]-'0'+1)%10
	raw, err := os.ReadFile(binary)
	require.NoError(t, err)
	// Texts of the program stand together without a gap, so others may end or begin like it: digits before or after, as in an
	// address, are none of it.
	pattern := regexp.MustCompile(regexp.QuoteMeta(old))
	for _, at := range pattern.FindAllIndex(raw, -1) {
		if c := raw[at[0]-1]; c >= '0' && c <= '9' || c == '.' || raw[at[1]] == '.' {
			continue
		}
		copy(raw[at[0]:at[1]], next)
	}
	path := filepath.Join(t.TempDir(), "otelcol-mesh")
	require.NoError(t, os.WriteFile(path, raw, 0o700))
	require.True(t, bytes.Contains(raw, next))
	return path
}
