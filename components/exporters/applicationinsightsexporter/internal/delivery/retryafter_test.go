// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestRetryAfterHeader(t *testing.T) {
	const noon = "Mon, 23 Nov 2026 12:00:00 GMT"
	for _, test := range []struct {
		value, date string
		want        time.Duration
	}{
		{"", "", 0},
		{"0", "", 0},
		{"-5", "", 0},
		{" 120 ", "", 2 * time.Minute},
		{"1.5", "", 1500 * time.Millisecond},
		{"1e300", "", endOfTime},
		{"NaN", "", 0},
		{"99999999999999999999999", "", endOfTime},
		{"soon", "", 0},
		{"Mon, 23 Nov 2026 12:01:00 GMT", noon, time.Minute},
		{"Monday, 23-Nov-26 12:01:00 GMT", noon, time.Minute},
		{"Mon Nov 23 12:01:00 2026", noon, time.Minute},
		{"Mon, 23 Nov 2026 11:59:00 GMT", noon, 0},
		{"Mon, 23 Nov 2026 06:00:30 GMT", "", 30 * time.Second},         // by the local clock
		{"Mon, 23 Nov 2026 06:00:30 GMT", "not read", 30 * time.Second}, // as well
		{"Fri, 31 Dec 9999 23:59:59 GMT", noon, endOfTime},
	} {
		header := http.Header{}
		if test.value != "" {
			header.Set("Retry-After", test.value)
		}
		if test.date != "" {
			header.Set("Date", test.date)
		}
		assert.Equal(t, test.want, retryAfter(header, start), "%q at %q", test.value, test.date)
	}
}

func TestMaxAge(t *testing.T) {
	for _, test := range []struct {
		status int
		values []string
		want   time.Duration
	}{
		{307, nil, 0},
		{308, nil, 12 * time.Hour},
		{307, []string{"max-age=60"}, time.Minute},
		{307, []string{"public", `Max-Age="60"`}, time.Minute},
		{308, []string{"no-store, max-age=60"}, 0},
		{308, []string{"no-cache"}, 0},
		{308, []string{"max-age=0"}, 0},
		{308, []string{"max-age=-1"}, 0},
		{308, []string{"max-age=oops"}, 0},
		{307, []string{"max-age=2000000000"}, 24 * time.Hour},
		{307, []string{"private"}, 0},
	} {
		assert.Equal(t, test.want, maxAge(test.status, http.Header{"Cache-Control": test.values}), "%d %q", test.status, test.values)
	}
}
