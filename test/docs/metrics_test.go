// SPDX-License-Identifier: Apache-2.0

// Package docs_test holds the guides to what they are about: own metrics to the components, and the values and commands of the
// installation to the chart.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const root = "../.."

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, file))
	require.NoError(t, err)
	return string(raw)
}

var (
	heading = regexp.MustCompile(`(?m)^### (otelcol_[a-z_]+)$`)
	// row is a line of a table: metric, meaning, normal range, what to do.
	row   = regexp.MustCompile("(?m)^\\| `(otelcol_[a-z_]+)`[^|]*\\| ([^|]+) \\| ([^|]+) \\|([^|]*)\\|$")
	link  = regexp.MustCompile(`\]\(\.\./([a-z/]+/documentation\.md)\)`)
	title = regexp.MustCompile(`(?m)^## `)
)

// TestEveryOwnMetricIsExplained prevents that a component gets, loses or renames a metric and the guide stays: docs/metrics.md has
// each metric of each documentation.md, once, in the section that links to it.
func TestEveryOwnMetricIsExplained(t *testing.T) {
	metrics := own(t)
	explained := map[string]string{} // metric to section
	linked := map[string]string{}    // documentation.md to section
	for _, section := range title.Split(read(t, "docs/metrics.md"), -1) {
		for _, r := range row.FindAllStringSubmatch(section, -1) {
			require.NotContains(t, explained, r[1], "explained twice")
			explained[r[1]] = section
		}
		for _, l := range link.FindAllStringSubmatch(section, -1) {
			linked[l[1]] = section
		}
	}
	assert.Greater(t, len(metrics), 120)
	for metric, file := range metrics {
		section, known := explained[metric]
		if assert.True(t, known, "docs/metrics.md has no row for %s", metric) {
			assert.Equal(t, linked[file], section, "%s is not in the section that links to %s", metric, file)
		}
		delete(explained, metric)
	}
	for metric := range explained {
		assert.True(t, ofTheCollector(metric), "no component has %s", metric)
	}
}

// TestGuidesNameMetricsThatExist prevents that a guide sends its reader to look at a metric that has another name by now. A name that
// ends early stands for all that begin so.
func TestGuidesNameMetricsThatExist(t *testing.T) {
	metrics := own(t)
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	word := regexp.MustCompile(`otelcol_[a-z_]+`)
	checked := 0
	for _, page := range append(pages, filepath.Join(root, "SECURITY.md"), filepath.Join(root, "README.md")) {
		raw, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, name := range word.FindAllString(string(raw), -1) {
			known := ofTheCollector(name)
			for metric := range metrics {
				known = known || strings.HasPrefix(metric, name)
			}
			assert.True(t, known, "%s: no component has %s", page, name)
			checked++
		}
	}
	assert.Greater(t, checked, 200)
}

// own returns all metrics of our components, each with its documentation.md.
func own(t *testing.T) map[string]string {
	t.Helper()
	metrics := map[string]string{}
	for _, folder := range []string{"components", "receivers", "processors"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.Name() != "documentation.md" {
				return err
			}
			file, err := filepath.Rel(root, path)
			require.NoError(t, err)
			for _, h := range heading.FindAllStringSubmatch(read(t, file), -1) {
				metrics[h[1]] = file
			}
			return nil
		}))
	}
	return metrics
}

// ofTheCollector says whether a metric is one of upstream's.
func ofTheCollector(metric string) bool {
	for _, of := range []string{
		"exporter_enqueue_failed", "exporter_queue", "exporter_send_failed", "exporter_sent", "loadbalancer_", "process_",
		"processor_memory_limiter", "processor_tail_sampling", "receiver_accepted", "receiver_refused",
	} {
		if strings.HasPrefix(metric, "otelcol_"+of) {
			return true
		}
	}
	return false
}
