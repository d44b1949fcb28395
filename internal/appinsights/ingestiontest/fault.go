// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// FaultKind names a way to misbehave.
type FaultKind string

// The kinds of fault.
const (
	// FaultStatus answers with [Fault.Status].
	FaultStatus FaultKind = "status"
	// FaultRedirect answers with [Fault.Status], 307 or 308 (0 means 307), and
	// [Fault.Location].
	FaultRedirect FaultKind = "redirect"
	// FaultHang leaves the request without an answer until the client gives up
	// or the endpoint closes. With [Fault.Drip] the answer begins, and then
	// comes one byte at a time without an end.
	FaultHang FaultKind = "hang"
	// FaultClose closes the connection instead of answering.
	FaultClose FaultKind = "close"
	// FaultTruncate judges and stores as usual, then cuts the JSON of the answer
	// in half under [Fault.Status] (0 means 206).
	FaultTruncate FaultKind = "truncate"
	// FaultBadIndex judges and stores as usual, then answers 206 with item
	// errors at [Fault.Indexes] (empty means one past the last item, and -1),
	// each with [Fault.ItemStatus] (0 means 500), as if so many items fewer had
	// been accepted.
	FaultBadIndex FaultKind = "bad_index"
	// FaultItems answers [Fault.Status] (0 means 206) and refuses the items at [Fault.Indexes] (empty
	// means all) with [Fault.ItemStatus] (0 means 500); the others are judged as
	// usual. Item status 206 stands for ingestion sampling.
	FaultItems FaultKind = "items"
	// FaultDelay only waits for [Fault.Delay]; all is as usual after that.
	FaultDelay FaultKind = "delay"
	// FaultBody judges and stores as usual, then answers [Fault.Status] (0 means
	// 206) with [Fault.Body] instead of the JSON.
	FaultBody FaultKind = "body"
	// FaultSlow judges and stores as usual, then answers one byte at a time with
	// [Fault.Drip] between two. The answer is right, and it ends.
	FaultSlow FaultKind = "slow"
	// FaultPoison refuses each item whose JSON contains [Fault.Match], with
	// [Fault.ItemStatus] (0 means 400); the others are judged as usual. With
	// [Fault.Whole] a request that holds such an item is answered 400 as a whole,
	// without a word on which item it was, and requests without one pass.
	FaultPoison FaultKind = "poison"
)

// Forever, as [Fault.Times], keeps a fault until the faults are cleared.
const Forever = -1

// Fault is one scripted misbehavior. Faults form a queue: each track request
// meets the first one, which leaves after [Fault.Times] requests.
type Fault struct {
	Kind FaultKind `json:"kind"`
	// Times is how many requests meet the fault. Zero means 1; [Forever] means
	// all that follow.
	Times int `json:"times,omitempty"`
	// For, when positive, keeps the fault for so long, from when it becomes the
	// first of the queue, instead of a number of times: write no Times with it.
	For time.Duration `json:"-"`
	// Status is the status of the answer, 200 to 599.
	Status int `json:"status,omitempty"`
	// RetryAfter, when positive, is sent in the header Retry-After: as whole
	// seconds, rounded up, or as a date with RetryAfterDate.
	RetryAfter     time.Duration `json:"-"`
	RetryAfterDate bool          `json:"retry_after_date,omitempty"`
	// Location is the target of a redirect, a whole URL.
	Location string `json:"location,omitempty"`
	// MaxAge, when positive, is sent with a redirect in Cache-Control.
	MaxAge time.Duration `json:"-"`
	// Delay is waited for before anything else, with every kind.
	Delay time.Duration `json:"-"`
	// Drip is the pause between two bytes of a hanging answer.
	Drip time.Duration `json:"-"`
	// Store judges and stores the items before a status, redirect, hang or close
	// that the client takes for a failure: it will send them again.
	Store bool `json:"store,omitempty"`
	// Indexes are the positions of items in the request.
	Indexes []int `json:"indexes,omitempty"`
	// ItemStatus and ItemMessage stand in the item errors. An empty message
	// means one that fits the status.
	ItemStatus  int    `json:"item_status,omitempty"`
	ItemMessage string `json:"item_message,omitempty"`
	// Body is the answer of [FaultBody].
	Body string `json:"body,omitempty"`
	// Match is what [FaultPoison] looks for in the JSON of an item.
	Match string `json:"match,omitempty"`
	// Whole makes [FaultPoison] refuse the request and not the item.
	Whole bool `json:"whole,omitempty"`

	until time.Time // when a fault with For ends; zero until it is first
}

type plainFault Fault

// faultDurations are the durations of a fault as text, such as "1.5s".
type faultDurations struct {
	RetryAfter string `json:"retry_after,omitempty"`
	MaxAge     string `json:"max_age,omitempty"`
	Delay      string `json:"delay,omitempty"`
	Drip       string `json:"drip,omitempty"`
	For        string `json:"for,omitempty"`
}

// MarshalJSON writes durations as text, such as "1.5s".
func (f Fault) MarshalJSON() ([]byte, error) {
	text := func(d time.Duration) string {
		if d == 0 {
			return ""
		}
		return d.String()
	}
	return json.Marshal(struct {
		plainFault
		faultDurations
	}{plainFault(f), faultDurations{text(f.RetryAfter), text(f.MaxAge), text(f.Delay), text(f.Drip), text(f.For)}})
}

