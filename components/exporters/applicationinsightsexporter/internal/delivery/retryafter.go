// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// endOfTime keeps what a header asks for within what a duration can hold.
const endOfTime = 10 * 365 * 24 * time.Hour

// retryAfter reads the header Retry-After (RFC 9110, section 10.2.3): seconds, or a date, which is relative to the Date
// of the same answer, so that the local clock does not matter. It returns 0 for what is absent, past or not readable.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseFloat(value, 64); err == nil {
		switch {
		case !(seconds > 0): // NaN as well
			return 0
		case seconds > endOfTime.Seconds():
			return endOfTime
		default:
			return time.Duration(seconds * float64(time.Second))
		}
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if server, ok := serverDate(header); ok {
		now = server
	}
	return min(max(0, at.Sub(now)), endOfTime)
}

// serverDate reads the header Date.
func serverDate(header http.Header) (time.Time, bool) {
	value := header.Get("Date")
	if value == "" {
		return time.Time{}, false
	}
	at, err := http.ParseTime(value)
	return at, err == nil
}

// maxAge reads how long a redirect may be kept (RFC 9111). Without a word on it, a permanent one is kept for 12 hours and
// a temporary one for this request. At most a day.
func maxAge(status int, header http.Header) time.Duration {
	const longest = 24 * time.Hour
	for _, line := range header.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			switch strings.ToLower(name) {
			case "no-store", "no-cache":
				return 0
			case "max-age":
				seconds, err := strconv.ParseUint(strings.Trim(value, `" `), 10, 31)
				if err != nil {
					return 0
				}
				return min(time.Duration(seconds)*time.Second, longest)
			}
		}
	}
	if status == http.StatusPermanentRedirect {
		return longest / 2
	}
	return 0
}
