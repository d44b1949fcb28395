// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"math"
	"strconv"
	"strings"
)

// everything is the sample rate of what was not sampled, or nobody told.
const everything = 100

// sampleRate is the percentage of spans or records of this kind that were kept, above 0 to 100, of which the service
// makes itemCount = 100 / sampleRate. The configured attribute counts first, then that of Azure's distributions, then the
// trace state. What cannot be read counts as not told.
func sampleRate(a *attributes, traceState string) float64 {
	if weight, ok := a.decimal(fieldWeight); ok && weight >= 1 {
		return everything / weight
	}
	if rate, ok := a.decimal(fieldSampleRate); ok && rate > 0 && rate <= everything {
		return rate
	}
	if traceState != "" {
		if probability, ok := probability(traceState); ok {
			return everything * probability
		}
	}
	return everything
}

// probability reads the sampling probability from the ot entry of a trace state: the threshold th of the current
// specification (opentelemetry-specification, trace/tracestate-probability-sampling), or the p value of the former one.
func probability(traceState string) (float64, bool) {
	entry := traceStateEntry(traceState, "ot")
	for entry != "" {
		var pair string
		pair, entry, _ = strings.Cut(entry, ";")
		key, value, _ := strings.Cut(pair, ":")
		switch key {
		case "th":
			return thresholdProbability(value)
		case "p":
			// r is the randomness; p = n means that one in 2^n was kept, and 63 that none should have been.
			if n, err := strconv.ParseUint(value, 10, 8); err == nil && n < 63 {
				return math.Ldexp(1, -int(n)), true
			}
			return 0, false
		}
	}
	return 0, false
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

// thresholdProbability reads a rejection threshold: up to 14 hexadecimal digits, zeros at the end left out, of 2^56.
func thresholdProbability(threshold string) (float64, bool) {
	const digits = 14
	if threshold == "" || len(threshold) > digits {
		return 0, false
	}
	n, err := strconv.ParseUint(threshold, 16, 64)
	if err != nil || threshold[0] == '+' {
		return 0, false
	}
	n <<= 4 * (digits - len(threshold))
	return float64(1<<56-n) / (1 << 56), true
}
