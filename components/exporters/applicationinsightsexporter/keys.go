// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"
)

// Unmarshal reads the settings, and refuses keys that there are not. The collector would let them pass, as it does wherever
// the settings of an HTTP client stand among others: a dead_letter that is spelled wrong would then lose items in silence.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	if err := errors.Join(unknownKeys("", conf.ToStringMap(), reflect.TypeFor[Config]())...); err != nil {
		return err
	}
	return conf.Unmarshal(c)
}

var unmarshaler = reflect.TypeFor[confmap.Unmarshaler]()

// unknownKeys returns an error for each key that no field of the type has. Types that read themselves see to it themselves.
func unknownKeys(path string, values map[string]any, t reflect.Type) []error {
	fields := map[string]reflect.Type{}
	collectFields(t, fields)
	var errs []error
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		field, known := fields[name]
		if !known {
			errs = append(errs, fmt.Errorf("%s%s: there is no such key%s; write another, or leave it away", path, name, meant(name, fields)))
			continue
		}
		for field.Kind() == reflect.Pointer {
			field = field.Elem()
		}
		below, ok := values[name].(map[string]any)
		if ok && field.Kind() == reflect.Struct && !reflect.PointerTo(field).Implements(unmarshaler) {
			errs = append(errs, unknownKeys(path+name+"::", below, field)...)
		}
	}
	return errs
}

// collectFields adds the fields of a struct by their keys, with those of structs whose keys stand among its own.
func collectFields(t reflect.Type, fields map[string]reflect.Type) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get(confmap.MapstructureTag), ",")
		switch {
		case strings.Contains(options, "squash"):
			collectFields(f.Type, fields)
		case !f.IsExported() || name == "-":
		case name == "":
			fields[strings.ToLower(f.Name)] = f.Type
		default:
			fields[name] = f.Type
		}
	}
}

// meant names a key that differs in one letter, or in the punctuation.
func meant(name string, fields map[string]reflect.Type) string {
	plain := strings.NewReplacer("_", "", "-", "").Replace
	best := ""
	for candidate := range fields {
		if distance(plain(strings.ToLower(name)), plain(candidate)) <= 2 && (best == "" || candidate < best) {
			best = candidate
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (%s?)", best)
}

// distance is how many letters have to be put in, taken out or changed to make one word of the other.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost = 1 + min(before, row[j], row[j+1])
			}
			before, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
