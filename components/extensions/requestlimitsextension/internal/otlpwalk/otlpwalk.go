// SPDX-License-Identifier: Apache-2.0

// Package otlpwalk counts what an OTLP request holds, and what it will take to decode it, without decoding it: it walks the
// bytes once, allocates nothing, and stops at the first limit. [Proto] takes the wire format, [JSON] the JSON encoding.
//
// The rule that makes it a defense: whatever pdata decodes, the walk has counted. Where the two could differ it refuses.
package otlpwalk

import "fmt"

// Signal is which request is walked.
type Signal uint8

// The signals of OTLP whose requests are known.
const (
	Traces Signal = iota + 1
	Logs
	Metrics
)

func (s Signal) root() message {
	switch s {
	case Traces:
		return mTraces
	case Logs:
		return mLogs
	case Metrics:
		return mMetrics
	default:
		return mNone
	}
}

type counter uint8

const (
	cNone counter = iota
	cResources
	cScopes
	cRecords
	cMetrics
	cEvents
	cLinks
	cAttributes
	cValues
	cExemplars
	cBuckets
	counterCount
)

// Counts is what a request holds, and, as [Limits], what it may hold.
type Counts struct {
	// Resources, Scopes and Metrics are how many there are.
	Resources, Scopes, Metrics int64
	// Records are spans, log records and data points.
	Records int64
	// Events and Links are those of spans.
	Events, Links int64
	// Attributes are all pairs of a key and a value, also those within values.
	Attributes int64
	// Values are the elements of arrays, and entity references with their keys.
	Values int64
	// Exemplars are those of data points.
	Exemplars int64
	// Buckets are counts and bounds of histograms and quantiles of summaries.
	Buckets int64
	// ObjectAttributes is the most that one resource, scope, record, list and so on has.
	ObjectAttributes int64
	// Depth is how deep values are within values; a plain one is 0.
	Depth int64
	// KeyBytes is the longest key, ValueBytes the longest text or byte string that is none.
	KeyBytes, ValueBytes int64
	// DecodedBytes is an upper estimate of the memory that decoding takes.
	DecodedBytes int64
}

// Reason is why a request is refused, in the words of the metric.
type Reason string

// The reasons of [Violation].
const (
	Malformed        Reason = "malformed"
	Resources        Reason = "resources"
	Scopes           Reason = "scopes"
	Records          Reason = "records"
	MetricNames      Reason = "metrics"
	Events           Reason = "events"
	Links            Reason = "links"
	Attributes       Reason = "attributes"
	Values           Reason = "values"
	Exemplars        Reason = "exemplars"
	Buckets          Reason = "buckets"
	ObjectAttributes Reason = "attributes_per_object"
	Depth            Reason = "depth"
	KeyBytes         Reason = "key_bytes"
	ValueBytes       Reason = "value_bytes"
	DecodedBytes     Reason = "decoded_bytes"
)

var counterReasons = [counterCount]Reason{
	cResources: Resources, cScopes: Scopes, cRecords: Records, cMetrics: MetricNames, cEvents: Events, cLinks: Links,
	cAttributes: Attributes, cValues: Values, cExemplars: Exemplars, cBuckets: Buckets,
}

// Violation says which limit a request is over, or that it is no OTLP.
type Violation struct {
	// Reason is which limit.
	Reason Reason
	// Limit is its value; zero for [Malformed].
	Limit int64
}

func (v *Violation) Error() string {
	if v.Reason == Malformed {
		return "the request is not OTLP"
	}
	return fmt.Sprintf("the request is over the limit of %d %s", v.Limit, v.Reason)
}

// Walker walks requests one after the other; it is not safe for concurrent use. The zero value is ready.
type Walker struct {
	data []byte // of JSON
	pos  int

	counts [counterCount]int64
	limits [counterCount]int64

	attributesLimit, objectAttributes int64
	// before is how many attributes the object has already of which the next message is a further part, after how many it has then.
	before, after     int64
	depthLimit, depth int64
	keyLimit, key     int64
	valueLimit, value int64
	costLimit, cost   int64

	reason Reason
	limit  int64
}

