// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMatch(t *testing.T) {
	table, err := NewTable([]Route{
		{Template: "/"},
		{Template: "/products"},
		{Template: "/products/{id}"},
		{Template: "/products/new"},
		{Template: "/products/{id}/reviews"},
		{Template: "/products/new/{draft}"},
		{Template: "/static/{path...}"},
		{Template: "/static/app.js"},
		{Template: "/a/{b}/c"},
		{Template: "/a/x/d"},
		{Template: "/products/{sku}", Hosts: []string{"Shop.example.com", "fd00::1"}},
		{Template: "/{anything...}", Hosts: []string{"*.example.com"}},
		{Template: "/deep/{rest...}", Hosts: []string{"*.eu.example.com"}},
	})
	require.NoError(t, err)
	for _, tt := range []struct{ host, path, want string }{
		{"h", "/", "/"},
		{"h", "", "/"},
		{"h", "/products", "/products"},
		{"h", "/products/", ""},
		{"h", "/products/7", "/products/{id}"},
		{"h", "/products/new", "/products/new"},
		{"h", "/products/7/reviews", "/products/{id}/reviews"},
		{"h", "/products/new/reviews", "/products/new/{draft}"}, // the first difference decides
		{"h", "/products/new/7", "/products/new/{draft}"},
		{"h", "/products/7/other", ""},
		{"h", "/products/7/reviews/", ""},
		{"h", "/products//reviews", ""}, // a placeholder is not empty
		{"h", "/static/app.js", "/static/app.js"},
		{"h", "/static/css/site.css", "/static/{path...}"},
		{"h", "/static/x", "/static/{path...}"},
		{"h", "/static", ""},
		{"h", "/static/", ""},
		{"h", "/a/x/c", "/a/{b}/c"}, // the literal leads nowhere, so the placeholder is tried
		{"h", "/a/x/d", "/a/x/d"},
		{"h", "/PRODUCTS", ""},
		{"h", "products", ""},
		{"h", "*", ""},
		{"shop.example.com", "/products/7", "/products/{sku}"},
		{"SHOP.example.COM", "/products/7", "/products/{sku}"},
		{"shop.example.com", "/products/new", "/products/{sku}"}, // the host decides before the path
		{"fd00::1", "/products/7", "/products/{sku}"},
		{"a.example.com", "/products", "/{anything...}"},
		{"b.eu.example.com", "/deep/x", "/deep/{rest...}"},
		{"b.eu.example.com", "/other", "/{anything...}"},
		{"example.com", "/products", "/products"},
		{".example.com", "/products", "/products"},
		{"", "/products", "/products"},
	} {
		t.Run(tt.host+tt.path, func(t *testing.T) {
			m, ok := table.Match(tt.host, tt.path)
			assert.Equal(t, tt.want != "", ok)
			assert.Equal(t, tt.want, m.Template)
		})
	}
	m, _ := table.Match("h", "/products/7")
	assert.Equal(t, "PATCH /products/{id}", m.SpanName("PATCH"))
	assert.Equal(t, "BREW /products/{id}", m.SpanName("BREW"))
	assert.Zero(t, testing.AllocsPerRun(10, func() {
		m, _ := table.Match("b.eu.example.com", "/products/7/reviews")
		_ = m.SpanName("HTTP")
	}))
}

func TestNewTableErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		route Route
		want  error
	}{
		"relative":             {Route{Template: "a"}, ErrRelative},
		"empty":                {Route{}, ErrRelative},
		"query":                {Route{Template: "/a?b"}, ErrQuery},
		"too long":             {Route{Template: strings.Repeat("/a", MaxSegments+1)}, ErrSegments},
		"half a segment":       {Route{Template: "/a/x{id}"}, ErrPlaceholder},
		"no name":              {Route{Template: "/a/{}"}, ErrPlaceholder},
		"no name for the rest": {Route{Template: "/a/{...}"}, ErrPlaceholder},
		"rest in the middle":   {Route{Template: "/a/{r...}/b"}, ErrPlaceholder},
		"star":                 {Route{Template: "/a/*"}, ErrPlaceholder},
		"colon":                {Route{Template: "/a/:id"}, ErrPlaceholder},
		"dots":                 {Route{Template: "/a/{i.d}"}, ErrPlaceholder},
		"two in one":           {Route{Template: "/a/{a}{b}"}, ErrPlaceholder},
		"duplicate":            {Route{Template: "/first/{other}"}, ErrDuplicate},
		"duplicate rest":       {Route{Template: "/all/{other...}"}, ErrDuplicate},
		"host with port":       {Route{Template: "/a", Hosts: []string{"h:80"}}, ErrHost},
		"host with path":       {Route{Template: "/a", Hosts: []string{"h/a"}}, ErrHost},
		"no host":              {Route{Template: "/a", Hosts: []string{""}}, ErrHost},
		"star host":            {Route{Template: "/a", Hosts: []string{"*"}}, ErrHost},
		"star in the middle":   {Route{Template: "/a", Hosts: []string{"a.*.com"}}, ErrHost},
		"star without a dot":   {Route{Template: "/a", Hosts: []string{"*example.com"}}, ErrHost},
		"duplicate host":       {Route{Template: "/a", Hosts: []string{"h", "H"}}, ErrDuplicate},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewTable([]Route{{Template: "/first/{id}"}, {Template: "/all/{r...}"}, tt.route})
			require.ErrorIs(t, err, tt.want)
			assert.ErrorContains(t, err, "[2]: ")
		})
	}
	_, err := NewTable(make([]Route, MaxRoutes+1))
	require.ErrorIs(t, err, ErrTooMany)
}

