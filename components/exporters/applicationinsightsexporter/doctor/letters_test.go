// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/deadletter"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/entratest"
)

func letterOf(destination, reason string, status int, message, name string, at time.Time) deadletter.Letter {
	item, err := json.Marshal(ai.Envelope{
		Ver: 1, Name: ai.EnvelopeName(ai.BaseTypeEvent), Time: ai.NewTime(at), Tags: map[string]string{ai.TagCloudRole: "reviews"},
		Data: ai.NewData(&ai.EventData{Ver: ai.DataVersion, Name: name}),
	})
	if err != nil {
		panic(err)
	}
	return deadletter.Letter{Time: at, Destination: destination, Reason: reason, Status: status, Message: message, Item: item}
}

// mixed is a directory with letters of two routes, one damaged line and one torn.
func mixed(t *testing.T, now time.Time) string {
	t.Helper()
	now = now.UTC().Truncate(time.Second) // as text it has the same length each time
	directory := t.TempDir()
	store, err := deadletter.Open(deadletter.Settings{Directory: directory, MaxMiB: 2, MaxFileMiB: 1}, nil)
	require.NoError(t, err)
	require.NoError(t, store.Write(t.Context(), []deadletter.Letter{
		letterOf("default", deadletter.ReasonInvalid, 400, "109: Field 'name' on type 'EventData' is required but missing or empty.", "a", now.Add(-2*time.Hour)),
		letterOf("default", deadletter.ReasonInvalid, 400, "106: Field 'ver'\x1b[31m", "b\u009b31m", now.Add(-time.Hour)),
		letterOf("team-a", "gave_up", 0, "", "c", now.Add(-time.Minute)),
		{Time: now.Add(-time.Minute), Destination: "default", Reason: deadletter.ReasonUnreadable, Damaged: []byte("half of an it"), Bytes: 13},
	}))
	require.NoError(t, store.Close())
	files, err := deadletter.Files(directory)
	require.NoError(t, err)
	f, err := os.OpenFile(files[0].Path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString("damaged\n{\"time\":\"20")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return directory
}

var fileNames = regexp.MustCompile(`letters-\S+\.ndjson`)

// runLetters runs a command on letters and takes out what is different each time.
func (s *stage) runLetters(directory string, args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	s.args = nil
	code, stdout, stderr = s.run(append([]string{"letters"}, append(args, "--directory", directory)...)...)
	clean := func(text string) string {
		return fileNames.ReplaceAllString(regexp.MustCompile(regexp.QuoteMeta(directory)).ReplaceAllString(text, "DIRECTORY"), "letters-FILE.ndjson")
	}
	return code, clean(stdout), clean(stderr)
}

// TestLetters lists, shows and counts; what it prints is in testdata/letters.
func TestLetters(t *testing.T) {
	for name, args := range map[string][]string{
		"list":             {"list"},
		"list_json":        {"list", "--json"},
		"list_one_reason":  {"list", "--reason", "invalid", "--reason", "gave_up", "--since", "90m"},
		"list_nothing":     {"list", "--destination", "nobody"},
		"show":             {"show"},
		"show_one":         {"show", "--limit", "1", "--destination", "team-a"},
		"show_nothing":     {"show", "--until", "100h"},
		"show_json":        {"show", "--json", "--limit", "0"},
		"replay_dry":       {"replay", "--dry-run", "--destination", "default"},
		"replay_dry_json":  {"replay", "--dry-run", "--destination", "default", "--json"},
		"replay_of_nobody": {"replay", "--dry-run", "--destination", "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			now := time.Now()
			directory := mixed(t, now)
			_, out, errs := s.runLetters(directory, args...)
			assert.Empty(t, errs)
			golden(t, filepath.Join("letters", name+".txt"), out)
		})
	}
}

func TestLettersThatCannotBeRead(t *testing.T) {
	s := newStage(t)
	for _, command := range []string{"list", "show", "replay"} {
		code, _, errs := s.runLetters(filepath.Join(t.TempDir(), "missing"), command)
		assert.Equal(t, ExitFailed, code)
		assert.Contains(t, errs, "no such file or directory")
	}
}

// TestReplayOfSeveralRoutes: letters of one team must not reach another one by a slip.
func TestReplayOfSeveralRoutes(t *testing.T) {
	s := newStage(t)
	directory := mixed(t, time.Now())
	code, _, errs := s.runLetters(directory, "replay")
	assert.Equal(t, ExitUsage, code)
	assert.Contains(t, errs, "several destinations (default, team-a)")
	assert.Empty(t, s.server.Requests())
}

