// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/connection"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// kinds is the number of kinds of items.
const kinds = int(items.KindAvailability) + 1

// span is a part of the items to send.
type span struct{ from, to int }

// scratch is memory of an attempt that is used again.
type scratch struct {
	fates []mark
	order []int32
	stack []span
}

// mark is what is known of an item.
type mark struct {
	fate fate
	// uncertain counts the requests that carried the item with the outcome unknown.
	uncertain uint8
}

// attempt is one call of Send. It decides about each item once: what is decided stays so, and what is not decided at the
// end is left.
type attempt struct {
	*scratch
	ctx   context.Context
	s     *Sender
	d     *Destination
	batch *items.Batch
	// flight is what a request carries now.
	flight span
	// searches counts the requests that look for what the endpoint does not like about a larger one.
	searches int
	evidence
	// struck are items that were left because they failed alone.
	struck []int
	// proven says that the ingestion service, and nobody else, answered during this attempt.
	proven bool

	// why is the failure that left items.
	why    *Failure
	delay  time.Duration
	causes map[Cause]int
	dead   []Dead
	answer Answer
}

func newAttempt(ctx context.Context, s *Sender, b *items.Batch) *attempt {
	a := &attempt{scratch: s.destination.scratch.Get().(*scratch), ctx: ctx, s: s, d: s.destination, batch: b}
	n := b.Len()
	a.fates = slices.Grow(a.fates[:0], n)[:n]
	clear(a.fates)
	a.order = slices.Grow(a.order[:0], n)
	a.stack = a.stack[:0]
	return a
}

// decide sets the fate of an item that has none.
func (a *attempt) decide(index int, f fate) bool {
	if a.fates[index].fate != fatePending {
		return false
	}
	a.fates[index].fate = f
	return true
}

func (a *attempt) bury(index int, reason string, status int, message string) {
	if a.decide(index, fateDead) {
		a.dead = append(a.dead, Dead{Index: index, Reason: reason, Status: status, Message: message})
	}
}

// leave leaves one item, while others of its request may have another fate.
func (a *attempt) leave(index int, cause Cause) {
	if a.decide(index, fateLeft) {
		if a.causes == nil {
			a.causes = map[Cause]int{}
		}
		a.causes[cause]++
	}
}

// doubt says that items were sent with the outcome unknown.
func (a *attempt) doubt(part span) {
	for _, i := range a.order[part.from:part.to] {
		a.fates[i].doubt()
	}
}

func (m *mark) doubt() { m.uncertain = min(m.uncertain, 254) + 1 }

// stop leaves all that is not decided.
func (a *attempt) stop(failure *Failure) bool {
	a.why = failure
	return false
}

// fail makes a failure of this destination.
func (a *attempt) fail(cause Cause, status int, format string, args ...any) *Failure {
	return &Failure{Destination: a.d.settings.Name, Cause: cause, Status: status, Message: fmt.Sprintf(format, args...)}
}

// sort sets aside what is not to be sent.
func (a *attempt) sort() {
	oldest, known := a.d.clock.oldest(a.d.settings.Now())
	var struck []int32
	for i := range a.fates {
		item := a.batch.Item(i)
		switch {
		case item.Reject != items.RejectNone:
			reason, message := rejected(item.Reject)
			a.bury(i, reason, 0, message)
		case !sendable(item.JSON):
			a.bury(i, ReasonUnreadable, 0, "the item is not one line with a JSON object")
		case known && item.Time.Before(oldest) && item.Time.Unix() > 0:
			a.bury(i, ReasonTooOld, 0, a.withSkew("the item is older than the 48 hours that the endpoint takes, by the clock of the endpoint"))
		case item.Strikes > 0:
			struck = append(struck, int32(i))
		default:
			a.order = append(a.order, int32(i))
		}
	}
	// What failed alone comes last, in requests of its own, so that nothing else fails with it.
	fresh := len(a.order)
	a.order = append(a.order, struck...)
	for _, part := range []span{{fresh, len(a.order)}, {0, fresh}} {
		if part.from < part.to {
			a.stack = append(a.stack, part)
		}
	}
}

func rejected(reject items.Reject) (reason, message string) {
	switch reject {
	case items.RejectNotFinite:
		return ReasonNotFinite, "the value of the point is NaN or infinite"
	case items.RejectTooLarge:
		return ReasonTooLarge, "the item is larger than 64 KiB even with its texts cut"
	case items.RejectUnreadable:
		return ReasonUnreadable, "the item was damaged in the queue"
	default:
		return ReasonUnreadable, "the item was set aside for a reason that this version does not know"
	}
}

// withSkew adds what is known of the clocks to a message about a time.
func (a *attempt) withSkew(message string) string {
	skew, known := a.d.clock.skew()
	switch {
	case !known || skew.Abs() < a.d.settings.ClockSkew:
		return message
	case skew > 0:
		return fmt.Sprintf("%s; the clock of this machine is %s behind that of the endpoint", message, skew)
	default:
		return fmt.Sprintf("%s; the clock of this machine is %s ahead of that of the endpoint", message, -skew)
	}
}

