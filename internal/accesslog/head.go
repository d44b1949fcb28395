// SPDX-License-Identifier: Apache-2.0

package accesslog

import "strings"

// head is one reading of the part of a line between the time and the upstream host.
type head struct {
	method, path, protocol, code, flags, details, termination, failure string
	received, sent, duration, upstreamTime                             string
	forwarded, agent, request, authority                               string
	// detailed says that the format has details and termination; failures that it has the transport failure.
	detailed, failures bool
	// moreQuotes says that the four quoted texts at the end hold more quotes than there is place for.
	moreQuotes bool
}

// setCertain sets what every reading shares: the method cannot hold a space, and the authority no quote.
func (h *head) setCertain(r *Record) {
	r.Set(Method, h.method)
	r.Set(Authority, h.authority)
}

// setRest sets what only one reading is sure of.
func (h *head) setRest(r *Record) {
	r.Set(Path, h.path)
	r.Set(Protocol, h.protocol)
	r.Set(ResponseCode, h.code)
	r.Set(ResponseFlags, h.flags)
	if h.detailed {
		r.Set(ResponseCodeDetails, h.details)
		r.Set(TerminationDetails, h.termination)
	}
	if h.failures {
		r.Set(TransportFailure, h.failure)
	}
	r.Set(BytesReceived, h.received)
	r.Set(BytesSent, h.sent)
	r.Set(Duration, h.duration)
	r.Set(UpstreamServiceTime, h.upstreamTime)
	if !h.moreQuotes {
		r.Set(ForwardedFor, h.forwarded)
		r.Set(UserAgent, h.agent)
		r.Set(RequestID, h.request)
	}
}

// Ceilings, so that a line of quotes costs no more than a little: Envoy's lines have eight quotes with a space behind.
const (
	// maxReadings is how many readings are looked for: one more than one is enough to know.
	maxReadings = 2
	// maxEnds is how many places are tried at which the request, or the transport failure, can end.
	maxEnds = 64
)

// findHeads looks for each place where the quoted request can end, keeps the first reading in found, and returns how many
// there are, up to maxReadings; a line with more places than are tried counts as having more readings. s begins with the
// quote before the method.
func findHeads(s string, found *head) (readings int) {
	if len(s) < 2 || s[0] != '"' {
		return 0
	}
	at := 1
	for tried := 0; readings < maxReadings; tried++ {
		next := strings.Index(s[at:], `" `)
		if next < 0 {
			break
		}
		if tried == maxEnds {
			return maxReadings * min(readings, 1)
		}
		at += next
		var h head
		if h.requestLine(s[1:at]) && h.after(s[at+2:]) {
			if readings == 0 {
				*found = h
			}
			readings++
		}
		at++
	}
	return readings
}

// requestLine takes "method path protocol" apart.
func (h *head) requestLine(s string) bool {
	space := strings.LastIndexByte(s, ' ')
	if space < 0 || !isProtocol(s[space+1:]) {
		return false
	}
	h.protocol = s[space+1:]
	s = s[:space]
	// A method is a token (RFC 9110, 9.1), so a quote is another text's.
	if space = strings.IndexByte(s, ' '); space < 0 || strings.IndexByte(s[:space], '"') >= 0 {
		return false
	}
	h.method, h.path = s[:space], s[space+1:]
	return true
}

func isProtocol(s string) bool {
	return isNothing(s) || (len(s) >= len("HTTP/2") && len(s) <= len("HTTP/1.1") && strings.HasPrefix(s, "HTTP/"))
}

// after reads what stands behind the request.
func (h *head) after(s string) bool {
	var ok bool
	if h.code, s, ok = strings.Cut(s, " "); !ok || !isNumber(h.code) || len(h.code) > 3 {
		return false
	}
	if h.flags, s, ok = strings.Cut(s, " "); !ok || !isFlags(h.flags) {
		return false
	}
	quote := strings.IndexByte(s, '"')
	if quote < 0 {
		return false
	}
	if h.numbers(s[:quote]) {
		return h.texts(s[quote:])
	}
	if !h.reasons(s[:quote]) {
		return false
	}
	return h.failureAndRest(s[quote+1:])
}

// reasons takes "details termination " apart. Before Envoy 1.20 details hold spaces.
func (h *head) reasons(s string) bool {
	if s == "" {
		return true
	}
	s, ok := strings.CutSuffix(s, " ")
	space := strings.LastIndexByte(s, ' ')
	if !ok || space < 0 {
		return false
	}
	h.details, h.termination, h.detailed = s[:space], s[space+1:], true
	return true
}

// failureAndRest reads the quoted transport failure, whose opening quote is gone: it ends where four numbers follow.
// Before Istio 1.9 Mixer's status stands in front of it.
func (h *head) failureAndRest(s string) bool {
	at := 0
	for range maxEnds {
		next := strings.Index(s[at:], `" `)
		if next < 0 {
			return false
		}
		at += next
		rest := s[at+2:]
		quote := strings.IndexByte(rest, '"')
		if quote < 0 {
			return false
		}
		if quote == 0 && !h.detailed && !h.failures {
			h.failures = true
			return h.failureAndRest(rest[1:])
		}
		if h.numbers(rest[:quote]) {
			h.failure, h.failures = s[:at], true
			return h.texts(rest[quote:])
		}
		at++
	}
	return false
}

// numbers reads "received sent duration upstream-time ".
func (h *head) numbers(s string) bool {
	var words [4]string
	for i := range words {
		var ok bool
		if words[i], s, ok = strings.Cut(s, " "); !ok || (!isNothing(words[i]) && !isNumber(words[i])) {
			return false
		}
	}
	if s != "" {
		return false
	}
	h.received, h.sent, h.duration, h.upstreamTime = words[0], words[1], words[2], words[3]
	return true
}

// between stands between two quoted texts.
const between = `" "`

// texts reads the four quoted texts at the end. The authority is the last: Envoy refuses one with a quote or a space.
func (h *head) texts(s string) bool {
	s, ok := strings.CutPrefix(s, `"`)
	if !ok {
		return false
	}
	if s, ok = strings.CutSuffix(s, `"`); !ok {
		return false
	}
	n := countBetween(s)
	if n < 3 {
		return false
	}
	last := strings.LastIndex(s, between)
	h.authority = s[last+len(between):]
	if strings.ContainsAny(h.authority, "\" ") {
		return false
	}
	s = s[:last]
	h.forwarded, s, _ = strings.Cut(s, between)
	h.agent, h.request, _ = strings.Cut(s, between)
	h.moreQuotes = n > 3
	return true
}

// countBetween counts the places at which one text can end and the next begin, up to four. They may overlap.
func countBetween(s string) (n int) {
	for n < 4 {
		at := strings.Index(s, between)
		if at < 0 {
			break
		}
		n++
		s = s[at+1:]
	}
	return n
}

// isNumber says whether the text is decimal digits, at most as many as an unsigned 64 bit number has.
func isNumber(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != "" && len(s) <= 20
}

// isFlags says whether the word can be response flags: short forms joined by commas, or nothing.
func isFlags(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != ',' && c != '-' && c != '_' && !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}
