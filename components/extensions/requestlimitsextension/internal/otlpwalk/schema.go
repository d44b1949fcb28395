// SPDX-License-Identifier: Apache-2.0

package otlpwalk

// message is the number of a message type of OTLP in [schema].
type message uint8

const (
	mNone message = iota
	mTraces
	mLogs
	mMetrics
	mResourceSpans
	mResourceLogs
	mResourceMetrics
	mScopeSpans
	mScopeLogs
	mScopeMetrics
	mResource
	mEntityRef
	mScope
	mSpan
	mEvent
	mLink
	mStatus
	mLogRecord
	mMetric
	mGauge
	mSum
	mHistogram
	mExponential
	mSummary
	mNumberPoint
	mHistogramPoint
	mExponentialPoint
	mBuckets
	mSummaryPoint
	mQuantile
	mExemplar
	mKeyValue
	mAnyValue
	mArray
	mKeyValueList
	messageCount
)

// kind is how a field is written.
type kind uint8

const (
	kUnknown kind = iota
	kVarint
	kFixed64
	kFixed32
	kText
	kKey
	kBytes
	kID16
	kID8
	kMessage
	kPacked64
	kPackedVarint
)

// What decoding allocates, in bytes: the size class of each struct of pdata. TestSizes holds them equal to pdata's. A
// pointer in a slice costs twice its size, and so does a struct in a slice, as a slice grows by doubling.
const (
	pointerCost   = 16
	resourceCost  = 128 + pointerCost
	scopeCost     = 112 + pointerCost
	entityCost    = 80 + pointerCost
	spanCost      = 224 + pointerCost
	eventCost     = 64 + pointerCost
	linkCost      = 80 + pointerCost
	logRecordCost = 128 + pointerCost
	metricCost    = 96 + pointerCost
	dataCost      = 8 + 32
	numberCost    = 96 + pointerCost
	histogramCost = 176 + pointerCost
	exponentCost  = 224 + pointerCost
	summaryCost   = 96 + pointerCost
	quantileCost  = 16 + pointerCost
	exemplarCost  = 2 * 80
	// A slice of attributes is followed in its growth, see [Walker.attribute].
	attributeCost      = 40
	firstAttributeCost = 48
	arrayValueCost     = 2 * 16
	scalarCost         = 8
	textCost           = 16
	bytesCost          = 24
	containerCost      = 8 + 24
	textItemCost       = 2 * 16
	// A bucket that is written by itself grows a slice.
	bucketGrowCost = 2 * 8
)

// field is what the walk does with one field of a message.
type field struct {
	name  string
	kind  kind
	child message
	// count is the counter that one occurrence adds to; cNone for none.
	count counter
	// nests says that the child is one level deeper: an array or a list of a value.
	nests bool
	// merges says that a further occurrence adds its attributes to those of the first: it is one object in as many parts.
	merges bool
	// cost is what one occurrence allocates, beside the bytes of a text.
	cost int64
}

// maxField is the highest number of a field that is known, but for the deprecated one.
const maxField = 16

// deprecatedScopes is the number under which scopes were sent before OTLP 1.0; pdata still decodes it.
const deprecatedScopes = 1000

type fields [maxField + 1]field

func attributes(name string) field {
	return field{name: name, kind: kMessage, child: mKeyValue, count: cAttributes}
}

func repeated(name string, child message, count counter, cost int64) field {
	return field{name: name, kind: kMessage, child: child, count: count, cost: cost}
}

func single(name string, child message) field { return field{name: name, kind: kMessage, child: child} }

// merged is a single message with attributes.
func merged(name string, child message) field {
	return field{name: name, kind: kMessage, child: child, merges: true}
}

func data(name string, child message) field {
	return field{name: name, kind: kMessage, child: child, cost: dataCost}
}

func simple(name string, k kind) field { return field{name: name, kind: k} }

// scalar is a member of a oneof that decoding allocates.
func scalar(name string, k kind, cost int64) field { return field{name: name, kind: k, cost: cost} }

func resourceOf(scopes string, child message) fields {
	return fields{
		1: merged("resource", mResource),
		2: repeated(scopes, child, cScopes, scopeCost),
		3: simple("schemaUrl", kText),
	}
}

