// SPDX-License-Identifier: Apache-2.0

package rules

import "github.com/otelcol-mesh/otelcol-mesh/internal/accesslog"

// logKeys are the keys of the fields of Istio's default formats and of the command operators that users add.
var logKeys = [accesslog.NumFields]Key{
	accesslog.StartTime:              KeyStartTime,
	accesslog.Method:                 KeyMethod,
	accesslog.Path:                   KeyPath,
	accesslog.Protocol:               KeyProtocol,
	accesslog.ResponseCode:           KeyStatusCode,
	accesslog.ResponseFlags:          KeyResponseFlags,
	accesslog.ResponseCodeDetails:    KeyResponseCodeDetails,
	accesslog.TerminationDetails:     KeyConnectionTermination,
	accesslog.TransportFailure:       KeyTransportFailure,
	accesslog.BytesReceived:          KeyRequestSize,
	accesslog.BytesSent:              KeyResponseSize,
	accesslog.Duration:               KeyDuration,
	accesslog.UpstreamServiceTime:    KeyUpstreamServiceTime,
	accesslog.ForwardedFor:           KeyForwardedFor,
	accesslog.UserAgent:              KeyUserAgent,
	accesslog.RequestID:              KeyRequestID,
	accesslog.Authority:              KeyAuthority,
	accesslog.UpstreamHost:           KeyUpstreamAddress,
	accesslog.UpstreamCluster:        KeyUpstreamCluster,
	accesslog.UpstreamLocal:          KeyUpstreamLocalAddress,
	accesslog.DownstreamLocal:        KeyDownstreamLocalAddress,
	accesslog.DownstreamRemote:       KeyDownstreamAddress,
	accesslog.ServerName:             KeyServerName,
	accesslog.RouteName:              KeyRouteName,
	accesslog.DownstreamDirect:       KeyDownstreamDirect,
	accesslog.DownstreamFailure:      KeyDownstreamFailure,
	accesslog.PeerSAN:                KeyPeerSAN,
	accesslog.LocalSAN:               KeyLocalSAN,
	accesslog.TLSVersion:             KeyTLSVersion,
	accesslog.StreamID:               KeyStreamID,
	accesslog.Attempts:               KeyAttempts,
	accesslog.GRPCStatusNumber:       KeyGRPCStatusCode,
	accesslog.UpstreamWireSent:       KeyUpstreamWireSent,
	accesslog.UpstreamWireReceived:   KeyUpstreamWireReceived,
	accesslog.DownstreamWireSent:     KeyDownstreamWireSent,
	accesslog.DownstreamWireReceived: KeyDownstreamWireReceived,
}

// LogKey returns the key of an access log attribute: those of spans, and the names of Istio's default JSON format and of
// Envoy's command operators, which users repeat as labels of an OpenTelemetry access log.
func LogKey(name string) Key {
	if f := accesslog.FieldOf(name); f != accesslog.FieldNone {
		return logKeys[f]
	}
	return SpanKey(name)
}

// Add records what the body of a log record says. The attributes count more: it fills what they leave open, and returns
// how many of them say something else.
func (c *Call) Add(body *accesslog.Record) (conflicts int64) {
	for f, key := range logKeys {
		if key == KeyNone || !body.Has(accesslog.Field(f)) {
			continue
		}
		value := body.Get(accesslog.Field(f))
		switch said := c.text[key]; {
		case c.badType&(1<<key) != 0:
		case said == "":
			c.Set(key, value)
		case value != "" && said != value:
			conflicts++
		}
	}
	return conflicts
}

// IsAccessLog reports whether an item of Envoy's is a record of its access log, by what no other log of Envoy's has.
func (c *Call) IsAccessLog() bool {
	return c.text[KeyUpstreamCluster] != "" || c.has(KeyStatusCode) || c.has(KeyResponseFlags)
}

// IsHTTPLog reports whether a record is about a request and not about a TCP connection: a request may be too broken to
// have a method, and then has a protocol or a status.
func (c *Call) IsHTTPLog() bool {
	return c.isHTTP() || c.text[KeyProtocol] != "" || (c.text[KeyStatusCode] != "" && c.text[KeyStatusCode] != "0") ||
		(c.semconv.statusCode != "" && c.semconv.statusCode != "0")
}

// StartTime returns the time at which the call began, as Envoy wrote it; empty if it did not.
func (c *Call) StartTime() string { return c.text[KeyStartTime] }

// ResponseFlags returns the response flags; known says that the item tells of them or of a status.
func (c *Call) ResponseFlags() (flags string, known bool) {
	return c.text[KeyResponseFlags], c.has(KeyResponseFlags) || c.has(KeyStatusCode) || c.semconv.statusCode != ""
}

// Status returns the HTTP status of the item that was normalized last, 0 for none.
func (o *Output) Status() int64 { return o.status }
