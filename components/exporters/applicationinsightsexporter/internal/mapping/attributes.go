// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"maps"
	"math"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// attributeList is the attributes of a span, record, point, event or resource.
type attributeList = pcommon.Map

// rule is what is known of the attributes of one key.
type rule struct {
	// field is what the attribute means; former says that it is a name of former conventions, which the current one beats.
	field  field
	former bool
	// use is the fields of an item that have what the attribute says.
	use usage
	// property says whether it may be a property, and measurement that it is a measurement if it is a number.
	property    propertyChoice
	measurement bool
	// plain says that the key can be written as it is, and harmless that values of it hold no URLs.
	plain, harmless bool
}

type propertyChoice uint8

const (
	notProperty propertyChoice = iota
	// byPattern is chosen by a prefix or *, so it is left out where a field has it.
	byPattern
	// byName is chosen by its name.
	byName
)

// usage is a set of fields of an item.
type usage uint32

const (
	usedURL usage = 1 << iota
	// usedName is the name by method and route.
	usedName
	// usedServer is the server's name, in the target or the URL.
	usedServer
	usedClient
	// usedResult is the status of HTTP, usedRPCResult that of RPC, usedDBResult that of a database.
	usedResult
	usedRPCResult
	usedDBResult
	// usedText is the statement of a database, usedDatabase its name, usedMethod the method of RPC, usedQueue the queue.
	usedText
	usedDatabase
	usedMethod
	usedQueue
	usedException
	usedUser
	usedSession
	usedRate
	usedSynthetic
	// usedErrorType is the type of the error where it is the result code, and usedSystem what was called where it is the type.
	usedErrorType
	usedSystem
	// usedOperation is the name of the operation as the sender tells it.
	usedOperation
	// usedTag is a tag of the resource that has the value as it is.
	usedTag
	// usedSecret is on attributes that hold credentials: no pattern selects them.
	usedSecret
)

// attributeRules tells the rule of a key.
type attributeRules struct {
	known map[string]rule
	// properties and measurements are the patterns of what is not known.
	properties, measurements patterns
}

// patterns are names, prefixes, or all.
type patterns struct {
	// names says of each name how it was chosen: those of the default list are chosen as by a pattern.
	names    map[string]propertyChoice
	prefixes []string
}

func newPatterns(list, defaults []string) patterns {
	p := patterns{names: map[string]propertyChoice{}}
	for _, entry := range list {
		if entry == wordDefault {
			p.add(defaults, byPattern)
			continue
		}
		p.add([]string{entry}, byName)
	}
	return p
}

func (p *patterns) add(entries []string, as propertyChoice) {
	for _, entry := range entries {
		if prefix, ok := strings.CutSuffix(entry, "*"); ok {
			p.prefixes = append(p.prefixes, prefix)
			continue
		}
		p.names[entry] = max(p.names[entry], as)
	}
}

