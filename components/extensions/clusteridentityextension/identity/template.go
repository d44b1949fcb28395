// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"errors"
	"fmt"
	"strings"
)

const (
	placeholder = "{cluster}"
	wildcard    = "*"
)

// template is a pattern of names, segment by segment.
type template []segment

// segment is a part of a name between slashes. A literal one has the whole text in prefix.
type segment struct {
	prefix, suffix string
	open, captures bool
}

var errTemplate = errors.New("write {cluster} at most once, one {cluster} or * in each part between slashes, and no other braces")

// compile reads a pattern.
func compile(text string) (template, error) {
	if text == "" || strings.Count(text, placeholder) > 1 {
		return nil, errTemplate
	}
	var t template
	for part := range strings.SplitSeq(text, "/") {
		s := segment{prefix: part}
		for _, word := range [...]string{placeholder, wildcard} {
			if before, after, ok := strings.Cut(part, word); ok && !s.open {
				s = segment{prefix: before, suffix: after, open: true, captures: word == placeholder}
			}
		}
		if strings.ContainsAny(s.prefix+s.suffix, "{}*") {
			return nil, errTemplate
		}
		t = append(t, s)
	}
	return t, nil
}

func (t template) captures() bool {
	for _, s := range t {
		if s.captures {
			return true
		}
	}
	return false
}

// match compares a name; cluster is what {cluster} stands for, empty for a template without one.
func (t template) match(name string) (cluster string, ok bool) {
	rest, more := name, true
	for _, s := range t {
		if !more {
			return "", false
		}
		var part string
		part, rest, more = strings.Cut(rest, "/")
		held, fits := s.match(part)
		if !fits {
			return "", false
		}
		if s.captures {
			cluster = held
		}
	}
	return cluster, !more
}

// match returns what the open place of a segment holds. Beside other text it holds no dot: "{cluster}.example" would else
// fit the name "a.b.example", whose owner is another one than that of "b.example".
func (s *segment) match(part string) (held string, ok bool) {
	if !s.open {
		return "", part == s.prefix
	}
	if len(part) <= len(s.prefix)+len(s.suffix) || !strings.HasPrefix(part, s.prefix) || !strings.HasSuffix(part, s.suffix) {
		return "", false
	}
	held = part[len(s.prefix) : len(part)-len(s.suffix)]
	if s.prefix+s.suffix != "" && strings.Contains(held, ".") {
		return "", false
	}
	return held, true
}

// maxCluster is the longest name of a cluster, in bytes.
const maxCluster = 253

// checkCaptured says what is wrong with a cluster's name that a certificate tells: it is letters, digits, dots, dashes
// and underscores, and begins with a letter or digit, so that no "*" of a wildcard certificate becomes a name.
func checkCaptured(name string) error {
	if name == "" || len(name) > maxCluster || strings.IndexFunc(name, notPath) >= 0 || strings.IndexByte("._-", name[0]) >= 0 {
		return fmt.Errorf("%q can be no cluster's name", clip(name))
	}
	return nil
}

// checkConfigured says what is wrong with a cluster's name that the configuration tells.
func checkConfigured(name string) error {
	if name == "" || len(name) > maxCluster || strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return fmt.Errorf("%q: write the cluster's name as k8s.cluster.name has it, 1 to %d bytes", clip(name), maxCluster)
	}
	return nil
}

// clip shortens what a sender wrote, for messages.
func clip(text string) string {
	const most = 200
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
