// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Reason is why there is no token. The README says what to do about each.
type Reason string

// The reasons.
const (
	// ReasonMissingSetting: neither the configuration nor the environment has what the method needs.
	ReasonMissingSetting Reason = "missing_setting"
	// ReasonFile: a file cannot be read, or has not what it should.
	ReasonFile Reason = "file"
	// ReasonCertificate: the certificate is expired, not registered, or has no key.
	ReasonCertificate Reason = "certificate"
	// ReasonAssertionExpired: the federated token is too old, or a clock is wrong.
	ReasonAssertionExpired Reason = "assertion_expired"
	// ReasonInvalidSecret: the client secret is wrong or expired.
	ReasonInvalidSecret Reason = "invalid_secret"
	// ReasonUnknownApplication: the tenant has no such application.
	ReasonUnknownApplication Reason = "unknown_application"
	// ReasonUnknownTenant: there is no such tenant.
	ReasonUnknownTenant Reason = "unknown_tenant"
	// ReasonFederation: no federated credential of the identity matches the token.
	ReasonFederation Reason = "federation"
	// ReasonInvalidScope: there is no such scope in the tenant.
	ReasonInvalidScope Reason = "invalid_scope"
	// ReasonDenied: the identity may not sign in.
	ReasonDenied Reason = "denied"
	// ReasonIdentityNotAssigned: the machine has no such managed identity.
	ReasonIdentityNotAssigned Reason = "identity_not_assigned"
	// ReasonThrottled: too many requests.
	ReasonThrottled Reason = "throttled"
	// ReasonServerError: the other side failed.
	ReasonServerError Reason = "server_error"
	// ReasonTimeout: no answer in time.
	ReasonTimeout Reason = "timeout"
	// ReasonUnreachable: no connection.
	ReasonUnreachable Reason = "unreachable"
	// ReasonUnreadableAnswer: the answer is none of a token endpoint.
	ReasonUnreadableAnswer Reason = "unreadable_answer"
	// ReasonRefused: refused for another reason.
	ReasonRefused Reason = "refused"
)

// Failure says why there is no token. Its text holds no secret. Nothing was sent to an ingestion endpoint.
type Failure struct {
	// Method is how the token was to be had.
	Method Method
	// Reason is the reason, for counting.
	Reason Reason
	// Code is Entra ID's code, such as AADSTS700016; empty if it gave none.
	Code string
	// Status is the HTTP status of the answer; 0 if there was none.
	Status int
	// Message says what is wrong and what to do about it.
	Message string
	// After is how long the other side asks to wait; 0 if it says nothing.
	After time.Duration
	// cause is a context's error, if that is what ended the request.
	cause error
}

// Error implements error.
func (f *Failure) Error() string {
	return "no Entra ID token by '" + string(f.Method) + "': " + f.Message
}

// Unwrap returns the error of the context that ended the request, if one did. It returns nothing else: the errors of
// clients may quote answers at length.
func (f *Failure) Unwrap() error { return f.cause }

// NotSent says that the request which needed the token did not leave this machine.
func (*Failure) NotSent() bool { return true }

// clean makes a text of somebody else fit for one line of a message: without control characters, and not too long.
func clean(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit] + "…"
}
