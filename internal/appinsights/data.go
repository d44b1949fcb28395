// SPDX-License-Identifier: Apache-2.0

package appinsights

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// DataVersion is the ver field of every payload: swagger MonitorDomain.ver.
const DataVersion = 2

// RequestData is one request that this role answered: swagger RequestData.
type RequestData struct {
	// Ver is [DataVersion].
	Ver int `json:"ver"`
	// ID is the span id, which the operation_ParentId of further items names.
	// Required, at most [MaxIDLength].
	ID string `json:"id"`
	// Name is the operation, such as "GET /reviews". At most [MaxNameLength].
	Name string `json:"name,omitempty"`
	// Duration is how long the answer took. Required, below [MaxDuration].
	Duration Duration `json:"duration"`
	// Success says whether the request succeeded. Required.
	Success bool `json:"success"`
	// ResponseCode is the result, such as "200". Required, at most
	// [MaxResultCodeLength].
	ResponseCode string `json:"responseCode"`
	// Source names the caller. At most [MaxSourceLength].
	Source string `json:"source,omitempty"`
	// URL is the whole URL. At most [MaxURLLength].
	URL string `json:"url,omitempty"`
	// Properties holds custom dimensions.
	Properties map[string]string `json:"properties,omitempty"`
	// Measurements holds custom numbers; all finite.
	Measurements map[string]float64 `json:"measurements,omitempty"`
}

// BaseType returns [BaseTypeRequest].
func (*RequestData) BaseType() string { return BaseTypeRequest }

// RemoteDependencyData is one call to another component: swagger
// RemoteDependencyData.
type RemoteDependencyData struct {
	// Ver is [DataVersion].
	Ver int `json:"ver"`
	// Name is the command, such as "GET /ratings". Required, at most
	// [MaxNameLength].
	Name string `json:"name"`
	// ID is the span id, which the request of the called side names as its
	// parent. At most [MaxIDLength].
	ID string `json:"id,omitempty"`
	// ResultCode is the result, such as "503". At most [MaxResultCodeLength].
	ResultCode string `json:"resultCode,omitempty"`
	// Data is the command itself: URL or statement. At most [MaxDataLength].
	Data string `json:"data,omitempty"`
	// Type is the kind of dependency, such as "HTTP". At most [MaxTypeLength].
	Type string `json:"type,omitempty"`
	// Target is the called component by its logical name; the Application Map
	// makes one node of each (type, target). At most [MaxTargetLength].
	Target string `json:"target,omitempty"`
	// Duration is how long the call took. Required, below [MaxDuration].
	Duration Duration `json:"duration"`
	// Success says whether the call succeeded. It is always written, as its
	// absence means true; UnmarshalJSON follows that.
	Success bool `json:"success"`
	// Properties holds custom dimensions.
	Properties map[string]string `json:"properties,omitempty"`
	// Measurements holds custom numbers; all finite.
	Measurements map[string]float64 `json:"measurements,omitempty"`
}

// BaseType returns [BaseTypeDependency].
func (*RemoteDependencyData) BaseType() string { return BaseTypeDependency }

// UnmarshalJSON decodes the payload; an absent success means true.
func (d *RemoteDependencyData) UnmarshalJSON(b []byte) error {
	type plain RemoteDependencyData
	p := plain{Success: true}
	if err := json.Unmarshal(b, &p); err != nil {
		return err
	}
	*d = RemoteDependencyData(p)
	return nil
}

// MessageData is one log record: swagger MessageData.
type MessageData struct {
	// Ver is [DataVersion].
	Ver int `json:"ver"`
	// Message is the text. Required and not empty, at most [MaxMessageLength].
	Message string `json:"message"`
	// SeverityLevel is left out when nil, which means unknown.
	SeverityLevel *SeverityLevel `json:"severityLevel,omitempty"`
	// Properties holds custom dimensions.
	Properties map[string]string `json:"properties,omitempty"`
	// Measurements holds custom numbers; all finite.
	Measurements map[string]float64 `json:"measurements,omitempty"`
}

