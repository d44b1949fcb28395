// SPDX-License-Identifier: Apache-2.0

package meshprivacyprocessor

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/processor"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshprivacyprocessor/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshprivacyprocessor/internal/redact"
)

const (
	// maxDepth is how deep maps and arrays are followed; what is deeper is replaced.
	maxDepth = 32
	// cutBack is how far before the ceiling a value is cut so that no word is cut in two: half a token is not recognized.
	cutBack = 4 << 10
)

// meshPrivacy handles one signal.
type meshPrivacy struct {
	redactor  *redact.Redactor
	counter   *counter
	maxLength int
	stop      sync.Once
}

func newMeshPrivacy(set processor.Settings, config *Config) (*meshPrivacy, error) {
	settings, err := config.settings()
	if err != nil {
		return nil, err
	}
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("creating the processor's metrics: %w", err)
	}
	return &meshPrivacy{redactor: redact.New(settings), counter: newCounter(telemetry), maxLength: config.MaxValueLength}, nil
}

func (p *meshPrivacy) shutdown(context.Context) error {
	p.stop.Do(p.counter.telemetry.Shutdown)
	return nil
}

// pass goes over one batch.
type pass struct {
	*meshPrivacy
	tally tally
	last  [remembered]seen
}

// remembered is how many attributes of the last item are compared with those of the next.
const remembered = 48

// seen is what is known of an attribute of the last item that had so many: the items of a batch have the same names in the
// same order, and mostly the same values, as they come from the same workload.
type seen struct {
	key   string
	class *redact.Class
	// clean says that there is nothing to redact in this text under this name.
	clean bool
	text  string
}

// text redacts a text that has no name.
func (p *pass) text(text string, at place) (string, bool) {
	cut, wasCut := p.cut(text, at)
	out, changed := p.redactor.Text(cut, &p.tally.redacted[at])
	return out, changed || wasCut
}

// cut shortens a text over the ceiling, so that nothing passes unscanned.
func (p *pass) cut(text string, at place) (string, bool) {
	if len(text) <= p.maxLength {
		return text, false
	}
	p.tally.limited[at][valueLength]++
	text = text[:p.maxLength]
	if i := strings.LastIndexAny(text[max(0, len(text)-cutBack):], " \t\r\n\",;"); i >= 0 {
		return text[:max(0, len(text)-cutBack)+i+1], true
	}
	for len(text) > 0 && !utf8.RuneStart(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	return text[:max(0, len(text)-1)], true
}

// attributes redacts what is in a map, its names included.
func (p *pass) attributes(attrs pcommon.Map, at place, deep int) {
	rename := false
	gone := false
	pair := redact.None
	i := 0
	for key, value := range attrs.All() {
		var before *seen
		if deep == 0 && i < remembered {
			before = &p.last[i]
			i++
		}
		isText := value.Type() == pcommon.ValueTypeStr
		class := p.classOf(key, before)
		if before != nil && before.clean && isText && before.text == value.Str() {
			continue
		}
		if isText && class.Plain {
			clean := p.plainText(value, at)
			if before != nil {
				before.clean, before.text = clean, value.Str()
			}
			if deep > 0 {
				pair = p.namePair(key, value, pair)
			}
			continue
		}
		if class.Keep {
			continue
		}
		rename = rename || class.Renamed
		gone = p.named(value, class, at, deep) || gone
	}
	if pair != redact.None {
		p.valueOfPair(attrs, pair, at, deep)
	}
	if gone {
		attrs.RemoveIf(func(key string, value pcommon.Value) bool {
			class := p.redactor.Key(key)
			return !class.Keep && (class.Category != redact.None || class.Query) && value.Type() == pcommon.ValueTypeEmpty
		})
	}
	if rename {
		p.rename(attrs, at)
	}
}

// classOf returns what a name says, from what is known of the last item if it is the same name.
func (p *pass) classOf(key string, before *seen) *redact.Class {
	if before == nil {
		return p.redactor.Key(key)
	}
	if before.class == nil || before.key != key {
		*before = seen{key: key, class: p.redactor.Key(key)}
	}
	return before.class
}

// plainText redacts a text whose name says nothing, and reports whether there was nothing to redact.
func (p *pass) plainText(value pcommon.Value, at place) (clean bool) {
	text := value.Str()
	clean = true
	if len(text) > p.maxLength {
		text, _ = p.cut(text, at)
		value.SetStr(text)
		clean = false
	}
	if out, changed := p.redactor.Text(text, &p.tally.redacted[at]); changed {
		value.SetStr(out)
		clean = false
	}
	return clean
}

// named redacts a value by what its name says, and reports whether it was emptied to be removed.
func (p *pass) named(value pcommon.Value, class *redact.Class, at place, deep int) bool {
	switch {
	case class.Category != redact.None:
		return p.whole(value, class.Category, at, deep) && p.redactor.Removes()
	case (class.URL || class.Query) && value.Type() == pcommon.ValueTypeStr:
		text, changed := p.cut(value.Str(), at)
		var found bool
		if class.Query {
			text, found = p.redactor.Query(text, &p.tally.redacted[at])
		} else {
			text, found = p.redactor.URL(text, &p.tally.redacted[at])
		}
		if found || changed {
			value.SetStr(text)
		}
	case class.Query:
		return p.whole(value, redact.URLQuery, at, deep) && p.redactor.Removes()
	case class.URL && value.Type() == pcommon.ValueTypeSlice:
		for _, element := range value.Slice().All() {
			if element.Type() == pcommon.ValueTypeStr {
				p.named(element, class, at, deep)
			}
		}
		p.value(value, at, deep)
	default:
		p.value(value, at, deep)
	}
	return false
}

// value redacts what is inside of a value whose name says nothing.
func (p *pass) value(value pcommon.Value, at place, deep int) {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		p.plainText(value, at)
	case pcommon.ValueTypeBytes:
		raw := value.Bytes()
		if raw.Len() == 0 {
			return
		}
		if out, changed := p.text(string(raw.AsRaw()), at); changed {
			raw.FromRaw([]byte(out))
		}
	case pcommon.ValueTypeMap:
		if p.tooDeep(value, at, deep) {
			return
		}
		p.attributes(value.Map(), at, deep+1)
	case pcommon.ValueTypeSlice:
		if p.tooDeep(value, at, deep) {
			return
		}
		p.slice(value.Slice(), at, deep+1)
	}
}