// TestReplay sends to an endpoint with TLS, a token and faults, until no letter is left that can be sent.
func TestReplay(t *testing.T) {
	s := newStage(t)
	entra := entratest.New(t)
	s.world.entra = entra.Transport(t)
	s.env["AZURE_AUTHORITY_HOST"], s.env["AZURE_CLIENT_SECRET"] = entra.URL(), "s3cr3t"
	s.env["AZURE_TENANT_ID"], s.env["AZURE_CLIENT_ID"] = entratest.TenantID, entratest.AppID
	s.serve(ingestiontest.Config{Auth: ingestiontest.Auth{Mode: ingestiontest.AuthRequire}})
	ca := s.args
	directory := mixed(t, time.Now())
	args := append([]string{"replay", "--destination", "default", "--auth", "client-secret"}, ca...)

	code, out, errs := s.runLetters(directory, args...)
	assert.Equal(t, ExitLeft, code)
	assert.Empty(t, errs)
	golden(t, "letters/replay.txt", out)
	require.Len(t, s.server.Items(ingestiontest.Filter{}), 2)
	assert.Equal(t, testKey, s.server.Items(ingestiontest.Filter{})[0].Envelope.InstrumentationKey)

	// Once more: nothing is sent twice.
	code, out, _ = s.runLetters(directory, args...)
	assert.Equal(t, ExitLeft, code)
	golden(t, "letters/replay_again.txt", out)
	_, out, _ = s.runLetters(directory, "list")
	golden(t, "letters/list_after_replay.txt", out)
	assert.Len(t, s.server.Items(ingestiontest.Filter{}), 2)
}

func TestReplayEndsEarly(t *testing.T) {
	for name, c := range map[string]struct {
		fault ingestiontest.Fault
		want  string
	}{
		"quota": {ingestiontest.Fault{Kind: ingestiontest.FaultStatus, Status: 439, Times: ingestiontest.Forever}, "--patience"},
		"role":  {ingestiontest.Fault{Kind: ingestiontest.FaultStatus, Status: 403, Times: ingestiontest.Forever}, "--patience"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			ca := s.args
			s.fault(c.fault)
			directory := mixed(t, time.Now())
			code, out, errs := s.runLetters(directory, append([]string{"replay", "--destination", "team-a", "--patience", "100ms"}, ca...)...)
			assert.Equal(t, ExitFailed, code)
			assert.Contains(t, errs, c.want)
			assert.Contains(t, out, "1  left when it stopped")
			code, out, _ = s.runLetters(directory, "list", "--destination", "team-a")
			assert.Equal(t, ExitOK, code)
			assert.Contains(t, out, "1 dead letter in")
		})
	}
}

func TestReplayWithoutAConnection(t *testing.T) {
	s := newStage(t)
	clear(s.env)
	code, _, errs := s.runLetters(mixed(t, time.Now()), "replay", "--destination", "default")
	assert.Equal(t, ExitFailed, code)
	assert.Contains(t, errs, "connection string: there is none")
	code, _, errs = s.runLetters(mixed(t, time.Now()), "replay", "--destination", "default", "--connection-string", testString, "--auth", "client-secret")
	assert.Equal(t, ExitFailed, code)
	assert.Contains(t, errs, "AZURE_CLIENT_SECRET")
	code, _, errs = s.runLetters(mixed(t, time.Now()), "replay", "--destination", "default", "--connection-string", testString, "--batch", "5000")
	assert.Equal(t, ExitUsage, code)
	assert.Contains(t, errs, "--batch 5000")
}

// TestReplayAll empties a directory.
func TestReplayAll(t *testing.T) {
	s := newStage(t)
	ca := s.args
	directory := t.TempDir()
	store, err := deadletter.Open(deadletter.Settings{Directory: directory, MaxMiB: 2, MaxFileMiB: 1}, nil)
	require.NoError(t, err)
	for i := range 250 {
		require.NoError(t, store.Write(t.Context(), []deadletter.Letter{letterOf("default", "gave_up", 0, "", strconv.Itoa(i), time.Now())}))
	}
	// The collector goes on meanwhile.
	code, out, errs := s.runLetters(directory, append([]string{"replay", "--rate", "0"}, ca...)...)
	assert.Equal(t, ExitOK, code)
	assert.Empty(t, errs)
	golden(t, "letters/replay_all.txt", out)
	require.NoError(t, store.Write(t.Context(), []deadletter.Letter{letterOf("default", "gave_up", 0, "", "later", time.Now())}))
	require.NoError(t, store.Close())
	assert.Len(t, s.server.Items(ingestiontest.Filter{}), 250)
	_, out, _ = s.runLetters(directory, "list")
	assert.Contains(t, out, "1 dead letter in")
}

// TestGroupsHaveACeiling: whoever writes letters may invent reasons.
func TestGroupsHaveACeiling(t *testing.T) {
	s := newStage(t)
	directory := t.TempDir()
	store, err := deadletter.Open(deadletter.Settings{Directory: directory, MaxMiB: 2, MaxFileMiB: 1}, nil)
	require.NoError(t, err)
	var letters []deadletter.Letter
	for i := range maxGroups + 500 {
		letters = append(letters, deadletter.Letter{Time: time.Now(), Reason: fmt.Sprint("reason_", i)})
	}
	require.NoError(t, store.Write(t.Context(), letters))
	require.NoError(t, store.Close())
	_, out, _ := s.runLetters(directory, "list", "--json")
	var listed summary
	require.NoError(t, json.Unmarshal([]byte(regexp.MustCompile(`"DATE"`).ReplaceAllString(out, `"2026-11-23T05:00:00Z"`)), &listed))
	assert.Len(t, listed.Groups, maxGroups+1)
	assert.Equal(t, group{Destination: otherGroups, Reason: otherGroups, Letters: 500, Oldest: listed.Groups[0].Oldest, Newest: listed.Groups[0].Newest}, listed.Groups[0])
}