// BaseType returns [BaseTypeMessage].
func (*MessageData) BaseType() string { return BaseTypeMessage }

// ExceptionData is one error with its causes: swagger TelemetryExceptionData.
type ExceptionData struct {
	// Ver is [DataVersion].
	Ver int `json:"ver"`
	// Exceptions is the chain of errors, the outermost first. At least one.
	Exceptions []ExceptionDetails `json:"exceptions"`
	// SeverityLevel is left out when nil, which means unknown.
	SeverityLevel *SeverityLevel `json:"severityLevel,omitempty"`
	// ProblemID groups equal errors. At most [MaxProblemIDLength].
	ProblemID string `json:"problemId,omitempty"`
	// Properties holds custom dimensions.
	Properties map[string]string `json:"properties,omitempty"`
	// Measurements holds custom numbers; all finite.
	Measurements map[string]float64 `json:"measurements,omitempty"`
}

// BaseType returns [BaseTypeException].
func (*ExceptionData) BaseType() string { return BaseTypeException }

// ExceptionDetails is one error of the chain: swagger
// TelemetryExceptionDetails.
type ExceptionDetails struct {
	// ID and OuterID link an error to the one that wraps it; zero means none.
	ID      int `json:"id,omitempty"`
	OuterID int `json:"outerId,omitempty"`
	// TypeName is the type of the error. At most [MaxTypeLength].
	TypeName string `json:"typeName,omitempty"`
	// Message is the text. Required and not empty, at most [MaxMessageLength].
	Message string `json:"message"`
	// HasFullStack says that Stack or ParsedStack is whole.
	HasFullStack bool `json:"hasFullStack,omitempty"`
	// Stack is the stack as text. At most [MaxStackLength].
	Stack string `json:"stack,omitempty"`
	// ParsedStack is the stack as frames.
	ParsedStack []StackFrame `json:"parsedStack,omitempty"`
}

// StackFrame is one frame of a stack: swagger StackFrame.
type StackFrame struct {
	Level    int    `json:"level"`
	Method   string `json:"method"`
	Assembly string `json:"assembly,omitempty"`
	FileName string `json:"fileName,omitempty"`
	Line     int    `json:"line,omitempty"`
}

// EventData is one named event: swagger TelemetryEventData.
type EventData struct {
	// Ver is [DataVersion].
	Ver int `json:"ver"`
	// Name is the event. Required, at most [MaxEventNameLength].
	Name string `json:"name"`
	// Properties holds custom dimensions.
	Properties map[string]string `json:"properties,omitempty"`
	// Measurements holds custom numbers; all finite.
	Measurements map[string]float64 `json:"measurements,omitempty"`
}

// BaseType returns [BaseTypeEvent].
func (*EventData) BaseType() string { return BaseTypeEvent }

// MetricData is one metric value: swagger MetricsData.
type MetricData struct {
	// Ver is [DataVersion].
	Ver int `json:"ver"`
	// Metrics holds the value. At least one; the service uses the first only.
	Metrics []DataPoint `json:"metrics"`
	// Properties holds the dimensions of the metric.
	Properties map[string]string `json:"properties,omitempty"`
}

// BaseType returns [BaseTypeMetric].
func (*MetricData) BaseType() string { return BaseTypeMetric }

// DataPoint is a measured value or an aggregate of values: swagger
// MetricDataPoint.
type DataPoint struct {
	// Namespace is the namespace of the metric. At most [MaxNamespaceLength].
	Namespace string `json:"ns,omitempty"`
	// Name is the metric. Required, at most [MaxNameLength].
	Name string `json:"name"`
	// Kind says how to read Value; the zero value is a measurement.
	Kind DataPointKind `json:"kind,omitempty"`
	// Value is the value, or the sum of an aggregation. Required, finite.
	Value float64 `json:"value"`
	// Count is the number of values in an aggregation; nil means one.
	Count *int64 `json:"count,omitempty"`
	// Min, Max and StdDev describe an aggregation; nil means not known.
	Min    *float64 `json:"min,omitempty"`
	Max    *float64 `json:"max,omitempty"`
	StdDev *float64 `json:"stdDev,omitempty"`
}

