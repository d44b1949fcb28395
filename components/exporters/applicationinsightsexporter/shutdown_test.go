// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/queuestorageextension"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// outages are endpoints that take nothing, and how a test sees that they were asked.
var outages = map[string]ingestiontest.Fault{
	"hangs": {Kind: ingestiontest.FaultHang, Times: ingestiontest.Forever},
	"fails": {Kind: ingestiontest.FaultStatus, Status: 503, Times: ingestiontest.Forever},
}

var briefly = keys{"shutdown_timeout": "200ms"}

// busy starts an exporter and hands it spans that do not get through, some of which are being sent.
func busy(t *testing.T, endpoint *ingestiontest.Server, cfg *Config, disks ...*disk) *running {
	t.Helper()
	r := start(t, cfg, disks...)
	for n := range 20 {
		require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(n*10, n*10+10)))
	}
	require.Eventually(t, func() bool {
		// A request that hangs is recorded at its end only.
		return len(r.pendings()) > 0 && (len(endpoint.Requests()) > 0 || len(endpoint.Faults()) > 0)
	}, patience, time.Millisecond)
	return r
}

func (r *running) pendings() []*request {
	return r.traces.(*tracesExporter).outlets[0].pending.all()
}

func TestShutdownWithAQueueInMemoryLosesNothingUnseen(t *testing.T) {
	for name, fault := range outages {
		for _, kept := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				endpoint := ingestiontest.Start(t, ingestiontest.Config{})
				require.NoError(t, endpoint.Fault(fault))
				directory := t.TempDir()
				settings := []keys{quick, briefly, to(endpoint)}
				if kept {
					settings = append(settings, keys{"dead_letter": keys{"directory": directory}})
				}
				r := busy(t, endpoint, config(t, settings...))
				began := time.Now()
				r.stop(t)
				assert.Less(t, time.Since(began), 5*time.Second)
				if !kept {
					assert.Equal(t, books{received: 200, lost: 200}, r.books(t))
					return
				}
				assert.Equal(t, books{received: 200, dead: 200}, r.books(t))
				assert.Equal(t, int64(200), r.sum(t, "application_insights_items_dead_lettered", "reason", reasonShutdown))
				assert.Len(t, letters(t, directory), 200)
			})
		}
	}
}

func TestShutdownSendsWhatIsInMemory(t *testing.T) {
	endpoint := ingestiontest.Start(t, ingestiontest.Config{})
	r := start(t, config(t, to(endpoint), keys{"sending_queue": keys{"batch": keys{"flush_timeout": "1h"}}}))
	require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(0, 50)))
	r.stop(t)
	assert.Equal(t, books{received: 50, accepted: 50}, r.books(t))
}

// What waits for its next attempt gets a last one, if there is time. Here an item waits because the queue, which its batch
// fills, has no room to take it back.
func TestShutdownTriesOnceMore(t *testing.T) {
	endpoint := ingestiontest.Start(t, ingestiontest.Config{})
	require.NoError(t, endpoint.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultItems, Indexes: []int{4}, ItemStatus: 500}))
	r := start(t, config(t, quick, to(endpoint), keys{
		"retry_on_failure": keys{"initial_interval": "1h", "max_interval": "1h"},
		"sending_queue":    keys{"sizer": "items", "queue_size": 10},
	}))
	require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(0, 10)))
	require.Eventually(t, func() bool { return r.logged.FilterMessageSnippet("Will retry").Len() == 1 }, patience, time.Millisecond)
	require.Equal(t, int64(9), r.books(t).accepted)
	r.stop(t)
	assert.Equal(t, books{received: 10, accepted: 10}, r.books(t))
	_, double := distinct(endpoint)
	assert.Zero(t, double)
}

func TestShutdownWithAQueueOnDiskKeepsEverything(t *testing.T) {
	for name, fault := range outages {
		t.Run(name, func(t *testing.T) {
			endpoint := ingestiontest.Start(t, ingestiontest.Config{})
			require.NoError(t, endpoint.Fault(fault))
			stored := newDisk()
			cfg := func() *Config { return config(t, quick, briefly, onDisk, to(endpoint)) }
			r := busy(t, endpoint, cfg(), stored)
			began := time.Now()
			r.stop(t)
			assert.Less(t, time.Since(began), 5*time.Second)
			assert.Equal(t, books{received: 200}, r.books(t), "nothing is lost, dead or delivered")

			endpoint.ClearFaults()
			second := start(t, cfg(), stored)
			require.Eventually(t, func() bool { return second.books(t).accepted == 200 }, patience, time.Millisecond)
			second.stop(t)
			assert.Equal(t, books{accepted: 200}, second.books(t), "what comes from the disk is not received again")
			unique, double := distinct(endpoint)
			assert.Equal(t, 200, unique)
			assert.Zero(t, double)
		})
	}
}

