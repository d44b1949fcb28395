// SPDX-License-Identifier: Apache-2.0

// Package corpus holds the mesh_topology and envoy_semconv processors to the truth: over 150 calls, each written down as
// the proxies on its way write it, with who really called whom. See README.md.
package corpus

import (
	"encoding/json"
	"flag"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/world"
)

var update = flag.Bool("update", false, "write cases, expected.json and the page anew; read every difference before committing it")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// outcome is a case with what the processors said of its items.
type outcome struct {
	*testCase
	answers map[int]answer
}

// run sends the inputs of a case through its collectors.
func (c *testCase) run(t *testing.T, als *envoyLogs) outcome {
	t.Helper()
	var inputs []data
	marked := 0
	for i := range c.Inputs {
		d := load(t, c.folder, &c.Inputs[i], als)
		marked = d.mark(marked)
		inputs = append(inputs, d)
	}
	require.Len(t, c.Items, marked, "each item needs a line under 'items'")
	return outcome{c, answers(c.through(t, inputs))}
}

// misses lists the misses of each item as they are, with why the evidence is not there.
func (o outcome) misses(i int) (all []miss) {
	n := o.Items[i].Call
	if n < 0 {
		return nil
	}
	all = missesOf(o.answers[i], &o.Calls[n])
	for j := range all {
		all[j].Why = why(o.Signal, o.role(i), all[j])
	}
	return all
}

// TestCases holds every case to three things: no end is wrong; every end that stays unknown is listed, with its reason;
// and what is said is what expected.json has.
func TestCases(t *testing.T) {
	if *update {
		writeFamilies(t)
	}
	cases, err := readCases()
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(cases), 150)
	als := startEnvoyLogs(t)
	for _, c := range cases {
		t.Run(c.name(), func(t *testing.T) {
			o := c.run(t, als)
			if *update {
				o.write(t)
			}
			o.check(t)
		})
	}
}

// write renews expected.json and the list of misses. The truth is never written here.
func (o outcome) write(t *testing.T) {
	t.Helper()
	for i := range o.Items {
		o.Items[i].Misses = o.misses(i)
	}
	text, err := o.marshal()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(o.folder, "case.yaml"), text, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(o.folder, "expected.json"), o.expected(t), 0o644))
}

// expected returns the answers in the order of the items.
func (o outcome) expected(t *testing.T) []byte {
	t.Helper()
	list := []answer{}
	for _, i := range slices.Sorted(maps.Keys(o.answers)) {
		list = append(list, o.answers[i])
	}
	text, err := json.Marshal(list)
	require.NoError(t, err)
	text, err = pretty(text)
	require.NoError(t, err)
	return text
}

func (o outcome) check(t *testing.T) {
	t.Helper()
	for i := range o.Items {
		n := o.Items[i].Call
		a, there := o.answers[i]
		require.True(t, there, "item %d got lost on its way", i)
		if n < 0 {
			assert.Empty(t, a.Mesh, "item %d is about no call", i)
			continue
		}
		require.Less(t, n, len(o.Calls))
		assert.Empty(t, wrong(a, &o.Calls[n], o.reporter(i)), "item %d: a wrong end", i)
		misses := o.misses(i)
		for _, m := range misses {
			assert.NotEmpty(t, m.Why, "item %d: nobody says in whys_test.go why the %s stays unknown with %s", i, m.End, m.Reason)
		}
		assert.Equal(t, o.Items[i].Misses, misses, "item %d: the misses are not those that case.yaml lists", i)
	}
	want, err := os.ReadFile(filepath.Join(o.folder, "expected.json"))
	require.NoError(t, err)
	assert.Equal(t, string(want), string(o.expected(t)))
}

// reporter returns the pod whose proxy wrote an item, or nil if the case does not say.
func (o outcome) reporter(i int) *world.Place {
	ref := o.Items[i].Reporter
	if ref == "" {
		return nil
	}
	p := o.world().Pod(ref)
	return &p
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}
