// SPDX-License-Identifier: Apache-2.0

// Package routes makes names of few different values out of paths of many.
//
//   - [Table]: the route templates that a user configured, such as "/products/{id}"
//   - [Template]: a path without what is surely an identifier, for paths that no route is known for
//   - [Names]: a ceiling on the names that nobody configured
package routes

import (
	"errors"
	"fmt"
	"strings"
)

// The ceilings of a [Table]. They bound what a configuration can make a look-up cost.
const (
	// MaxRoutes is the most routes that a table takes.
	MaxRoutes = 2000
	// MaxSegments is the most segments that a template has.
	MaxSegments = 32
)

// Route is one configured route.
type Route struct {
	// Template is a path with placeholders: "/products/{id}/reviews". A placeholder stands for one segment that is not
	// empty; "{rest...}" in the end stands for one segment or more.
	Template string
	// Hosts are the hosts that the route is for, without a port: "shop.example.com", or "*.example.com" for all below
	// one. None means every host.
	Hosts []string
}

// Match is a route that fits.
type Match struct {
	// Template is the route's template as it was configured.
	Template string
	names    *[len(Methods)]string
}

// Methods are the HTTP methods for which the names of spans are prepared. Those of the semantic conventions
// (http.request.method), and what spans are called whose method is another one.
var Methods = [...]string{
	"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY", "HTTP",
}

// SpanName returns "{method} {template}" without allocation for one of [Methods].
func (m Match) SpanName(method string) string {
	if m.names != nil {
		for i, known := range Methods {
			if known == method {
				return m.names[i]
			}
		}
	}
	return method + " " + m.Template
}

// Table finds the route of a path. It is immutable.
type Table struct {
	exact map[string]*node
	// below holds the tables of "*.example.com" under ".example.com".
	below map[string]*node
	any   *node
}

// node is the set of templates that continue after the same segments.
type node struct {
	literal map[string]*node
	one     *node
	// end is the route that ends here, rest the one that takes whatever follows.
	end, rest *Match
}

// The mistakes that a route can have.
var (
	ErrTooMany     = fmt.Errorf("more than %d routes", MaxRoutes)
	ErrRelative    = errors.New(`a template starts with "/"`)
	ErrSegments    = fmt.Errorf("a template has at most %d segments", MaxSegments)
	ErrPlaceholder = errors.New(`a placeholder is a whole segment, such as {id}; {rest...} must be the last one`)
	ErrQuery       = errors.New("a template is a path, without query and fragment")
	ErrHost        = errors.New(`a host is a name without scheme, port and path, such as shop.example.com or *.example.com`)
	ErrDuplicate   = errors.New("another route has the same host and fits the same paths")
)