// After a kill in the wait for a retry, nothing that was accepted is sent again.
func TestAKillResendsNothingThatWasAccepted(t *testing.T) {
	endpoint := ingestiontest.Start(t, ingestiontest.Config{})
	require.NoError(t, endpoint.Fault(
		ingestiontest.Fault{Kind: ingestiontest.FaultItems, Indexes: []int{2, 5}, ItemStatus: 500},
		ingestiontest.Fault{Kind: ingestiontest.FaultStatus, Status: 503, Times: ingestiontest.Forever},
	))
	stored := newDisk()
	cfg := func() *Config { return config(t, quick, briefly, onDisk, to(endpoint)) }
	first := start(t, cfg(), stored)
	require.NoError(t, first.traces.ConsumeTraces(t.Context(), spans(0, 10)))
	require.Eventually(t, func() bool { return len(endpoint.Requests()) > 2 }, patience, time.Millisecond)
	killed := stored.kill()
	first.stop(t)
	assert.Equal(t, books{received: 10, accepted: 8}, first.books(t))

	endpoint.ClearFaults()
	second := start(t, cfg(), killed)
	require.Eventually(t, func() bool { return second.books(t).accepted == 2 }, patience, time.Millisecond)
	second.stop(t)
	unique, double := distinct(endpoint)
	assert.Equal(t, 10, unique)
	assert.Zero(t, double)
	assert.Zero(t, killed.each(func(b []byte) []byte { return b }), "nothing is left on disk")
}

// Batches of the queue that are damaged are set aside, and the others are delivered.
func TestDamageOnDiskIsSetAside(t *testing.T) {
	endpoint := ingestiontest.Start(t, ingestiontest.Config{})
	require.NoError(t, endpoint.Fault(outages["fails"]))
	stored := newDisk()
	cfg := func(more ...keys) *Config {
		return config(t, append([]keys{quick, briefly, onDisk, to(endpoint)}, more...)...)
	}
	busy(t, endpoint, cfg(), stored).stop(t)
	damaged := 0
	count := stored.each(func(raw []byte) []byte {
		if damaged++; damaged > 4 {
			return raw
		}
		raw = slices.Clone(raw)
		raw[len(raw)-5] ^= 0x10
		return raw
	})
	require.Equal(t, 20, count)
	endpoint.ClearFaults()

	directory := t.TempDir()
	second := start(t, cfg(keys{"dead_letter": keys{"directory": directory}}), stored)
	require.Eventually(t, func() bool { return second.books(t).accepted == 160 }, patience, time.Millisecond)
	second.stop(t)
	assert.Equal(t, books{accepted: 160, dead: 40}, second.books(t))
	assert.Equal(t, int64(40), second.sum(t, "application_insights_items_dead_lettered", "reason", "unreadable"))
	assert.Equal(t, int64(4), second.sum(t, "application_insights_unreadable_batches"))
	list := letters(t, directory)
	require.Len(t, list, 4)
	for _, l := range list {
		assert.NotEmpty(t, l.Damaged)
		assert.Contains(t, l.Message, "10 items")
	}
}

// A disk that takes nothing turns into an error for the sender, and never into a loss.
func TestAFullDiskIsTheSendersToKnow(t *testing.T) {
	endpoint := ingestiontest.Start(t, ingestiontest.Config{})
	stored := newDisk()
	r := start(t, config(t, quick, onDisk, to(endpoint)), stored)
	stored.mu.Lock()
	stored.fail = errDisk
	stored.mu.Unlock()
	require.ErrorIs(t, r.traces.ConsumeTraces(t.Context(), spans(0, 10)), errDisk)
	stored.mu.Lock()
	stored.fail = nil
	stored.mu.Unlock()
	require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(0, 10)))
	assert.Equal(t, books{received: 10, accepted: 10}, r.settle(t))
	assert.Zero(t, r.sum(t, "application_insights_unreadable_batches"), "what was refused is no damage")
}

