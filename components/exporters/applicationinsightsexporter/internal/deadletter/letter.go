// SPDX-License-Identifier: Apache-2.0

// Package deadletter keeps what can never be delivered, in files of one JSON object a line, with the reason: for people to
// look at and for the command otelcol-mesh-doctor to send again.
//
// A [Store] writes, in a directory that other stores, processes and replicas may share. [Files] and [Reader] read, also
// while others write. [Marks] remembers which letters of a file were delivered after all.
package deadletter

import (
	"bytes"
	"encoding/json"
	"regexp"
	"time"
	"unicode/utf8"
)

// Reasons of letters. A reason is a word in snake_case; these are the ones that the exporter gives.
const (
	ReasonTooOld     = "too_old"
	ReasonTooLarge   = "too_large"
	ReasonNotFinite  = "not_finite"
	ReasonInvalid    = "invalid"
	ReasonUnreadable = "unreadable"
)

// Letter is one item that can never be delivered, and why.
type Letter struct {
	// Time is when the item was given up. Zero means now, when it is written.
	Time time.Time `json:"time"`
	// Destination is the name of the route, "default" for the exporter's own connection string.
	Destination string `json:"destination"`
	// Reason is one of the constants, or another word in snake_case.
	Reason string `json:"reason"`
	// Status is the status code of the item or of the request, 0 if it was never sent.
	Status int `json:"status,omitempty"`
	// Message is what the endpoint said, or what was found before sending. It is cut at [MaxMessageBytes], and what looks
	// like an instrumentation key or a token is taken out.
	Message string `json:"message,omitempty"`
	// Item is the envelope without iKey: an object on one line.
	Item json.RawMessage `json:"item,omitempty"`
	// Damaged holds, instead of Item, what is not a JSON object or is longer than [MaxItemBytes], then cut there. A caller
	// need not set it: writing moves there what Item cannot hold.
	Damaged []byte `json:"damaged,omitempty"`
	// Bytes is the size of what Damaged holds, before it was cut.
	Bytes int `json:"bytes,omitempty"`
}

const (
	// MaxItemBytes is the longest item that is kept whole: eight times what the endpoint takes.
	MaxItemBytes = 512 << 10
	// MaxMessageBytes is the longest message.
	MaxMessageBytes = 8 << 10
	// maxWordBytes is the longest destination and reason.
	maxWordBytes = 256
	// maxLineBytes is more than any line can have that was written here: the item, or 4/3 of it as base64, and a message of
	// which each byte is escaped.
	maxLineBytes = 1 << 20
)

// secrets are what a message could give away: the endpoint or a proxy may send back what it was sent.
var secrets = []*regexp.Regexp{
	regexp.MustCompile(`(?i)(\bbearer\s+)[^\s"',;]+`),
	regexp.MustCompile(`(?i)(\b(?:instrumentationkey|ikey)\b["']?\s*[:=]?\s*["']?)[0-9a-f]{8}-[0-9a-f-]{27}`),
}

const removed = "(removed)"

// appendLine appends the letter as one line.
func (l *Letter) appendLine(to []byte, now time.Time) []byte {
	written := *l
	if written.Time.IsZero() {
		written.Time = now
	}
	written.Time = written.Time.UTC()
	written.Destination = cut(written.Destination, maxWordBytes)
	written.Reason = cut(written.Reason, maxWordBytes)
	written.Message = cut(redact(written.Message), MaxMessageBytes)
	written.setItem()
	text, err := marshal(&written)
	if err != nil {
		// Only a time beyond the year 9999 has no JSON.
		written.Time = now.UTC()
		text, _ = marshal(&written)
	}
	return append(to, text...)
}

// marshal returns one line with its end. Markup stays as it is: a stack with many <init> would else grow to six times its
// size, beyond what a line may have.
func marshal(l *Letter) ([]byte, error) {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(l)
	return line.Bytes(), err
}

// setItem moves what Item cannot hold.
func (l *Letter) setItem() {
	if len(l.Item) == 0 {
		l.Item = nil
		l.Bytes = max(l.Bytes, len(l.Damaged))
		l.Damaged = l.Damaged[:min(len(l.Damaged), MaxItemBytes)]
		return
	}
	item := withoutKey(bytes.TrimSpace(l.Item))
	if len(item) > MaxItemBytes || len(item) == 0 || item[0] != '{' || !json.Valid(item) {
		l.Item, l.Damaged, l.Bytes = nil, item[:min(len(item), MaxItemBytes)], len(item)
		return
	}
	l.Item = item
}

// withoutKey takes the instrumentation key off an item as it stood on the wire: it is the first field there.
func withoutKey(item []byte) []byte {
	rest, ok := bytes.CutPrefix(item, []byte(`{"iKey":"`))
	if !ok {
		return item
	}
	if end := bytes.IndexByte(rest, '"'); end >= 0 && bytes.HasPrefix(rest[end:], []byte(`",`)) {
		return append([]byte("{"), rest[end+2:]...)
	}
	return item
}

func redact(message string) string {
	for _, secret := range secrets {
		message = secret.ReplaceAllString(message, "${1}"+removed)
	}
	return message
}

// cut shortens s to at most limit bytes, at the start of a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
