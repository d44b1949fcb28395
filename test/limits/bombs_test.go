// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"slices"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// bomb is a request that no honest sender makes.
type bomb struct {
	name, method, path string
	body               []byte
	json               bool
}

const (
	wireVarint = 0
	wireLen    = 2
)

// wrapped puts a message into the fields of path, from the inside out.
func wrapped(body []byte, path ...byte) []byte {
	for _, number := range path {
		head := []byte{number<<3 | wireLen}
		n := len(body)
		for ; n >= 0x80; n >>= 7 {
			head = append(head, byte(n)|0x80)
		}
		body = append(append(head, byte(n)), body...)
	}
	return body
}

// room is what the fields around the parts of a bomb may take.
const room = 256

// many repeats a part until it is about as long as a request may be.
func many(size int, part []byte) []byte { return bytes.Repeat(part, (size-room)/len(part)) }

// empties are as many empty messages of a field as fit, in the fields of path.
func empties(size int, path ...byte) []byte {
	return wrapped(many(size, []byte{path[0]<<3 | wireLen, 0}), path[1:]...)
}

// nested puts values into each other, as deep as a request is long: fields are those between one value and the next, from
// the outside in.
func nested(size int, fields ...byte) []byte {
	body := make([]byte, size-room)
	at := len(body)
	for at > room {
		for _, field := range slices.Backward(fields) {
			n := len(body) - at
			var length []byte
			for ; n >= 0x80; n >>= 7 {
				length = append(length, byte(n)|0x80)
			}
			length = append(length, byte(n))
			at -= len(length)
			copy(body[at:], length)
			at--
			body[at] = field<<3 | wireLen
		}
	}
	return body[at:]
}

// protoBombs are requests in protobuf of about a size, all of which must be refused.
func protoBombs(size int) []bomb {
	text := func(n int) []byte { return bytes.Repeat([]byte("x"), n) }
	var out []bomb
	add := func(name, signal string, body []byte) {
		method, path := tracesMethod, "/v1/traces"
		switch signal {
		case "logs":
			method, path = logsMethod, "/v1/logs"
		case "metrics":
			method, path = metricsMethod, "/v1/metrics"
		}
		out = append(out, bomb{name: name, method: method, path: path, body: body})
	}
	add("empty resources", "traces", empties(size, 1))
	add("empty scopes", "logs", empties(size, 2, 1))
	add("empty spans", "traces", empties(size, 2, 2, 1))
	add("empty events", "traces", empties(size, 11, 2, 2, 1))
	add("empty links", "traces", empties(size, 13, 2, 2, 1))
	add("empty attributes", "traces", empties(size, 9, 2, 2, 1))
	add("attributes of a resource", "logs", empties(size, 1, 1, 1))
	add("entities", "traces", empties(size, 3, 1, 1))
	add("empty log records", "logs", empties(size, 2, 2, 1))
	add("values of an array", "logs", empties(size, 1, 5, 5, 2, 2, 1))
	add("values of a list", "logs", empties(size, 1, 6, 5, 2, 2, 1))
	add("spans of small attributes", "traces", wrapped(many(size, wrapped(bytes.Repeat([]byte{9<<3 | wireLen, 0}, 60), 2)), 2, 1))
	add("empty metrics", "metrics", empties(size, 2, 2, 1))
	add("empty points", "metrics", empties(size, 1, 5, 2, 2, 1))
	add("empty histograms", "metrics", empties(size, 1, 9, 2, 2, 1))
	add("empty exponential histograms", "metrics", empties(size, 1, 10, 2, 2, 1))
	add("empty exemplars", "metrics", empties(size, 5, 1, 5, 2, 2, 1))
	add("quantiles", "metrics", empties(size, 6, 1, 11, 2, 2, 1))
	add("packed buckets", "metrics", wrapped(make([]byte, size-room), 6, 1, 9, 2, 2, 1))
	add("packed small buckets", "metrics", wrapped(make([]byte, size-room), 2, 8, 1, 10, 2, 2, 1))
	add("buckets one by one", "metrics", wrapped(many(size, []byte{2<<3 | wireVarint, 1}), 8, 1, 10, 2, 2, 1))
	add("arrays in arrays", "logs", wrapped(nested(size, 5, 1), 5, 2, 2, 1))
	add("lists in lists", "logs", wrapped(nested(size, 6, 1, 2), 5, 2, 2, 1))
	add("a long text", "logs", wrapped(wrapped(text(size-room), 1), 5, 2, 2, 1))
	add("a long key", "traces", wrapped(wrapped(text(size-room), 1), 9, 2, 2, 1))
	add("a long name", "traces", wrapped(wrapped(text(size-room), 5), 2, 2, 1))
	add("groups in groups", "traces", bytes.Repeat([]byte{7<<3 | 3}, size-room))
	add("zeros", "traces", make([]byte, size))
	add("noise at the end", "traces", append(bytes.Repeat(wrapped(wrapped(text(300), 5), 2, 2, 1), size/350), 0xff))
	return out
}

