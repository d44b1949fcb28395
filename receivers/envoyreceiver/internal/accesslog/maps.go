// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"maps"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/attr"
)

// putMap writes one text attribute for each entry.
func putMap(prefix string, entries map[string]string, w attr.Writer) {
	for _, key := range keysWithin(entries, w) {
		w.Str(w.Cut(prefix+key), entries[key])
	}
}

// putHeaders writes one list of texts for each header, as semantic conventions ask. Envoy joins the values of a
// repeated header itself, so the list has one element.
func putHeaders(prefix string, headers map[string]string, w attr.Writer) {
	for _, name := range keysWithin(headers, w) {
		w.Strs(w.Cut(prefix+strings.ToLower(name)), headers[name])
	}
}

func putFilterState(objects map[string]*anypb.Any, w attr.Writer) {
	if len(objects) == 0 {
		return
	}
	done := putPeers(objects, w)
	for _, name := range keysWithin(objects, w) {
		if done.has(name) {
			continue
		}
		if !putAny(w.Cut(prefixFilterState+name), objects[name], w) {
			w.Tally.Skip(attr.SkipFilterState, 1)
		}
	}
}

// putMetadata writes the values of the chosen namespaces of dynamic metadata.
func putMetadata(metadata *corev3.Metadata, namespaces map[string]struct{}, w attr.Writer) {
	if metadata == nil || len(namespaces) == 0 {
		return
	}
	for _, namespace := range slices.Sorted(maps.Keys(namespaces)) {
		prefix := prefixMetadata + namespace
		if fields := metadata.GetFilterMetadata()[namespace].GetFields(); len(fields) > 0 {
			for _, key := range keysWithin(fields, w) {
				putValue(w.Cut(prefix+"."+key), fields[key], w)
			}
		}
		if typed := metadata.GetTypedFilterMetadata()[namespace]; typed != nil && !putAny(prefix, typed, w) {
			w.Tally.Skip(attr.SkipMetadata, 1)
		}
	}
}

// keysWithin returns a map's keys in order, up to the limit, and counts the rest. The order makes it the same keys for
// each entry.
func keysWithin[V any](m map[string]V, w attr.Writer) []string {
	if len(m) == 0 {
		return nil
	}
	keys := slices.Sorted(maps.Keys(m))
	if over := len(keys) - w.Limits.MaxMapEntries; over > 0 {
		w.Tally.Skip(attr.SkipMapEntries, over)
		keys = keys[:w.Limits.MaxMapEntries]
	}
	return keys
}
