// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/connection"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// maxSearches is how many requests of one attempt may look for a poison item, or for a size that passes. The next
// attempt goes on: each isolates some.
const maxSearches = 64

// maxStrikes is how often an item fails alone, at least, before it is given up.
const maxStrikes = items.MaxStrikes

// verdict is the answer to one request, and what it takes to judge it.
type verdict struct {
	*attempt
	response
	pass   *pass
	info   *connection.Info
	part   span
	size   int
	report *report
}

func (v *verdict) sent() int { return v.part.to - v.part.from }

// judge decides about the items of a request. It returns false if nothing more is to be sent.
func (a *attempt) judge(v verdict) bool {
	if v.status != 0 && v.broken == nil && !v.long {
		v.report = readReport(v.body)
	}
	v.note()
	switch {
	case v.err != nil:
		return v.unanswered()
	case v.redirect != nil:
		return v.block(v.failure(CauseRedirect, v.redirect.Error()), v.settings().HoldDelay)
	case v.status == http.StatusOK, v.status == http.StatusPartialContent, v.status == http.StatusBadRequest:
		return v.reported()
	case v.status == http.StatusRequestEntityTooLarge:
		return v.tooLarge()
	default:
		return v.refused()
	}
}

func (v *verdict) settings() *Settings { return &v.d.settings }

// note keeps what is worth knowing beside the items.
func (v *verdict) note() {
	v.answer = Answer{Status: v.status, Host: v.host, Duration: v.took}
	if v.status == 0 {
		return
	}
	v.answer.RetryAfter = retryAfter(v.header, v.at)
	v.answer.ServerTime, _ = serverDate(v.header)
	if v.report == nil {
		return
	}
	v.answer.Message = v.clean(v.report.message())
	v.proven = true
	if !v.answer.ServerTime.IsZero() {
		if skew, news := v.d.clock.learn(v.answer.ServerTime, v.at, v.settings().ClockSkew); news {
			v.s.observer.ClockSkew(skew)
		}
	}
}

func (v *verdict) clean(text string) string { return clean(text, v.info.InstrumentationKey()) }

func (v *verdict) failure(cause Cause, message string) *Failure {
	f := v.fail(cause, v.status, "%s", message)
	f.Hint = Hint(v.status, v.settings().Authenticated, v.header.Get("WWW-Authenticate"))
	return f
}

// block ends the attempt and keeps others away, for what the endpoint asks for, else for the delay, else, with 0, for the
// time of the back-off.
func (v *verdict) block(failure *Failure, delay time.Duration) bool {
	if asked := v.asked(); asked > 0 {
		delay = asked
	}
	v.shut(failure, delay)
	return v.stop(failure)
}

func (v *verdict) shut(failure *Failure, delay time.Duration) {
	if delay = v.pass.block(failure, delay); delay > 0 {
		v.s.observer.Blocked(failure, delay)
	}
}

// succeed opens the gate.
func (v *verdict) succeed() {
	if blocked := v.pass.succeed(); blocked > 0 {
		v.s.observer.Opened(blocked)
	}
}

// asked is how long the endpoint asks to wait, capped.
func (v *verdict) asked() time.Duration {
	return min(v.answer.RetryAfter, v.settings().MaxRetryAfter)
}

// unanswered judges a request without an answer.
func (v *verdict) unanswered() bool {
	arrived := v.reached && !notSent(v.err)
	if arrived {
		v.doubt(v.part)
	}
	if errors.Is(v.ctx.Err(), context.Canceled) {
		return v.stop(v.gaveUp()) // which says nothing about the endpoint
	}
	cause, what := CauseNetwork, "no answer from "
	switch {
	case notSent(v.err):
		cause, what = CauseUnauthorized, "there is no token to send with, for "
	case errors.Is(v.err, errTimeout):
		cause, what = CauseTimeout, "no answer in time from "
	}
	f := v.fail(cause, 0, "%s", what+v.host+": "+v.clean(v.err.Error()))
	f.Err, f.Hint = v.err, HintError(v.err)
	if cause == CauseTimeout && arrived {
		// Less may be done in time; and if it is stored all the same, less is stored again.
		v.d.sizes.slow(v.size / 2)
	}
	if arrived && v.sent() > 0 {
		return v.trouble(f)
	}
	return v.block(f, 0)
}

