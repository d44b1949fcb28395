// SPDX-License-Identifier: Apache-2.0

package feed

// Outcome is what became of a data point or a span.
type Outcome uint8

// The outcomes.
const (
	// Taken went to the graph.
	Taken Outcome = iota
	// OtherMetric is a point of a metric that says nothing about edges: an application's, Envoy's, gRPC message counts.
	OtherMetric
	// NotDelta is a cumulative point, or one that does not say what it is: mesh_metrics belongs before the hub.
	NotDelta
	// WrongType is a metric of a known name that has another type than it should, such as a gauge.
	WrongType
	// NoReporter has no reporter that is source, destination or waypoint. What mesh_metrics adds up beyond its last ceiling
	// is one of these.
	NoReporter
	// NoEnds names neither caller nor callee: mesh_topology did not see it, or learned nothing.
	NoEnds
	// Carrier was reported by an east/west gateway about a connection that it only carried: both ends report it, too.
	Carrier
	// NoValue has the flag that says so, or no value at all.
	NoValue
	// Zero adds nothing.
	Zero
	// BadValue is negative, not a number, or too great.
	BadValue
	// NoBuckets is a duration without its distribution.
	NoBuckets
	// Refused is what the graph could not read wholly. Its requests were counted.
	Refused
	// NotCall is a span that is no call of one proxy to another: its kind is neither client nor server.
	NotCall
	// NoTrace is a span without a trace id.
	NoTrace
	// NoEdge is a span of an edge that no metric has told of.
	NoEdge
	// OutcomeCount is the number of outcomes.
	OutcomeCount
)

var outcomeWords = [OutcomeCount]string{
	"taken", "other_metric", "not_delta", "wrong_type", "no_reporter", "no_ends", "carrier", "no_value", "zero",
	"bad_value", "no_buckets", "refused", "not_call", "no_trace", "no_edge",
}

// String returns the word for the attribute of a metric, such as "not_delta".
func (o Outcome) String() string { return outcomeWords[min(o, OutcomeCount-1)] }

// Loses says whether something that belongs to an edge was not counted.
func (o Outcome) Loses() bool {
	switch o {
	case NotDelta, WrongType, NoReporter, NoEnds, BadValue, NoBuckets, Refused:
		return true
	}
	return false
}

// Counts are how many points or spans had each outcome.
type Counts [OutcomeCount]int

// Add adds other counts.
func (c *Counts) Add(o *Counts) {
	for i, n := range o {
		c[i] += n
	}
}