func (p *patterns) prefix(key string) bool {
	for _, prefix := range p.prefixes {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

func newAttributeRules(s *Settings) *attributeRules {
	all := maps.Clone(conventions)
	r := &attributeRules{
		properties:   newPatterns(s.Attributes, DefaultAttributes),
		measurements: newPatterns(s.Measurements, DefaultMeasurements),
	}
	if key := s.SamplingWeightAttribute; key != "" {
		all[key] = rule{field: fieldWeight, use: usedRate}
	}
	for _, names := range []map[string]propertyChoice{r.properties.names, r.measurements.names} {
		for name := range names {
			if _, ok := all[name]; !ok {
				all[name] = rule{}
			}
		}
	}
	for key, known := range all {
		known.property, known.measurement = r.choose(key)
		known.plain = items.IsPlainKey(key)
		known.harmless = isHarmless(key)
		all[key] = known
	}
	r.known = all
	return r
}

func (r *attributeRules) choose(key string) (propertyChoice, bool) {
	measurement := r.measurements.names[key] != notProperty || r.measurements.prefix(key)
	switch {
	case r.properties.names[key] != notProperty:
		return r.properties.names[key], measurement
	case r.properties.prefix(key):
		return byPattern, measurement
	default:
		return notProperty, measurement
	}
}

// isHarmless says that the values of an attribute are names, as cheap to tell as many of them there are.
func isHarmless(key string) bool {
	return strings.HasPrefix(key, "mesh.") || strings.HasPrefix(key, "k8s.") || strings.HasPrefix(key, "cloud.")
}

func (r *attributeRules) of(key string) (known rule) {
	known, ok := r.known[key]
	if !ok {
		// Every name of a pattern is known, so a prefix is what is left.
		if r.properties.prefix(key) {
			known.property = byPattern
		}
		known.measurement = r.measurements.prefix(key)
		known.harmless = isHarmless(key)
	}
	return known
}

// attributes holds the attributes of one span, record or point with their rules, and those with a meaning by what they mean.
type attributes struct {
	// list has all of them, or all that somebody may want: then skipped is how many others there were.
	list    []attribute
	skipped int
	// fields says where in the list what has a meaning stands, if it is set: indexes, as pointers would keep the garbage
	// collector busy.
	fields       [fieldCount]int32
	set, former  [2]uint64
	measurements int
	// recent are the keys of the last one of each sort with their rules. The next one has the same ones at the same places
	// as a rule, and to compare is cheaper than to look up.
	recent [sortCount][]keyRule
}

type keyRule struct {
	key  string
	rule rule
}

// sort tells lists of attributes apart whose keys differ.
type sort uint8

const (
	sortCall sort = iota
	sortCalled
	sortEvent
	sortRecord
	sortCount
)

// maxRecent is how many keys of a sort are remembered.
const maxRecent = 128

type attribute struct {
	key   string
	value pcommon.Value
	rule  rule
}

func (a *attributes) reset() {
	clear(a.list)
	for i, recent := range a.recent {
		clear(recent)
		a.recent[i] = recent[:0]
	}
	a.forget()
}

func (a *attributes) forget() {
	a.list, a.skipped = a.list[:0], 0
	a.set, a.former = [2]uint64{}, [2]uint64{}
	a.measurements = 0
}

// read reads all attributes of a record; of a span or event those with a meaning and those that may become a property or
// measurement.
func (a *attributes) read(rules *attributeRules, list attributeList, of sort) {
	a.forget()
	all := of == sortRecord
	recent, place := &a.recent[of], 0
	list.Range(func(key string, value pcommon.Value) bool {
		var r rule
		if place < len(*recent) && (*recent)[place].key == key {
			r = (*recent)[place].rule
		} else {
			r = rules.of(key)
			remember(recent, place, keyRule{key, r})
		}
		place++
		if r.field == noField && r.property == notProperty && !r.measurement && !all {
			a.skipped++
			return true
		}
		a.list = append(a.list, attribute{key, value, r})
		if r.measurement && isNumber(value) {
			a.measurements++
		}
		if f := r.field; f != noField {
			word, bit := f>>6, uint64(1)<<(f&63)
			if a.set[word]&bit == 0 || (a.former[word]&bit != 0 && !r.former) {
				a.fields[f] = int32(len(a.list) - 1)
				a.set[word] |= bit
				if r.former {
					a.former[word] |= bit
				} else {
					a.former[word] &^= bit
				}
			}
		}
		return true
	})
}

func remember(recent *[]keyRule, place int, known keyRule) {
	if place < len(*recent) {
		(*recent)[place] = known
	} else if place == len(*recent) && place < maxRecent {
		*recent = append(*recent, known)
	}
}

// has says whether an attribute of that meaning is there.
func (a *attributes) has(f field) bool { return a.set[f>>6]&(1<<(f&63)) != 0 }

// text returns a text, or nothing if there is none or it is of another type.
func (a *attributes) text(f field) string {
	if a.has(f) {
		if v := a.value(f); v.Type() == pcommon.ValueTypeStr {
			return v.Str()
		}
	}
	return ""
}

// value returns the value of what is there.
func (a *attributes) value(f field) pcommon.Value { return a.list[a.fields[f]].value }

// first returns the first of the texts that is not empty.
func (a *attributes) first(fields ...field) string {
	for _, f := range fields {
		if s := a.text(f); s != "" {
			return s
		}
	}
	return ""
}

// whole returns a whole number, which may be written as a text or a float, and whether it is one.
func (a *attributes) whole(f field) (int64, bool) {
	if !a.has(f) {
		return 0, false
	}
	switch v := a.value(f); v.Type() {
	case pcommon.ValueTypeInt:
		return v.Int(), true
	case pcommon.ValueTypeStr:
		n, err := strconv.ParseInt(v.Str(), 10, 64)
		return n, err == nil
	case pcommon.ValueTypeDouble:
		n := int64(v.Double())
		return n, float64(n) == v.Double()
	default:
		return 0, false
	}
}

// asText returns a text, or a whole number as one.
func (a *attributes) asText(f field) string {
	if a.has(f) && a.value(f).Type() == pcommon.ValueTypeInt {
		return strconv.FormatInt(a.value(f).Int(), 10)
	}
	return a.text(f)
}

// decimal returns a finite number, which may be written as a text, and whether it is one.
func (a *attributes) decimal(f field) (float64, bool) {
	if !a.has(f) {
		return 0, false
	}
	if v := a.value(f); v.Type() == pcommon.ValueTypeStr {
		n, err := strconv.ParseFloat(v.Str(), 64)
		return n, err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
	}
	return number(a.value(f))
}

// number returns the value of an integer or a finite float.
func number(v pcommon.Value) (float64, bool) {
	switch v.Type() {
	case pcommon.ValueTypeInt:
		return float64(v.Int()), true
	case pcommon.ValueTypeDouble:
		return v.Double(), !math.IsNaN(v.Double()) && !math.IsInf(v.Double(), 0)
	default:
		return 0, false
	}
}

func isNumber(v pcommon.Value) bool {
	_, ok := number(v)
	return ok
}
