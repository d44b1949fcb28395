// SPDX-License-Identifier: Apache-2.0

// Package ingestiontest is a local stand-in for the Application Insights
// ingestion endpoint. It judges each telemetry item as the service does,
// records what it accepted, and misbehaves on demand.
//
// Tests start one with [Start], point an exporter at
// [Server.ConnectionString], and ask [Endpoint.Items], [Endpoint.Count] and
// [Endpoint.Wait]. The appinsights command of the demo serves the same endpoint
// with its HTTP API.
package ingestiontest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// LengthMode says what happens to a text that is longer than its limit.
type LengthMode string

const (
	// TruncateLong cuts the text and accepts the item, as the service does with
	// most fields. It is the default.
	TruncateLong LengthMode = "truncate"
	// RejectLong refuses the item, to catch an exporter that does not cut.
	RejectLong LengthMode = "reject"
)

// AuthMode says what the endpoint wants to see in the Authorization header.
type AuthMode string

const (
	// AuthNone asks for no token. It is the default.
	AuthNone AuthMode = "none"
	// AuthRequire answers 401 without a bearer token, and 403 to a token that
	// is not in [Auth.Tokens].
	AuthRequire AuthMode = "require"
	// AuthUnauthorized answers 401 to everything, as for an expired token.
	AuthUnauthorized AuthMode = "unauthorized"
	// AuthForbidden answers 403 to everything, as for an identity without the
	// role Monitoring Metrics Publisher.
	AuthForbidden AuthMode = "forbidden"
)

// Auth configures Microsoft Entra authentication of track requests.
type Auth struct {
	Mode AuthMode
	// Tokens are the accepted bearer tokens of [AuthRequire]. Empty means any.
	Tokens []string
}

// Config configures an [Endpoint]. The zero value is ready for use.
type Config struct {
	// InstrumentationKeys are the known keys. Empty means that any key that is
	// not empty is known.
	InstrumentationKeys []string
	// Lengths says what happens to long texts. Empty means [TruncateLong].
	Lengths LengthMode
	// Auth asks for bearer tokens.
	Auth Auth
	// MaxBodyBytes limits a request body, both as sent and decompressed; a
	// larger one gets 413. The service publishes no such limit. Zero means
	// 64 MiB.
	MaxBodyBytes int64
	// MaxRequestItems, when positive, limits the items of one request; more get
	// 413. The 64 000 of the service, which get 400, hold anyway.
	MaxRequestItems int
	// Ledger is how items are told apart by a number of their own. See
	// [Endpoint.Ledger].
	Ledger []Marker
	// Light takes items without looking into them but for their size and the
	// numbers of Ledger, and keeps none: for loads of many thousand items a
	// second. The summary then has counts and no labels, and times, keys and
	// required fields are not judged.
	Light bool
	// OTLP configures the paths of native OTLP ingestion.
	OTLP OTLP
	// TLS, when not nil, makes [Listen] serve HTTPS with this certificate. See
	// [Server.SetCertificate].
	TLS *tls.Certificate
	// MaxItems and MaxItemBytes limit the items that are kept, by number and by
	// the sum of their sizes as JSON; the oldest make room. Zero means 100 000
	// and 256 MiB. Counts stay exact.
	MaxItems     int
	MaxItemBytes int64
	// MaxGroups limits the distinct sets of labels that are counted apart, and
	// likewise the edges; further ones count under [Overflow]. Zero means 10 000.
	MaxGroups int
	// MaxRequests limits the request records that are kept. Zero means 10 000.
	MaxRequests int
	// Now is the clock of the endpoint: the age of items is judged by it, and it
	// is told in the header Date. Nil means [time.Now]. See [Endpoint.SetClock].
	Now func() time.Time
}

// Overflow is the label that stands for all label sets beyond
// [Config.MaxGroups].
const Overflow = "(other)"

func (c Config) withDefaults() (Config, error) {
	if c.Lengths == "" {
		c.Lengths = TruncateLong
	}
	if c.Auth.Mode == "" {
		c.Auth.Mode = AuthNone
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.MaxBodyBytes = orDefault(c.MaxBodyBytes, 64<<20)
	c.MaxItems = orDefault(c.MaxItems, 100_000)
	c.MaxItemBytes = orDefault(c.MaxItemBytes, 256<<20)
	c.MaxGroups = orDefault(c.MaxGroups, 10_000)
	c.MaxRequests = orDefault(c.MaxRequests, 10_000)
	return c, c.validate()
}

func (c Config) validate() error {
	var errs []error
	if c.Lengths != TruncateLong && c.Lengths != RejectLong {
		errs = append(errs, fmt.Errorf("length mode %q: write truncate or reject", c.Lengths))
	}
	switch c.Auth.Mode {
	case AuthNone, AuthRequire, AuthUnauthorized, AuthForbidden:
	default:
		errs = append(errs, fmt.Errorf("auth mode %q: write none, require, unauthorized or forbidden", c.Auth.Mode))
	}
	if c.MaxBodyBytes < 0 || c.MaxItems < 0 || c.MaxItemBytes < 0 || c.MaxGroups < 0 || c.MaxRequests < 0 || c.MaxRequestItems < 0 || c.OTLP.MaxBodyBytes < 0 {
		errs = append(errs, errors.New("a limit is negative: write 0 for the default"))
	}
	for _, m := range c.Ledger {
		if m.Name == "" || m.Prefix == "" {
			errs = append(errs, fmt.Errorf("ledger marker %+v: write a name and a prefix", m))
		}
	}
	return errors.Join(append(errs, c.OTLP.validate())...)
}

func orDefault[T int | int64](value, fallback T) T {
	if value == 0 {
		return fallback
	}
	return value
}

// DefaultInstrumentationKey is the key in [Server.ConnectionString] when the
// configuration names none.
const DefaultInstrumentationKey = "00000000-0000-0000-0000-000000000000"
