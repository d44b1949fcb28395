// SPDX-License-Identifier: Apache-2.0

package redact

import "strings"

// What a byte makes the scanner do.
const (
	actNone = iota
	actSpace
	actPlus
	actQuote
	actOpen
	actSlash
	actQuestion
	actHash
	actAt
	actEqual
	actColon
	actGreater
	actEscape
	actForm
)

var actions = func() (out [256]uint8) {
	for c := range 33 {
		out[c] = actSpace
	}
	for c, act := range map[byte]uint8{
		0x7F: actSpace, '+': actPlus, '"': actQuote, '\'': actQuote, '`': actQuote,
		'(': actOpen, '[': actOpen, '<': actOpen, '{': actOpen, ',': actOpen, ';': actOpen, '|': actOpen, '&': actOpen,
		'/': actSlash, '?': actQuestion, '#': actHash, '@': actAt, '=': actEqual, ':': actColon, '>': actGreater,
		'\\': actEscape, '%': actEscape,
		// Each form of a token has one of these, which are rarer than most letters.
		'J': actForm, 'I': actForm, 'B': actForm, '_': actForm, '-': actForm, '.': actForm, 'Q': actForm,
	} {
		out[c] = act
	}
	return out
}()

// scanner goes over one text once. Indexes are -1 where there is none.
type scanner struct {
	r     *Redactor
	text  string
	found []span
	// token is where the run without spaces and quotes began that the scanner is in.
	token int
	// slash and colon are where the last ones were seen.
	slash, colon int
	// authority is where the authority of a URL begins; pathAt is the first slash behind it.
	authority, pathAt int
	// noPair is up to where no = and & follow.
	noPair int
	// inString says that a double quote is open.
	inString bool
	escaped  bool
	// decoded says that escapes were taken off: a number sign that was escaped may be part of a path.
	decoded bool
}

// find appends the secrets that stand in the text as it is, and says whether it has escapes behind which more may be.
func (r *Redactor) find(text string, isURL, decoded bool, found []span) ([]span, bool) {
	s := scanner{r: r, text: text, decoded: decoded, found: found, slash: -1, colon: -1, authority: -1, pathAt: -1}
	end := len(text)
	if isURL && !r.settings.Off[URLQuery] {
		if at := strings.IndexAny(text, "?#"); at >= 0 && !s.secretAuthority(at) {
			s.emit(at+1, end, at, end, URLQuery)
			end = at
		}
	}
	s.text = text[:end]
	s.run()
	// Behind a query that is gone nothing can be.
	return s.found, s.escaped
}

func (s *scanner) run() {
	for i := 0; i < len(s.text); i++ {
		act := actions[s.text[i]]
		if act == actNone || act == actForm && i > 0 && !mayForm(s.text[i], s.text[i-1]) {
			continue
		}
		if next := s.act(act, i); next > i {
			// What was found is skipped; a delimiter behind it is looked at.
			i = next - 1
		}
	}
}

// mayForm says whether a byte can be that of a token's form behind the other: names are full of - and of dots.
func mayForm(c, before byte) bool {
	switch c {
	case '-':
		// glpat-, sk-, xapp- and xoxb-, whose last letter says whose it is.
		return before >= 'a' && before <= 't'
	case '.':
		return before == 's' || before == '9' || before == 'G'
	}
	return true
}

// act looks at one byte; it returns where to go on if something was found.
func (s *scanner) act(act uint8, i int) int {
	switch act {
	case actSpace:
		next := s.scheme(i)
		s.begin(i + 1)
		return next
	case actPlus:
		return s.scheme(i)
	case actQuote:
		if s.text[i] == '"' && !s.backslashed(i) {
			s.inString = !s.inString
		}
		s.begin(i + 1)
	case actOpen:
		if s.slash < s.token {
			s.begin(i + 1)
		}
	case actSlash:
		s.sawSlash(i)
	case actQuestion, actHash:
		return s.query(i)
	case actAt:
		return s.userinfo(i)
	case actEqual:
		next := s.pair(i)
		if s.slash < s.token {
			s.begin(i + 1)
		}
		return next
	case actColon:
		s.colon = i
		return s.pair(i)
	case actGreater:
		return s.element(i)
	case actEscape:
		s.escaped = s.escaped || s.text[i] == '\\' || hexAt(s.text, i+1)
	case actForm:
		return s.form(i)
	}
	return 0
}

func (s *scanner) begin(i int) {
	s.token, s.authority, s.pathAt = i, -1, -1
}

func (s *scanner) backslashed(i int) bool { return i > 0 && s.text[i-1] == '\\' }

func (s *scanner) sawSlash(i int) {
	doubled := i > 0 && s.text[i-1] == '/'
	switch {
	case doubled && (i-1 == s.token || i > 1 && s.text[i-2] == ':'):
		s.authority, s.pathAt = i+1, -1
	case s.authority >= 0 && s.pathAt < 0:
		s.pathAt = i
	}
	s.slash = i
}

