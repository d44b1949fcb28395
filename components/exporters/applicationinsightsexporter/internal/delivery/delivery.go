// SPDX-License-Identifier: Apache-2.0

// Package delivery posts batches of telemetry items to the Application Insights ingestion endpoint and tells the fate of
// every single item. What it does with each answer is described in delivery.md of the exporter.
package delivery

import (
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/connection"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// Result is the fate of all items of a batch. Every index is in exactly one of these: it counts in Accepted or in
// SampledOut, or it stands in Left or in Dead. So Accepted + SampledOut + len(Left) + len(Dead) is the length of the batch.
type Result struct {
	// Accepted is the number of items that the endpoint said it took.
	Accepted int
	// SampledOut is the number of items that ingestion sampling of the resource dropped: nothing to send again.
	SampledOut int
	// Left are the indexes of the items to send again, ascending.
	Left []int
	// Dead are the items that can never be delivered, ascending by index.
	Dead []Dead
	// Struck are those of Left that failed when they were sent alone, while others passed, ascending. Who sends them again
	// should tell by [items.Batch.Strike]: they are then sent apart, and given up after some time.
	Struck []int
	// Uncertain is how often an item, of those above, was sent with the outcome unknown. If it is sent again, it may be
	// stored once more each time. It is not a fate of its own.
	Uncertain int
	// Err says why items are left, in words for an operator: never with a key or a token. It is nil if and only if Left is
	// empty. Its chain holds a [*Failure].
	Err error
	// Delay is how long to wait at least before the items left are sent again. Zero leaves it to the caller's own back-off.
	Delay time.Duration
	// Answer is the last answer of the endpoint, for people to read. Its Status is zero if there was none.
	Answer Answer
}

// Dead is an item that can never be delivered.
type Dead struct {
	// Index is the position in the batch.
	Index int
	// Reason is one of the Reason constants.
	Reason string
	// Status is the status code the endpoint gave the item, or the request with this item alone. Zero: it was not sent.
	Status int
	// Message is what the endpoint said, or why the item was not sent: at most 1 KiB of readable text without the key.
	Message string
}

// The reasons of a [Dead]: words for dead letters and for counters.
const (
	// ReasonTooOld is an item older than 48 hours by the clock of the endpoint.
	ReasonTooOld = "too_old"
	// ReasonTooLarge is an item over the size limit of the endpoint.
	ReasonTooLarge = "too_large"
	// ReasonNotFinite is a metric point that is NaN or infinite.
	ReasonNotFinite = "not_finite"
	// ReasonInvalid is an item that the endpoint refuses for what stands in it.
	ReasonInvalid = "invalid"
	// ReasonRefused is an item that made requests fail again and again, without a word on why, while others passed.
	ReasonRefused = "refused"
	// ReasonUnreadable is an item that was damaged in the queue.
	ReasonUnreadable = "unreadable"
)

// Cause says why items are left. It is the attribute of the counter of retried items and of a blocked destination, so
// that there are few of them and all are known.
type Cause string

// The causes.
const (
	CauseNetwork       Cause = "network"           // no connection, DNS, TLS, reset, or an answer that broke off
	CauseTimeout       Cause = "timeout"           // no answer in time
	CauseThrottled     Cause = "throttled"         // 429, or a Retry-After beside a success
	CauseQuota         Cause = "quota"             // 402 and 439: the daily cap
	CauseUnavailable   Cause = "unavailable"       // 408 and 5xx
	CauseUnauthorized  Cause = "unauthorized"      // 401
	CauseForbidden     Cause = "forbidden"         // 403
	CauseConfiguration Cause = "configuration"     // 404, an unknown instrumentation key, or no ingestion endpoint at all
	CauseRedirect      Cause = "redirect"          // a redirect that must not be followed, or that goes in circles
	CauseUnreadable    Cause = "unreadable_answer" // an answer that contradicts itself or that nobody can read
	CauseItem          Cause = "item"              // the endpoint asked to send these items of a request again
	CauseCanceled      Cause = "canceled"          // the caller gave up, as at shutdown
	CauseBlocked       Cause = "blocked"           // nothing was sent: the destination is blocked
	CauseUnfinished    Cause = "unfinished"        // the search for a poison item goes on with the next attempt
	CauseInternal      Cause = "internal"          // a fault in the collector itself
)

// Failure is why items are left.
type Failure struct {
	// Destination is the name of the destination.
	Destination string
	Cause       Cause
	// Status is the status code of the answer. Zero: there was none.
	Status int
	// Message is what happened. Hint is what to do about it, or empty.
	Message, Hint string
	// Err is the error below, or nil.
	Err error
}

// Error says what happened and what to do.
func (f *Failure) Error() string {
	text := "destination " + f.Destination + ": " + f.Message
	if f.Hint != "" {
		text += "; " + f.Hint
	}
	return text
}

// Unwrap returns the error below.
func (f *Failure) Unwrap() error { return f.Err }

// Answer is an answer of the endpoint, for people to read.
type Answer struct {
	// Status is the status code.
	Status int
	// Host is where it came from, with the port; after redirects the last one.
	Host string
	// Message is what the endpoint said of the request as a whole, if anything that can be read.
	Message string
	// ServerTime is the clock of the endpoint; zero if it did not tell.
	ServerTime time.Time
	// RetryAfter is how long the endpoint asked to wait, before any cap.
	RetryAfter time.Duration
	// Duration is from the start of the request to the end of the answer.
	Duration time.Duration
}

// Connection tells where to send; [*connection.Source] is one. It is asked before each request, so that a key or an
// endpoint can change at any time.
type Connection interface {
	// Current returns what is to be used now, never nil. It must be fast.
	Current() *connection.Info
}

// Observer is told what a [Sender] does. Its methods are called from the goroutines that call [Sender.Send].
type Observer interface {
	// Request is called once for each request: its status code, zero without an answer, how long it took, and the bytes of
	// its body as sent.
	Request(status int, took time.Duration, bytes int)
	// Accepted, SampledOut and Uncertain count items once a Send, at its end.
	Accepted(kind items.Kind, count int)
	SampledOut(count int)
	Uncertain(count int)
	// Retried counts the items left by their cause.
	Retried(cause Cause, count int)
	// Blocked is called when the destination becomes blocked, or stays so after a probe, for this long, and why.
	Blocked(failure *Failure, delay time.Duration)
	// Opened is called when a request brought something again, with how long the destination was blocked.
	Opened(blocked time.Duration)
	// ClockSkew is called when the clocks of this machine and of the endpoint turn out to differ by more than
	// [Settings.ClockSkew], again when that ends, and when it changes by as much. Positive: the endpoint's is ahead.
	ClockSkew(skew time.Duration)
}

// Ignore is an [Observer] that does nothing.
type Ignore struct{}

// Request does nothing.
func (Ignore) Request(int, time.Duration, int) {}

// Accepted does nothing.
func (Ignore) Accepted(items.Kind, int) {}

// SampledOut does nothing.
func (Ignore) SampledOut(int) {}

// Uncertain does nothing.
func (Ignore) Uncertain(int) {}

// Retried does nothing.
func (Ignore) Retried(Cause, int) {}

// Blocked does nothing.
func (Ignore) Blocked(*Failure, time.Duration) {}

// Opened does nothing.
func (Ignore) Opened(time.Duration) {}

// ClockSkew does nothing.
func (Ignore) ClockSkew(time.Duration) {}
