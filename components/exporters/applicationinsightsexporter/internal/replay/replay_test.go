// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/connection"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/deadletter"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/delivery"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// The variables that make the test binary a process that replays.
const (
	replayDirectory  = "REPLAY_TEST_DIRECTORY"
	replayConnection = "REPLAY_TEST_CONNECTION"
)

func TestMain(m *testing.M) {
	if directory := os.Getenv(replayDirectory); directory != "" {
		sender, err := newSender(os.Getenv(replayConnection))
		if err == nil {
			_, err = Run(context.Background(), Settings{Directory: directory, Sender: sender, Batch: 5})
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func newSender(text string) (*delivery.Sender, error) {
	source, err := connection.New(connection.Settings{Text: text})
	if err != nil {
		return nil, err
	}
	destination, err := delivery.NewDestination(delivery.Settings{
		Client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, Connection: source, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	return destination.Sender(nil), nil
}

// event is an item as the exporter keeps it: without iKey, on one line.
func event(name string, at time.Time) json.RawMessage {
	text, err := json.Marshal(ai.Envelope{
		Ver: 1, Name: ai.EnvelopeName(ai.BaseTypeEvent), Time: ai.NewTime(at), Tags: map[string]string{ai.TagCloudRole: "reviews"},
		Data: ai.NewData(&ai.EventData{Ver: ai.DataVersion, Name: name, Properties: map[string]string{"k": "v <&>"}}),
	})
	if err != nil {
		panic(err)
	}
	return text
}

func letter(name string) deadletter.Letter {
	return deadletter.Letter{Time: time.Now(), Destination: "default", Reason: deadletter.ReasonInvalid, Status: 400, Item: event(name, time.Now())}
}

// kept writes letters and returns their directory.
func kept(t testing.TB, letters ...deadletter.Letter) string {
	t.Helper()
	directory := t.TempDir()
	store, err := deadletter.Open(deadletter.Settings{Directory: directory, MaxMiB: 2, MaxFileMiB: 1}, nil)
	require.NoError(t, err)
	require.NoError(t, store.Write(t.Context(), letters))
	require.NoError(t, store.Close())
	return directory
}

func settings(t testing.TB, directory string, server *ingestiontest.Server) Settings {
	t.Helper()
	sender, err := newSender(server.ConnectionString())
	require.NoError(t, err)
	return Settings{
		Directory: directory, Sender: sender,
		Wait: func(ctx context.Context, d time.Duration) error { return wait(ctx, min(d, 2*time.Millisecond)) },
	}
}

func names(server *ingestiontest.Server) []string {
	var all []string
	for _, item := range server.Items(ingestiontest.Filter{}) {
		all = append(all, item.Name)
	}
	return all
}

func left(t testing.TB, directory string) []string {
	t.Helper()
	entries, err := os.ReadDir(directory)
	require.NoError(t, err)
	var all []string
	for _, entry := range entries {
		all = append(all, filepath.Ext(entry.Name()))
	}
	return all
}

func TestAllDelivered(t *testing.T) {
	server := ingestiontest.Start(t, ingestiontest.Config{})
	directory := kept(t, letter("a"), letter("b"), letter("c"))
	report, err := Run(t.Context(), settings(t, directory, server))
	require.NoError(t, err)
	assert.Equal(t, Report{Files: 1, Removed: 1, Matched: 3, Delivered: 3}, report)
	assert.Equal(t, []string{"a", "b", "c"}, names(server))
	assert.Empty(t, left(t, directory))
	assert.Zero(t, report.Kept())
	assert.Equal(t, "v <&>", server.Items(ingestiontest.Filter{})[0].Properties()["k"])
}

func TestOnlyWhatMatches(t *testing.T) {
	server := ingestiontest.Start(t, ingestiontest.Config{})
	other, late, old := letter("other route"), letter("other reason"), letter("old")
	other.Destination, late.Reason = "team-a", "gave_up"
	old.Time = time.Now().Add(-time.Hour)
	directory := kept(t, letter("a"), other, late, old)
	s := settings(t, directory, server)
	s.Filter = Filter{Destinations: []string{"default"}, Reasons: []string{deadletter.ReasonInvalid}, Since: time.Now().Add(-time.Minute), Until: time.Now().Add(time.Minute)}
	report, err := Run(t.Context(), s)
	require.NoError(t, err)
	assert.Equal(t, Report{Files: 1, Matched: 1, Delivered: 1}, report)
	assert.Equal(t, []string{"a"}, names(server))
	assert.Equal(t, []string{".ndjson", ".done"}, left(t, directory))

	s.Filter = Filter{}
	report, err = Run(t.Context(), s)
	require.NoError(t, err)
	assert.Equal(t, Report{Files: 1, Removed: 1, Already: 1, Matched: 3, Delivered: 3}, report)
	assert.Len(t, names(server), 4, "none twice")
	assert.Empty(t, left(t, directory))
}

func TestDryRun(t *testing.T) {
	old := letter("old")
	old.Item = event("old", time.Now().Add(-72*time.Hour))
	directory := kept(t, letter("a"), old)
	before, err := os.ReadDir(directory)
	require.NoError(t, err)
	report, err := Run(t.Context(), Settings{Directory: directory, DryRun: true})
	require.NoError(t, err)
	assert.Equal(t, 1, report.Delivered)
	assert.Len(t, report.PassedOver, 1)
	report, err = Run(t.Context(), Settings{Directory: directory, DryRun: true, ShiftTime: true})
	require.NoError(t, err)
	assert.Equal(t, Report{Files: 1, Matched: 2, Delivered: 2, Shifted: 1}, report)
	after, err := os.ReadDir(directory)
	require.NoError(t, err)
	assert.Len(t, after, len(before), "nothing is left behind")
}

func TestWhatIsNotWorthSending(t *testing.T) {
	server := ingestiontest.Start(t, ingestiontest.Config{})
	directory := kept(t,
		deadletter.Letter{Time: time.Now(), Reason: deadletter.ReasonUnreadable, Damaged: []byte("x"), Bytes: 1},
		deadletter.Letter{Time: time.Now(), Reason: deadletter.ReasonNotFinite, Item: event("nan", time.Now())},
		deadletter.Letter{Time: time.Now(), Reason: deadletter.ReasonTooLarge, Item: event(strings.Repeat("x", ai.MaxItemBytes), time.Now())},
		deadletter.Letter{Time: time.Now(), Reason: deadletter.ReasonTooOld, Item: event("old", time.Now().Add(-48*time.Hour))},
		deadletter.Letter{Time: time.Now(), Reason: deadletter.ReasonInvalid, Item: json.RawMessage(`{"time":"yesterday"}`)},
		deadletter.Letter{Time: time.Now(), Reason: deadletter.ReasonInvalid, Item: json.RawMessage(`{"name":"n"}`)},
	)
	report, err := Run(t.Context(), settings(t, directory, server))
	require.NoError(t, err)
	assert.Contains(t, report.PassedOver, Count{Why: "the item has no time that can be read", Letters: 2})
	assert.Len(t, report.PassedOver, 5)
	assert.Equal(t, 6, report.Kept())
	assert.Empty(t, server.Requests(), "none is worth a request")
	assert.Equal(t, []string{".ndjson"}, left(t, directory))
}

func TestShiftTime(t *testing.T) {
	server := ingestiontest.Start(t, ingestiontest.Config{})
	original := time.Now().Add(-100 * time.Hour).UTC().Truncate(time.Microsecond)
	old := letter("old")
	old.Item = event("old", original)
	directory := kept(t, old, letter("young"))
	s := settings(t, directory, server)
	s.ShiftTime = true
	report, err := Run(t.Context(), s)
	require.NoError(t, err)
	assert.Equal(t, Report{Files: 1, Removed: 1, Matched: 2, Delivered: 2, Shifted: 1}, report)
	items := server.Items(ingestiontest.Filter{})
	require.Len(t, items, 2)
	assert.WithinDuration(t, time.Now(), items[0].Envelope.Time.Time, time.Minute)
	assert.Equal(t, map[string]string{"k": "v <&>", OriginalTime: original.Format(time.RFC3339Nano)}, items[0].Properties())
	assert.NotContains(t, items[1].Properties(), OriginalTime)
}

func TestShiftTimeKeepsTheFirst(t *testing.T) {
	now := time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC)
	first, err := shiftTime(json.RawMessage(`{"time":"x","data":{"baseData":{"n":1e400}}}`), now.Add(-200*time.Hour), now)
	require.NoError(t, err)
	second, err := shiftTime(first, now, now.Add(time.Hour))
	require.NoError(t, err)
	assert.Equal(t, `{"data":{"baseData":{"n":1e400,"properties":{"otelcol_mesh.original_time":"2026-11-14T21:00:00Z"}}},"time":"2026-11-23T06:00:00.000000Z"}`, string(second))
	_, err = shiftTime(json.RawMessage(`{"data":[]}`), now, now)
	require.ErrorContains(t, err, "data")
}

// TestRefusedAgain: what the endpoint refuses stays, the others of its request are delivered, once.
func TestRefusedAgain(t *testing.T) {
	server := ingestiontest.Start(t, ingestiontest.Config{})
	bad := letter("bad")
	bad.Item = json.RawMessage(`{"name":"n","time":"` + time.Now().Add(-80*time.Hour).UTC().Format(time.RFC3339) + `","data":{"baseType":"EventData","baseData":{"ver":2}}}`)
	directory := kept(t, letter("a"), bad, letter("b"))
	s := settings(t, directory, server)
	s.ShiftTime = true
	for i := range 2 {
		report, err := Run(t.Context(), s)
		require.NoError(t, err)
		require.Len(t, report.Refused, 1)
		assert.Contains(t, report.Refused[0].Why, "109: Field 'name'")
		assert.Equal(t, 1, report.Kept())
		assert.Equal(t, 2*i, report.Already)
		assert.Zero(t, report.Shifted, "what was not delivered does not count")
		assert.Equal(t, []string{"a", "b"}, names(server))
	}
}

func TestAnEndpointThatRecovers(t *testing.T) {
	server := ingestiontest.Start(t, ingestiontest.Config{})
	require.NoError(t, server.Fault(
		ingestiontest.Fault{Kind: ingestiontest.FaultStatus, Status: 503, Times: 2},
		ingestiontest.Fault{Kind: ingestiontest.FaultItems, Indexes: []int{1}, ItemStatus: 500},
		ingestiontest.Fault{Kind: ingestiontest.FaultClose},
	))
	directory := kept(t, letter("a"), letter("b"), letter("c"))
	report, err := Run(t.Context(), settings(t, directory, server))
	require.NoError(t, err)
	assert.Equal(t, 3, report.Delivered)
	assert.Positive(t, report.Uncertain)
	assert.ElementsMatch(t, []string{"a", "b", "c"}, names(server))
	assert.Empty(t, left(t, directory))
}

func TestPatience(t *testing.T) {
	server := ingestiontest.Start(t, ingestiontest.Config{})
	directory := kept(t, letter("a"), letter("b"))
	for name, fault := range map[string]ingestiontest.Fault{
		"unavailable": {Kind: ingestiontest.FaultStatus, Status: 503, Times: ingestiontest.Forever},
		"quota":       {Kind: ingestiontest.FaultStatus, Status: 439, Times: ingestiontest.Forever},
		"role":        {Kind: ingestiontest.FaultStatus, Status: 403, Times: ingestiontest.Forever},
	} {
		t.Run(name, func(t *testing.T) {
			server.ClearFaults()
			require.NoError(t, server.Fault(fault))
			s := settings(t, directory, server)
			s.Patience = time.Second // less than the first pause takes
			report, err := Run(t.Context(), s)
			require.ErrorContains(t, err, "--patience")
			assert.Equal(t, 2, report.Left)
			assert.Equal(t, 2, report.Kept())
			assert.Equal(t, []string{".ndjson"}, left(t, directory))
		})
	}
	server.ClearFaults()
	report, err := Run(t.Context(), settings(t, directory, server))
	require.NoError(t, err)
	assert.Equal(t, 2, report.Delivered)
}

func TestStopped(t *testing.T) {
	server := ingestiontest.Start(t, ingestiontest.Config{})
	require.NoError(t, server.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultHang}))
	directory := kept(t, letter("a"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for len(server.Requests()) == 0 {
			if wait(ctx, time.Millisecond) != nil {
				return
			}
		}
		cancel()
	}()
	report, err := Run(ctx, settings(t, directory, server))
	require.ErrorIs(t, err, context.Canceled)
	cancel()
	<-done
	assert.Equal(t, 1, report.Left)
	assert.Equal(t, []string{".ndjson"}, left(t, directory))
}

func TestBusy(t *testing.T) {
	server := ingestiontest.Start(t, ingestiontest.Config{})
	directory := kept(t, letter("a"))
	files, err := deadletter.Files(directory)
	require.NoError(t, err)
	marks, err := deadletter.OpenMarks(files[0].Path)
	require.NoError(t, err)
	report, err := Run(t.Context(), settings(t, directory, server))
	require.NoError(t, err)
	assert.Equal(t, Report{Busy: []string{files[0].Name}}, report)
	require.NoError(t, marks.Close())
	assert.Empty(t, server.Requests())
}

// accepting is a sender that takes everything.
type accepting struct{ batches []int }

func (a *accepting) Send(_ context.Context, b *items.Batch) delivery.Result {
	a.batches = append(a.batches, b.Len())
	return delivery.Result{Accepted: b.Len()}
}

func TestRate(t *testing.T) {
	now := time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC)
	began := now
	var letters []deadletter.Letter
	for i := range 25 {
		l := letter(strconv.Itoa(i))
		l.Item = event(strconv.Itoa(i), now)
		letters = append(letters, l)
	}
	sender := &accepting{}
	report, err := Run(t.Context(), Settings{
		Directory: kept(t, letters...), Sender: sender, Batch: 10, Rate: 5,
		Now: func() time.Time { return now },
		Wait: func(_ context.Context, d time.Duration) error {
			now = now.Add(d)
			return nil
		},
	})
	require.NoError(t, err)
	assert.Equal(t, 25, report.Delivered)
	assert.Equal(t, []int{10, 10, 5}, sender.batches)
	assert.Equal(t, 4*time.Second, now.Sub(began), "20 letters before the last request, 5 a second")
}

// TestMarksThatCannotBeWritten: what was sent and is not marked comes again, and nothing is said to be delivered for good.
func TestMarksThatCannotBeWritten(t *testing.T) {
	directory := kept(t, letter("a"))
	files, err := deadletter.Files(directory)
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(files[0].Path+".done", 0o700))
	sender := &accepting{}
	_, err = Run(t.Context(), Settings{Directory: directory, Sender: sender})
	require.ErrorContains(t, err, files[0].Name)
	assert.Empty(t, sender.batches, "it is known before anything is sent")
}

func TestValidate(t *testing.T) {
	err := Settings{Batch: -1, Rate: -1, Patience: -1}.Validate()
	for _, want := range []string{"--directory", "--batch", "--rate", "--patience", "nothing to send with"} {
		require.ErrorContains(t, err, want)
	}
	_, err = Run(t.Context(), Settings{})
	require.Error(t, err)
	_, err = Run(t.Context(), Settings{Directory: filepath.Join(t.TempDir(), "missing"), DryRun: true})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestReasonsHaveACeiling(t *testing.T) {
	var counts []Count
	for i := range 3 * maxCounts {
		add(&counts, strconv.Itoa(i), 1)
	}
	assert.Len(t, counts, maxCounts+1)
	assert.Equal(t, 3*maxCounts, total(counts))
}

// TestShiftTimeKeepsTheSize: an item just below the limit stays below it, whatever stands in it.
func TestShiftTimeKeepsTheSize(t *testing.T) {
	now := time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC)
	text := strings.Repeat("<init>&", 3000)
	item := json.RawMessage(`{"time":"2026-11-20T00:00:00.000000Z","data":{"baseType":"MessageData","baseData":{"message":"` + text + `"}}}`)
	shifted, err := shiftTime(item, now.Add(-200*time.Hour), now)
	require.NoError(t, err)
	assert.Contains(t, string(shifted), text)
	assert.Less(t, len(shifted), len(item)+200)
}
