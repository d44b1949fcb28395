// SPDX-License-Identifier: Apache-2.0

package graph

import "encoding/binary"

// early are the connections of an edge that were open before anybody counted: their ends are told, and their beginnings never
// were. Without them the open ones would be too few for as long as the edge is known, once these have closed.
type early struct {
	// closed is how many of them closed.
	closed uint64
	// more is the least number of closed connections beyond those that were opened, and beyond closed, since the graph's clock was
	// at: while it is less than Config.Settle ago, their beginning may be under way. 0 for none.
	more uint64
	at   int64
}

// settle takes what is certain at a roll.
func (x *early) settle(c *counts, p pace) {
	more := minus(c[closed], plus(c[opened], x.closed))
	switch {
	case more == 0 || x.more == 0:
		x.more, x.at = more, p.clock
	default:
		x.more = min(x.more, more)
	}
	if x.more > 0 && p.due(x.at) {
		x.closed = plus(x.closed, x.more)
		x.more = 0
	}
}

// open is how many connections are open, of those whose beginning was told.
func (e *edge) open() uint64 {
	return minus(plus(e.counted[opened], e.early.closed), e.counted[closed])
}

func (x *early) append(b []byte) []byte {
	b = binary.AppendUvarint(b, x.closed)
	b = binary.AppendUvarint(b, x.more)
	return binary.AppendUvarint(b, uint64(x.at))
}

func (r *reader) early() early {
	return early{closed: r.Uvarint(), more: r.Uvarint(), at: r.moment()}
}
