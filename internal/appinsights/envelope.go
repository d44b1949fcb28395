// SPDX-License-Identifier: Apache-2.0

// Package appinsights models the Application Insights ingestion protocol: the
// telemetry envelope, its seven kinds of data, and the response of the track
// operation.
//
// Names and limits come from the swagger file "Application Insights Data
// Collection" v2.1 (specification/applicationinsights/data-plane/Monitor.Exporters/preview/v2.1
// of the Azure REST API specifications). Where the running service is known to
// differ from that file, the comment says so.
//
// The package holds no client and no server: an exporter writes these types,
// and ingestiontest reads them.
package appinsights

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Envelope is one telemetry item: swagger TelemetryItem.
type Envelope struct {
	// Ver is the version of the envelope schema, 1. Zero is left out and means 1.
	Ver int `json:"ver,omitempty"`
	// Name is the type name of the item, such as
	// "Microsoft.ApplicationInsights.Request". Required. See [EnvelopeName].
	Name string `json:"name"`
	// Time is when the event happened. Required; not older than [MaxItemAge].
	Time Time `json:"time"`
	// SampleRate is the percentage of events that were kept, over 0 to 100: the
	// item counts as 100/SampleRate events. Zero is left out and means 100.
	SampleRate float64 `json:"sampleRate,omitempty"`
	// Seq is a sequence mark for finding lost data, at most [MaxSeqLength].
	Seq string `json:"seq,omitempty"`
	// InstrumentationKey names the resource the item is for. Optional in the
	// swagger file, but the service refuses an item without a known one.
	InstrumentationKey string `json:"iKey,omitempty"`
	// Tags holds the context of the item by the Tag constants.
	Tags map[string]string `json:"tags,omitempty"`
	// Data is the payload. Required.
	Data Data `json:"data"`
}

// Data is the typed payload of an [Envelope]: swagger MonitorBase.
type Data struct {
	// BaseType names the type of BaseData, as BaseTypeRequest.
	BaseType string `json:"baseType"`
	// BaseData is one of the pointers [NewBaseData] returns.
	BaseData BaseData `json:"baseData"`
}

// BaseData is the payload of one kind of telemetry: swagger MonitorDomain.
type BaseData interface {
	// BaseType returns the name that stands in [Data.BaseType].
	BaseType() string
}

// NewData wraps base with the base type it names.
func NewData(base BaseData) Data { return Data{BaseType: base.BaseType(), BaseData: base} }

// Base types the service accepts: swagger MonitorBase.baseType.
const (
	BaseTypeRequest      = "RequestData"
	BaseTypeDependency   = "RemoteDependencyData"
	BaseTypeMessage      = "MessageData"
	BaseTypeException    = "ExceptionData"
	BaseTypeEvent        = "EventData"
	BaseTypeMetric       = "MetricData"
	BaseTypeAvailability = "AvailabilityData"
)

// Errors of decoding a [Data].
var (
	// ErrUnknownBaseType says that data.baseType names none of the base types.
	ErrUnknownBaseType = errors.New("unknown base type")
	// ErrNoBaseData says that data.baseData is absent or null.
	ErrNoBaseData = errors.New("no base data")
)

// NewBaseData returns a new, empty payload of the named base type, and false
// when the name is not one of the base types.
func NewBaseData(baseType string) (BaseData, bool) {
	switch baseType {
	case BaseTypeRequest:
		return &RequestData{}, true
	case BaseTypeDependency:
		return &RemoteDependencyData{}, true
	case BaseTypeMessage:
		return &MessageData{}, true
	case BaseTypeException:
		return &ExceptionData{}, true
	case BaseTypeEvent:
		return &EventData{}, true
	case BaseTypeMetric:
		return &MetricData{}, true
	case BaseTypeAvailability:
		return &AvailabilityData{}, true
	default:
		return nil, false
	}
}

// UnmarshalJSON decodes baseData into the type that baseType names. It returns
// an error that wraps [ErrUnknownBaseType] or [ErrNoBaseData], or that of the
// JSON decoder.
func (d *Data) UnmarshalJSON(b []byte) error {
	var raw struct {
		BaseType string          `json:"baseType"`
		BaseData json.RawMessage `json:"baseData"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	base, ok := NewBaseData(raw.BaseType)
	if !ok {
		return fmt.Errorf("%w %q", ErrUnknownBaseType, raw.BaseType)
	}
	if len(raw.BaseData) == 0 || string(raw.BaseData) == "null" {
		return ErrNoBaseData
	}
	if err := json.Unmarshal(raw.BaseData, base); err != nil {
		return err
	}
	*d = Data{BaseType: raw.BaseType, BaseData: base}
	return nil
}

// EnvelopeName returns the envelope name the official clients send for a base
// type, such as "Microsoft.ApplicationInsights.Request". The service does not
// check it beyond being present. An unknown base type yields the bare prefix
// and the type itself.
func EnvelopeName(baseType string) string {
	const prefix = "Microsoft.ApplicationInsights."
	switch baseType {
	case BaseTypeDependency:
		return prefix + "RemoteDependency"
	default:
		return prefix + TypeName(baseType)
	}
}

// TypeName returns the short name of a base type that people use for it:
// Request, Dependency, Message, Exception, Event, Metric or Availability. An
// unknown base type is returned as it is.
func TypeName(baseType string) string {
	switch baseType {
	case BaseTypeRequest:
		return "Request"
	case BaseTypeDependency:
		return "Dependency"
	case BaseTypeMessage:
		return "Message"
	case BaseTypeException:
		return "Exception"
	case BaseTypeEvent:
		return "Event"
	case BaseTypeMetric:
		return "Metric"
	case BaseTypeAvailability:
		return "Availability"
	default:
		return baseType
	}
}

// timeLayout writes microseconds, as the swagger's date-time examples do.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// Time is an instant that is written in UTC with a closing Z and microseconds.
// It reads any RFC 3339 time, as the service does.
type Time struct{ time.Time }

// NewTime returns t as it goes on the wire.
func NewTime(t time.Time) Time { return Time{t.UTC()} }

// MarshalText writes the instant in UTC with microseconds. It never fails.
func (t Time) MarshalText() ([]byte, error) {
	return t.UTC().AppendFormat(nil, timeLayout), nil
}

// MarshalJSON writes the text form in quotes; without it the embedded
// time.Time would write its own form.
func (t Time) MarshalJSON() ([]byte, error) {
	return t.UTC().AppendFormat(nil, `"`+timeLayout+`"`), nil
}

// UnmarshalText reads an RFC 3339 time with any fraction and offset, and
// returns the error of [time.Parse] for anything else.
func (t *Time) UnmarshalText(b []byte) error {
	parsed, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return err
	}
	*t = Time{parsed.UTC()}
	return nil
}

// UnmarshalJSON reads a JSON string as [Time.UnmarshalText] does.
func (t *Time) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	return t.UnmarshalText([]byte(s))
}
