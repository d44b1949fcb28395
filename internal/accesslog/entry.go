// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Format is how a body was written.
type Format uint8

// The formats.
const (
	// NotAccessLog is a body that is no access log, or in a format of the user's own.
	NotAccessLog Format = iota
	Text
	JSON
	ZtunnelText
	ZtunnelJSON

	// NumFormats is one past the last format.
	NumFormats
)

// What is wrong with a body that looks like an access log.
var (
	// ErrTooLong reports a body longer than [MaxLength].
	ErrTooLong = errors.New("access log longer than 64 KiB")
	// ErrText reports a line that begins as Istio's default format and goes on otherwise.
	ErrText = errors.New("not Istio's default text format")
	// ErrTails reports a line of which the end that tells the addresses can be read in two places, so that one of them is
	// of a caller's making, and nothing tells which.
	ErrTails = errors.New("two ends in one line of Istio's text format")
	// ErrJSON reports a text that is not one JSON object, or one of more than 256 keys.
	ErrJSON = errors.New("not a JSON object of an access log")
	// ErrZtunnel reports a line that begins as ztunnel's access log and goes on otherwise.
	ErrZtunnel = errors.New("not ztunnel's access log format")
)

// Ceilings.
const (
	// MaxLength is the longest body that is parsed, in bytes. Envoy's own limit for all headers of a request is 60 KiB.
	MaxLength = 64 << 10
	// maxKeys is how many keys of a JSON object or a ztunnel line are read. Proxies write about 25.
	maxKeys = 256
)

// Entry is one access log entry. The zero value is ready for use, and [Entry.Reset] makes it so again.
type Entry struct {
	Envoy   Record
	Ztunnel Ztunnel
	// Ambiguous says that quotes within texts of the caller's choosing left more than one reading of the line: what is
	// not the same in all of them is left out.
	Ambiguous bool
}

// Reset forgets everything.
func (e *Entry) Reset() { *e = Entry{} }

// Record is an entry of Envoy's.
type Record struct {
	values  [NumFields]string
	present uint64
}

// Get returns a field; empty if there is nothing.
func (r *Record) Get(f Field) string { return r.values[f] }

// Has says whether the format has the field, be it with nothing in it.
func (r *Record) Has(f Field) bool { return r.present&(1<<f) != 0 }

// Set sets a field. "-" stands for nothing.
func (r *Record) Set(f Field, value string) {
	r.present |= 1 << f
	if value == "-" {
		value = ""
	}
	r.values[f] = value
}

// IsAccessLog says whether the fields are those of an access log: it names the upstream cluster, or has response flags
// and a response code. Single names such as "method" or "duration" are everybody's.
func (r *Record) IsAccessLog() bool {
	return r.values[UpstreamCluster] != "" || (r.Has(ResponseFlags) && r.Has(ResponseCode))
}

// Ztunnel is an entry of ztunnel's.
type Ztunnel struct {
	values [NumZtunnelFields]string
}

// Get returns a field; empty if there is nothing.
func (z *Ztunnel) Get(f ZtunnelField) string { return z.values[f] }

// Set sets a field. "-" and "unknown" stand for nothing.
func (z *Ztunnel) Set(f ZtunnelField, value string) {
	if value == "-" || value == "unknown" {
		value = ""
	}
	z.values[f] = value
}

// IsAccessLog says whether the fields are those of an access log: who connected, to whom, and on which side. The line
// that ztunnel writes of a connection's begin, if told to debug, is none: the one of its end tells all of it.
func (z *Ztunnel) IsAccessLog() bool {
	return z.values[ZtunnelMessage] != "connection opened" && z.values[SourceAddress] != "" && z.values[DestinationAddress] != "" &&
		(z.values[Direction] == "inbound" || z.values[Direction] == "outbound")
}

// Bytes returns the bytes as Envoy counts them, whichever side reported: received from the caller, and sent to it. Each
// is empty if it is not told.
func (z *Ztunnel) Bytes() (received, sent string) {
	if z.values[Direction] == "outbound" {
		return z.values[ZtunnelBytesSent], z.values[ZtunnelBytesReceived]
	}
	return z.values[ZtunnelBytesReceived], z.values[ZtunnelBytesSent]
}