func TestTemplate(t *testing.T) {
	for path, want := range map[string]string{
		"/":              "/",
		"/products":      "/products",
		"/products/42":   "/products/{number}",
		"/products/42/":  "/products/{number}/",
		"/v1/products/0": "/v1/products/{number}",
		"/o/5f0c2a9e-6b1d-4c3a-9f00-1234567890ab": "/o/{uuid}",
		"/o/5F0C2A9E-6B1D-4C3A-9F00-1234567890AB": "/o/{uuid}",
		"/o/4bf92f3577b34da6":                     "/o/{hex}",
		"/o/4bf92f3577b34da":                      "/o/4bf92f3577b34da", // 15 digits may still be a word
		"/o/effaceeffaceefface":                   "/o/effaceeffaceefface",
		"/r/2026-11-23/x":                         "/r/{date}/x",
		"/r/2026-11":                              "/r/2026-11",
		"/r/20261-1-23":                           "/r/20261-1-23",
		"/u/jane.doe":                             "/u/jane.doe", // nothing says that it is a user
		"/u/jane@doe":                             "",
		"/u/a%20b":                                "",
		"/u/" + strings.Repeat("x", 41):           "",
		"/u/" + strings.Repeat("x", 40):           "/u/" + strings.Repeat("x", 40),
		"/u/ü":                                    "",
		"":                                        "",
		"u":                                       "",
		strings.Repeat("/a", 16):                  strings.Repeat("/a", 16),
		strings.Repeat("/a", 17):                  "",
	} {
		got, ok := Template(nil, path)
		assert.Equal(t, want != "", ok, path)
		if ok {
			assert.Equal(t, want, string(got), path)
		}
	}
}

func TestNames(t *testing.T) {
	names := NewNames(2)
	use := func(name string, learn bool) string {
		got, ok := names.Use([]byte(name), learn)
		text, okText := names.UseText(name, learn)
		assert.Equal(t, ok, okText)
		assert.Equal(t, got, text)
		assert.Equal(t, ok, got != "")
		return got
	}
	assert.Empty(t, use("a", false))
	assert.Empty(t, use(strings.Repeat("x", maxName+1), true), "a sender must not fill the memory with a few names")
	assert.Zero(t, names.Len())
	assert.Equal(t, "a", use("a", true))
	assert.Equal(t, "a", use("a", false))
	assert.Equal(t, "b", use("b", true))
	assert.Empty(t, use("c", true), "the ceiling is two")
	assert.Equal(t, 2, names.Len())
	assert.Zero(t, testing.AllocsPerRun(10, func() { _, _ = names.Use([]byte("a"), true) }))
}

func TestNamesConcurrently(t *testing.T) {
	names := NewNames(100)
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 1000 {
				names.UseText(strconv.Itoa(i), true)
			}
		}()
	}
	for range 4 {
		<-done
	}
	assert.Equal(t, 100, names.Len())
}

// FuzzMatch compares the table with a plain comparison of segments.
func FuzzMatch(f *testing.F) {
	f.Add("/products/{id}", "/products/42")
	f.Add("/static/{path...}", "/static/css/site.css")
	f.Add("/a/{b}/c", "/a//c")
	f.Fuzz(func(t *testing.T, template, path string) {
		table, err := NewTable([]Route{{Template: template}})
		if err != nil {
			return
		}
		m, ok := table.Match("h", path)
		if want := fits(template, path); ok != want {
			t.Errorf("%q fits %q: %t, the table says %t", template, path, want, ok)
		}
		if ok && m.Template != template {
			t.Errorf("%q became %q", template, m.Template)
		}
	})
}

func fits(template, path string) bool {
	if path == "" {
		path = "/"
	}
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	for i, w := range want {
		switch {
		case i >= len(got):
			return false
		case isPlaceholder(w) && got[i] == "":
			return false
		case strings.HasSuffix(w, "...}"):
			return true
		case !isPlaceholder(w) && w != got[i]:
			return false
		}
	}
	return len(want) == len(got)
}

// FuzzTemplate checks that a template is what its path is, segment by segment, and its own template.
func FuzzTemplate(f *testing.F) {
	f.Add("/o/5f0c2a9e-6b1d-4c3a-9f00-1234567890ab/2026-11-23/4bf92f3577b34da6/7")
	f.Add("/u/jane@doe")
	f.Fuzz(func(t *testing.T, path string) {
		got, ok := Template(nil, path)
		if !ok {
			return
		}
		template, segments := strings.Split(string(got), "/"), strings.Split(path, "/")
		if len(template) != len(segments) || len(template) > maxTemplateSegments+1 {
			t.Fatalf("%q became %q", path, got)
		}
		for i, s := range template {
			if s != segments[i] && !isPlaceholder(s) || len(s) > maxLiteral {
				t.Errorf("%q became %q", path, got)
			}
		}
	})
}
