// SPDX-License-Identifier: Apache-2.0

// Package mapping translates spans, log records and metric points into the items of Application Insights.
//
// The rules are small functions, apart from the walk over pdata; mapping.md of the exporter lists them for users.
package mapping

import (
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// Observer is told what the mapping had to leave out or saw, once for each batch, and only what is not zero.
type Observer interface {
	// TextsTrimmed counts texts that were cut to the length their field may have, or to make an item fit.
	TextsTrimmed(n int)
	// AttributesDropped counts attributes that the allow-list does not name, once for each item they would have been
	// on (those of a resource once for each batch of it), and those over the limit of properties of an item.
	AttributesDropped(n int)
	// EventsDropped counts events of spans over the limit of 128 a span.
	EventsDropped(n int)
	// DimensionsDropped counts attributes of points that became no dimension because there were too many.
	DimensionsDropped(n int)
	// PointsCumulative counts points with cumulative temporality.
	PointsCumulative(n int)
	// PointsEmpty counts points that hold no value.
	PointsEmpty(n int)
	// PointsMerged counts points that became equal to another one without the attributes that were dropped.
	PointsMerged(n int)
	// PointsStale counts points without a recorded value.
	PointsStale(n int)
	// PointsNotFinite counts points whose value is NaN or infinite.
	PointsNotFinite(n int)
}

// counts is what an [Observer] is told of one batch.
type counts struct {
	textsTrimmed, attributesDropped, eventsDropped, dimensionsDropped         int
	pointsCumulative, pointsEmpty, pointsMerged, pointsStale, pointsNotFinite int
}

// Mapper translates. It may be used by several goroutines at once.
type Mapper struct {
	settings Settings
	observer Observer
	role     *template
	instance *template
	rules    *attributeRules
	success  successRules
	logs     *logRules
	metrics  *metricRules
	walks    sync.Pool
	// spanBytes is how many bytes a span was mapped to of late, its events included.
	spanBytes atomic.Int64
	// now is the clock for what has no time of its own.
	now func() time.Time
}

// New returns a Mapper, or the error of [Settings.Validate]. observer may be nil.
func New(s Settings, observer Observer) (*Mapper, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	role, err := parseTemplate(roleTemplate(s.Role))
	if err != nil {
		return nil, err
	}
	instance, err := parseTemplate(s.RoleInstance)
	if err != nil {
		return nil, err
	}
	m := &Mapper{
		settings: s, observer: observer, role: role, instance: instance, now: time.Now,
		rules:   newAttributeRules(&s),
		success: newSuccessRules(&s),
		logs:    newLogRules(&s.Logs),
		metrics: newMetricRules(&s.Metrics),
	}
	m.walks.New = func() any { return &walk{m: m} }
	return m, nil
}

// walk is what one call of Traces, Logs or Metrics works with. begin and end of the Mapper give and take it.
//
// The order for one item: setResource and setScope where they change, read for the attributes of the span, record or
// point, then item, further tags with enc, data, fields with enc, properties, finish.
type walk struct {
	m    *Mapper
	into *items.Batch
	enc  items.Encoder
	// resource and scope hold what every item gets of the resource and of the instrumentation scope.
	resource, scope items.Fragment
	// role is the role of the resource.
	role       string
	attributes attributes
	counts     counts
	// text is where templates are filled in.
	text []byte
}

// maxKept is the number of attributes up to which a walk keeps its memory for the next one.
const maxKept = 4096

func (m *Mapper) begin(into *items.Batch) *walk {
	w := m.walks.Get().(*walk)
	w.into = into
	return w
}

// end tells the observer, and gives the walk back.
func (m *Mapper) end(w *walk) {
	w.tellFragment(&w.resource)
	w.tellFragment(&w.scope)
	w.counts.textsTrimmed += w.enc.TextsTrimmed
	w.counts.attributesDropped += w.enc.PropertiesDropped
	w.enc.TextsTrimmed, w.enc.PropertiesDropped = 0, 0
	if m.observer != nil {
		w.counts.tell(m.observer)
	}
	w.counts = counts{}
	w.into = nil
	w.resource.Reset()
	w.scope.Reset()
	w.attributes.reset()
	w.enc.Release()
	if cap(w.attributes.list) <= maxKept {
		m.walks.Put(w)
	}
}

func (c *counts) tell(o Observer) {
	for _, count := range []struct {
		n    int
		tell func(int)
	}{
		{c.textsTrimmed, o.TextsTrimmed},
		{c.attributesDropped, o.AttributesDropped},
		{c.eventsDropped, o.EventsDropped},
		{c.dimensionsDropped, o.DimensionsDropped},
		{c.pointsCumulative, o.PointsCumulative},
		{c.pointsEmpty, o.PointsEmpty},
		{c.pointsMerged, o.PointsMerged},
		{c.pointsStale, o.PointsStale},
		{c.pointsNotFinite, o.PointsNotFinite},
	} {
		if count.n > 0 {
			count.tell(count.n)
		}
	}
}

// read takes the attributes of a span, event or record, instead of those it held before. Of records it takes all: whether
// they are wanted is not told by their names alone.
func (w *walk) read(list attributeList, of sort) { w.attributes.read(w.m.rules, list, of) }

// item begins an item and leaves its tags open, those of the resource written. rate is the percentage of events that were
// kept.
func (w *walk) item(kind items.Kind, at time.Time, rate float64) {
	w.enc.Begin(w.into, kind, at, rate)
	w.enc.AddTags(&w.resource)
}

// data closes the tags and opens the payload.
func (w *walk) data() { w.enc.BeginData() }

// properties opens the properties and writes the attributes that were read and may be one. What of them says something
// that a field of the item says already, by used, is left out where only a pattern asks for it. Further properties may
// follow; those of scope and resource come with finish.
func (w *walk) properties(used usage) {
	w.enc.BeginProperties()
	w.counts.attributesDropped += w.attributes.skipped
	for i := range w.attributes.list {
		a := &w.attributes.list[i]
		switch {
		case a.rule.measurement && isNumber(a.value):
		case a.rule.property == notProperty:
			w.counts.attributesDropped++
		case a.rule.property == byPattern && a.rule.use&(used|usedSecret) != 0:
		case w.openProperty(a):
			w.propertyValue(a)
			w.enc.CloseEmpty()
		}
	}
}

func (w *walk) openProperty(a *attribute) bool {
	if a.rule.plain {
		return w.enc.OpenPlainProperty(a.key)
	}
	return w.enc.OpenProperty(a.key)
}

func (w *walk) propertyValue(a *attribute) {
	if a.rule.harmless && a.value.Type() == pcommon.ValueTypeStr {
		w.enc.Write(a.value.Str())
		return
	}
	if a.rule.field == fieldQuery && a.value.Type() == pcommon.ValueTypeStr {
		redactQuery(a.value.Str(), true, w.enc.Write)
		return
	}
	writeValue(&w.enc, a.value)
}

// finish writes the properties of scope and resource, the measurements, and ends the item.
func (w *walk) finish(derived bool, reject items.Reject) {
	w.enc.AddProperties(&w.scope)
	w.enc.AddProperties(&w.resource)
	if w.attributes.measurements > 0 {
		w.enc.BeginMeasurements()
		for i := range w.attributes.list {
			if a := &w.attributes.list[i]; a.rule.measurement {
				if n, ok := number(a.value); ok {
					w.enc.Measurement(a.key, n)
				}
			}
		}
	}
	w.enc.End(derived, reject)
}