// UnmarshalJSON reads durations as text, such as "1.5s".
func (f *Fault) UnmarshalJSON(b []byte) error {
	var raw struct {
		plainFault
		faultDurations
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	*f = Fault(raw.plainFault)
	for _, field := range []struct {
		name, text string
		value      *time.Duration
	}{
		{"retry_after", raw.faultDurations.RetryAfter, &f.RetryAfter},
		{"max_age", raw.faultDurations.MaxAge, &f.MaxAge},
		{"delay", raw.faultDurations.Delay, &f.Delay},
		{"drip", raw.faultDurations.Drip, &f.Drip},
		{"for", raw.faultDurations.For, &f.For},
	} {
		if field.text == "" {
			continue
		}
		d, err := time.ParseDuration(field.text)
		if err != nil {
			return fmt.Errorf("%s: %w", field.name, err)
		}
		*field.value = d
	}
	return nil
}

// Validate returns an error that names the field and what to write there.
func (f Fault) Validate() error {
	var errs []error
	if f.Times < Forever {
		errs = append(errs, fmt.Errorf("times %d: write a positive number, or -1 for ever", f.Times))
	}
	if f.For > 0 && f.Times != 0 {
		errs = append(errs, errors.New("times and for: write one of them"))
	}
	if f.RetryAfter < 0 || f.MaxAge < 0 || f.Delay < 0 || f.Drip < 0 || f.For < 0 {
		errs = append(errs, errors.New("a duration is negative: write 0 or more"))
	}
	switch f.Kind {
	case FaultStatus:
		if f.Status < 200 || f.Status > 599 {
			errs = append(errs, fmt.Errorf("status %d: write 200 to 599", f.Status))
		}
	case FaultRedirect:
		if f.Status != 0 && f.Status != http.StatusTemporaryRedirect && f.Status != http.StatusPermanentRedirect {
			errs = append(errs, fmt.Errorf("status %d: write 307 or 308", f.Status))
		}
		if f.Location == "" {
			errs = append(errs, errors.New("location is empty: write the URL to redirect to"))
		}
	case FaultTruncate, FaultBody, FaultItems:
		if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
			errs = append(errs, fmt.Errorf("status %d: write 200 to 599", f.Status))
		}
	case FaultDelay:
		if f.Delay == 0 {
			errs = append(errs, errors.New(`delay is empty: write a duration such as "2s"`))
		}
	case FaultSlow:
		if f.Drip == 0 {
			errs = append(errs, errors.New(`drip is empty: write a duration such as "20ms"`))
		}
	case FaultPoison:
		if f.Match == "" {
			errs = append(errs, errors.New("match is empty: write a text that the item contains"))
		}
	case FaultHang, FaultClose, FaultBadIndex:
	default:
		errs = append(errs, fmt.Errorf("kind %q: write status, redirect, hang, close, truncate, bad_index, items, delay, body, slow or poison", f.Kind))
	}
	return errors.Join(errs...)
}

// refuses says whether the fault refuses the item at index.
func (f *Fault) refuses(index int, item []byte) bool {
	switch {
	case f == nil:
		return false
	case f.Kind == FaultItems:
		return len(f.Indexes) == 0 || slices.Contains(f.Indexes, index)
	default:
		return f.Kind == FaultPoison && bytes.Contains(item, []byte(f.Match))
	}
}

// poisons says whether the fault refuses a whole request for one of its items.
func (f *Fault) poisons(items []json.RawMessage) bool {
	return f != nil && f.Kind == FaultPoison && f.Whole &&
		slices.ContainsFunc(items, func(item json.RawMessage) bool { return f.refuses(0, item) })
}

func (f *Fault) itemError(index int) ai.ItemError {
	e := ai.ItemError{Index: index, StatusCode: f.ItemStatus, Message: f.ItemMessage}
	if e.StatusCode == 0 {
		e.StatusCode = http.StatusInternalServerError
		if f.Kind == FaultPoison {
			e.StatusCode = http.StatusBadRequest
		}
	}
	if e.Message == "" {
		e.Message = statusText(e.StatusCode)
		if e.StatusCode == ai.StatusSampledOut {
			e.Message = ai.MessageSampledOut
		}
	}
	return e
}

func statusText(status int) string {
	if status == ai.StatusQuotaExceeded {
		return "Daily quota exceeded"
	}
	return http.StatusText(status)
}

// faultQueue is the script. Its zero value is empty and ready.
type faultQueue struct {
	mu     sync.Mutex
	faults []Fault
}

// Fault appends faults to the script. It returns the errors of
// [Fault.Validate], and then appends none.
func (q *faultQueue) Fault(faults ...Fault) error {
	for i, f := range faults {
		if err := f.Validate(); err != nil {
			return fmt.Errorf("fault %d: %w", i, err)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range faults {
		switch {
		case f.For > 0:
			f.Times = Forever
		case f.Times == 0:
			f.Times = 1
		}
		f.Indexes = slices.Clone(f.Indexes)
		// The time begins now for the first one, whether requests come or not.
		if f.For > 0 && len(q.faults) == 0 {
			f.until = time.Now().Add(f.For)
		}
		q.faults = append(q.faults, f)
	}
	return nil
}

// Faults returns the faults still to come, with the times that are left.
func (q *faultQueue) Faults() []Fault {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]Fault{}, q.faults...)
}

// ClearFaults ends the script. Requests that hang stay so.
func (q *faultQueue) ClearFaults() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.faults = nil
}

// take returns the fault for the next request, or nil. A fault that lasts for a
// time begins when it is first in the queue, so that the time of one that waits
// behind others does not run.
func (q *faultQueue) take(now time.Time) *Fault {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.faults) > 0 {
		first := &q.faults[0]
		if first.For > 0 {
			if first.until.IsZero() {
				first.until = now.Add(first.For)
			}
			if !now.Before(first.until) {
				q.faults = q.faults[1:]
				continue
			}
		}
		f := *first
		if first.Times != Forever {
			if first.Times--; first.Times == 0 {
				q.faults = q.faults[1:]
			}
		}
		return &f
	}
	return nil
}
