// SPDX-License-Identifier: Apache-2.0

// Package attr writes attributes within limits: it leaves out what is empty, cuts what is too long, and counts both
// what it cut and what it had to skip, so that nothing goes missing unseen.
package attr

import (
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Reasons for a part that was left out. They are values of the attribute `reason` of the receiver's own metric
// receiver_envoy_values_skipped.
const (
	// SkipFilterState is a filter state object of a type that has no faithful text form.
	SkipFilterState = "filter_state_type"
	// SkipPeer begins the reasons for peer metadata that cannot be read; package envoy's reason follows.
	SkipPeer = "peer_"
	// SkipPeerField is a field of peer metadata that this version does not know.
	SkipPeerField = "peer_field"
	// SkipMetadata is typed filter metadata of a type that has no faithful text form.
	SkipMetadata = "metadata_type"
	// SkipMapEntries are entries of a map beyond the limit.
	SkipMapEntries = "map_entries"
	// SkipQuantile is a quantile whose value is not a number.
	SkipQuantile = "nan_quantile"
	// SkipSummary is a summary beside a histogram of the same name.
	SkipSummary = "summary_duplicates_histogram"
	// SkipMetric is a metric without a usable value, or of a kind that is not supported.
	SkipMetric = "unsupported_metric"
	// SkipText are bytes that are not UTF-8, in a text that is written without them: one such text would make the
	// exporters refuse all that is sent with it.
	SkipText = "invalid_utf8"
	// SkipLabel is a label without a name.
	SkipLabel = "unnamed_label"
	// SkipExemplar are exemplars; Envoy sends none.
	SkipExemplar = "exemplar"
	// SkipTracking is a cumulative series beyond the limit: its point is written, but with its node's start time, and
	// a reset of it goes unnoticed.
	SkipTracking = "series_not_tracked"
	// SkipBuckets is a histogram whose buckets contradict each other.
	SkipBuckets = "inconsistent_histogram"
)

// Limits are ceilings for what a sender may put in one value or one map.
type Limits struct {
	// MaxValueLength is the longest text value in bytes; at least 1.
	MaxValueLength int
	// MaxMapEntries is how many entries of one map are taken; at least 1.
	MaxMapEntries int
}

// Tally counts what a conversion cut and skipped. The zero value is ready for use.
type Tally struct {
	// Truncated is the number of values that were cut.
	Truncated int64
	// Skipped is the number of parts left out, by reason; nil until there is one.
	Skipped map[string]int64
	// Resets is the number of cumulative series that restarted.
	Resets int64
}

// Skip counts n parts left out for a reason.
func (t *Tally) Skip(reason string, n int) {
	if t.Skipped == nil {
		t.Skipped = make(map[string]int64, 1)
	}
	t.Skipped[reason] += int64(n)
}

// Writer writes to one attribute map. Its methods leave out empty values: an absent attribute says "not told", an
// empty one would say "told to be empty".
type Writer struct {
	Map    pcommon.Map
	Limits Limits
	Tally  *Tally
}

// Str writes a text unless it is empty.
func (w Writer) Str(key, value string) {
	if value != "" {
		w.Map.PutStr(key, w.Cut(value))
	}
}

// Int writes a number unless it is zero, for fields in which zero means "not told".
func (w Writer) Int(key string, value int64) {
	if value != 0 {
		w.Map.PutInt(key, value)
	}
}

// Strs writes a list of one text, as semantic conventions ask for header values, unless it is empty.
func (w Writer) Strs(key, value string) {
	if value != "" {
		w.Map.PutEmptySlice(key).AppendEmpty().SetStr(w.Cut(value))
	}
}

// Cut returns the text, valid UTF-8 and cut at a rune border to the longest length allowed.
func (w Writer) Cut(s string) string {
	if !utf8.ValidString(s) {
		w.Tally.Skip(SkipText, 1)
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if len(s) <= w.Limits.MaxValueLength {
		return s
	}
	w.Tally.Truncated++
	end := w.Limits.MaxValueLength
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
