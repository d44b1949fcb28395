// SPDX-License-Identifier: Apache-2.0

package distribution_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	codeSpan     = regexp.MustCompile("`[^`\n]*`")
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingLink  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	commentFile  = regexp.MustCompile(`(?:^|[\s(])((?:\.\./|[a-z]+/)[A-Za-z0-9_./-]+\.(?:md|yaml))\b`)
)

// TestLinksLeadSomewhere prevents the bug that a page or a heading is renamed and what led there stays: every relative link of
// every page, its anchor included, and every file that a comment of a shipped configuration names.
func TestLinksLeadSomewhere(t *testing.T) {
	pages := files(t, "..", ".md")
	require.Greater(t, len(pages), 40)
	anchors := map[string]map[string]bool{}
	for _, page := range pages {
		anchors[page] = headings(read(t, page))
	}
	links := 0
	for _, page := range pages {
		for _, link := range markdownLink.FindAllStringSubmatch(codeSpan.ReplaceAllString(prose(read(t, page)), ""), -1) {
			target, anchor, _ := strings.Cut(link[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			links++
			file := page
			if target != "" {
				file = filepath.Join(filepath.Dir(page), target)
			}
			if _, err := os.Stat(file); err != nil {
				assert.Fail(t, "dead link", "%s: %s", page, link[1])
				continue
			}
			if anchor != "" && strings.HasSuffix(file, ".md") {
				assert.True(t, anchors[file][anchor], "%s: %s has no heading for #%s; it has %q", page, file, anchor, slices.Sorted(maps.Keys(anchors[file])))
			}
		}
	}
	assert.Greater(t, links, 100)

	for _, file := range append(files(t, "config", ".yaml"), files(t, "examples", ".yaml")...) {
		for line := range strings.Lines(read(t, file)) {
			_, comment, found := strings.Cut(line, "#")
			if !found {
				continue
			}
			for _, m := range commentFile.FindAllStringSubmatch(comment, -1) {
				_, beside := os.Stat(filepath.Join(filepath.Dir(file), m[1]))
				_, below := os.Stat(filepath.Join("..", m[1]))
				assert.True(t, beside == nil || below == nil, "%s names %s, which is neither beside it nor in the repository", file, m[1])
			}
		}
	}
}

// files returns the project's own files of a kind.
func files(t *testing.T, root, suffix string) []string {
	t.Helper()
	var found []string
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || slices.Contains([]string{"build", "testdata"}, entry.Name())) {
			return filepath.SkipDir
		}
		if !entry.IsDir() && strings.HasSuffix(path, suffix) {
			found = append(found, path)
		}
		return nil
	}))
	return found
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(raw)
}

// prose is a page without its blocks of code.
func prose(page string) string {
	var kept strings.Builder
	code := false
	for line := range strings.Lines(page) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			code = !code
			continue
		}
		if !code {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// headings returns the anchors of a page as GitHub makes them: lower case, blanks as hyphens, no punctuation, a number behind
// what is there already.
func headings(page string) map[string]bool {
	anchors := map[string]bool{}
	for line := range strings.Lines(prose(page)) {
		title := strings.TrimLeft(line, "#")
		if title == line || !strings.HasPrefix(title, " ") {
			continue
		}
		title = headingLink.ReplaceAllString(strings.TrimSpace(title), "$1")
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, title)
		name := anchor
		for n := 1; anchors[name]; n++ {
			name = fmt.Sprintf("%s-%d", anchor, n)
		}
		anchors[name] = true
	}
	return anchors
}