func (w *Walker) reset(l *Counts) {
	*w = Walker{
		limits: [counterCount]int64{
			cResources: l.Resources, cScopes: l.Scopes, cRecords: l.Records, cMetrics: l.Metrics, cEvents: l.Events,
			cLinks: l.Links, cAttributes: l.Attributes, cValues: l.Values, cExemplars: l.Exemplars, cBuckets: l.Buckets,
		},
		attributesLimit: l.ObjectAttributes, depthLimit: l.Depth, keyLimit: l.KeyBytes, valueLimit: l.ValueBytes,
		costLimit: l.DecodedBytes,
	}
}

func (w *Walker) result(ok bool) (Counts, *Violation) {
	c := Counts{
		Resources: w.counts[cResources], Scopes: w.counts[cScopes], Records: w.counts[cRecords],
		Metrics: w.counts[cMetrics], Events: w.counts[cEvents], Links: w.counts[cLinks],
		Attributes: w.counts[cAttributes], Values: w.counts[cValues], Exemplars: w.counts[cExemplars],
		Buckets: w.counts[cBuckets], ObjectAttributes: w.objectAttributes, Depth: w.depth, KeyBytes: w.key,
		ValueBytes: w.value, DecodedBytes: w.cost,
	}
	if ok && w.cost > w.costLimit {
		ok = w.over(DecodedBytes, w.costLimit)
	}
	if ok {
		return c, nil
	}
	return c, &Violation{Reason: w.reason, Limit: w.limit}
}

func (w *Walker) malformed() bool {
	w.reason, w.limit = Malformed, 0
	return false
}

func (w *Walker) over(reason Reason, limit int64) bool {
	w.reason, w.limit = reason, limit
	return false
}

// add counts n occurrences of a field that take cost bytes.
func (w *Walker) add(c counter, n, cost int64) bool {
	w.cost += cost
	if w.cost > w.costLimit {
		return w.over(DecodedBytes, w.costLimit)
	}
	if c != cNone {
		w.counts[c] += n
		if w.counts[c] > w.limits[c] {
			return w.over(counterReasons[c], w.limits[c])
		}
	}
	return true
}

// text counts a text of n bytes.
func (w *Walker) text(k kind, n int64) bool {
	if k == kKey {
		if n > w.key {
			w.key = n
			if n > w.keyLimit {
				return w.over(KeyBytes, w.keyLimit)
			}
		}
	} else if n > w.value {
		w.value = n
		if n > w.valueLimit {
			return w.over(ValueBytes, w.valueLimit)
		}
	}
	// What the allocator rounds up to: 16 bytes, and an eighth for long texts.
	w.cost += (n+15)&^15 + n>>3
	return true
}

// attribute counts the n-th attribute of an object. What it takes is what the slice of them grows by: its capacity doubles
// up to 512, and then grows by about a half.
func (w *Walker) attribute(n int64) bool {
	if n > w.objectAttributes {
		w.objectAttributes = n
		if n > w.attributesLimit {
			return w.over(ObjectAttributes, w.attributesLimit)
		}
	}
	w.counts[cAttributes]++
	if w.counts[cAttributes] > w.limits[cAttributes] {
		return w.over(Attributes, w.limits[cAttributes])
	}
	switch {
	case n == 1:
		w.cost += firstAttributeCost
	case n > 512:
		w.cost += attributeCost * 2
	case n == 2:
		w.cost += 2*attributeCost - firstAttributeCost
	case (n-1)&(n-2) == 0:
		w.cost += (n - 1) * attributeCost
	default:
		return true
	}
	if w.cost > w.costLimit {
		return w.over(DecodedBytes, w.costLimit)
	}
	return true
}

func (w *Walker) deeper(depth int64) bool {
	if depth > w.depth {
		w.depth = depth
	}
	if depth > w.depthLimit {
		return w.over(Depth, w.depthLimit)
	}
	return true
}
