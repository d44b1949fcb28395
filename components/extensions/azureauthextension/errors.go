// SPDX-License-Identifier: Apache-2.0

package azureauthextension

import (
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/azureauthextension/credential"
)

// Why requests are not sent, as in the metric.
const (
	refusedDomain  = "domain"
	refusedScheme  = "scheme"
	refusedNoToken = "no_token"
)

// RefusedError says that a request was not sent, since the token may not go there.
type RefusedError struct {
	// Host is where the request was going.
	Host string
	// Refusal is the rule: domain or scheme.
	Refusal string
	message string
}

// Error implements error.
func (e *RefusedError) Error() string { return "request not sent: " + e.message }

// NotSent says that the request did not leave this machine.
func (*RefusedError) NotSent() bool { return true }

// NoTokenError says that a request was not sent, since there is no token. It wraps a [*credential.Failure] if the last
// request for a token failed.
type NoTokenError struct{ err error }

// Error implements error.
func (e *NoTokenError) Error() string { return "request not sent: " + e.err.Error() }

// Unwrap returns why there is no token.
func (e *NoTokenError) Unwrap() error { return e.err }

// NotSent says that the request did not leave this machine.
func (*NoTokenError) NotSent() bool { return true }

// RejectedError stands for the answer of an endpoint that did not take the token, with 'retry_rejected'.
type RejectedError struct {
	// Status is 401 or 403.
	Status int
	// Host is the endpoint's.
	Host string
	// Identity is who the token is for.
	Identity credential.Identity
}

// Error implements error.
func (e *RejectedError) Error() string { return credential.Hint(e.Status, e.Host, e.Identity) }
