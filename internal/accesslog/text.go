// SPDX-License-Identifier: Apache-2.0

package accesslog

import "strings"

// ParseText reads a line of Istio's default text format (istio/istio pilot/pkg/model/telemetry_logging.go):
//
//	[time] "method path protocol" code flags details termination "transport failure" received sent duration upstream-time
//	"forwarded for" "user agent" "request id" "authority" "upstream host" cluster local local remote server-name route
//
// Understood as well: before Istio 1.9 without details and termination, some with the status of Mixer in their place;
// without the route; and Envoy's own default format, which ends with the upstream host. Values left out by
// omitEmptyValues are nothing, as "-" is.
//
// Path, forwarded for, user agent and request id are the caller's to choose, and Envoy does not escape their quotes. The
// line is read from both ends, and each reading that the format allows is tried: if there is more than one, the entry is
// [Entry.Ambiguous] and holds what all of them share. A caller can so hide those four, and never shift another.
//
// It returns ErrText for another line, ErrTails for one with two ends, and does not allocate.
func ParseText(line string, e *Entry) error {
	line = strings.TrimRight(line, "\r\n")
	end := strings.IndexByte(line, ']')
	if end < 1 || line[0] != '[' || !strings.HasPrefix(line[end:], `] "`) {
		return ErrText
	}
	t, rest, ok := splitTail(line)
	if !ok {
		return ErrText
	}
	if hasTail(rest) {
		return ErrTails
	}
	// The two quotes around the request belong to the head, so what is between time and upstream host begins with one.
	if len(rest) < end+2 {
		return ErrText
	}
	var found head
	readings := findHeads(rest[end+2:], &found)
	if readings == 0 {
		return ErrText
	}
	r := &e.Envoy
	r.Set(StartTime, line[1:end])
	t.Set(r)
	found.setCertain(r)
	if readings > 1 || found.moreQuotes {
		e.Ambiguous = true
		if readings > 1 {
			return nil
		}
	}
	found.setRest(r)
	return nil
}

// Tail is the part of a line that tells the two ends of a call. "-" and "" stand for nothing.
type Tail struct {
	UpstreamHost, UpstreamCluster, UpstreamLocal  string
	DownstreamLocal, DownstreamRemote, ServerName string
	Route                                         string

	// short says that there is nothing behind the upstream host, as in Envoy's default format.
	short bool
}

// ParseTail reads the end of a line of Istio's default text format, whatever its beginning. It works backward from the
// end, because the fields in front of the upstream host are the caller's to choose: a quote within a user agent must not
// shift an address of the caller's making into the place of a real one. One caller's text stands behind the addresses:
// the server name, which Envoys without the fix for CVE-2024-45808 write as it came. So a line in which another end can be
// read tells nothing: either of the two may be the caller's. ok is false for that, and for a line of another form.
// ParseTail does not allocate.
func ParseTail(line string) (t Tail, ok bool) {
	line = strings.TrimRight(line, "\r\n")
	if !strings.HasPrefix(line, "[") {
		return Tail{}, false
	}
	t, rest, ok := splitTail(line)
	return t, ok && !t.short && !isNothing(t.UpstreamCluster+t.UpstreamHost) && !hasTail(rest)
}

// hasTail says whether the text holds what can be read as a tail: a quoted address, and behind it a cluster and three
// addresses.
func hasTail(s string) bool {
	for {
		at := strings.Index(s, between)
		if at < 0 {
			return false
		}
		s = s[at+len(between)-1:]
		end := strings.IndexByte(s[1:], '"') + 1
		if end == 0 {
			return false
		}
		if isAddress(s[1:end]) && isTailStart(s[end+1:]) {
			return true
		}
	}
}

// isTailStart says whether the text begins with the words of a tail, as far as none may be missing. A word that ends in a
// quote is the last one of a text that holds the tail.
func isTailStart(s string) bool {
	for i := range 4 {
		if s == "" || s[0] != ' ' {
			return false
		}
		s = s[1:]
		end := strings.IndexAny(s, " \"")
		if end < 0 {
			end = len(s)
		}
		if i > 0 && !isAddress(s[:end]) {
			return false
		}
		if s = s[end:]; i == 3 {
			return true
		}
	}
	return false
}

// Set sets the fields of a record that the tail tells.
func (t *Tail) Set(r *Record) {
	r.Set(UpstreamHost, t.UpstreamHost)
	if t.short {
		return
	}
	r.Set(UpstreamCluster, t.UpstreamCluster)
	r.Set(UpstreamLocal, t.UpstreamLocal)
	r.Set(DownstreamLocal, t.DownstreamLocal)
	r.Set(DownstreamRemote, t.DownstreamRemote)
	r.Set(ServerName, t.ServerName)
	r.Set(RouteName, t.Route)
}

// splitTail cuts the tail off: the last quoted word and the words behind it. rest ends with the quote that closes what
// comes before.
func splitTail(line string) (t Tail, rest string, ok bool) {
	quote := strings.LastIndexByte(line, '"')
	if quote < 0 || !t.words(line[quote+1:]) {
		return Tail{}, "", false
	}
	open := strings.LastIndexByte(line[:quote], '"')
	if open < 2 || line[open-1] != ' ' || line[open-2] != '"' {
		return Tail{}, "", false
	}
	t.UpstreamHost = line[open+1 : quote]
	ok = isAddress(t.UpstreamHost) && isAddress(t.UpstreamLocal) && isAddress(t.DownstreamLocal) && isAddress(t.DownstreamRemote)
	return t, line[:open-1], ok
}

// words takes the words behind the upstream host: six of them; five before the route was logged; four if the last two
// are left out and somebody trimmed the line; or none at all.
func (t *Tail) words(s string) bool {
	if s == "" {
		t.short = true
		return true
	}
	fields := [...]*string{
		&t.UpstreamCluster, &t.UpstreamLocal, &t.DownstreamLocal, &t.DownstreamRemote, &t.ServerName, &t.Route,
	}
	n := 0
	for s != "" {
		if s[0] != ' ' || n == len(fields) {
			return false
		}
		s = s[1:]
		end := strings.IndexByte(s, ' ')
		if end < 0 {
			end = len(s)
		}
		*fields[n], s = s[:end], s[end:]
		n++
	}
	return n >= 4
}

// isAddress says whether a word can be an address of Envoy's: ip:port, a URL of its own, or a socket's path.
func isAddress(s string) bool {
	return isNothing(s) || (strings.ContainsAny(s, ":/@") && strings.IndexByte(s, ' ') < 0)
}

func isNothing(s string) bool { return s == "" || s == "-" }
