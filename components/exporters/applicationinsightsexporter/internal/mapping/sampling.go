// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

const (
	// everything is the sample rate of what was not sampled, or nobody told.
	everything = 100
	// minRate is the lowest rate that is believed. The service makes a whole number of 31 bits of it, the itemCount, and what
	// is beyond comes from a mistake, or from a caller who wants to spoil the counts.
	minRate = everything / float64(1<<31-1)
)

// spanRate is the percentage of spans of this kind that were kept, above 0 to 100, of which the service makes
// itemCount = 100 / sampleRate. What the attributes say counts first, then the trace state. What cannot be read or
// believed counts as not told.
func (w *walk) spanRate(traceState string, trace pcommon.TraceID) float64 {
	if rate, told := toldRate(&w.attributes); told || traceState == "" {
		return rate
	}
	if probability, ok := probability(traceState, trace); ok {
		return believed(everything * probability)
	}
	return everything
}

// toldRate is what the attributes of a span or record say of it, and whether they do: the configured one first, then that of
// Azure's distributions, then the threshold by which the collector's sampler kept a record.
func toldRate(a *attributes) (rate float64, told bool) {
	if weight, ok := a.decimal(fieldWeight); ok && weight >= 1 {
		return believed(everything / weight), true
	}
	if rate, ok := a.decimal(fieldSampleRate); ok && rate > 0 && rate <= everything {
		return believed(rate), true
	}
	if n, ok := threshold(a.text(fieldThreshold)); ok {
		return believed(everything * kept(n)), true
	}
	return everything, false
}

func believed(rate float64) float64 {
	if rate < minRate {
		return everything
	}
	return rate
}

// probability reads the sampling probability from the ot entry of a trace state: the threshold th of the current
// specification (opentelemetry-specification, trace/tracestate-probability-sampling), or the p value of the former one.
//
// Who samples by a threshold keeps what has at least as much randomness: that of rv, else the last seven bytes of the trace
// id. A trace with less was not kept by it, so the threshold, which a caller may have sent, says nothing of this span.
func probability(traceState string, trace pcommon.TraceID) (float64, bool) {
	entry := traceStateEntry(traceState, "ot")
	var least, random uint64
	var hasLeast, hasRandom bool
	for entry != "" {
		var pair string
		pair, entry, _ = strings.Cut(entry, ";")
		key, value, _ := strings.Cut(pair, ":")
		switch key {
		case "th":
			if least, hasLeast = threshold(value); !hasLeast {
				return 0, false
			}
		case "rv":
			if n, ok := threshold(value); ok && len(value) == thresholdDigits {
				random, hasRandom = n, true
			}
		case "p":
			// r is the randomness; p = n means that one in 2^n was kept, and 63 that none should have been.
			if n, err := strconv.ParseUint(value, 10, 8); err == nil && n < 63 {
				return math.Ldexp(1, -int(n)), true
			}
			return 0, false
		}
	}
	if !hasRandom && !trace.IsEmpty() {
		random, hasRandom = binary.BigEndian.Uint64(trace[8:])&(1<<56-1), true
	}
	if !hasLeast || (hasRandom && random < least) {
		return 0, false
	}
	return kept(least), true
}

// traceStateEntry returns the value of a vendor in a trace state.
func traceStateEntry(traceState, vendor string) string {
	for traceState != "" {
		var member string
		member, traceState, _ = strings.Cut(traceState, ",")
		if key, value, ok := strings.Cut(strings.Trim(member, " \t"), "="); ok && key == vendor {
			return value
		}
	}
	return ""
}

const thresholdDigits = 14

// threshold reads a rejection threshold: 1 to 14 hexadecimal digits in lower case, zeros at the end left out, of 2^56.
func threshold(text string) (n uint64, ok bool) {
	if text == "" || len(text) > thresholdDigits {
		return 0, false
	}
	for i := range len(text) {
		c := text[i]
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | uint64(c-'0')
		case 'a' <= c && c <= 'f':
			n = n<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return n << (4 * (thresholdDigits - len(text))), true
}

// kept is the share of all that has at least that much randomness.
func kept(threshold uint64) float64 { return float64(1<<56-threshold) / (1 << 56) }
