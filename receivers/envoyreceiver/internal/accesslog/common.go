// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"math"
	"strings"
	"time"

	alsdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/attr"
)

// endOfTime is the last second that fits into nanoseconds, in the year 2262.
const endOfTime = math.MaxInt64 / int64(time.Second)

func (c *Converter) common(common *alsdata.AccessLogCommon, record plog.LogRecord, w attr.Writer) {
	if common == nil {
		return
	}
	if start := common.GetStartTime(); start.GetSeconds() > 0 && start.GetSeconds() < endOfTime && start.IsValid() {
		record.SetTimestamp(pcommon.NewTimestampFromTime(start.AsTime()))
	}
	putKind(common, w)
	putUpstream(common, w)
	putDownstream(common, w)
	putTimings(common, w)
	putTLS(common.GetTlsProperties(), w)
	putMap(prefixCustomTag, common.GetCustomTags(), w)
	putFilterState(common.GetFilterStateObjects(), w)
	putMetadata(common.GetMetadata(), c.Settings.MetadataNamespaces, w)
}

func putKind(common *alsdata.AccessLogCommon, w attr.Writer) {
	if kind := common.GetAccessLogType(); kind != alsdata.AccessLogType_NotSet {
		w.Str(keyType, kind.String())
	}
	//nolint:staticcheck // SA1019: deprecated in favor of the type, and all that Envoy before 1.26 has.
	if common.GetIntermediateLogEntry() {
		w.Map.PutBool(keyIntermediate, true)
	}
	if rate := common.GetSampleRate(); rate != 0 {
		w.Map.PutDouble(keySampleRate, rate)
	}
	w.Str(keyStreamID, common.GetStreamId())
	w.Str(keyRouteName, common.GetRouteName())
	w.Str(keyTermination, common.GetConnectionTerminationDetails())
	w.Str(keyFlags, strings.Join(Flags(common.GetResponseFlags()), ","))
}

func putUpstream(common *alsdata.AccessLogCommon, w attr.Writer) {
	w.Str(keyUpstreamCluster, common.GetUpstreamCluster())
	w.Str(keyUpstreamAddress, addressText(common.GetUpstreamRemoteAddress()))
	w.Str(keyUpstreamLocal, addressText(common.GetUpstreamLocalAddress()))
	w.Str(keyUpstreamFailure, common.GetUpstreamTransportFailureReason())
	w.Int(keyUpstreamAttempts, int64(common.GetUpstreamRequestAttemptCount()))
	w.Int(keyUpstreamSent, toInt(common.GetUpstreamWireBytesSent()))
	w.Int(keyUpstreamReceived, toInt(common.GetUpstreamWireBytesReceived()))
}

func putDownstream(common *alsdata.AccessLogCommon, w attr.Writer) {
	remote := common.GetDownstreamRemoteAddress()
	w.Str(keyDownstreamAddress, addressText(remote))
	if socket := remote.GetSocketAddress(); socket != nil {
		w.Str(string(semconv.ClientAddressKey), socket.GetAddress())
		w.Int(string(semconv.ClientPortKey), int64(socket.GetPortValue()))
	}
	w.Str(keyDownstreamLocal, addressText(common.GetDownstreamLocalAddress()))
	w.Str(keyDownstreamDirect, addressText(common.GetDownstreamDirectRemoteAddress()))
	w.Str(keyDownstreamFailure, common.GetDownstreamTransportFailureReason())
	w.Int(keyDownstreamSent, toInt(common.GetDownstreamWireBytesSent()))
	w.Int(keyDownstreamReceived, toInt(common.GetDownstreamWireBytesReceived()))
}

func putTimings(common *alsdata.AccessLogCommon, w attr.Writer) {
	putMillis(keyDuration, common.GetDuration(), w)
	putMillis(keyLastRx, common.GetTimeToLastRxByte(), w)
	putMillis(keyFirstUpstreamTx, common.GetTimeToFirstUpstreamTxByte(), w)
	putMillis(keyLastUpstreamTx, common.GetTimeToLastUpstreamTxByte(), w)
	putMillis(keyFirstUpstreamRx, common.GetTimeToFirstUpstreamRxByte(), w)
	putMillis(keyLastUpstreamRx, common.GetTimeToLastUpstreamRxByte(), w)
	putMillis(keyFirstDownstreamTx, common.GetTimeToFirstDownstreamTxByte(), w)
	putMillis(keyLastDownstreamTx, common.GetTimeToLastDownstreamTxByte(), w)
}

// putMillis writes a duration, zero included: a duration is a message, so here the protocol does tell absent from zero.
func putMillis(key string, d *durationpb.Duration, w attr.Writer) {
	if d.IsValid() {
		w.Map.PutDouble(key, float64(d.AsDuration())/float64(time.Millisecond))
	}
}
