// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	alsdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/attr"
)

func TestSeverity(t *testing.T) {
	for _, tc := range []struct {
		name  string
		code  uint32
		flags []string
		want  plog.SeverityNumber
	}{
		{"ok", 200, nil, plog.SeverityNumberInfo},
		{"redirect", 399, nil, plog.SeverityNumberInfo},
		{"client error", 400, nil, plog.SeverityNumberWarn},
		{"client error, last", 499, nil, plog.SeverityNumberWarn},
		{"server error", 500, nil, plog.SeverityNumberError},
		{"no answer, upstream failed", 0, []string{"DC", "UF"}, plog.SeverityNumberError},
		{"no answer, client left", 0, []string{"DC"}, plog.SeverityNumberInfo},
		{"answer in spite of a flag", 200, []string{"UF"}, plog.SeverityNumberInfo},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, httpSeverity(tc.code, tc.flags))
		})
	}
	require.Equal(t, plog.SeverityNumberError, tcpSeverity([]string{"UH"}))
	require.Equal(t, plog.SeverityNumberInfo, tcpSeverity([]string{"DC"}))
}

func TestSplitAuthority(t *testing.T) {
	for authority, want := range map[string]struct {
		host string
		port int64
	}{
		"":                  {"", 0},
		"reviews":           {"reviews", 0},
		"reviews:9080":      {"reviews", 9080},
		"[2001:db8::1]:80":  {"2001:db8::1", 80},
		"[2001:db8::1]":     {"2001:db8::1", 0},
		"reviews:http":      {"reviews:http", 0},
		"reviews:99999":     {"reviews:99999", 0},
		"user@reviews:9080": {"user@reviews", 9080},
	} {
		host, port := splitAuthority(authority)
		require.Equal(t, want.host, host, authority)
		require.Equal(t, want.port, port, authority)
	}
}

func TestTraceContextIsExact(t *testing.T) {
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for name, tc := range map[string]struct {
		header string
		ok     bool
	}{
		"good":            {"00-" + trace + "-" + span + "-00", true},
		"later version":   {"01-" + trace + "-" + span + "-00-more", true},
		"version ff":      {"ff-" + trace + "-" + span + "-00", false},
		"zero trace":      {"00-" + strings.Repeat("0", 32) + "-" + span + "-00", false},
		"zero span":       {"00-" + trace + "-" + strings.Repeat("0", 16) + "-00", false},
		"short":           {"00-" + trace[1:] + "-" + span + "-00", false},
		"not hexadecimal": {"00-" + strings.Repeat("z", 32) + "-" + span + "-00", false},
		"empty":           {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			record := plog.NewLogRecord()
			putTraceContext(map[string]string{"traceparent": tc.header}, record)
			require.Equal(t, tc.ok, !record.TraceID().IsEmpty())
			require.Equal(t, tc.ok, !record.SpanID().IsEmpty())
			require.False(t, record.Flags().IsSampled())
		})
	}
}

func TestLongValuesAreCutAndCounted(t *testing.T) {
	c := testConverter()
	record := plog.NewLogRecord()
	c.HTTP(&alsdata.HTTPAccessLogEntry{Request: &alsdata.HTTPRequestProperties{
		UserAgent: strings.Repeat("ä", 200), // 400 bytes
	}}, record)
	got, _ := record.Attributes().Get("user_agent.original")
	require.Len(t, got.Str(), 256)
	require.True(t, utf8.ValidString(got.Str()))
	require.EqualValues(t, 1, c.Tally.Truncated)

	c.Settings.Limits.MaxValueLength = 255
	c.HTTP(&alsdata.HTTPAccessLogEntry{Request: &alsdata.HTTPRequestProperties{UserAgent: strings.Repeat("ä", 200)}}, record)
	got, _ = record.Attributes().Get("user_agent.original")
	require.Len(t, got.Str(), 254, "a rune must not be cut in two")
}

func TestLargeMapsAreCutAndCounted(t *testing.T) {
	tags := make(map[string]string)
	fields := make(map[string]any)
	for i := range 20 {
		tags["t"+strconv.Itoa(i)] = "v"
		fields["f"+strconv.Itoa(i)] = "v"
	}
	peer, err := structpb.NewStruct(map[string]any{"labels": fields})
	require.NoError(t, err)
	packed, err := anypb.New(peer)
	require.NoError(t, err)
	c := testConverter()
	record := plog.NewLogRecord()
	c.TCP(&alsdata.TCPAccessLogEntry{CommonProperties: &alsdata.AccessLogCommon{
		CustomTags:         tags,
		FilterStateObjects: map[string]*anypb.Any{"upstream_peer": packed},
	}}, record)
	require.Equal(t, 16, record.Attributes().Len())
	require.Equal(t, map[string]int64{attr.SkipMapEntries: 24}, c.Tally.Skipped)
}

func TestPackedBombIsSkipped(t *testing.T) {
	list := &structpb.ListValue{}
	for range maxPackedObjects + 1 {
		list.Values = append(list.Values, structpb.NewNullValue())
	}
	packed, err := anypb.New(&structpb.Struct{Fields: map[string]*structpb.Value{"l": structpb.NewListValue(list)}})
	require.NoError(t, err)
	c := testConverter()
	record := plog.NewLogRecord()
	c.TCP(&alsdata.TCPAccessLogEntry{CommonProperties: &alsdata.AccessLogCommon{
		FilterStateObjects: map[string]*anypb.Any{"x": packed, "downstream_peer": packed},
	}}, record)
	require.Zero(t, record.Attributes().Len())
	require.Equal(t, map[string]int64{attr.SkipFilterState: 1, "peer_too_large": 1}, c.Tally.Skipped)
}

func TestTimesOutOfRange(t *testing.T) {
	c := testConverter()
	for _, start := range []*timestamppb.Timestamp{
		nil, {Seconds: -1}, {Seconds: math.MaxInt64}, {Seconds: 1 << 34}, {Seconds: 1, Nanos: -5},
	} {
		record := plog.NewLogRecord()
		c.TCP(&alsdata.TCPAccessLogEntry{CommonProperties: &alsdata.AccessLogCommon{StartTime: start}}, record)
		require.Zero(t, record.Timestamp(), "%v", start)
	}
	record := plog.NewLogRecord()
	c.TCP(&alsdata.TCPAccessLogEntry{CommonProperties: &alsdata.AccessLogCommon{
		StartTime:               timestamppb.New(time.Unix(1, 5)),
		Duration:                &durationpb.Duration{},
		DownstreamWireBytesSent: math.MaxUint64,
	}}, record)
	require.EqualValues(t, 1_000_000_005, record.Timestamp())
	duration, ok := record.Attributes().Get(keyDuration)
	require.True(t, ok, "a duration of zero is told")
	require.Zero(t, duration.Double())
	sent, _ := record.Attributes().Get(keyDownstreamSent)
	require.EqualValues(t, math.MaxInt64, sent.Int())
}

func TestAddressText(t *testing.T) {
	require.Empty(t, addressText(nil))
	require.Empty(t, addressText(&corev3.Address{}))
	require.Equal(t, "127.1.0.31", addressText(&corev3.Address{Address: &corev3.Address_SocketAddress{
		SocketAddress: &corev3.SocketAddress{Address: "127.1.0.31"},
	}}))
}
