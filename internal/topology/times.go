// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"math"
	"time"
)

// Moments are Unix nanoseconds.
const (
	// never is before and forever after every moment that there is.
	never, forever int64 = math.MinInt64, math.MaxInt64
)

var (
	firstMoment = time.Unix(0, never+1)
	lastMoment  = time.Unix(0, forever-1)
)

// nanos returns the moment of a time. Years that no int64 of nanoseconds can hold become the first or the last one.
func nanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return never
	case t.Before(firstMoment):
		return never + 1
	case t.After(lastMoment):
		return forever - 1
	}
	return t.UnixNano()
}

// moment is the other way around; zero for never and forever.
func moment(at int64) time.Time {
	if at == never || at == forever {
		return time.Time{}
	}
	return time.Unix(0, at).UTC()
}

// possible and certain say whether the pod can have held, and surely held, its addresses.
func (p *Pod) possible(at int64) bool { return p.since <= at && at < p.latest }
func (p *Pod) certain(at int64) bool  { return p.seen <= at && at < p.earliest }
