// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/price"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestPriceFile(t *testing.T) {
	f, prices, err := Open("")
	require.NoError(t, err)
	assert.Equal(t, price.Default().Date(), prices.Date())
	again, err := f.Changed()
	require.NoError(t, err)
	assert.Nil(t, again, "the embedded table never changes")

	good, err := os.ReadFile(filepath.Join("testdata", "prices.yaml"))
	require.NoError(t, err)
	path := write(t, "prices.YML", string(good))
	f, prices, err = Open(path)
	require.NoError(t, err)
	assert.Equal(t, "2026-11-01", prices.Date().Format(time.DateOnly))
	again, err = f.Changed()
	require.NoError(t, err)
	assert.Nil(t, again)

	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(good), `"0.0875"`, `"1,5"`, 1)), 0o600))
	for range 2 {
		again, err = f.Changed()
		assert.Nil(t, again)
		assert.ErrorContains(t, err, "cost::prices_file "+path)
		assert.ErrorContains(t, err, `prices[5].per_gb`, "a bad file is bad until it is changed")
	}
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(good), `2026-11-01`, `2026-11-02`, 1)), 0o600))
	again, err = f.Changed()
	require.NoError(t, err)
	require.NotNil(t, again)
	assert.Equal(t, "2026-11-02", again.Date().Format(time.DateOnly))
	require.NoError(t, os.Remove(path))
	_, err = f.Changed()
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestPriceFilesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"no ending":       {"prices", "version: 1", "end in .json, .yaml or .yml"},
		"no YAML":         {"p.yaml", "a: [", "it is no YAML"},
		"a key twice":     {"p.yaml", "version: 1\nversion: 1", "version"},
		"an unknown key":  {"p.yaml", "version: 1\nprice: []", `"price"`},
		"too large":       {"p.json", strings.Repeat(" ", maxFile+1), "4 MiB"},
		"JSON as JSON":    {"p.json", `{"version": 2}`, "version is 2: write 1"},
		"empty":           {"p.json", "", "cannot be read"},
		"a list":          {"p.yaml", "- 1", "cannot be read"},
		"a sum and a key": {"p.json", `{"version": 1, "currency": "dollars"}`, `currency is "dollars"`},
	} {
		path := write(t, c.file, c.text)
		_, _, err := Open(path)
		assert.ErrorContains(t, err, c.want, name)
		assert.ErrorContains(t, err, path, name)
	}
	_, _, err := Open(filepath.Join(t.TempDir(), "none.json"))
	assert.ErrorContains(t, err, "write the path of a price table")
}

func TestWarnings(t *testing.T) {
	p := price.Default()
	assert.Empty(t, Warnings(p, p.Date().Add(364*24*time.Hour)))
	assert.Contains(t, Warnings(p, p.Date().Add(366*24*time.Hour))[0], "more than a year ago")
	assert.Contains(t, Warnings(p, p.Date().Add(-48*time.Hour))[0], "future")
	l := newLedger(t, Config{})
	l.Add(&graph.Snapshot{Start: p.Date().Add(400 * 24 * time.Hour), End: p.Date().Add(400*24*time.Hour + time.Second)})
	l.Add(&graph.Snapshot{Start: p.Date().Add(400 * 24 * time.Hour), End: p.Date().Add(401 * 24 * time.Hour)})
	assert.Contains(t, l.Report().Warnings[0], "more than a year ago")
}

