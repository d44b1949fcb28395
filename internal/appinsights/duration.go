// SPDX-License-Identifier: Apache-2.0

package appinsights

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Duration is an elapsed time in the form of the swagger's duration fields:
// DD.HH:MM:SS.MMMMMM, below [MaxDuration].
type Duration time.Duration

// MarshalJSON writes the duration as [FormatDuration] does. It never fails.
func (d Duration) MarshalJSON() ([]byte, error) {
	return []byte(`"` + FormatDuration(time.Duration(d)) + `"`), nil
}

// UnmarshalJSON reads a JSON string as [ParseDuration] does.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	parsed, err := ParseDuration(s)
	if err != nil {
		return err
	}
	*d = Duration(parsed)
	return nil
}

// FormatDuration writes d as DD.HH:MM:SS.MMMMMM, cut to microseconds. The
// service refuses an item whose duration is out of range, so a negative d (a
// clock that ran backwards) is written as zero and d from [MaxDuration] on as
// the largest value below it.
func FormatDuration(d time.Duration) string {
	d = min(max(d, 0), MaxDuration-time.Microsecond)
	days := d / (24 * time.Hour)
	hours := d / time.Hour % 24
	minutes := d / time.Minute % 60
	seconds := d / time.Second % 60
	micros := d / time.Microsecond % 1e6
	return fmt.Sprintf("%02d.%02d:%02d:%02d.%06d", days, hours, minutes, seconds, micros)
}

// ParseDuration reads [D.]H:M:S[.F]: one to three digits of days, one or two
// of hours, minutes and seconds, one to nine of the fraction. Hours go to 23,
// minutes and seconds to 59. The days and the fraction may be absent; clients
// write six or seven digits of fraction. Anything else is an error.
func ParseDuration(s string) (time.Duration, error) {
	clock := strings.SplitN(s, ":", 3)
	if len(clock) != 3 {
		return 0, durationError(s)
	}
	dayText, hourText, hasDays := strings.Cut(clock[0], ".")
	if !hasDays {
		dayText, hourText = "0", clock[0]
	}
	secondText, fractionText, hasFraction := strings.Cut(clock[2], ".")
	if !hasFraction {
		fractionText = "0"
	}
	days, ok1 := digits(dayText, 3, 999)
	hours, ok2 := digits(hourText, 2, 23)
	minutes, ok3 := digits(clock[1], 2, 59)
	seconds, ok4 := digits(secondText, 2, 59)
	fraction, ok5 := digits(fractionText, 9, 999_999_999)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 {
		return 0, durationError(s)
	}
	for range 9 - len(fractionText) {
		fraction *= 10
	}
	return time.Duration(days)*24*time.Hour + time.Duration(hours)*time.Hour +
		time.Duration(minutes)*time.Minute + time.Duration(seconds)*time.Second +
		time.Duration(fraction), nil
}

func durationError(s string) error {
	return fmt.Errorf("%q is not a duration DD.HH:MM:SS.MMMMMM", s)
}

// digits reads one to width decimal digits that name at most limit.
func digits(s string, width int, limit int64) (int64, bool) {
	if s == "" || len(s) > width {
		return 0, false
	}
	var n int64
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, n <= limit
}