// jsonBombs are the same in JSON.
func jsonBombs(size int) []bomb {
	var out []bomb
	add := func(name, path, head, part, tail string) {
		body := head + strings.TrimSuffix(strings.Repeat(part, (size-room-len(head)-len(tail))/len(part)), ",") + tail
		out = append(out, bomb{name: "json: " + name, path: path, body: []byte(body), json: true})
	}
	spans, records := `{"resourceSpans":[{"scopeSpans":[{"spans":[`, `{"resourceLogs":[{"scopeLogs":[{"logRecords":[`
	points := `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"exponentialHistogram":{"dataPoints":[`
	add("empty resources", "/v1/traces", `{"resourceSpans":[`, `{},`, `]}`)
	add("empty spans", "/v1/traces", spans, `{},`, `]}]}]}`)
	add("empty links", "/v1/traces", spans+`{"links":[`, `{},`, `]}]}]}]}`)
	add("empty attributes", "/v1/traces", spans+`{"attributes":[`, `{},`, `]}]}]}]}`)
	add("empty log records", "/v1/logs", records, `{},`, `]}]}]}`)
	add("values of an array", "/v1/logs", records+`{"body":{"arrayValue":{"values":[`, `{},`, `]}}}]}]}]}`)
	add("empty points", "/v1/metrics", points, `{},`, `]}}]}]}]}`)
	add("buckets", "/v1/metrics", points+`{"positive":{"bucketCounts":[`, `1,`, `]}}]}}]}]}]}`)
	add("arrays in arrays", "/v1/logs", records+`{"body":`, `{"arrayValue":{"values":[`, ``)
	add("unknown arrays in arrays", "/v1/logs", `{"x":`, `[`, ``)
	add("unknown objects in objects", "/v1/logs", `{"x":`, `{"x":`, ``)
	add("a long text", "/v1/logs", records+`{"body":{"stringValue":"`, `x`, `"}}]}]}]}`)
	add("escapes", "/v1/logs", records+`{"body":{"stringValue":"`, `\u0000`, `"}}]}]}]}`)
	add("a long number", "/v1/metrics", points+`{"count":`, `1`, `}]}}]}]}]}`)
	add("white space", "/v1/traces", `{"resourceSpans":[`, ` `, `{]}`)
	return out
}

// packGRPC compresses for an encoding of gRPC, where snappy is the framed one.
func packGRPC(t testing.TB, encoding string, body []byte) []byte {
	if encoding == "snappy" {
		encoding = "x-snappy-framed"
	}
	return pack(t, encoding, body)
}

// pack compresses for a content encoding of HTTP.
func pack(t testing.TB, encoding string, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	switch encoding {
	case "gzip":
		w := gzip.NewWriter(&b)
		_, err := w.Write(body)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	case "zlib", "deflate":
		w := zlib.NewWriter(&b)
		_, err := w.Write(body)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	case "snappy":
		b.Write(snappy.Encode(nil, body))
	case "x-snappy-framed":
		w := snappy.NewBufferedWriter(&b)
		_, err := w.Write(body)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	case "zstd":
		w, err := zstd.NewWriter(&b)
		require.NoError(t, err)
		_, err = w.Write(body)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	default:
		return body
	}
	return b.Bytes()
}

// TestBombsAreRequests keeps the bombs from being refused for a slip of their own: pdata takes those that are within its
// reach, so that it is the limits that refuse them.
func TestBombsAreRequests(t *testing.T) {
	malformed := map[string]bool{
		"groups in groups": true, "zeros": true, "noise at the end": true, "json: arrays in arrays": true,
		"json: unknown arrays in arrays": true, "json: unknown objects in objects": true, "json: a long number": true,
		"json: white space": true,
	}
	deep := map[string]bool{"arrays in arrays": true, "lists in lists": true} // decoding them takes too much of the stack
	const size = 128 << 10
	for _, b := range append(protoBombs(size), jsonBombs(size)...) {
		require.LessOrEqual(t, len(b.body), size, b.name)
		require.Greater(t, len(b.body), size*3/4, b.name)
		if deep[b.name] {
			continue
		}
		var r interface {
			UnmarshalProto([]byte) error
			UnmarshalJSON([]byte) error
		}
		switch b.path {
		case "/v1/traces":
			r = ptraceotlp.NewExportRequest()
		case "/v1/logs":
			r = plogotlp.NewExportRequest()
		default:
			r = pmetricotlp.NewExportRequest()
		}
		var err error
		if b.json {
			err = r.UnmarshalJSON(b.body)
		} else {
			err = r.UnmarshalProto(b.body)
		}
		require.Equal(t, malformed[b.name], err != nil, "%s: %v", b.name, err)
	}
}
