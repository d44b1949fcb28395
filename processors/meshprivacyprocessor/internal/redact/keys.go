// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"strings"
	"sync/atomic"
)

// Class is what the name of a value tells about it.
type Class struct {
	// Category is that of the whole value; None if the name does not say that it is secret.
	Category Category
	// Keep says that the value is not to be touched.
	Keep bool
	// URL says that the value is one URL or path, so that all behind a question mark is its query.
	URL bool
	// Query says that the value is the query, or the fragment, of a URL.
	Query bool
	// Plain says that none of the above holds.
	Plain bool
	// Name is the name itself, redacted; Renamed says that it differs, and NameTally what was in it.
	Name      string
	Renamed   bool
	NameTally Tally

	key string
}

const (
	// cacheSize is a power of two. Names are few; hostile ones cost a classification each and no memory.
	cacheSize = 2048
	// cachedLength is up to which length names are remembered.
	cachedLength = 128
	// classifiedLength is how much of a name, from its end, is looked at for words.
	classifiedLength = 256
)

// keyCache remembers classes of names, so that a name costs a comparison. A slot has one entry; the last one stays.
type keyCache [cacheSize]atomic.Pointer[Class]

// Key says what a name tells about its value.
func (r *Redactor) Key(key string) *Class {
	slot := &r.keys[slotOf(key)]
	if c := slot.Load(); c != nil && c.key == key {
		return c
	}
	// Whatever holds the name must not be kept alive by the cache.
	key = strings.Clone(key)
	c := r.classify(key)
	if len(key) <= cachedLength {
		slot.Store(c)
	}
	return c
}

func slotOf(key string) uint64 {
	const prime = 0x9E3779B97F4A7C15
	n := len(key)
	if n < 8 {
		h := uint64(n)
		for i := range n {
			h = h<<8 | uint64(key[i])
		}
		return h * prime >> 53
	}
	h := (word(key, 0)^uint64(n))*prime ^ word(key, n-8)
	if n > 16 {
		h = h*prime ^ word(key, n/2-4)
	}
	return h * prime >> 53
}

func (r *Redactor) classify(key string) *Class {
	c := &Class{key: key, Name: key}
	if c.Keep = r.kept(key); c.Keep {
		return c
	}
	c.Name, c.Renamed = r.Text(key, &c.NameTally)
	for _, pattern := range r.settings.KeyPatterns {
		if pattern.MatchString(key) {
			c.Category = Pattern
			return c
		}
	}
	switch of := urlNames[strings.ToLower(key)]; {
	case r.settings.Off[URLQuery]:
	case of == nameOfURL:
		c.URL = true
	case of == nameOfQuery:
		c.Query = true
	}
	if category := categoryOf(key); !r.settings.Off[category] {
		c.Category = category
	}
	c.Plain = c.Category == None && !c.URL && !c.Query && !c.Renamed
	return c
}

func (r *Redactor) kept(key string) bool {
	for _, name := range r.settings.Keep {
		if prefix, ok := strings.CutSuffix(name, "*"); ok && strings.HasPrefix(key, prefix) || name == key {
			return true
		}
	}
	return false
}

const (
	nameOfURL   = 1
	nameOfQuery = 2
)

// urlNames are names whose values are one URL, path or query: semantic conventions, Envoy's tags and labels, headers.
var urlNames = map[string]int{
	"http.url": nameOfURL, "url.full": nameOfURL, "http.target": nameOfURL, "url.path": nameOfURL, "url.original": nameOfURL,
	"path": nameOfURL, ":path": nameOfURL, "url": nameOfURL, "uri": nameOfURL, "request_uri": nameOfURL, "http.path": nameOfURL,
	"request.path": nameOfURL, "request.url_path": nameOfURL, "original_path": nameOfURL, "referer": nameOfURL,
	"x-envoy-original-path": nameOfURL, "http.referer": nameOfURL, "http.request.header.referer": nameOfURL,
	"http.request.header.x-envoy-original-path": nameOfURL, "http.request.header.x-original-url": nameOfURL,
	"http.request.header.x-rewrite-url": nameOfURL, "http.response.header.location": nameOfURL, "location": nameOfURL,
	"url.query": nameOfQuery, "url.fragment": nameOfQuery, "http.query": nameOfQuery, "query_string": nameOfQuery,
	"http.query_string": nameOfQuery, "request.query": nameOfQuery, "http.request.query": nameOfQuery,
	"querystring": nameOfQuery, "request.query_string": nameOfQuery, "http.fragment": nameOfQuery,
}