// step sends the next part. It returns false if nothing more is to be sent.
func (a *attempt) step() bool {
	if a.ctx.Err() != nil {
		return a.stop(a.gaveUp())
	}
	info := a.d.settings.Connection.Current()
	if info == nil {
		return a.stop(a.fail(CauseConfiguration, 0, "there is no connection string"))
	}
	p, blocked, wait := a.d.gate.enter(a.ctx, info)
	switch {
	case p != nil:
	case blocked == nil:
		return a.stop(a.gaveUp())
	default:
		a.delay = wait
		refused := a.fail(CauseBlocked, blocked.Status, "nothing is sent for another %s: %s", wait.Round(time.Millisecond), blocked.Message)
		refused.Hint, refused.Err = blocked.Hint, blocked
		return a.stop(refused)
	}
	defer p.release()
	return a.request(p, info)
}

func (a *attempt) request(p *pass, info *connection.Info) bool {
	settings := &a.d.settings
	limit := limits{items: settings.MaxItems, bytes: a.d.sizes.apply(settings.MaxBodyBytes, settings.Now())}
	if p.probe {
		limit.items = min(limit.items, p.items)
	}
	part := a.stack[len(a.stack)-1]
	a.stack = a.stack[:len(a.stack)-1]
	if p.probe && a.batch.Failed() != 0 {
		// Other items than the last time: if it is those that the endpoint stumbles over, the destination is not down.
		if from := part.from + int(settings.Random()*float64(part.to-part.from)); from > part.from {
			a.stack = append(a.stack, span{part.from, from})
			part.from = from
		}
	}
	body, count, size := a.d.press.pack(a.batch, a.order[part.from:part.to], keyPrefix(info.InstrumentationKey()), limit)
	defer body.release()
	if rest := (span{part.from + count, part.to}); rest.from < rest.to {
		a.stack = append(a.stack, rest)
	}
	part.to = part.from + count
	a.flight = part
	r := a.s.post(a.ctx, info, body, count)
	a.flight = span{}
	return a.judge(verdict{attempt: a, pass: p, info: info, part: part, size: size, response: r})
}

// gaveUp is why an attempt ends with its context.
func (a *attempt) gaveUp() *Failure {
	err := a.ctx.Err()
	failure := a.fail(CauseCanceled, 0, "the attempt was canceled, as at shutdown")
	if errors.Is(err, context.DeadlineExceeded) {
		failure = a.fail(CauseTimeout, 0, "the time of the attempt is up")
	}
	failure.Err = err
	return failure
}

func (a *attempt) panicked(p any) {
	a.doubt(a.flight)
	a.why = a.fail(CauseInternal, 0, "a fault in the collector: %s", clean(fmt.Sprint(p), a.key()))
}

func (a *attempt) key() string {
	if info := a.d.settings.Connection.Current(); info != nil {
		return info.InstrumentationKey()
	}
	return ""
}

// finish counts the fates.
func (a *attempt) finish() Result {
	slices.Sort(a.struck)
	r := Result{Dead: a.dead, Struck: a.struck, Answer: a.answer}
	var accepted [kinds]int
	pending := 0
	for i := range a.fates {
		m := a.fates[i]
		r.Uncertain += int(m.uncertain)
		switch m.fate {
		case fateAccepted:
			r.Accepted++
			if kind := int(a.batch.Item(i).Kind); kind < kinds {
				accepted[kind]++
			} else {
				accepted[items.KindUnknown]++
			}
		case fateSampledOut:
			r.SampledOut++
		case fateDead:
		default:
			if m.fate == fatePending {
				pending++
			}
			r.Left = append(r.Left, i)
		}
	}
	slices.SortFunc(r.Dead, func(x, y Dead) int { return x.Index - y.Index })
	if len(r.Left) > 0 {
		if a.why == nil {
			a.why = a.fail(CauseInternal, 0, "nobody decided about %d items", pending)
		}
		r.Err = a.why
		r.Delay = max(a.delay, a.d.gate.remaining())
	}
	a.tell(&r, accepted, pending)
	a.d.scratch.Put(a.scratch)
	a.scratch = nil
	return r
}

func (a *attempt) tell(r *Result, accepted [kinds]int, pending int) {
	for kind, n := range accepted {
		if n > 0 {
			a.s.observer.Accepted(items.Kind(kind), n)
		}
	}
	if r.SampledOut > 0 {
		a.s.observer.SampledOut(r.SampledOut)
	}
	if r.Uncertain > 0 {
		a.s.observer.Uncertain(r.Uncertain)
	}
	for cause, n := range a.causes {
		if a.why != nil && cause == a.why.Cause {
			pending += n
			continue
		}
		a.s.observer.Retried(cause, n)
	}
	if pending > 0 {
		a.s.observer.Retried(a.why.Cause, pending)
	}
}