// emit notes a secret unless its category is off, and says where to go on.
func (s *scanner) emit(from, to, removeFrom, removeTo int, category Category) int {
	if from >= to || s.r.settings.Off[category] {
		return 0
	}
	s.found = append(s.found, span{from, to, removeFrom, removeTo, category})
	return to
}

// query looks at a question mark or a number sign: what follows is a query or a fragment if the token is a URL or path,
// or if there are parameters.
func (s *scanner) query(i int) int {
	inPath := s.slash >= s.token
	if s.text[i] == '#' {
		inPath = !s.decoded && (s.authority >= s.token || s.token < i && s.text[s.token] == '/')
	}
	if s.secretAuthority(i) && !s.r.settings.Off[URLUserinfo] {
		return s.emit(s.authority, s.tokenEnd(i), s.authority, s.tokenEnd(i), URLUserinfo)
	}
	if s.r.settings.Off[URLQuery] || !inPath && i < s.noPair {
		return 0
	}
	end := s.tokenEnd(i + 1)
	if !inPath && !strings.ContainsAny(s.text[i+1:end], "=&") {
		s.noPair = end
		return 0
	}
	return s.emit(i+1, end, i, end, URLQuery)
}

// secretAuthority says whether an authority that ends here, without an @ before, has a port that is none: it is a user
// and the begin of a password that should have been escaped, if an @ follows.
func (s *scanner) secretAuthority(i int) bool {
	if s.authority < 0 || s.pathAt >= 0 || i < s.authority {
		return false
	}
	if s.badPort(s.text[s.authority:i]) && strings.IndexByte(s.text[i:s.tokenEnd(i)], '@') > 0 {
		return true
	}
	// Asked once per authority, so that time stays linear.
	s.authority = -1
	return false
}

func (s *scanner) badPort(authority string) bool {
	at := strings.LastIndexByte(authority, ':')
	if at < 0 || at == len(authority)-1 || strings.IndexByte(authority, ']') > at {
		return false
	}
	return strings.Trim(authority[at+1:], "0123456789") != ""
}

// tokenEnd is where a URL that the index is in ends: at a space, at a bracket of markup, or at a quote that closes.
func (s *scanner) tokenEnd(i int) int {
	for ; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c <= ' ' || c == '<' || c == '>':
			return i
		case c == '"' || c == '\'' || c == '`':
			// Envoy does not escape quotes in a line of text: one within a query closes nothing.
			if s.closes(i + 1) {
				if s.backslashed(i) {
					i--
				}
				return i
			}
		}
	}
	return i
}

// closes says whether a quote before the index ends a text rather than being part of it.
func (s *scanner) closes(i int) bool {
	if i >= len(s.text) {
		return true
	}
	switch c := s.text[i]; c {
	case '}', ']', ')', '>', ':', '\\', '"', '\'', '`':
		return true
	case ',', ';':
		return i+1 >= len(s.text) || s.text[i+1] <= ' ' || strings.IndexByte(`"'{[\`, s.text[i+1]) >= 0
	default:
		return c <= ' '
	}
}

// userinfo looks at an @: before it is a user in an authority, or user:password without a scheme.
func (s *scanner) userinfo(i int) int {
	switch {
	case s.r.settings.Off[URLUserinfo]:
		return 0
	case s.authority >= 0 && s.pathAt < 0, s.authority >= 0 && s.badPort(s.text[s.authority:s.pathAt]):
		at := s.lastAt(i)
		return s.emit(s.authority, at, s.authority, at+1, URLUserinfo)
	case s.authority >= 0 || s.colon < s.token || s.colon == i-1 && s.colon == s.token:
		return 0
	case strings.HasPrefix(s.text[i+1:], "sha256:"), strings.HasPrefix(s.text[i+1:], "sha512:"):
		// An image by its digest.
		return 0
	}
	// A scheme whose slashes are escaped is none of it.
	from := s.token
	if s.slash >= from && s.slash < s.colon {
		from = s.slash + 1
	} else if s.slash >= from && !strings.HasPrefix(s.text[i+1:], "tcp(") && !strings.HasPrefix(s.text[i+1:], "unix(") {
		return 0
	}
	at := s.lastAt(i)
	return s.emit(from, at, from, at+1, URLUserinfo)
}

// lastAt is the last @ of the authority: a password may have some that should have been escaped.
func (s *scanner) lastAt(at int) int {
	for i := at + 1; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '@':
			at = i
		case c <= ' ' || strings.IndexByte("/?#\"'<>", c) >= 0:
			return at
		}
	}
	return at
}

func hexAt(text string, i int) bool {
	return i+2 <= len(text) && digit(text[i]) >= 0 && digit(text[i+1]) >= 0
}

func digit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
