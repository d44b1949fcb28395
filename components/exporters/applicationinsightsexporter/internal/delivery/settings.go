// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// Settings describe a [Destination]. Client and Connection are required; a zero elsewhere stands for the default.
type Settings struct {
	// Name is the name of the destination in errors.
	Name string
	// Client posts the bodies. Its redirect policy is not used: a copy of it follows redirects by its own rules. What its
	// transport adds to a request, as the token of an authenticator, goes only to hosts that those rules allow.
	Client *http.Client
	// Connection tells the endpoint and the instrumentation key.
	Connection Connection
	// Authenticated says that the client adds tokens of Microsoft Entra ID. It only makes the hints for 401 and 403 right.
	Authenticated bool
	// UserAgent is sent with each request. Default "otelcol-mesh".
	UserAgent string

	// MaxItems is the number of items in one body, 1 to 64 000. Default 10 000.
	MaxItems int
	// MaxBodyBytes is the size of one body before compression, from 64 KiB to 64 MiB. Default 2 MiB. An item is never cut.
	MaxBodyBytes int
	// CompressionLevel is a level of gzip from 1 (fastest) to 9 (smallest). Default 1.
	CompressionLevel int
	// Timeout bounds one request from its start to the end of its answer, beside the context. Default 30 s.
	Timeout time.Duration

	// MaxRetryAfter caps what the endpoint asks to wait. Default 1 h: then one small probe asks again.
	MaxRetryAfter time.Duration
	// QuotaDelay is the wait after 402 and 439 without a Retry-After: the daily cap is reset once a day, at an hour that
	// the answer does not tell. Default 5 min.
	QuotaDelay time.Duration
	// HoldDelay is the wait after what somebody must mend: 404, an unknown key, a foreign endpoint. It ends at once when
	// the connection changes. Default 5 min.
	HoldDelay time.Duration
	// MinBackoff and MaxBackoff bound the wait after other failures of the destination, which doubles from one to the
	// other. Defaults 1 s and 30 s.
	MinBackoff, MaxBackoff time.Duration
	// ClockSkew is the difference of the clocks from which on it is reported. Default 5 min.
	ClockSkew time.Duration

	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Random returns numbers from 0 up to 1, which spread the waits. Default math/rand.
	Random func() float64
}

// Bounds of the settings.
const (
	minBodyBytes = ai.MaxItemBytes
	maxBodyBytes = 64 << 20
)

func (s Settings) withDefaults() Settings {
	if s.Name == "" {
		s.Name = "default"
	}
	if s.UserAgent == "" {
		s.UserAgent = "otelcol-mesh"
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Random == nil {
		s.Random = rand.Float64
	}
	orDefault(&s.MaxItems, 10_000)
	orDefault(&s.MaxBodyBytes, 2<<20)
	orDefault(&s.CompressionLevel, 1)
	orDefault(&s.Timeout, 30*time.Second)
	orDefault(&s.MaxRetryAfter, time.Hour)
	orDefault(&s.QuotaDelay, 5*time.Minute)
	orDefault(&s.HoldDelay, 5*time.Minute)
	orDefault(&s.MinBackoff, time.Second)
	orDefault(&s.MaxBackoff, 30*time.Second)
	orDefault(&s.ClockSkew, 5*time.Minute)
	return s
}

func orDefault[T int | time.Duration](value *T, fallback T) {
	if *value == 0 {
		*value = fallback
	}
}

// Validate returns an error for each setting that is out of range, naming the field and what to write.
func (s Settings) Validate() error {
	s = s.withDefaults()
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(s.Client != nil, "Client is missing")
	check(s.Connection != nil, "Connection is missing")
	check(s.MaxItems >= 1 && s.MaxItems <= ai.MaxItemsPerRequest, "MaxItems %d: write 1 to %d", s.MaxItems, ai.MaxItemsPerRequest)
	check(s.MaxBodyBytes >= minBodyBytes && s.MaxBodyBytes <= maxBodyBytes, "MaxBodyBytes %d: write %d to %d", s.MaxBodyBytes, minBodyBytes, maxBodyBytes)
	check(s.CompressionLevel >= 1 && s.CompressionLevel <= 9, "CompressionLevel %d: write 1 to 9", s.CompressionLevel)
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"Timeout", s.Timeout},
		{"MaxRetryAfter", s.MaxRetryAfter},
		{"QuotaDelay", s.QuotaDelay},
		{"HoldDelay", s.HoldDelay},
		{"MinBackoff", s.MinBackoff},
		{"ClockSkew", s.ClockSkew},
	} {
		check(d.value > 0, "%s %s: write a positive duration", d.name, d.value)
	}
	check(s.MaxBackoff >= s.MinBackoff, "MaxBackoff %s: write at least MinBackoff, %s", s.MaxBackoff, s.MinBackoff)
	return errors.Join(errs...)
}
