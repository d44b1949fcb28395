// SPDX-License-Identifier: Apache-2.0

package graph

import "math"

// The places of what is counted, after the classes.
const (
	requestBytes = int(ClassCount) + iota
	responseBytes
	opened
	closed
	failed
	mutual
	plain
	requestSame
	requestCross
	responseSame
	responseCross
	countCount
)

// counts are all that a reporter adds up, so that one rule serves all of it.
type counts [countCount]uint64

func (c *counts) requests() uint64 {
	var n uint64
	for _, v := range c[:ClassCount] {
		n = plus(n, v)
	}
	return n
}

// take is what a point adds; never says that its requests and bytes never left the caller.
func (c *counts) take(p *Point, class Class) {
	c[class] = plus(c[class], p.Requests)
	c[requestBytes] = plus(c[requestBytes], p.RequestBytes)
	c[responseBytes] = plus(c[responseBytes], p.ResponseBytes)
	c[opened] = plus(c[opened], p.Opened)
	c[closed] = plus(c[closed], p.Closed)
	c[failed] = plus(c[failed], p.FailedConnections)
	if p.Zone != ZoneUnknown && !p.Key.regionsDiffer() {
		place := 0
		if p.Zone == CrossZone {
			place = requestCross - requestSame
		}
		c[requestSame+place] = plus(c[requestSame+place], p.RequestBytes)
		c[responseSame+place] = plus(c[responseSame+place], p.ResponseBytes)
	}
	secured := plus(p.Requests, p.Opened)
	switch p.TLS {
	case TLSMutual:
		c[mutual] = plus(c[mutual], secured)
	case TLSNone:
		c[plain] = plus(c[plain], secured)
	}
}

// limitZones keeps the bytes of known zones within all bytes, where two reporters contradict each other: what both claim is
// not known. before is what was counted until now, which stays.
func (c *counts) limitZones(before *counts) {
	for _, d := range [...]struct{ all, same, cross int }{
		{requestBytes, requestSame, requestCross}, {responseBytes, responseSame, responseCross},
	} {
		same, cross := minus(c[d.same], before[d.same]), minus(c[d.cross], before[d.cross])
		room := minus(c[d.all], plus(before[d.same], before[d.cross]))
		if claimed := minus(plus(same, cross), room); claimed > 0 {
			c[d.same] = plus(before[d.same], minus(same, claimed))
			c[d.cross] = plus(before[d.cross], minus(cross, claimed))
		}
	}
}

// plus stays at the greatest number instead of beginning at 0 again.
func plus(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// minus is a less b, and 0 where b is greater.
func minus(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}
