// SPDX-License-Identifier: Apache-2.0

// Package connection reads the connection strings of Application Insights resources, from the configuration or from a
// file that may change while the collector runs. A key is never part of an error, a note or a text of this package.
package connection

import (
	"fmt"
	"strings"
)

const (
	// DefaultEndpoint takes the items of connection strings that name no endpoint, as in Microsoft's own SDKs.
	DefaultEndpoint = "https://dc.services.visualstudio.com"
	// MaxLength is the longest connection string that is read, in bytes.
	MaxLength = 4096
	// trackPath is where items are posted to, below the ingestion endpoint.
	trackPath = "/v2.1/track"
)

// Info is what a connection string says. It does not change; ask [Source.Current] for the newest one.
type Info struct {
	key       string
	ingestion string
	audience  string
	// named says that the string itself has the audience, and certain that it is known at all and not just the usual one.
	named, certain bool
	region         string
	app            string
	notes          []string
}

// InstrumentationKey is the key that goes into each envelope as iKey. It needs no escaping in JSON. Never log it.
func (i *Info) InstrumentationKey() string { return i.key }

// Endpoint is the base URL of the ingestion endpoint, without a slash at its end.
func (i *Info) Endpoint() string { return i.ingestion }

// TrackURL is where items are posted to.
func (i *Info) TrackURL() string { return i.ingestion + trackPath }

// Location is the region that the string names; empty if it names none.
func (i *Info) Location() string { return i.region }

// ApplicationID is the id of the application; empty if the string names none. It is no secret.
func (i *Info) ApplicationID() string { return i.app }

// Audience is what Entra ID tokens for the endpoint are issued for: AADAudience, else the one of the cloud that the
// endpoint belongs to.
func (i *Info) Audience() string { return i.audience }

// Scope is the scope to ask Entra ID for, made of [Info.Audience].
func (i *Info) Scope() string { return strings.TrimSuffix(i.audience, "/") + scopeEnd }

// Notes are what is odd about the string and no error, one sentence each.
func (i *Info) Notes() []string { return i.notes }

// String names the endpoint and not the key.
func (i *Info) String() string { return i.ingestion }

// GoString names the endpoint and not the key.
func (i *Info) GoString() string { return "connection.Info{" + i.ingestion + "}" }

// Format keeps the key out of every verb.
func (i *Info) Format(f fmt.State, _ rune) { fmt.Fprint(f, i.ingestion) }

// MarshalText keeps the key out of encoders.
func (i *Info) MarshalText() ([]byte, error) { return []byte(i.ingestion), nil }
