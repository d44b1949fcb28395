// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/encode"
)

const (
	page                  = "../../docs/resolution.md"
	beginTable, beginMiss = "<!-- recall -->\n", "<!-- misses -->\n"
	endTable, endMiss     = "<!-- end recall -->\n", "<!-- end misses -->\n"
	beginSet, endSet      = "<!-- settings -->\n", "<!-- end settings -->\n"
)

// kindOfItem is a row of the table.
type kindOfItem struct {
	signal string
	role   encode.Role
}

// lost counts the misses of one reason.
type lost struct {
	explanation
	ends  int
	roles map[string]bool
}

// TestRecall writes the tables of docs/resolution.md, and fails if they are not what the corpus shows.
func TestRecall(t *testing.T) {
	cases, err := readCases()
	require.NoError(t, err)
	als := startEnvoyLogs(t)
	counts, missed, settings := map[kindOfItem]*count{}, map[string]*lost{}, map[string]*count{}
	for _, c := range cases {
		o := c.run(t, als)
		for i := range o.Items {
			o.count(i, counts, missed)
			o.countSettings(i, settings)
		}
	}
	text, err := os.ReadFile(filepath.FromSlash(page))
	require.NoError(t, err)
	fresh := between(t, string(text), beginTable, endTable, table(counts, len(cases)))
	fresh = between(t, fresh, beginSet, endSet, settingsTable(settings))
	fresh = between(t, fresh, beginMiss, endMiss, missTable(missed))
	if *update {
		require.NoError(t, os.WriteFile(filepath.FromSlash(page), []byte(fresh), 0o644))
		return
	}
	assert.Equal(t, fresh, string(text), "the page is out of date: go test ./test/corpus -run TestRecall -update")
}

// count adds an item to the tables.
func (o outcome) count(i int, counts map[kindOfItem]*count, missed map[string]*lost) {
	n := o.Items[i].Call
	if n < 0 {
		return
	}
	kind := kindOfItem{o.Signal, o.role(i)}
	if counts[kind] == nil {
		counts[kind] = &count{}
	}
	a, truth := o.answers[i], &o.Calls[n]
	counts[kind].items++
	counts[kind].add(a, truth)
	counts[kind].wrong += len(wrong(a, truth, nil))
	for _, m := range o.misses(i) {
		key := m.Named + " " + m.Reason + " " + m.Why
		if missed[key] == nil {
			missed[key] = &lost{explanation: explain(kind.role, m), roles: map[string]bool{}}
		}
		missed[key].ends++
		missed[key].roles[string(kind.role)] = true
	}
}

// countSettings adds a span of a sidecar to the table by settings. Failures are left out: they are the same in each.
func (o outcome) countSettings(i int, settings map[string]*count) {
	n, role := o.Items[i].Call, o.role(i)
	if n < 0 || o.Failure != "none" || o.Signal != "span" || (role != encode.SidecarInbound && role != encode.SidecarOutbound) {
		return
	}
	key := o.Settings
	if o.Role == "pair" {
		key += ", both spans"
	}
	if settings[key] == nil {
		settings[key] = &count{}
	}
	settings[key].items++
	settings[key].add(o.answers[i], &o.Calls[n])
}

// settingsTable is recall by what the mesh is told.
func settingsTable(settings map[string]*count) string {
	var b strings.Builder
	b.WriteString("| settings | spans | ends in the mesh | cluster | workload | zone |\n|---|---|---|---|---|---|\n")
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		n := settings[key]
		fmt.Fprintf(&b, "| %s | %d | %d | %s | %s | %s |\n", key, n.items, n.ends, n.part(n.cluster), n.part(n.workload), n.part(n.zone))
	}
	return b.String()
}

func between(t *testing.T, text, begin, end, content string) string {
	t.Helper()
	head, rest, ok := strings.Cut(text, begin)
	require.True(t, ok, "%s is not in the page", begin)
	_, tail, ok := strings.Cut(rest, end)
	require.True(t, ok, "%s is not in the page", end)
	return head + begin + content + end + tail
}

// table is precision and recall by signal and role.
func table(counts map[kindOfItem]*count, cases int) string {
	var b strings.Builder
	all := count{}
	kinds := slices.SortedFunc(maps.Keys(counts), func(x, y kindOfItem) int {
		return cmp.Or(cmp.Compare(x.signal, y.signal), cmp.Compare(x.role, y.role))
	})
	b.WriteString("| signal | role | items | ends in the mesh | cluster | workload | zone | ends outside | facts | wrong |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|\n")
	for _, k := range kinds {
		n := counts[k]
		all.sum(n)
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", k.signal, strings.ReplaceAll(string(k.role), "_", " "), n.row())
	}
	fmt.Fprintf(&b, "| **all** | | %s |\n\n", all.row())
	fmt.Fprintf(&b, "%d cases, %d items. Precision: %d of %d facts are right.\n", cases, all.items, all.facts-all.wrong, all.facts)
	return b.String()
}

func (n *count) row() string {
	return fmt.Sprintf("%d | %d | %s | %s | %s | %d | %d | %d",
		n.items, n.ends, n.part(n.cluster), n.part(n.workload), n.part(n.zone), n.outside, n.facts, n.wrong)
}

// part is how many of the ends that are in the mesh.
func (n *count) part(some int) string {
	if n.ends == 0 {
		return ""
	}
	return fmt.Sprintf("%d (%d %%)", some, some*100/n.ends)
}

func (n *count) sum(other *count) {
	n.items += other.items
	n.ends += other.ends
	n.cluster += other.cluster
	n.workload += other.workload
	n.zone += other.zone
	n.outside += other.outside
	n.facts += other.facts
	n.wrong += other.wrong
}

// missTable is the misses by reason, with what would tell.
func missTable(missed map[string]*lost) string {
	var b strings.Builder
	b.WriteString("| `mesh.resolution` | named | ends | where | why | what would tell |\n|---|---|---|---|---|---|\n")
	keys := slices.SortedFunc(maps.Keys(missed), func(x, y string) int {
		return cmp.Or(cmp.Compare(missed[y].ends, missed[x].ends), cmp.Compare(x, y))
	})
	for _, key := range keys {
		m := missed[key]
		named, reason, _ := strings.Cut(key, " ")
		reason, _, _ = strings.Cut(reason, " ")
		roles := strings.ReplaceAll(strings.Join(slices.Sorted(maps.Keys(m.roles)), ", "), "_", " ")
		fmt.Fprintf(&b, "| `%s` | %s | %d | %s | %s | %s |\n", reason, named, m.ends, roles, m.why, m.tells)
	}
	return b.String()
}