func (p *pass) tooDeep(value pcommon.Value, at place, deep int) bool {
	if deep < maxDepth {
		return false
	}
	p.tally.limited[at][depth]++
	value.SetStr(redact.Placeholder)
	return true
}

// slice redacts an array. An element that is the name of a secret makes the next one a secret: headers as a list of names
// and values, and the arguments of a command.
func (p *pass) slice(slice pcommon.Slice, at place, deep int) {
	next := redact.None
	for _, element := range slice.All() {
		if next != redact.None && element.Type() != pcommon.ValueTypeMap {
			p.whole(element, next, at, deep)
			next = redact.None
			continue
		}
		next = redact.None
		if element.Type() == pcommon.ValueTypeStr {
			next = p.nameOf(element.Str())
		}
		p.value(element, at, deep)
	}
}

// nameOf returns the category if the text is nothing but the name of a secret.
func (p *pass) nameOf(text string) redact.Category {
	if len(text) < 3 || len(text) > maxNameLength || strings.ContainsAny(text, " =\"'?@{") {
		return redact.None
	}
	return p.redactor.Key(text).Category
}

// maxNameLength is up to which length a text may be the name of a header or an option.
const maxNameLength = 64

// namePair notices {name: x-api-key, value: ...}.
func (p *pass) namePair(key string, value pcommon.Value, known redact.Category) redact.Category {
	switch len(key) {
	case 3, 4, 5, 6:
		switch key {
		case "name", "key", "header", "field", "Name", "Key":
			if c := p.nameOf(value.Str()); c != redact.None {
				return c
			}
		}
	}
	return known
}

func (p *pass) valueOfPair(attrs pcommon.Map, category redact.Category, at place, deep int) {
	for _, key := range [...]string{"value", "values", "val", "Value", "Values"} {
		if value, ok := attrs.Get(key); ok {
			p.whole(value, category, at, deep)
			if value.Type() == pcommon.ValueTypeEmpty {
				attrs.Remove(key)
			}
		}
	}
}

// whole redacts all of a value, and reports whether anything of it was a secret. In mode remove the value is empty then.
func (p *pass) whole(value pcommon.Value, category redact.Category, at place, deep int) (found bool) {
	counts := &p.tally.redacted[at]
	switch value.Type() {
	case pcommon.ValueTypeStr, pcommon.ValueTypeInt, pcommon.ValueTypeDouble, pcommon.ValueTypeBytes:
		text := value.AsString()
		if value.Type() == pcommon.ValueTypeBytes {
			text = string(value.Bytes().AsRaw())
		}
		out, changed := p.redactor.Whole(text, category, counts)
		if changed && !p.redactor.Removes() {
			value.SetStr(out)
		}
		found = changed
	case pcommon.ValueTypeMap, pcommon.ValueTypeSlice:
		if p.tooDeep(value, at, deep) {
			return true
		}
		if value.Type() == pcommon.ValueTypeMap {
			for _, inner := range value.Map().All() {
				found = p.whole(inner, category, at, deep+1) || found
			}
			p.rename(value.Map(), at)
			break
		}
		for _, inner := range value.Slice().All() {
			found = p.whole(inner, category, at, deep+1) || found
		}
	}
	if found && p.redactor.Removes() {
		pcommon.NewValueEmpty().CopyTo(value)
	}
	return found
}

// rename redacts names. Two that become one are told apart by a number, so that no value is lost.
func (p *pass) rename(attrs pcommon.Map, at place) {
	renamed := pcommon.NewMap()
	renamed.EnsureCapacity(attrs.Len())
	for key, value := range attrs.All() {
		name := key
		if class := p.redactor.Key(key); class.Renamed {
			name = class.Name
			for category, n := range class.NameTally {
				p.tally.redacted[at][category] += n
			}
		}
		for i := 2; ; i++ {
			if _, taken := renamed.Get(name); !taken || name == key {
				break
			}
			name = fmt.Sprintf("%s_%d", p.redactor.Key(key).Name, i)
		}
		value.CopyTo(renamed.PutEmpty(name))
	}
	renamed.MoveTo(attrs)
}