// categoryOf says by its words whether a name is that of a secret.
func categoryOf(name string) Category {
	if len(name) > classifiedLength {
		name = name[len(name)-classifiedLength:]
	}
	var buffer [2 * classifiedLength]byte
	words := splitWords(buffer[:0], name)
	var found Category
	var before string
	var counted bool
	for len(words) > 0 {
		end := 0
		for end < len(words) && words[end] != ' ' {
			end++
		}
		w := words[:end]
		words = words[min(end+1, len(words)):]
		if c := wordCategory(w, before, len(words) == 0); c != None && (found == None || found == Credential) {
			found = c
		}
		// Language models count tokens of another kind.
		if len(words) == 0 && (harmless(string(w)) || string(w) == "tokens" && counted) {
			return None
		}
		counted = counted || isCounting(string(w))
		before = beforeKey(w)
	}
	return found
}

// splitWords writes the words of a name in lower case, with a space between two: accessToken, access_token and
// ACCESS-TOKEN are the same. Digits at the end of a word are left out.
func splitWords(out []byte, name string) []byte {
	lower := false
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			if lower {
				out = append(out, ' ')
			}
			out = append(out, c|0x20)
			lower = false
		case c >= 'a' && c <= 'z':
			out = append(out, c)
			lower = true
		case c >= '0' && c <= '9':
			lower = true
		default:
			if len(out) > 0 && out[len(out)-1] != ' ' {
				out = append(out, ' ')
			}
			lower = false
		}
	}
	if n := len(out); n > 0 && out[n-1] == ' ' {
		out = out[:n-1]
	}
	return out
}

// beforeKey returns the word if "key" behind it makes a secret, and "connection".
func beforeKey(w []byte) string {
	switch string(w) {
	case "api", "access", "account", "private", "shared", "secret", "encryption", "signing", "subscription", "functions",
		"master", "storage", "ssh", "auth", "session", "instrumentation", "service", "app", "admin", "license", "sas":
		return "key"
	case "connection", "conn":
		return "string"
	}
	return ""
}

func wordCategory(w []byte, before string, last bool) Category {
	switch string(w) {
	case "authorization", "bearer":
		return Authorization
	case "auth":
		if last {
			return Authorization
		}
	case "cookie", "cookies", "setcookie":
		return Cookie
	case "key", "keys":
		if before == "key" {
			return Credential
		}
	case "string", "str", "strings":
		if before == "string" {
			return Credential
		}
	case "pwd", "passwd", "secret", "secrets", "token", "tokens", "jwt", "sig", "sas", "csrf", "xsrf", "otp", "creds",
		"credential", "credentials", "connectionstring", "apikey", "pass", "sid":
		return Credential
	}
	for _, ending := range endings {
		if n := len(w) - len(ending); n >= 0 && string(w[n:]) == ending {
			if ending == "authorization" {
				return Authorization
			}
			return Credential
		}
	}
	return None
}

// endings are those of words that were written together.
var endings = [...]string{
	"password", "passwd", "passphrase", "passcode", "secret", "token", "apikey", "accesskey", "secretkey", "privatekey",
	"accountkey", "sharedkey", "subscriptionkey", "credential", "credentials", "cookie", "authorization", "connectionstring",
	"signature", "sessid", "sessionid", "signingkey", "encryptionkey", "authkey", "instrumentationkey",
}

// harmless says whether a last word makes the name that of a property of a secret rather than of the secret.
func harmless(w string) bool {
	switch w {
	case "count", "total", "type", "length", "size", "expires", "expiry", "expiration", "ttl", "age", "method", "status",
		"enabled", "usage", "limit", "name", "issuer", "duration", "ms", "bytes":
		return true
	}
	return false
}

func isCounting(w string) bool {
	switch w {
	case "usage", "total", "max", "input", "output", "prompt", "completion":
		return true
	}
	return false
}