// The same with storage extensions that write files, and with a route, whose queue has a name of its own.
func TestRestartWithFiles(t *testing.T) {
	for _, factory := range []extension.Factory{filestorage.NewFactory(), queuestorageextension.NewFactory()} {
		t.Run(factory.Type().String(), func(t *testing.T) {
			endpoint, routed := ingestiontest.Start(t, ingestiontest.Config{}), ingestiontest.Start(t, ingestiontest.Config{})
			for _, e := range []*ingestiontest.Server{endpoint, routed} {
				require.NoError(t, e.Fault(
					ingestiontest.Fault{Kind: ingestiontest.FaultItems, Indexes: []int{1}, ItemStatus: 500},
					ingestiontest.Fault{Kind: ingestiontest.FaultStatus, Status: 503, Times: ingestiontest.Forever},
				))
			}
			id := component.NewIDWithName(factory.Type(), "queue")
			directory := t.TempDir()
			settings := []keys{quick, briefly, to(endpoint), {"sending_queue": keys{"storage": id.String()}}, {"routes": []keys{
				{"name": "team-a", "connection_string": routed.ConnectionString(), "match": keys{"team": "a"}},
			}}}
			run := func(f func(r *running)) {
				files := factory.CreateDefaultConfig()
				require.NoError(t, confmap.NewFromStringMap(map[string]any{"directory": directory}).Unmarshal(files))
				ext, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), files)
				require.NoError(t, err)
				require.NoError(t, ext.Start(t.Context(), componenttest.NewNopHost()))
				r := create(t, config(t, settings...))
				host := testHost{extensions: map[component.ID]component.Component{id: ext}}
				for _, c := range r.components() {
					require.NoError(t, c.Start(t.Context(), host))
				}
				f(r)
				r.stop(t)
				require.NoError(t, ext.Shutdown(t.Context()))
			}
			run(func(r *running) {
				require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(0, 10)))
				require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(0, 10, "team", "a")))
				require.Eventually(t, func() bool {
					return len(endpoint.Requests()) > 2 && len(routed.Requests()) > 2
				}, patience, time.Millisecond)
				require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(10, 100)))
			})
			endpoint.ClearFaults()
			routed.ClearFaults()
			run(func(r *running) { r.settleAt(t, 92) })
			unique, double := distinct(endpoint)
			assert.Equal(t, 100, unique)
			assert.Zero(t, double)
			unique, double = distinct(routed)
			assert.Equal(t, 10, unique)
			assert.Zero(t, double)
		})
	}
}

// The signals of one exporter share what they have open, and the last one closes it.
func TestTheLastSignalClosesWhatIsShared(t *testing.T) {
	endpoint := ingestiontest.Start(t, ingestiontest.Config{})
	directory := t.TempDir()
	r := start(t, config(t, quick, to(endpoint), keys{"dead_letter": keys{"directory": directory}}))
	s := r.shared()
	assert.Same(t, s, r.logs.(*logsExporter).shared)
	require.NoError(t, r.logs.Shutdown(t.Context()))
	require.NoError(t, r.metrics.Shutdown(t.Context()))
	require.NoError(t, r.metrics.Shutdown(t.Context()), "a second time")
	assert.NotNil(t, s.letters)
	require.NoError(t, endpoint.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultPoison, Match: `span 7"`, Times: ingestiontest.Forever}))
	require.NoError(t, r.traces.ConsumeTraces(t.Context(), spans(0, 10)))
	assert.Equal(t, books{received: 10, accepted: 9, dead: 1}, r.settle(t))
	require.NoError(t, r.traces.Shutdown(t.Context()))
	assert.Nil(t, s.letters)
}

func TestStartSaysWhatIsMissing(t *testing.T) {
	t.Setenv("APPLICATIONINSIGHTS_CONNECTION_STRING", "InstrumentationKey=00000000-0000-0000-0000-000000000009")
	for name, c := range map[string]struct {
		settings keys
		wants    []string
	}{
		"no file":       {keys{"connection_string_file": "/does/not/exist"}, []string{"connection_string_file: ", "/does/not/exist"}},
		"authenticator": {keys{"connection_string": someConnection, "auth": keys{"authenticator": "azure_auth"}}, []string{"azure_auth"}},
		"route": {
			keys{"connection_string": someConnection, "routes": []keys{{"name": "a", "match": keys{"k": "v"}, "connection_string_file": "/no"}}},
			[]string{"routes (a): connection_string_file: ", "/no"},
		},
		"dead letters": {keys{"connection_string": someConnection, "dead_letter": keys{"directory": "/dev/null/x"}}, []string{"dead_letter::", "directory"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := create(t, config(t, c.settings))
			for _, one := range r.components() {
				err := one.Start(t.Context(), newHost())
				require.Error(t, err)
				for _, want := range c.wants {
					assert.ErrorContains(t, err, want)
				}
			}
		})
	}
	// Nobody validated this one.
	r := create(t, NewFactory().CreateDefaultConfig().(*Config))
	assert.ErrorContains(t, r.traces.Start(t.Context(), newHost()), "connection_string: the connection string is empty")
	r = create(t, config(t, keys{"connection_string": someConnection}, onDisk))
	assert.ErrorContains(t, r.traces.Start(t.Context(), newHost()), "sending_queue: ")
}

const someConnection = "InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint=http://127.0.0.1:1"

func TestNoKeyInAnyError(t *testing.T) {
	key := "11111111-2222-3333-4444-555555555555"
	_, err := configOf(t, keys{"connection_string": "InstrumentationKey=" + key + ";IngestionEndpoint=ftp://x"})
	require.Error(t, err)
	assert.False(t, strings.Contains(err.Error(), key), err)
}