// AvailabilityData is the result of one availability test: swagger
// AvailabilityData.
type AvailabilityData struct {
	// Ver is [DataVersion].
	Ver int `json:"ver"`
	// ID is the run. Required, at most [MaxIDLength].
	ID string `json:"id"`
	// Name is the test. Required, at most [MaxNameLength].
	Name string `json:"name"`
	// Duration is how long the test took. Required, below [MaxDuration].
	Duration Duration `json:"duration"`
	// Success says whether the test passed. Required.
	Success bool `json:"success"`
	// RunLocation is where the test ran. At most [MaxNameLength].
	RunLocation string `json:"runLocation,omitempty"`
	// Message explains the result. At most [MaxPropertyValueLength].
	Message string `json:"message,omitempty"`
	// Properties holds custom dimensions.
	Properties map[string]string `json:"properties,omitempty"`
	// Measurements holds custom numbers; all finite.
	Measurements map[string]float64 `json:"measurements,omitempty"`
}

// BaseType returns [BaseTypeAvailability].
func (*AvailabilityData) BaseType() string { return BaseTypeAvailability }

// SeverityLevel is the severity of a message: swagger SeverityLevel. It is
// written as its name; older clients send the number, which is read as well.
type SeverityLevel int

// The severity levels, least severe first.
const (
	Verbose SeverityLevel = iota
	Information
	Warning
	Error
	Critical
)

var severityNames = []string{"Verbose", "Information", "Warning", "Error", "Critical"}

// String returns the name of the level, or its number when it has none.
func (s SeverityLevel) String() string { return enumName(severityNames, int(s)) }

// MarshalJSON writes the name; it fails for a value that has none.
func (s SeverityLevel) MarshalJSON() ([]byte, error) {
	return marshalEnum("severity level", severityNames, int(s))
}

// UnmarshalJSON reads the name or the number.
func (s *SeverityLevel) UnmarshalJSON(b []byte) error {
	n, err := unmarshalEnum("severity level", severityNames, b)
	*s = SeverityLevel(n)
	return err
}

// DataPointKind says how to read a [DataPoint]: swagger DataPointType. It is
// written as its name; older clients send the number, which is read as well.
type DataPointKind int

// The kinds of data point.
const (
	// Measurement is one measured value.
	Measurement DataPointKind = iota
	// Aggregation is a sum of values with count, minimum and maximum.
	Aggregation
)

var kindNames = []string{"Measurement", "Aggregation"}

// String returns the name of the kind, or its number when it has none.
func (k DataPointKind) String() string { return enumName(kindNames, int(k)) }

// MarshalJSON writes the name; it fails for a value that has none.
func (k DataPointKind) MarshalJSON() ([]byte, error) {
	return marshalEnum("data point kind", kindNames, int(k))
}

// UnmarshalJSON reads the name or the number.
func (k *DataPointKind) UnmarshalJSON(b []byte) error {
	n, err := unmarshalEnum("data point kind", kindNames, b)
	*k = DataPointKind(n)
	return err
}

func enumName(names []string, n int) string {
	if n < 0 || n >= len(names) {
		return strconv.Itoa(n)
	}
	return names[n]
}

func marshalEnum(what string, names []string, n int) ([]byte, error) {
	if n < 0 || n >= len(names) {
		return nil, fmt.Errorf("%s %d is not in 0 to %d", what, n, len(names)-1)
	}
	return []byte(`"` + names[n] + `"`), nil
}

func unmarshalEnum(what string, names []string, b []byte) (int, error) {
	if bytes.Equal(b, []byte("null")) {
		return 0, nil
	}
	for n, name := range names {
		if string(b) == strconv.Itoa(n) || string(b) == `"`+name+`"` {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%s %s is none of %q", what, b, names)
}