// refused judges the statuses that are about the request and not about its items.
func (v *verdict) refused() bool {
	cause, delay, unknown := v.table()
	if unknown {
		v.doubt(v.part)
		return v.trouble(v.failure(cause, v.said()))
	}
	return v.block(v.failure(cause, v.said()), delay)
}

// table is that of the statuses: why the items are left, how long to wait (0: the back-off), and whether the endpoint
// may have stored some all the same.
func (v *verdict) table() (cause Cause, delay time.Duration, unknown bool) {
	switch v.status {
	case http.StatusUnauthorized:
		return CauseUnauthorized, 0, false
	case http.StatusForbidden:
		return CauseForbidden, 0, false
	case http.StatusPaymentRequired, ai.StatusQuotaExceeded:
		return CauseQuota, v.settings().QuotaDelay, false
	case http.StatusTooManyRequests:
		return CauseThrottled, 0, false
	case http.StatusRequestTimeout, http.StatusServiceUnavailable:
		return CauseUnavailable, 0, false
	}
	switch {
	case v.status >= http.StatusInternalServerError:
		// A gateway does not know what became of the request, and an error may come after the items were stored.
		return CauseUnavailable, 0, true
	case v.status >= http.StatusOK && v.status < http.StatusMultipleChoices:
		return CauseUnreadable, 0, true
	default:
		return CauseConfiguration, v.settings().HoldDelay, false
	}
}

// said words an answer for the request as a whole.
func (v *verdict) said() string {
	text := v.host + " answered " + strconv.Itoa(v.status)
	if name := http.StatusText(v.status); name != "" {
		text += " " + name
	} else if v.status == ai.StatusQuotaExceeded {
		text += " Daily quota exceeded"
	}
	switch {
	case v.answer.Message != "":
		text += ": " + v.answer.Message
	case v.report == nil && !looksLikePage(v.header, v.body):
		if plain := v.clean(string(v.body[:min(len(v.body), maxText)])); plain != "" {
			text += ": " + plain
		}
	}
	return text
}

// tooLarge judges 413: half of it may pass, and one item alone never will.
func (v *verdict) tooLarge() bool {
	if v.sent() == 1 {
		return v.single(ReasonTooLarge)
	}
	v.d.sizes.lower(v.size/2, v.settings().Now())
	return v.search()
}

// search sends the two halves of a request on their own.
func (v *verdict) search() bool {
	if asked := v.asked(); asked > 0 {
		return v.block(v.failure(CauseThrottled, v.said()), 0)
	}
	v.pass.release()
	if v.searches++; v.searches > maxSearches {
		return v.stop(v.failure(CauseUnfinished, fmt.Sprintf("%s; after %d requests the search for the items it refuses goes on with the next attempt", v.said(), maxSearches)))
	}
	v.halve()
	return true
}

// single judges a request with one item that was refused without a word on the item. A proxy or another server on the way
// refuses everything like this, and must not cost a single item: only when the ingestion service answered during this
// attempt is it the item. If nothing of it was seen, an item that it cannot take, without any content, makes it answer.
func (v *verdict) single(reason string) bool {
	if !v.proven {
		body, _, _ := v.d.press.pack(canary, []int32{0}, []byte("{"), limits{items: 1, bytes: minBodyBytes})
		r := v.s.post(v.ctx, v.info, body, 1)
		body.release()
		if r.err != nil {
			lost := verdict{attempt: v.attempt, response: r, pass: v.pass, info: v.info}
			return lost.unanswered()
		}
		v.proven = r.broken == nil && !r.long && readReport(r.body) != nil
	}
	if !v.proven {
		f := v.failure(CauseConfiguration, v.said()+", and nothing of what answers there looks like the ingestion service")
		f.Hint = "check IngestionEndpoint of the connection string, and proxies on the way: no item is given up for such an answer"
		return v.block(f, v.settings().HoldDelay)
	}
	v.succeed()
	v.bury(int(v.order[v.part.from]), reason, v.status, v.said())
	return true
}
