// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// writeSafe appends a text without the credentials of URLs in it.
func writeSafe(e *items.Encoder, s string) {
	if mayBeURL(s) {
		redact(s, e.Write)
		return
	}
	e.Write(s)
}

func withoutCredentials(s string) string {
	if !mayBeURL(s) {
		return s
	}
	var b strings.Builder
	redact(s, func(part string) { b.WriteString(part) })
	return b.String()
}

// mayBeURL says that a text may have a URL in it, or a path with a query.
func mayBeURL(s string) bool { return strings.Contains(s, "://") || strings.IndexByte(s, '?') >= 0 }

const (
	redacted     = "REDACTED"
	redactedUser = "REDACTED:REDACTED@"
	schemeEnd    = "://"
	// wordEnds end what a URL in a text can be, and valueEnds the value of a parameter of a query.
	wordEnds  = " \t\r\n\"'<>"
	valueEnds = "&;# \t\r\n\"'"
)

// redact writes a text, part by part, in which user and password of URLs and the values of query parameters that are
// credentials are replaced, as the semantic conventions ask for url.full and url.query. It takes time in proportion to the
// length of the text, whatever stands in it.
func redact(s string, write func(string)) {
	var w word
	for pos := 0; pos < len(s); {
		i := strings.Index(s[pos:], schemeEnd)
		end := pos + i + len(schemeEnd)
		if i < 0 {
			end = len(s)
		}
		open := redactQuery(s[pos:end], false, write)
		pos = end
		if open {
			// The value of a parameter has what looks like a URL in it.
			pos = valueEnd(s, end)
			continue
		}
		if i < 0 {
			return
		}
		if n := w.userInfo(s, pos); n > 0 {
			write(redactedUser)
			pos += n
		}
	}
}

func valueEnd(s string, from int) int {
	if n := strings.IndexAny(s[from:], valueEnds); n >= 0 {
		return from + n
	}
	return len(s)
}

// word is the part of a text up to the next space, and where the last @ in it stands. It is looked for once for all URLs in it.
type word struct {
	end, at int
}

// userInfo returns the length of user and password at the start of the authority at from, with the @.
func (w *word) userInfo(s string, from int) int {
	rest := s[from:]
	n := strings.IndexAny(rest, "/?# \t\r\n\"'<>")
	if n < 0 {
		n = len(rest)
	}
	if at := strings.LastIndexByte(rest[:n], '@'); at >= 0 {
		return at + 1
	}
	// A password may hold what ends an authority without being escaped. Then what looks like a port is none.
	colon := strings.IndexByte(rest[:n], ':')
	if colon <= 0 || rest[0] == '[' || strings.Trim(rest[colon+1:n], "0123456789") == "" {
		return 0
	}
	if from >= w.end {
		w.end = len(s)
		if space := strings.IndexAny(rest, wordEnds); space >= 0 {
			w.end = from + space
		}
		w.at = from + strings.LastIndexByte(s[from:w.end], '@')
	}
	return max(0, w.at+1-from)
}

// redactQuery replaces the values of parameters that are credentials: of those that follow a ? or &, and of what s begins
// with if all of it is a query. It says whether s ends within such a value.
func redactQuery(s string, query bool, write func(string)) (open bool) {
	// Names are looked for after the last = only, as they have none in them.
	for from, before := 0, 0; ; {
		equals := strings.IndexByte(s[from:], '=')
		if equals < 0 {
			write(s)
			return false
		}
		equals += from
		start := strings.LastIndexAny(s[before:equals], "?&") + 1
		if (start == 0 && !query) || !isCredential(s[before+start:equals]) {
			from, before, query = equals+1, equals+1, false
			continue
		}
		write(s[:equals+1])
		write(redacted)
		end := valueEnd(s, equals+1)
		if end == len(s) {
			return true
		}
		s, from, before, query = s[end:], 0, 0, false
	}
}

// isCredential says that a query parameter of that name is a signature, key or token: those that the semantic conventions
// name, shared access signatures and keys of Azure, and what programs call their tokens and keys.
func isCredential(name string) bool {
	for _, credential := range credentials {
		if len(name) == len(credential) && strings.EqualFold(name, credential) {
			return true
		}
	}
	return false
}

var credentials = []string{
	"sig", "code", "key", "token", "secret", "password", "signature", "access_token", "refresh_token", "id_token", "auth_token",
	"client_secret", "client_assertion", "api_key", "api-key", "apikey", "subscription-key", "AWSAccessKeyId", "X-Amz-Signature",
	"X-Amz-Credential", "X-Amz-Security-Token", "X-Goog-Signature", "X-Goog-Credential",
}