func TestConfig(t *testing.T) {
	good := Config{MaxFlows: 1}
	require.NoError(t, good.Validate())
	for want, c := range map[string]Config{
		"max_flows is 0":                       {},
		"teams[0].team is empty":               {MaxFlows: 1, Teams: []Team{{Namespaces: []string{"a"}}}},
		"teams[0].namespaces is empty":         {MaxFlows: 1, Teams: []Team{{Team: "a"}}},
		`teams[0].namespaces[0] is "a*b"`:      {MaxFlows: 1, Teams: []Team{{Team: "a", Namespaces: []string{"a*b"}}}},
		`teams[1].namespaces[0] is "a", which`: {MaxFlows: 1, Teams: []Team{{Team: "x", Namespaces: []string{"a"}}, {Team: "y", Namespaces: []string{"a"}}}},
		`internet_hosts[0] is "*"`:             {MaxFlows: 1, InternetHosts: []string{"*"}},
		`internet_hosts[0] is "api"`:           {MaxFlows: 1, InternetHosts: []string{"api"}},
		"teams has 1001 entries":               {MaxFlows: 1, Teams: make([]Team, maxTeams+1)},
		"internet_hosts has 1001 entries":      {MaxFlows: 1, InternetHosts: make([]string, maxHosts+1)},
	} {
		assert.ErrorContains(t, c.Validate(), want)
		_, err := New(c, price.Default())
		assert.ErrorContains(t, err, want)
	}
}

func TestTeams(t *testing.T) {
	teams := newTeams([]Team{
		{Team: "all", Namespaces: []string{"*"}},
		{Team: "shops", Namespaces: []string{"shop-*"}},
		{Team: "eu", Namespaces: []string{"shop-eu*", "bank"}},
		{Team: "one", Namespaces: []string{"shop-eu-1"}},
	})
	for namespace, want := range map[string]string{
		"": "", "x": "all", "shop-": "shops", "shop-us": "shops", "shop-eu": "eu", "shop-eu-1": "one", "shop-eu-12": "eu", "bank": "eu", "banks": "all",
	} {
		assert.Equal(t, want, teams.of(namespace), namespace)
	}
	none := newTeams(nil)
	assert.Empty(t, none.of("x"))
}

func TestOutside(t *testing.T) {
	c := Config{InternetHosts: []string{"api.example.com", "*.Example.org"}}
	for host, want := range map[string]bool{
		"api.example.com": true, "API.example.com": true, "x.api.example.com": false, "example.org": false, "a.b.example.org": true, "": false,
	} {
		assert.Equal(t, want, c.outside(&graph.Callee{Service: host}), host)
	}
	for _, known := range []graph.Callee{{Cluster: "west"}, {Region: "westeurope"}, {Workload: "egress"}} {
		known.Service = "api.example.com"
		assert.False(t, c.outside(&known), "who is in a cluster is not on the internet")
	}
}

func TestDamagedStateIsRefused(t *testing.T) {
	l := newLedger(t, Config{})
	for i := range 3 {
		l.Add(minuteOf(i, edge("westeurope", "shop", "northeurope", "shop", "reviews", 100, 200), edge("eastus", "a", "", "b", "c", 1, 1)))
	}
	l.Take()
	l.Add(minuteOf(3, edge("westeurope", "shop", "northeurope", "shop", "reviews", 100, 200)))
	state := l.Encode()
	report := l.Report()
	for cutAt := range len(state) {
		require.ErrorIs(t, l.Restore(state[:cutAt]), ErrState, cutAt)
	}
	require.ErrorIs(t, l.Restore(append(state, 0)), ErrState)
	assert.Same(t, report, l.Report())
	d := l.Take().Encode()
	for cutAt := range len(d) {
		_, err := DecodeDelta(d[:cutAt])
		require.ErrorIs(t, err, ErrState)
	}
}

func FuzzRestore(f *testing.F) {
	l := newLedger(f, Config{})
	l.Add(minuteOf(0, edge("westeurope", "shop", "northeurope", "shop", "reviews", 100, 200)))
	l.Add(minuteOf(1, edge("westeurope", "shop", "", "shop", "x", 100, 200)))
	f.Add(l.Encode())
	f.Add(l.Take().Encode())
	f.Fuzz(func(t *testing.T, state []byte) {
		if d, err := DecodeDelta(state); err == nil {
			if _, err := DecodeDelta(d.Encode()); err != nil {
				t.Fatal(err)
			}
		}
		l := newLedger(t, Config{})
		if l.Restore(state) != nil {
			return
		}
		l.Add(minuteOf(100_000, edge("westeurope", "shop", "northeurope", "shop", "reviews", 100, 200)))
		l.Take()
		if err := newLedger(t, Config{}).Restore(l.Encode()); err != nil {
			t.Fatal(err)
		}
	})
}
