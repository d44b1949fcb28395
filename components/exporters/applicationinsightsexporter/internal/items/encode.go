// SPDX-License-Identifier: Apache-2.0

package items

import (
	"encoding/hex"
	"math"
	"strconv"
	"time"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// Encoder writes items as JSON straight into a [Batch]: no reflection, no maps, and no allocation but the growth of the
// batch. Whatever it is given, what it writes is an item that the service can read: texts become valid UTF-8, are escaped,
// and are cut to the length that their field may have; an item over the limit has its longest texts cut until it fits.
//
// The order of calls for one item is Begin, tags, BeginData, fields, BeginProperties, properties, BeginMeasurements,
// measurements, End. The two groups may be left out. The zero value is ready; one Encoder serves one goroutine.
type Encoder struct {
	batch *Batch
	buf   []byte
	// start is where the item begins in buf.
	start int
	item  Item
	// group is the closing of the open group of properties or measurements, or empty.
	group string

	// The open text: where its field begins (with the comma), where its value begins, its limit in characters.
	field, text, limit int
	fixed, clipped     bool

	// pieces are the texts that may be cut to make the item fit.
	pieces  []piece
	keys    keySet
	scratch []byte

	// The last second written, as text.
	second     int64
	secondText []byte

	// TextsTrimmed counts texts that were cut, and PropertiesDropped properties without a name, with that of another one,
	// or over the limit of properties, since they were last set to zero.
	TextsTrimmed, PropertiesDropped int
}

// maxJSONBytes is the size of an item without its instrumentation key: the service counts the key, a text of 36
// characters as a rule, and its name.
const maxJSONBytes = ai.MaxItemBytes - 256

// maxProperties is how many properties and measurements one item has at most. The service names no limit but the size.
const maxProperties = 512

var kindHeads = [...]string{
	KindRequest:      head(ai.BaseTypeRequest),
	KindDependency:   head(ai.BaseTypeDependency),
	KindMessage:      head(ai.BaseTypeMessage),
	KindException:    head(ai.BaseTypeException),
	KindEvent:        head(ai.BaseTypeEvent),
	KindMetric:       head(ai.BaseTypeMetric),
	KindAvailability: head(ai.BaseTypeAvailability),
}

var kindData = [...]string{
	KindRequest:      data(ai.BaseTypeRequest),
	KindDependency:   data(ai.BaseTypeDependency),
	KindMessage:      data(ai.BaseTypeMessage),
	KindException:    data(ai.BaseTypeException),
	KindEvent:        data(ai.BaseTypeEvent),
	KindMetric:       data(ai.BaseTypeMetric),
	KindAvailability: data(ai.BaseTypeAvailability),
}

func head(baseType string) string { return `{"name":"` + ai.EnvelopeName(baseType) + `","time":"` }

func data(baseType string) string {
	return `},"data":{"baseType":"` + baseType + `","baseData":{"ver":` + strconv.Itoa(ai.DataVersion)
}

// Begin starts an item and opens its tags. rate is the percentage of events that were kept, above 0 to 100; anything
// else counts as 100. kind must not be KindUnknown.
func (e *Encoder) Begin(batch *Batch, kind Kind, at time.Time, rate float64) {
	e.batch, e.item = batch, Item{Kind: kind, Time: at}
	e.buf = batch.Begin()
	e.start = len(e.buf)
	e.pieces = e.pieces[:0]
	e.keys.reset()
	e.buf = append(e.buf, kindHeads[kind]...)
	e.appendTime(at)
	e.buf = append(e.buf, '"')
	if rate > 0 && rate < 100 {
		e.buf = append(e.buf, `,"sampleRate":`...)
		e.buf = appendNumber(e.buf, rate)
	}
	e.buf = append(e.buf, `,"tags":{`...)
}

// BeginData closes the tags and opens the payload, with its version.
func (e *Encoder) BeginData() { e.buf = append(e.buf, kindData[e.item.Kind]...) }

// BeginProperties opens the properties.
func (e *Encoder) BeginProperties() { e.openGroup("properties") }

// BeginMeasurements closes the properties and opens the measurements.
func (e *Encoder) BeginMeasurements() { e.openGroup("measurements") }

func (e *Encoder) openGroup(name string) {
	e.closeGroup()
	e.key(name)
	e.buf = append(e.buf, '{')
	e.group = name
	e.keys.reset()
}

// closeGroup closes the open group, and takes it back if it is empty.
func (e *Encoder) closeGroup() {
	if e.group == "" {
		return
	}
	if last := len(e.buf) - 1; e.buf[last] == '{' {
		e.buf = e.buf[:last-len(e.group)-len(`,"":`)]
	} else {
		e.buf = append(e.buf, '}')
	}
	e.group = ""
}

// End closes the item, makes it fit, and adds it to the batch. An item that cannot be made to fit gets RejectTooLarge,
// unless reject says something else already.
func (e *Encoder) End(derived bool, reject Reject) {
	e.closeGroup()
	e.buf = append(e.buf, "}}}"...)
	if len(e.buf)-e.start > maxJSONBytes && !e.fit() && reject == RejectNone {
		reject = RejectTooLarge
	}
	e.item.Derived, e.item.Reject = derived, reject
	e.batch.End(e.buf, e.item)
	e.batch, e.buf = nil, nil
}

// key writes the name of a field, which must need no escaping, and the comma before it.
func (e *Encoder) key(name string) {
	e.comma()
	e.buf = append(e.buf, '"')
	e.buf = append(e.buf, name...)
	e.buf = append(e.buf, '"', ':')
}

func (e *Encoder) comma() {
	if last := e.buf[len(e.buf)-1]; last != '{' && last != '[' {
		e.buf = append(e.buf, ',')
	}
}

// BeginObjects opens a field with a list of one object, as "exceptions" and "metrics" are.
func (e *Encoder) BeginObjects(name string) {
	e.key(name)
	e.buf = append(e.buf, '[', '{')
}

// NextObject closes an object of the list and opens another one.
func (e *Encoder) NextObject() { e.buf = append(e.buf, "},{"...) }

// EndObjects closes what BeginObjects opened.
func (e *Encoder) EndObjects() { e.buf = append(e.buf, '}', ']') }

// Bool writes a field.
func (e *Encoder) Bool(name string, value bool) {
	e.key(name)
	e.buf = strconv.AppendBool(e.buf, value)
}

// Int writes a field.
func (e *Encoder) Int(name string, value int64) {
	e.key(name)
	e.buf = strconv.AppendInt(e.buf, value, 10)
}

// Number writes a field. What is not finite, which JSON cannot express, is written as a text, and false is returned: the
// service refuses such an item.
func (e *Encoder) Number(name string, value float64) bool {
	e.key(name)
	e.buf = appendNumber(e.buf, value)
	return finite(value)
}

// Duration writes a field as [ai.FormatDuration] does: at least zero, and below [ai.MaxDuration].
func (e *Encoder) Duration(name string, d time.Duration) {
	e.key(name)
	e.buf = append(e.buf, '"')
	e.buf = appendDuration(e.buf, d)
	e.buf = append(e.buf, '"')
}

// Tag writes a tag unless it is empty, cut to its length in [ai.MaxTagLengths].
func (e *Encoder) Tag(key, value string) {
	if value != "" {
		e.OpenTag(key)
		e.Write(value)
		e.Close()
	}
}

// Text writes a text field, unless it is empty, cut to limit characters.
func (e *Encoder) Text(name, value string, limit int) {
	if value != "" {
		e.Open(name, limit)
		e.Write(value)
		e.Close()
	}
}

// ID writes a text field that is never cut to make an item fit; its limit is [ai.MaxIDLength].
func (e *Encoder) ID(name string, id []byte) {
	e.Open(name, ai.MaxIDLength)
	e.fixed = true
	e.WriteHex(id)
	e.Close()
}

// Property writes a property, also an empty one. Of two with one key the first stays.
func (e *Encoder) Property(key, value string) {
	if e.OpenProperty(key) {
		e.Write(value)
		e.CloseEmpty()
	}
}

// Measurement writes a measurement. One that is not finite would have the service refuse the whole item, so it is left
// out, and false is returned. Of two with one key the first stays.
func (e *Encoder) Measurement(key string, value float64) bool {
	if !finite(value) {
		return false
	}
	if key, ok := e.newKey(key); ok {
		e.openField(key, ai.MaxPropertyKeyLength)
		e.buf = appendNumber(e.buf, value)
	}
	return true
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// appendNumber appends a JSON number, or a text if the value is not finite.
func appendNumber(b []byte, f float64) []byte {
	if !finite(f) {
		b = append(b, '"')
		b = strconv.AppendFloat(b, f, 'g', -1, 64)
		return append(b, '"')
	}
	if n := int64(f); float64(n) == f && n > -1e15 && n < 1e15 {
		return strconv.AppendInt(b, n, 10)
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64)
}

// appendTime appends the instant in UTC with microseconds. Items of one batch are near each other in time, so the text of
// the last second is kept.
func (e *Encoder) appendTime(t time.Time) {
	if second := t.Unix(); second != e.second || len(e.secondText) == 0 {
		e.second = second
		e.secondText = t.UTC().AppendFormat(e.secondText[:0], "2006-01-02T15:04:05.")
	}
	e.buf = append(e.buf, e.secondText...)
	e.buf = appendDigits(e.buf, t.Nanosecond()/1000, 6)
	e.buf = append(e.buf, 'Z')
}

func appendDuration(b []byte, d time.Duration) []byte {
	d = min(max(d, 0), ai.MaxDuration-time.Microsecond)
	days := int(d / (24 * time.Hour))
	b = appendDigits(b, days, max(2, digitsOf(days)))
	b = append(b, '.')
	b = appendDigits(b, int(d/time.Hour%24), 2)
	b = append(b, ':')
	b = appendDigits(b, int(d/time.Minute%60), 2)
	b = append(b, ':')
	b = appendDigits(b, int(d/time.Second%60), 2)
	b = append(b, '.')
	return appendDigits(b, int(d/time.Microsecond%1e6), 6)
}

func digitsOf(n int) int {
	if n >= 100 {
		return 3
	}
	return 2
}

// appendDigits appends n with leading zeros in width places.
func appendDigits(b []byte, n, width int) []byte {
	var digits [6]byte
	for i := width - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	return append(b, digits[:width]...)
}

// WriteHex appends bytes in lower-case hexadecimal to the open text.
func (e *Encoder) WriteHex(id []byte) { e.buf = hex.AppendEncode(e.buf, id) }

// WriteInt appends a decimal number to the open text.
func (e *Encoder) WriteInt(n int64) { e.buf = strconv.AppendInt(e.buf, n, 10) }

// WriteBool appends true or false to the open text.
func (e *Encoder) WriteBool(b bool) { e.buf = strconv.AppendBool(e.buf, b) }

// WriteFloat appends a number to the open text, in the shortest form that is read back as the same, or NaN, +Inf, -Inf.
func (e *Encoder) WriteFloat(f float64) {
	if finite(f) {
		e.buf = appendNumber(e.buf, f)
		return
	}
	e.buf = strconv.AppendFloat(e.buf, f, 'g', -1, 64)
}