// NewTable compiles routes. Its error starts with the index of the wrong route, or with a colon, so that it can follow
// the name of a setting: "[3]: ..." or ": ...".
func NewTable(routes []Route) (*Table, error) {
	if len(routes) > MaxRoutes {
		return nil, fmt.Errorf(": %d are %w", len(routes), ErrTooMany)
	}
	t := &Table{exact: map[string]*node{}, below: map[string]*node{}, any: &node{}}
	for i, r := range routes {
		if err := t.add(r); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return t, nil
}

func (t *Table) add(r Route) error {
	segments, err := parseTemplate(r.Template)
	if err != nil {
		return fmt.Errorf("%q: %w", r.Template, err)
	}
	match := &Match{Template: r.Template, names: new([len(Methods)]string)}
	for i, method := range Methods {
		match.names[i] = method + " " + r.Template
	}
	if len(r.Hosts) == 0 {
		return t.any.add(segments, match)
	}
	for _, host := range r.Hosts {
		set, key, err := t.hostSet(strings.ToLower(host))
		if err != nil {
			return fmt.Errorf("host %q: %w", host, err)
		}
		if set[key] == nil {
			set[key] = &node{}
		}
		if err := set[key].add(segments, match); err != nil {
			return fmt.Errorf("host %q: %w", host, err)
		}
	}
	return nil
}

func (t *Table) hostSet(host string) (set map[string]*node, key string, err error) {
	set, key = t.exact, host
	if rest, ok := strings.CutPrefix(host, "*"); ok {
		set, key = t.below, rest
		if len(rest) < 2 || rest[0] != '.' {
			return nil, "", ErrHost
		}
	}
	// A colon is fine in an IPv6 address only, of which there is more than one.
	if key == "" || strings.ContainsAny(key, "/*?#@[] ") || strings.Count(key, ":") == 1 {
		return nil, "", ErrHost
	}
	return set, key, nil
}

// parseTemplate splits a template into segments.
func parseTemplate(template string) ([]string, error) {
	path, ok := strings.CutPrefix(template, "/")
	if !ok {
		return nil, ErrRelative
	}
	if strings.ContainsAny(path, "?#") {
		return nil, ErrQuery
	}
	segments := strings.Split(path, "/")
	if len(segments) > MaxSegments {
		return nil, ErrSegments
	}
	for i, s := range segments {
		if !strings.ContainsAny(s, "{}*") {
			// ":id" is how some frameworks write a placeholder; here it would never fit anything.
			if strings.HasPrefix(s, ":") {
				return nil, ErrPlaceholder
			}
			continue
		}
		rest := strings.HasSuffix(s, "...}")
		if !isPlaceholder(s) || (rest && i != len(segments)-1) {
			return nil, ErrPlaceholder
		}
	}
	return segments, nil
}

func isPlaceholder(s string) bool {
	if len(s) < 3 || s[0] != '{' || s[len(s)-1] != '}' {
		return false
	}
	name := strings.TrimSuffix(s[1:len(s)-1], "...")
	return name != "" && !strings.ContainsAny(name, "{}*.")
}

func (n *node) add(segments []string, match *Match) error {
	for _, s := range segments {
		switch {
		case strings.HasSuffix(s, "...}"):
			if n.rest != nil {
				return ErrDuplicate
			}
			n.rest = match
			return nil
		case isPlaceholder(s):
			if n.one == nil {
				n.one = &node{}
			}
			n = n.one
		default:
			if n.literal == nil {
				n.literal = map[string]*node{}
			}
			if n.literal[s] == nil {
				n.literal[s] = &node{}
			}
			n = n.literal[s]
		}
	}
	if n.end != nil {
		return ErrDuplicate
	}
	n.end = match
	return nil
}

// Match returns the most specific route that fits a path without query, as it is spelled. A route for the host comes
// before one for the hosts below a domain (the longest domain first), and that before one for every host; then the
// first segment in which two routes differ decides: a literal comes before a placeholder, and that before the rest.
// It does not allocate unless the host has capital letters.
func (t *Table) Match(host, path string) (Match, bool) {
	if len(path) > 0 {
		if path[0] != '/' {
			return Match{}, false
		}
		path = path[1:]
	}
	if len(t.exact) > 0 || len(t.below) > 0 {
		if m := t.forHost(strings.ToLower(host), path); m != nil {
			return *m, true
		}
	}
	if m := t.any.match(path); m != nil {
		return *m, true
	}
	return Match{}, false
}

func (t *Table) forHost(host, path string) *Match {
	if n := t.exact[host]; n != nil {
		if m := n.match(path); m != nil {
			return m
		}
	}
	for len(t.below) > 0 {
		i := strings.IndexByte(host, '.')
		if i < 0 {
			break
		}
		if n := t.below[host[i:]]; n != nil && i > 0 {
			if m := n.match(path); m != nil {
				return m
			}
		}
		host = host[i+1:]
	}
	return nil
}

// match visits each node at most once, as a node stands at one depth: its cost is bounded by the table.
func (n *node) match(path string) *Match {
	segment, rest, more := strings.Cut(path, "/")
	if next := n.literal[segment]; next != nil {
		if m := next.continueWith(rest, more); m != nil {
			return m
		}
	}
	if segment == "" {
		return nil
	}
	if n.one != nil {
		if m := n.one.continueWith(rest, more); m != nil {
			return m
		}
	}
	return n.rest
}

func (n *node) continueWith(rest string, more bool) *Match {
	if more {
		return n.match(rest)
	}
	return n.end
}
