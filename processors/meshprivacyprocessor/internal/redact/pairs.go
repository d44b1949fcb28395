// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"encoding/base64"
	"strings"
)

// maxName is how far before a separator a name is looked for.
const maxName = 96

// nameBefore returns the name that ends before the index, where it begins, and the quote around it, if any.
func (s *scanner) nameBefore(i int) (name string, begin int, quote byte) {
	end := i
	for range 3 {
		if end > 0 && (s.text[end-1] == ' ' || s.text[end-1] == '\t') {
			end--
		}
	}
	if end > 0 && (s.text[end-1] == '"' || s.text[end-1] == '\'' || s.text[end-1] == '`') {
		end--
		quote = s.text[end]
		for end > 0 && s.text[end-1] == '\\' {
			end--
		}
	}
	if end > 0 && s.text[end-1] == ']' {
		// headers[authorization]: the bracket belongs to the name.
		end--
		if end > 0 && (s.text[end-1] == '"' || s.text[end-1] == '\'') {
			end--
		}
	}
	begin = end
	for begin > 0 && end-begin < maxName && inName(s.text[begin-1]) {
		begin--
	}
	return s.text[begin:end], begin, quote
}

func inName(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
}

// pair looks at = or : and redacts the value if the name before it is that of a secret.
func (s *scanner) pair(i int) int {
	if s.text[i] == '=' {
		if next := s.base64Before(i); next > 0 {
			return next
		}
	}
	if s.text[i] == ':' && strings.HasPrefix(s.text[i+1:], "//") {
		return 0
	}
	name, begin, quote := s.nameBefore(i)
	// Most colons are those of addresses.
	port := quote == 0 && s.text[i] == ':' && s.isPort(i+1)
	if len(name) < 3 || port && !isPassword(name) {
		return 0
	}
	category := s.nameCategory(name, begin)
	if category == None {
		return s.namedPair(i, name)
	}
	from := i + 1
	for from < len(s.text) && (s.text[from] == '>' || s.text[from] == '=') {
		from++
	}
	from = s.skipSpaces(from)
	if from >= len(s.text) {
		return 0
	}
	return s.value(from, begin, category, quote, s.text[i] == ':')
}

// isPort says whether what stands at the index is a port: a service may be called token or auth-secret.
func (s *scanner) isPort(i int) bool {
	end := i
	for end < len(s.text) && s.text[end] >= '0' && s.text[end] <= '9' {
		end++
	}
	return end > i && end-i <= 5 && (end == len(s.text) || !inName(s.text[end]))
}

// isPassword says whether a name is nothing but a password's.
func isPassword(name string) bool {
	name = name[max(0, len(name)-len("password")):]
	return strings.EqualFold(name, "password") || len(name) > 2 &&
		(strings.EqualFold(name[max(0, len(name)-6):], "passwd") || strings.EqualFold(name[len(name)-3:], "pwd"))
}

func (s *scanner) nameCategory(name string, begin int) Category {
	category := categoryOf(name)
	if category != None && s.r.settings.Off[category] {
		return None
	}
	// "Shared Access Key = ..." and the like: the last word needs the one before it.
	if category == None && begin > 1 && s.text[begin-1] == ' ' && (strings.EqualFold(name, "key") || strings.EqualFold(name, "string")) {
		from := begin - 1
		for from > 0 && begin-from < maxName && inName(s.text[from-1]) {
			from--
		}
		return categoryOf(s.text[from : begin+len(name)])
	}
	return category
}

func (s *scanner) skipSpaces(i int) int {
	for i < len(s.text) && (s.text[i] == ' ' || s.text[i] == '\t') {
		i++
	}
	return i
}