// Milliseconds returns the duration of the connection, which ztunnel writes as "13ms". ok is false if there is none of
// that form, as on a connection that failed early.
func (z *Ztunnel) Milliseconds() (ms float64, ok bool) {
	text, ok := strings.CutSuffix(z.values[ZtunnelDuration], "ms")
	if !ok || text == "" || len(text) > 15 || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return float64(n), err == nil
}

// Start returns when the connection began: ztunnel logs its end, and how long it took. Without a duration it is the time
// of the line. ok is false if there is no time.
func (z *Ztunnel) Start() (time.Time, bool) {
	at, ok := ParseTime(z.values[ZtunnelTime])
	if !ok {
		return time.Time{}, false
	}
	if ms, ok := z.Milliseconds(); ok && ms < 1e10 {
		at = at.Add(-time.Duration(ms) * time.Millisecond)
	}
	return at, true
}

// MutualTLS says whether the identities prove that the connection was mutual TLS. ztunnel names identities on such
// connections only, but the calling side does so before the handshake: there a connection that failed without a byte
// proves nothing.
func (z *Ztunnel) MutualTLS() bool {
	if z.values[SourceIdentity] == "" {
		return false
	}
	if z.values[Direction] == "inbound" {
		return true
	}
	return z.values[DestinationIdentity] != "" && (z.values[ZtunnelError] == "" || isCount(z.values[ZtunnelBytesReceived]))
}

// isCount says whether the text is a number above zero.
func isCount(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == "" && strings.Trim(s, "0") != ""
}

// ParseTime reads the time that Envoy and ztunnel write, "2026-11-01T10:00:00.000Z" (RFC 3339). It does not allocate for
// a time that it accepts.
func ParseTime(s string) (time.Time, bool) {
	if !looksLikeTime(s) {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, err == nil
}

// looksLikeTime tells most other texts apart without the error that the time package would build.
func looksLikeTime(s string) bool {
	return len(s) >= len("2006-01-02T15:04:05Z") && len(s) <= 40 && s[4] == '-' && s[7] == '-' && s[10] == 'T' &&
		isDigit(s[0]) && isDigit(s[3]) && isDigit(s[11])
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// Parse reads a body in any of the formats, into an entry that was reset. A body that is no access log gives
// NotAccessLog without an error; an error says that it looks like one and cannot be read, and then the entry holds
// nothing of use.
func Parse(body string, e *Entry) (Format, error) {
	body = strings.TrimRight(body, "\r\n")
	format := detect(body)
	if format == NotAccessLog {
		return NotAccessLog, nil
	}
	if len(body) > MaxLength {
		return format, ErrTooLong
	}
	switch format {
	case Text:
		return Text, ParseText(body, e)
	case ZtunnelText:
		return ZtunnelText, ParseZtunnel(body, &e.Ztunnel)
	default:
		return ParseJSON(body, e)
	}
}

// detect tells a format by how the body begins, and for JSON by a key that others do not use.
func detect(body string) Format {
	switch {
	case body == "":
		return NotAccessLog
	case body[0] == '[':
		if end := strings.IndexByte(body[:min(len(body), 48)], ']'); end > 0 && looksLikeTime(body[1:end]) &&
			strings.HasPrefix(body[end:], `] "`) {
			return Text
		}
	case body[0] == '{':
		head := body[:min(len(body), MaxLength)]
		if strings.Contains(head, `"upstream_cluster"`) || strings.Contains(head, `"response_flags"`) ||
			strings.Contains(head, `"src.addr"`) {
			return JSON
		}
	case isDigit(body[0]):
		if _, rest, ok := cutSpace(body); ok {
			if _, rest, ok = cutSpace(rest); ok && isZtunnelAccess(rest) {
				return ZtunnelText
			}
		}
	}
	return NotAccessLog
}
