// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// report is the body of an answer, with everything optional: the swagger file requires none of it, and no client can be
// sure of who answers.
type report struct {
	ItemsReceived *int        `json:"itemsReceived"`
	ItemsAccepted *int        `json:"itemsAccepted"`
	Errors        []itemError `json:"errors"`
}

type itemError struct {
	Index      *int    `json:"index"`
	StatusCode int     `json:"statusCode"`
	Message    *string `json:"message"`
}

func (e *itemError) text() string {
	if e.Message == nil {
		return ""
	}
	return *e.Message
}

// readReport returns nil for what is not an answer of the ingestion service: it counts what it received and accepted.
func readReport(body []byte) *report {
	var r report
	if json.Unmarshal(body, &r) != nil || r.ItemsReceived == nil || r.ItemsAccepted == nil {
		return nil
	}
	return &r
}

// message returns what a report says of the request as a whole: its first error.
func (r *report) message() string {
	for i := range r.Errors {
		if text := r.Errors[i].text(); text != "" {
			return text
		}
	}
	return ""
}

// refusesKey says whether the instrumentation key is what is wrong.
func (r *report) refusesKey() bool {
	for i := range r.Errors {
		if isKeyMessage(r.Errors[i].text()) {
			return true
		}
	}
	return false
}

func isKeyMessage(text string) bool {
	return containsFold(text, ai.MessageInvalidKey)
}

func containsFold(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// trust says how much of a report can be believed.
type trust uint8

const (
	// trustNothing: an index is missing or points at nothing that was sent, so that the others may be shifted as well.
	trustNothing trust = iota
	// trustErrors: each error points at an item, but their number and the counts contradict each other.
	trustErrors
	// trustAll: each item that was sent was accepted or has an error.
	trustAll
)

// check compares a report with the number of items that were sent. The second result holds the errors by index; an item
// may have several.
func (r *report) check(sent int) (trust, map[int][]*itemError) {
	byIndex := make(map[int][]*itemError, min(len(r.Errors), sent))
	for i := range r.Errors {
		e := &r.Errors[i]
		if e.Index == nil || *e.Index < 0 || *e.Index >= sent {
			return trustNothing, nil
		}
		byIndex[*e.Index] = append(byIndex[*e.Index], e)
	}
	if *r.ItemsReceived != sent || *r.ItemsAccepted != sent-len(byIndex) {
		return trustErrors, byIndex
	}
	return trustAll, byIndex
}

// fate is what becomes of an item.
type fate uint8

const (
	fatePending fate = iota
	fateAccepted
	fateSampledOut
	fateLeft
	fateDead
)

// ruling is the fate of one item, and why.
type ruling struct {
	fate      fate
	uncertain bool
	cause     Cause
	reason    string
	status    int
	message   string
}

// rule decides about an item by its error.
func (e *itemError) rule() ruling {
	text := e.text()
	r := ruling{status: e.StatusCode, message: text}
	switch {
	case isKeyMessage(text):
		r.fate, r.cause = fateLeft, CauseConfiguration
	case e.StatusCode == ai.StatusSampledOut && containsFold(text, "sampled out"):
		r.fate = fateSampledOut
	case retryableItem(e.StatusCode):
		r.fate, r.cause = fateLeft, itemCause(e.StatusCode)
	case e.StatusCode < 400:
		// Neither an error nor something known.
		r.fate, r.cause, r.uncertain = fateLeft, CauseUnreadable, true
	case isAgeMessage(text):
		r.fate, r.reason = fateDead, ReasonTooOld
	case e.StatusCode == http.StatusRequestEntityTooLarge || containsFold(text, "length must not exceed"):
		r.fate, r.reason = fateDead, ReasonTooLarge
	default:
		r.fate, r.reason = fateDead, ReasonInvalid
	}
	return r
}

// isAgeMessage knows the message with number 103.
func isAgeMessage(text string) bool {
	return strings.HasPrefix(text, "103:") || containsFold(text, "older than the allowed min date")
}

func retryableItem(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusRequestTimeout,
		http.StatusTooManyRequests, ai.StatusQuotaExceeded:
		return true
	default:
		return status >= http.StatusInternalServerError
	}
}

func itemCause(status int) Cause {
	switch status {
	case http.StatusUnauthorized:
		return CauseUnauthorized
	case http.StatusForbidden:
		return CauseForbidden
	case http.StatusTooManyRequests:
		return CauseThrottled
	case http.StatusPaymentRequired, ai.StatusQuotaExceeded:
		return CauseQuota
	default:
		return CauseItem
	}
}

// ruleAll decides about an item that has several errors: by all of them if they agree, else it is left.
func ruleAll(errs []*itemError) ruling {
	first := errs[0].rule()
	for _, e := range errs[1:] {
		next := e.rule()
		if next.fate != first.fate {
			if next.fate == fateLeft {
				first = next
			}
			first.fate, first.uncertain, first.reason = fateLeft, true, ""
			if first.cause == "" {
				first.cause = CauseUnreadable
			}
		}
	}
	return first
}

// foreign says whether the body of a success is something that the ingestion service does not answer: it answers with an
// object, and nothing else. What is empty, or a report that was cut off, may be from there.
func foreign(body []byte) bool {
	body = bytes.TrimSpace(body)
	return len(body) > 0 && body[0] != '{'
}

// looksLikePage says whether an answer is a page for people: of a login, a proxy, or another server altogether.
func looksLikePage(header http.Header, body []byte) bool {
	return strings.HasPrefix(strings.ToLower(header.Get("Content-Type")), "text/html") ||
		bytes.HasPrefix(bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), " \t\r\n"), []byte("<"))
}