// value redacts a value that begins at the index and whose name tells the category.
func (s *scanner) value(from, nameAt int, category Category, quote byte, header bool) int {
	switch c := s.text[from]; c {
	case '"', '\'', '`':
		end := s.quotedEnd(from+1, c)
		return s.emit(from+1, end, from+1, end, category)
	case '\\':
		// A quote behind it is that of a text in a text, which is read when the escapes are gone.
		if rest := strings.TrimLeft(s.text[from:], `\`); rest != "" && (rest[0] == '"' || rest[0] == '\'') {
			return 0
		}
	case '[', '{':
		end := s.bracketEnd(from)
		return s.emit(from+1, end, from+1, end, category)
	}
	var end int
	switch {
	case category == Cookie, category == Authorization && (header || digestScheme(s.text[from:])):
		end = s.lineEnd(from, nameAt, quote)
	case category == Authorization:
		end = s.bareEnd(from)
		if isScheme(s.text[from:end]) {
			end = s.bareEnd(s.skipSpaces(end))
		}
	default:
		end = s.bareEnd(from)
	}
	return s.emit(from, end, from, end, category)
}

// quotedEnd is where the quote closes; an escaped one does not.
func (s *scanner) quotedEnd(i int, quote byte) int {
	for ; i < len(s.text); i++ {
		switch s.text[i] {
		case '\\':
			i++
		case quote:
			return i
		}
	}
	return len(s.text)
}

// bracketEnd is where the bracket at the index closes.
func (s *scanner) bracketEnd(i int) int {
	depth := 0
	for ; i < len(s.text); i++ {
		switch c := s.text[i]; c {
		case '"':
			i = s.quotedEnd(i+1, c)
		case '[', '{':
			depth++
		case ']', '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(s.text)
}

// lineEnd is where a header line ends: with the line, or with the text in quotes that it is in.
func (s *scanner) lineEnd(i, nameAt int, quote byte) int {
	open := byte(0)
	switch {
	case quote != 0:
		// The name alone was in quotes, and the value is in none.
		return s.bareEnd(i)
	case nameAt > 0 && strings.IndexByte("\"'`", s.text[nameAt-1]) >= 0:
		open = s.text[nameAt-1]
	case s.inString:
		open = '"'
	}
	for ; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '\n' || c == '\r':
			return i
		case c == '\\' && i+1 < len(s.text):
			if s.text[i+1] == 'n' || s.text[i+1] == 'r' {
				return i
			}
			i++
		case c == open && open != 0:
			return i
		}
	}
	return len(s.text)
}

