// SPDX-License-Identifier: Apache-2.0

package early

import (
	"math"
	"time"
)

// Kind is what a written series tells.
type Kind uint8

// The kinds.
const (
	// Usual is a call that stays in its region and cluster, and of which nothing says that it failed.
	Usual Kind = iota
	// Elsewhere is one whose callee is in another region or cluster than its caller.
	Elsewhere
	// Failed is one with a response flag of [FailureFlag].
	Failed
	kinds
)

// Strength is how urgent something is.
type Strength uint8

// The strengths.
const (
	Calm Strength = iota
	// Weak may be chance: half of the early hand-overs are left for what is strong.
	Weak
	// Strong are as many calls elsewhere as a hub judges by.
	Strong
)

const (
	// round is the time in which calls are counted. What is usual is the most of a round in the last lately to twice as many:
	// a failover that is over for a few minutes is urgent when it comes again.
	round  = time.Minute
	lately = 2
	// settled is how many rounds a way is known until something else is compared with it. One may be cut short, and until
	// the end of the next one every process of the node was scraped.
	settled = 2

	// fewestElsewhere is how many calls elsewhere are urgent where there were none. enough is the fewest that the hub judges
	// (its failover::min_moved), and fewestFailed the fewest failures that are evidence there.
	fewestElsewhere = 1
	enough          = 5
	fewestFailed    = 3
	// times is how many times as many as usual are urgent where there usually are some.
	times = 2
	// more is how many times as many as were told of are told again, lest the hub has too few to judge by: what a scrape finds
	// may have begun a second before it, and then the next one has all of it.
	more = 4

	never = math.MaxUint64
)

// limit is how many in a round are urgent, where usual is the most that there were in one lately, and how urgent they are. told
// is how urgent what was told in this round and the one before was, and at what number; that it goes on is no news.
func limit(kind Kind, usual uint64, told Strength, at uint64) (uint64, Strength) {
	unusual := times*usual + enough
	switch {
	case kind == Elsewhere && told < Weak && usual == 0:
		return fewestElsewhere, Weak
	case kind == Elsewhere && told < Strong:
		return unusual, Strong
	case kind == Elsewhere:
		return max(unusual, more*at), Strong
	case kind == Failed && told < Weak && usual == 0:
		return fewestFailed, Weak
	case kind == Failed && told < Weak:
		return unusual, Weak
	case kind == Failed:
		return max(unusual, more*at), Weak
	}
	return never, Calm
}

// FailureFlag says whether a response flag of Envoy tells that a callee could not be reached or gave no answer: no healthy host,
// connection failure, overflow, retries exhausted, time-out, connection broken, failed health check, name not resolved, no
// cluster. These are the flags that are evidence of a failover at the hub.
func FailureFlag(flag string) bool {
	switch flag {
	case "UH", "UF", "UO", "URX", "UT", "UC", "LH", "DF", "NC":
		return true
	}
	return false
}
