// SPDX-License-Identifier: Apache-2.0

// Package redact finds secrets in texts and replaces them. It knows nothing of telemetry: [Redactor.Key] says what the
// name of a value tells about it, [Redactor.Text] redacts what is inside a text. Time is linear in the length of the text,
// and a text in which nothing is found costs no allocation.
package redact

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
)

// Category is the kind of a redacted value.
type Category uint8

// The categories.
const (
	None Category = iota
	// URLQuery is the query and the fragment of a URL or a path.
	URLQuery
	// URLUserinfo is what stands before the @ of an authority.
	URLUserinfo
	// Authorization is the value of an authorization header, or a credential after the name of its scheme.
	Authorization
	// Cookie is the value of a Cookie or Set-Cookie header.
	Cookie
	// Credential is a value whose name says that it is secret, such as password or AccountKey.
	Credential
	// Token is a value whose form says that it is secret, such as a JSON Web Token or an AWS key.
	Token
	// PrivateKey is a private key in PEM form.
	PrivateKey
	// Pattern is what a configured pattern matched.
	Pattern
	// CategoryCount is the number of categories, None among them.
	CategoryCount
)

var categoryWords = [CategoryCount]string{
	"none", "url_query", "url_userinfo", "authorization", "cookie", "credential", "token", "private_key", "pattern",
}

// String returns the word under which the category is configured and counted.
func (c Category) String() string { return categoryWords[c] }

// CategoryOf returns the category of a configured word; Pattern is none of them, as it is on where there are patterns.
func CategoryOf(word string) (Category, bool) {
	for c := URLQuery; c < Pattern; c++ {
		if categoryWords[c] == word {
			return c, true
		}
	}
	return None, false
}

// Mode is what becomes of a secret.
type Mode uint8

// The modes.
const (
	// Mask replaces it by [Placeholder].
	Mask Mode = iota
	// Remove takes it out, with the separator that introduces it.
	Remove
	// Hash replaces it by a keyed HMAC-SHA-256, cut to 64 bits: equal values stay comparable.
	Hash
)

const (
	// Placeholder stands where a secret was.
	Placeholder = "***"
	// hashPrefix begins a hashed value.
	hashPrefix = "hmac:"
	hashDigits = 16
)

// Tally counts redactions by category.
type Tally [CategoryCount]int64

// Settings of a Redactor.
type Settings struct {
	// Off are categories that are not redacted.
	Off [CategoryCount]bool
	// Mode is what becomes of a secret.
	Mode Mode
	// HashKey is the key of mode Hash.
	HashKey []byte
	// KeyPatterns match names whose values are redacted.
	KeyPatterns []*regexp.Regexp
	// ValuePatterns match what is redacted in any text; none may match the empty text.
	ValuePatterns []*regexp.Regexp
	// Keep are names whose values are not touched; one that ends in * stands for all that begin so.
	Keep []string
	// QueryParameters are names of query parameters that stay, in lower case.
	QueryParameters []string
}

// Redactor finds and replaces. It is safe for concurrent use.
type Redactor struct {
	settings Settings
	keys     keyCache
}

// New returns a Redactor.
func New(settings Settings) *Redactor { return &Redactor{settings: settings} }

// Removes says whether secrets are taken out rather than replaced.
func (r *Redactor) Removes() bool { return r.settings.Mode == Remove }

// Whole replaces a whole value of the category, and returns it as it is if it is replaced already or empty.
func (r *Redactor) Whole(value string, category Category, tally *Tally) (string, bool) {
	if value == "" || r.replaced(value) {
		return value, false
	}
	tally[category]++
	return r.replacement(value), true
}

// Query redacts a value that is a query as a whole, without the question mark.
func (r *Redactor) Query(value string, tally *Tally) (string, bool) {
	out := r.query(value)
	if out == value {
		return value, false
	}
	tally[URLQuery]++
	return out, true
}

// Text redacts what is secret in a text.
func (r *Redactor) Text(text string, tally *Tally) (string, bool) {
	if len(r.settings.ValuePatterns) == 0 && plain(text) {
		return text, false
	}
	return r.replace(text, r.findAll(text, false), tally)
}