// bareEnd is where a value without quotes ends. A separator within a password does not end it unless what follows looks
// like the next name.
func (s *scanner) bareEnd(i int) int {
	for ; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c <= ' ' || c == '"' || c == '<':
			if c == '"' && !s.closes(i+1) {
				continue
			}
			return i
		case c == '\\' && i+1 < len(s.text) && strings.IndexByte(`"nrt\`, s.text[i+1]) >= 0:
			return i
		case strings.IndexByte(",;&)]}'|", c) >= 0 && s.separates(i+1):
			return i
		}
	}
	return len(s.text)
}

// separates says whether the text from the index on is no part of a value: it ends, or another name follows. Connection
// strings have names of several words, which begin with a capital.
func (s *scanner) separates(i int) bool {
	if i >= len(s.text) || s.text[i] <= ' ' || strings.IndexByte("\"'`\\,;&)]}{[(", s.text[i]) >= 0 {
		return true
	}
	for n := i; n < len(s.text) && n-i < maxName; n++ {
		c := s.text[n]
		if c == '=' || c == ':' {
			return n > i
		}
		if !inName(c) && (c != ' ' || s.text[i-1] != ';' || s.text[i] < 'A' || s.text[i] > 'Z') {
			return false
		}
	}
	return false
}

// namedPair looks at {"name": "x-api-key", "value": "..."}, where the name is itself a value.
func (s *scanner) namedPair(i int, name string) int {
	switch strings.ToLower(name) {
	case "name", "key", "header", "field", "param", "parameter":
	default:
		return 0
	}
	from := s.skipSpaces(i + 1)
	if from >= len(s.text) || s.text[from] != '"' && s.text[from] != '\'' {
		return 0
	}
	limit := min(len(s.text), from+1+maxName)
	length := strings.IndexByte(s.text[from+1:limit], s.text[from])
	if length < 1 {
		return 0
	}
	category := categoryOf(s.text[from+1 : from+1+length])
	if category == None || s.r.settings.Off[category] {
		return 0
	}
	next := from + length + 2
	for next < len(s.text) && strings.IndexByte(" \t\n\r,", s.text[next]) >= 0 {
		next++
	}
	if next+1 >= len(s.text) || s.text[next] != s.text[from] || !strings.HasPrefix(strings.ToLower(s.text[next+1:min(len(s.text), next+4)]), "val") {
		return 0
	}
	for next < len(s.text) && s.text[next] != ':' {
		next++
	}
	if next = s.skipSpaces(next + 1); next >= len(s.text) {
		return 0
	}
	return s.value(next, next, category, s.text[from], true)
}

// element looks at the > of <password>: what stands up to the next bracket is the value.
func (s *scanner) element(i int) int {
	begin := strings.LastIndexByte(s.text[max(0, i-2*maxName):i], '<')
	if begin < 0 {
		return 0
	}
	name := s.text[max(0, i-2*maxName)+begin+1 : i]
	if at := strings.IndexAny(name, " \t\n\r"); at >= 0 {
		name = name[:at]
	}
	name = name[strings.LastIndexByte(name, ':')+1:]
	if name == "" || name[0] == '/' || strings.HasSuffix(name, "/") {
		return 0
	}
	category := categoryOf(name)
	if category == None {
		return 0
	}
	end := strings.IndexByte(s.text[i+1:], '<')
	if end < 0 {
		end = len(s.text) - i - 1
	}
	return s.emit(i+1, i+1+end, i+1, i+1+end, category)
}

// scheme looks at a space: before it is the name of an authorization scheme, or an option such as --password.
func (s *scanner) scheme(i int) int {
	if i < 2 || !inName(s.text[i-1]) {
		return 0
	}
	begin := i
	for begin > 0 && i-begin < maxName && inName(s.text[begin-1]) {
		begin--
	}
	name := s.text[begin:i]
	from := s.skipSpaces(i + 1)
	if s.text[i] == '+' {
		from = i + 1
	}
	if from >= len(s.text) {
		return 0
	}
	if len(name) > 2 && name[0] == '-' {
		category := categoryOf(name)
		if category == None || s.r.settings.Off[category] || s.text[from] == '-' {
			return 0
		}
		return s.value(from, begin, category, 0, false)
	}
	if !isScheme(name) || s.r.settings.Off[Authorization] || begin > 0 && strings.IndexByte("/.|", s.text[begin-1]) >= 0 ||
		strings.EqualFold(name, "token") || strings.EqualFold(name, "apikey") {
		return 0
	}
	end := s.bareEnd(from)
	if credential := s.text[from:end]; begin == 0 && end == len(s.text) || looksSecret(credential, name) {
		if digestScheme(s.text[begin:]) {
			end = s.lineEnd(from, begin, 0)
		}
		return s.emit(from, end, from, end, Authorization)
	}
	return 0
}

func isScheme(name string) bool {
	switch len(name) {
	case 4, 5, 6, 9:
		for _, scheme := range [...]string{"bearer", "basic", "negotiate", "ntlm", "digest", "dpop", "apikey", "token", "hoba", "sharedkey"} {
			if len(name) == len(scheme) && strings.EqualFold(name, scheme) {
				return true
			}
		}
	}
	return false
}

func digestScheme(text string) bool {
	return len(text) > 7 && strings.EqualFold(text[:7], "digest ") || strings.HasPrefix(text, "AWS4-HMAC-SHA256")
}

// looksSecret tells "Bearer abcdef12" from "bearer of news".
func looksSecret(credential, scheme string) bool {
	if strings.EqualFold(scheme, "digest") {
		return strings.Contains(credential, "=")
	}
	if strings.EqualFold(scheme, "basic") {
		decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(credential, "="))
		return err == nil && strings.IndexByte(string(decoded), ':') >= 0
	}
	if len(credential) < 8 {
		return false
	}
	return len(credential) >= 20 || strings.ContainsAny(credential, "0123456789_~+/=") || strings.ToLower(credential[1:]) != credential[1:]
}