func scopeOf(first field) fields {
	return fields{1: merged("scope", mScope), 2: first, 3: simple("schemaUrl", kText)}
}

func pointsOf(child message, cost int64) fields {
	return fields{
		1: repeated("dataPoints", child, cRecords, cost),
		2: simple("aggregationTemporality", kVarint),
	}
}

// schema is OTLP 1.10 as pdata decodes it: opentelemetry/proto/{common,resource,trace,logs,metrics}/v1.
var schema = [messageCount]fields{
	mTraces:  {1: repeated("resourceSpans", mResourceSpans, cResources, resourceCost)},
	mLogs:    {1: repeated("resourceLogs", mResourceLogs, cResources, resourceCost)},
	mMetrics: {1: repeated("resourceMetrics", mResourceMetrics, cResources, resourceCost)},

	mResourceSpans:   resourceOf("scopeSpans", mScopeSpans),
	mResourceLogs:    resourceOf("scopeLogs", mScopeLogs),
	mResourceMetrics: resourceOf("scopeMetrics", mScopeMetrics),
	mScopeSpans:      scopeOf(repeated("spans", mSpan, cRecords, spanCost)),
	mScopeLogs:       scopeOf(repeated("logRecords", mLogRecord, cRecords, logRecordCost)),
	mScopeMetrics:    scopeOf(repeated("metrics", mMetric, cMetrics, metricCost)),

	mResource: {
		1: attributes("attributes"), 2: simple("droppedAttributesCount", kVarint),
		3: repeated("entityRefs", mEntityRef, cValues, entityCost),
	},
	mEntityRef: {
		1: simple("schemaUrl", kText), 2: simple("type", kText),
		3: {name: "idKeys", kind: kKey, count: cValues, cost: textItemCost},
		4: {name: "descriptionKeys", kind: kKey, count: cValues, cost: textItemCost},
	},
	mScope: {
		1: simple("name", kText), 2: simple("version", kText),
		3: attributes("attributes"), 4: simple("droppedAttributesCount", kVarint),
	},
	mSpan: {
		1: simple("traceId", kID16), 2: simple("spanId", kID8), 3: simple("traceState", kText),
		4: simple("parentSpanId", kID8), 5: simple("name", kText), 6: simple("kind", kVarint),
		7: simple("startTimeUnixNano", kFixed64), 8: simple("endTimeUnixNano", kFixed64),
		9: attributes("attributes"), 10: simple("droppedAttributesCount", kVarint),
		11: repeated("events", mEvent, cEvents, eventCost), 12: simple("droppedEventsCount", kVarint),
		13: repeated("links", mLink, cLinks, linkCost), 14: simple("droppedLinksCount", kVarint),
		15: single("status", mStatus), 16: simple("flags", kFixed32),
	},
	mEvent: {
		1: simple("timeUnixNano", kFixed64), 2: simple("name", kText),
		3: attributes("attributes"), 4: simple("droppedAttributesCount", kVarint),
	},
	mLink: {
		1: simple("traceId", kID16), 2: simple("spanId", kID8), 3: simple("traceState", kText),
		4: attributes("attributes"), 5: simple("droppedAttributesCount", kVarint), 6: simple("flags", kFixed32),
	},
	mStatus: {2: simple("message", kText), 3: simple("code", kVarint)},
	mLogRecord: {
		1: simple("timeUnixNano", kFixed64), 2: simple("severityNumber", kVarint), 3: simple("severityText", kText),
		5: single("body", mAnyValue), 6: attributes("attributes"), 7: simple("droppedAttributesCount", kVarint),
		8: simple("flags", kFixed32), 9: simple("traceId", kID16), 10: simple("spanId", kID8),
		11: simple("observedTimeUnixNano", kFixed64), 12: simple("eventName", kText),
	},
	mMetric: {
		1: simple("name", kText), 2: simple("description", kText), 3: simple("unit", kText),
		5: data("gauge", mGauge), 7: data("sum", mSum), 9: data("histogram", mHistogram),
		10: data("exponentialHistogram", mExponential), 11: data("summary", mSummary), 12: attributes("metadata"),
	},
	mGauge: {1: repeated("dataPoints", mNumberPoint, cRecords, numberCost)},
	mSum: {
		1: repeated("dataPoints", mNumberPoint, cRecords, numberCost),
		2: simple("aggregationTemporality", kVarint), 3: simple("isMonotonic", kVarint),
	},
	mHistogram:   pointsOf(mHistogramPoint, histogramCost),
	mExponential: pointsOf(mExponentialPoint, exponentCost),
	mSummary:     {1: repeated("dataPoints", mSummaryPoint, cRecords, summaryCost)},
	mNumberPoint: {
		2: simple("startTimeUnixNano", kFixed64), 3: simple("timeUnixNano", kFixed64),
		4: scalar("asDouble", kFixed64, scalarCost), 5: repeated("exemplars", mExemplar, cExemplars, exemplarCost),
		6: scalar("asInt", kFixed64, scalarCost), 7: attributes("attributes"), 8: simple("flags", kVarint),
	},
	mHistogramPoint: {
		2: simple("startTimeUnixNano", kFixed64), 3: simple("timeUnixNano", kFixed64), 4: simple("count", kFixed64),
		5: simple("sum", kFixed64), 6: {name: "bucketCounts", kind: kPacked64, count: cBuckets},
		7: {name: "explicitBounds", kind: kPacked64, count: cBuckets},
		8: repeated("exemplars", mExemplar, cExemplars, exemplarCost), 9: attributes("attributes"),
		10: simple("flags", kVarint), 11: simple("min", kFixed64), 12: simple("max", kFixed64),
	},
	mExponentialPoint: {
		1: attributes("attributes"), 2: simple("startTimeUnixNano", kFixed64), 3: simple("timeUnixNano", kFixed64),
		4: simple("count", kFixed64), 5: simple("sum", kFixed64), 6: simple("scale", kVarint),
		7: simple("zeroCount", kFixed64), 8: single("positive", mBuckets), 9: single("negative", mBuckets),
		10: simple("flags", kVarint), 11: repeated("exemplars", mExemplar, cExemplars, exemplarCost),
		12: simple("min", kFixed64), 13: simple("max", kFixed64), 14: simple("zeroThreshold", kFixed64),
	},
	mBuckets: {1: simple("offset", kVarint), 2: {name: "bucketCounts", kind: kPackedVarint, count: cBuckets}},
	mSummaryPoint: {
		2: simple("startTimeUnixNano", kFixed64), 3: simple("timeUnixNano", kFixed64), 4: simple("count", kFixed64),
		5: simple("sum", kFixed64), 6: repeated("quantileValues", mQuantile, cBuckets, quantileCost),
		7: attributes("attributes"), 8: simple("flags", kVarint),
	},
	mQuantile: {1: simple("quantile", kFixed64), 2: simple("value", kFixed64)},
	mExemplar: {
		2: simple("timeUnixNano", kFixed64), 3: scalar("asDouble", kFixed64, scalarCost), 4: simple("spanId", kID8),
		5: simple("traceId", kID16), 6: scalar("asInt", kFixed64, scalarCost), 7: attributes("filteredAttributes"),
	},
	mKeyValue: {1: simple("key", kKey), 2: single("value", mAnyValue), 3: simple("keyStrindex", kVarint)},
	mAnyValue: {
		1: scalar("stringValue", kText, textCost), 2: scalar("boolValue", kVarint, scalarCost),
		3: scalar("intValue", kVarint, scalarCost), 4: scalar("doubleValue", kFixed64, scalarCost),
		5: {name: "arrayValue", kind: kMessage, child: mArray, nests: true, cost: containerCost},
		6: {name: "kvlistValue", kind: kMessage, child: mKeyValueList, nests: true, cost: containerCost},
		7: scalar("bytesValue", kBytes, bytesCost), 8: scalar("stringValueStrindex", kVarint, scalarCost),
	},
	mArray:        {1: repeated("values", mAnyValue, cValues, arrayValueCost)},
	mKeyValueList: {1: attributes("values")},
}