// URL redacts what is secret in a text that is one URL or path: all behind the first question mark is its query.
func (r *Redactor) URL(text string, tally *Tally) (string, bool) {
	if len(r.settings.ValuePatterns) == 0 && plain(text) {
		return text, false
	}
	return r.replace(text, r.findAll(text, true), tally)
}

// span is a part of a text that is secret. removeFrom and removeTo take in the separators that go with it.
type span struct {
	from, to, removeFrom, removeTo int
	category                       Category
}

func (r *Redactor) findAll(text string, isURL bool) []span {
	found, escaped := r.find(text, isURL, false, nil)
	if escaped {
		found = r.findDecoded(text, found)
	}
	for _, pattern := range r.settings.ValuePatterns {
		for _, at := range pattern.FindAllStringIndex(text, -1) {
			found = append(found, span{at[0], at[1], at[0], at[1], Pattern})
		}
	}
	return found
}

// replace renders the text without the spans, which may overlap.
func (r *Redactor) replace(text string, found []span, tally *Tally) (string, bool) {
	if len(found) == 0 {
		return text, false
	}
	slices.SortStableFunc(found, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(b.to, a.to))
	})
	var out strings.Builder
	out.Grow(len(text))
	at := 0
	for i := 0; i < len(found); {
		s := found[i]
		for i++; i < len(found) && found[i].from < s.to; i++ {
			s.to = max(s.to, found[i].to)
			s.removeTo = max(s.removeTo, found[i].removeTo)
		}
		secret := text[s.from:s.to]
		replacement := r.replacement(secret)
		switch {
		case r.replaced(secret):
			replacement = secret
		case s.category == URLQuery:
			replacement = r.query(secret)
		}
		if replacement != secret {
			tally[s.category]++
		}
		if replacement == "" {
			s.from, s.to = max(at, s.removeFrom), max(s.to, s.removeTo)
		}
		out.WriteString(text[at:s.from])
		out.WriteString(replacement)
		at = s.to
	}
	out.WriteString(text[at:])
	result := out.String()
	return result, result != text
}

func (r *Redactor) replacement(secret string) string {
	switch r.settings.Mode {
	case Remove:
		return ""
	case Hash:
		mac := hmac.New(sha256.New, r.settings.HashKey)
		mac.Write([]byte(secret))
		return hashPrefix + hex.EncodeToString(mac.Sum(nil)[:hashDigits/2])
	}
	return Placeholder
}

// replaced says whether a redactor of this mode has been here: what is hashed twice can no longer be compared.
func (r *Redactor) replaced(value string) bool {
	if value == Placeholder {
		return true
	}
	if r.settings.Mode != Hash || len(value) != len(hashPrefix)+hashDigits || value[:len(hashPrefix)] != hashPrefix {
		return false
	}
	for _, c := range []byte(value[len(hashPrefix):]) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// query renders a query: the parameters that may stay, and one replacement for all others.
func (r *Redactor) query(query string) string {
	if query == "" || r.replaced(query) {
		return query
	}
	if len(r.settings.QueryParameters) == 0 {
		return r.replacement(query)
	}
	var stay, gone []string
	for parameter := range strings.SplitSeq(query, "&") {
		if r.mayStay(parameter) {
			stay = append(stay, parameter)
		} else if !r.replaced(parameter) {
			gone = append(gone, parameter)
		} else {
			stay = append(stay, parameter)
		}
	}
	if len(gone) > 0 {
		if replacement := r.replacement(strings.Join(gone, "&")); replacement != "" {
			stay = append(stay, replacement)
		}
	}
	return strings.Join(slices.Compact(stay), "&")
}

func (r *Redactor) mayStay(parameter string) bool {
	name, value, _ := strings.Cut(parameter, "=")
	if !slices.Contains(r.settings.QueryParameters, strings.ToLower(name)) {
		return false
	}
	return !strings.ContainsAny(value, "?#") && len(r.findAll(value, false)) == 0
}
