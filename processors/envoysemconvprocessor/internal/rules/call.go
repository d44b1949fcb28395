// SPDX-License-Identifier: Apache-2.0

// Package rules holds the judgement of the envoy_semconv processor, apart from the walk over telemetry: what an item's
// attributes mean, in small functions over plain values.
//
//   - [SpanKey], [LogKey]: which attributes are Envoy's own
//   - [Call]: what is said about one request or connection
//   - [Normalize]: the attributes by semantic conventions, and whether the call failed
package rules

import (
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
)

// Kind is what the rules need to know of a span's kind.
type Kind uint8

// The kinds.
const (
	// KindOther is an access log record, or a span that is neither a server's nor a client's.
	KindOther Kind = iota
	KindServer
	KindClient
)

// Encoding says which names an item came with.
type Encoding uint8

// The encodings.
const (
	EncodingNone Encoding = iota
	EncodingLegacy
	EncodingNew
	EncodingBoth
	NumEncodings
)

// Call is what the attributes of one item say, read once.
type Call struct {
	Kind Kind
	// Log is true for an access log record.
	Log bool
	// FromEnvoyScope is true for a span whose instrumentation scope or SDK is Envoy's tracer.
	FromEnvoyScope bool
	// TextNumbers is true for such a span if it has a number by semantic conventions as a text.
	TextNumbers bool
	// StatusError is true for a span whose status came as ERROR.
	StatusError bool
	// StartTold is true for a log record whose timestamp says what the attribute start_time says.
	StartTold bool

	text    [numKeys]string
	present uint64
	badType uint64
	semconv conventions
	// location is the URL in its parts, once it was split.
	location url
}

// conventions is the part of an item's semantic conventions that the rules depend on. Numbers are kept as text.
type conventions struct {
	method, statusCode, url, peerAddress, peerPort, rpcSystem, clientAddress string
	route, template                                                          string
	// nodeID, cluster and routeName are Envoy's own facts under the names that this processor gives them.
	nodeID, cluster, routeName string
	present                    bool
}

// Reset makes the call ready for the next item.
func (c *Call) Reset(kind Kind, log bool) {
	*c = Call{Kind: kind, Log: log}
}

// Set records an attribute under one of Envoy's own names. "-" is how Envoy prints that there is no value.
func (c *Call) Set(key Key, text string) {
	c.present |= 1 << key
	if text != "-" {
		c.text[key] = text
	}
}

// SetBadType records that an attribute of Envoy's has a value that Envoy never sends, such as a map.
func (c *Call) SetBadType(key Key) {
	c.present |= 1 << key
	c.badType |= 1 << key
}

// SemconvField returns where to note the value of a semantic convention that the rules depend on, nil if they do not.
// Asking for one that Envoy writes marks the item as encoded with the new names.
func (c *Call) SemconvField(name string) *string {
	s := &c.semconv
	var field *string
	switch name {
	case httpRequestMethod:
		field = &s.method
	case httpResponseStatusCode:
		field = &s.statusCode
	case urlFull:
		field = &s.url
	case networkPeerAddress:
		field = &s.peerAddress
	case networkPeerPort:
		field = &s.peerPort
	case rpcSystemName, rpcSystem:
		return &s.rpcSystem
	case clientAddress:
		return &s.clientAddress
	case httpRoute:
		return &s.route
	case urlTemplate:
		return &s.template
	case envoyNodeID:
		return &s.nodeID
	case envoyUpstreamCluster:
		return &s.cluster
	case envoyRouteName:
		return &s.routeName
	default:
		return nil
	}
	s.present = true
	return field
}

// IsFromEnvoy reports whether a proxy made the item. Envoy marks its spans with component=proxy; those that lost it
// on the way still name their cluster or an Istio node. Nothing else may be touched: "node_id" or "zone" mean other
// things to other instrumentations.
func (c *Call) IsFromEnvoy() bool {
	if c.text[KeyComponent] == "proxy" || c.text[KeyUpstreamCluster] != "" {
		return true
	}
	if c.text[KeyNodeID] != "" {
		if _, err := envoy.ParseNodeID(c.text[KeyNodeID]); err == nil {
			return true
		}
	}
	if c.Log {
		return c.has(KeyResponseFlags) && c.has(KeyStatusCode)
	}
	// With emit_legacy_tags off, Envoy's tracer writes no tag that has no new name, component included. What is left
	// to know it by is its scope, and that its numbers are texts. Once normalized they are numbers, so that a second
	// pass does not take the span for a fresh one.
	return c.FromEnvoyScope && c.TextNumbers
}

// IsProxy reports whether a proxy made the item, be it as Envoy sent it or as this processor left it.
func (c *Call) IsProxy() bool {
	return c.FromEnvoyScope || c.semconv.nodeID != "" || c.semconv.cluster != "" || c.IsFromEnvoy()
}

// IsSidecar reports whether the proxy that made the item is known to be the sidecar of an application: by its node id,
// or for a SERVER span by a cluster that leads to the application beside it. A gateway or a waypoint is a hop of its
// own.
func (c *Call) IsSidecar() bool {
	return strings.HasPrefix(c.nodeID(), "sidecar~") ||
		(c.Kind == KindServer && strings.HasPrefix(c.cluster(), "inbound|"))
}

// Pod returns the name of the proxy's pod as its node id tells it, "" if it does not.
func (c *Call) Pod() string {
	node, err := envoy.ParseNodeID(c.nodeID())
	if err != nil {
		return ""
	}
	return node.Pod
}

func (c *Call) nodeID() string {
	if c.text[KeyNodeID] != "" {
		return c.text[KeyNodeID]
	}
	return c.semconv.nodeID
}

func (c *Call) cluster() string {
	if c.text[KeyUpstreamCluster] != "" {
		return c.text[KeyUpstreamCluster]
	}
	return c.semconv.cluster
}

// Encoding returns which names the item came with, judged by the attributes that have two.
func (c *Call) Encoding() Encoding {
	const renamed uint64 = 1<<KeyMethod | 1<<KeyStatusCode | 1<<KeyURL | 1<<KeyUserAgent | 1<<KeyPeerAddress |
		1<<KeyRequestSize | 1<<KeyResponseSize | 1<<KeyRetryCount | 1<<KeyProtocol
	legacy := c.present&renamed != 0
	switch {
	case legacy && c.semconv.present:
		return EncodingBoth
	case legacy:
		return EncodingLegacy
	case c.semconv.present:
		return EncodingNew
	}
	return EncodingNone
}

func (c *Call) has(key Key) bool {
	return c.present&(1<<key) != 0
}

// isHTTP reports whether the item is about a request, not about a TCP connection.
func (c *Call) isHTTP() bool {
	return c.text[KeyMethod] != "" || c.semconv.method != ""
}

// startsAtDownstream reports whether Envoy made the span for the request that it received, and not for the attempt
// that it sent upstream: only the former tells about the request's headers.
func (c *Call) startsAtDownstream() bool {
	return c.isHTTP() || c.url() != "" || c.has(KeyUserAgent) || c.has(KeyRequestID)
}

// url returns the URL that counts: the new name wins.
func (c *Call) url() string {
	if c.semconv.url != "" {
		return c.semconv.url
	}
	return c.text[KeyURL]
}
