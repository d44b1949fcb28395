// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"net/http"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// canary is an item that the service can never take: it has no field at all. It is packed without a key.
var canary = func() *items.Batch {
	b := &items.Batch{}
	b.Append(items.Item{JSON: []byte("{}")})
	return b
}()

// reported judges the answers that tell item by item: 200, 206 and 400.
func (v *verdict) reported() bool {
	switch {
	case v.status == http.StatusOK && v.report == nil:
		return v.plainSuccess()
	case v.broken != nil || (v.report == nil && v.status == http.StatusPartialContent):
		return v.unreadable("cannot be read")
	case v.report == nil:
		return v.badRequest()
	}
	believed, errs := v.report.check(v.sent())
	switch {
	case v.status == http.StatusBadRequest && believed != trustAll:
		return v.badRequest()
	case believed == trustNothing:
		return v.unreadable("names items that were not sent")
	case believed == trustErrors && len(errs) == 0:
		return v.unreadable("has numbers that contradict each other")
	default:
		return v.apply(believed, errs)
	}
}

// plainSuccess judges 200 without a report: all is accepted, unless it is a page that somebody else answers everything with.
func (v *verdict) plainSuccess() bool {
	if looksLikePage(v.header, v.body) || (v.broken == nil && !v.long && foreign(v.body)) {
		v.doubt(v.part)
		f := v.failure(CauseConfiguration, v.host+" answered 200 with what is no answer of the ingestion service: something on the way answers for it")
		f.Hint = "check IngestionEndpoint of the connection string, and proxies and login pages on the way"
		return v.block(f, v.settings().HoldDelay)
	}
	return v.apply(trustAll, nil)
}

// unreadable judges an answer that says that some items were stored, but not which.
func (v *verdict) unreadable(what string) bool {
	if v.status != http.StatusBadRequest {
		v.doubt(v.part)
	}
	return v.trouble(v.failure(CauseUnreadable, fmt.Sprintf("the answer %d of %s %s: all %d items are sent again", v.status, v.host, what, v.sent())))
}

// badRequest judges 400 that does not tell about each item: some item, or the request itself, is at fault.
func (v *verdict) badRequest() bool {
	if (v.report != nil && v.report.refusesKey()) || (v.report == nil && isKeyMessage(string(v.body))) {
		return v.wrongKey()
	}
	if v.report != nil && *v.report.ItemsAccepted != 0 {
		v.doubt(v.part)
	}
	if v.sent() == 1 {
		return v.single(ReasonInvalid)
	}
	return v.search()
}

func (v *verdict) wrongKey() bool {
	f := v.failure(CauseConfiguration, v.host+" does not know the instrumentation key")
	f.Hint = "check the connection string: key and endpoint belong together, and the resource must still exist"
	return v.block(f, v.settings().HoldDelay)
}

// tally counts what became of the items of a request.
type tally struct {
	left  int
	first ruling // of those left
}

// apply decides about each item of a request by its error, or by there being none.
func (v *verdict) apply(believed trust, errs map[int][]*itemError) bool {
	var t tally
	for n, i := range v.order[v.part.from:v.part.to] {
		index := int(i)
		if len(errs[n]) > 0 {
			v.applyOne(index, ruleAll(errs[n]), believed, &t)
			continue
		}
		if believed == trustAll {
			v.decide(index, fateAccepted)
			continue
		}
		v.applyOne(index, ruling{fate: fateLeft, cause: CauseUnreadable, uncertain: true, message: "the numbers of the answer contradict each other"}, believed, &t)
	}
	return v.conclude(t)
}

func (v *verdict) applyOne(index int, r ruling, believed trust, t *tally) {
	if r.uncertain || believed != trustAll {
		v.fates[index].doubt()
	}
	switch r.fate {
	case fateDead:
		message := v.clean(r.message)
		if r.reason == ReasonTooOld {
			message = v.withSkew(message)
		}
		v.bury(index, r.reason, r.status, message)
	case fateLeft:
		v.leave(index, r.cause)
		if t.left++; t.left == 1 {
			t.first = r
		}
	default:
		v.decide(index, r.fate)
	}
}

// conclude tells the gate. What was sampled out is no reason to wait, and neither are some items that are to be sent
// again while others passed; if none passed, it is as if the request was refused as a whole.
func (v *verdict) conclude(t tally) bool {
	var failure *Failure
	if t.left > 0 {
		if t.first.cause == CauseConfiguration {
			v.delay = max(v.delay, v.settings().HoldDelay)
		}
		failure = v.fail(t.first.cause, t.first.status, "%s wants %d of %d items again; of the first it says: %d %s",
			v.host, t.left, v.sent(), t.first.status, v.clean(t.first.message))
		failure.Hint = Hint(t.first.status, v.settings().Authenticated, "")
		v.why = failure
	}
	switch {
	case t.left < v.sent():
		v.brought()
		if asked := v.asked(); asked > 0 {
			v.shut(v.fail(CauseThrottled, v.status, "%s took the items and asked to wait", v.host), asked)
		} else if t.left > 0 && t.first.cause == CauseThrottled {
			// The others passed, but more would only be refused in turn.
			v.shut(failure, 0)
		} else {
			v.succeed()
		}
		return true
	case t.first.cause == CauseConfiguration:
		return v.wrongKey()
	case t.first.cause == CauseQuota:
		return v.block(failure, v.settings().QuotaDelay)
	default:
		return v.block(failure, 0)
	}
}
