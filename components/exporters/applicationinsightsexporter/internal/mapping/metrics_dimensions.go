// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

const (
	maxNamespaceLength  = ai.MaxNamespaceLength
	maxMetricNameLength = ai.MaxNameLength
)

// dimension is a name and a value of at most [MaxDimensionLength] characters.
type dimension struct{ key, text string }

// choose appends the dimensions of a point to x.dims and returns where they start. What becomes none is counted.
func (x *metricWalk) choose(attrs pcommon.Map) (from int) {
	from = len(x.dims)
	used := 0
	for _, name := range x.names {
		if len(x.dims)-from >= MaxDimensions {
			break
		}
		switch name {
		case StatusClass:
			if class := statusClass(attrs); class != "" {
				x.dims = append(x.dims, dimension{StatusClass, class})
			}
		case allDimensions:
			used += x.chooseOthers(attrs, from)
		default:
			value, ok := attrs.Get(name)
			if ok {
				used++
			} else if value, ok = x.attributes.Get(name); !ok {
				continue
			}
			x.add(name, value)
		}
	}
	x.walk.counts.dimensionsDropped += attrs.Len() - used
	return from
}

// chooseOthers adds attributes of the point that are no dimensions yet, by name, so that all points of a metric have the
// same. It returns how many there was room for.
func (x *metricWalk) chooseOthers(attrs pcommon.Map, from int) int {
	x.others = x.others[:0]
	for key, value := range attrs.All() {
		taken := slices.ContainsFunc(x.dims[from:], func(d dimension) bool { return d.key == key })
		// Values that are no text are written when it is known that they are wanted.
		if !taken && !slices.Contains(x.names, key) {
			text := ""
			if value.Type() == pcommon.ValueTypeStr {
				text = value.Str()
			}
			x.others = append(x.others, dimension{key, text})
		}
	}
	slices.SortFunc(x.others, func(a, b dimension) int { return cmp.Compare(a.key, b.key) })
	used := 0
	for i := range x.others {
		if len(x.dims)-from >= MaxDimensions {
			break
		}
		used++
		if x.others[i].text != "" {
			x.addText(x.others[i].key, x.others[i].text)
		} else if value, ok := attrs.Get(x.others[i].key); ok {
			x.add(x.others[i].key, value)
		}
	}
	return used
}

// add adds a dimension, unless it is empty: the portal shows an absent one as such.
func (x *metricWalk) add(key string, value pcommon.Value) {
	if value.Type() == pcommon.ValueTypeStr {
		x.addText(key, value.Str())
		return
	}
	x.addText(key, value.AsString())
}

func (x *metricWalk) addText(key, text string) {
	if key == "" || text == "" {
		return
	}
	text, cut := cutText(text, MaxDimensionLength)
	if cut {
		x.walk.counts.textsTrimmed++
	}
	x.dims = append(x.dims, dimension{key, text})
}

// cutText returns the first characters of a text, as the service counts them, and whether there were more.
func cutText(s string, limit int) (string, bool) {
	if len(s) <= limit {
		return s, false
	}
	units := 0
	for i, r := range s {
		units++
		if r > 0xFFFF {
			units++
		}
		if units > limit {
			return s[:i], true
		}
	}
	return s, false
}

// seed is for hashes that are never stored.
var seed = maphash.MakeSeed()

// hashOf returns equal numbers for equal dimensions at equal times.
func hashOf(dims []dimension, at pcommon.Timestamp) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for i := range dims {
		_, _ = h.WriteString(dims[i].key)
		_ = h.WriteByte(0)
		_, _ = h.WriteString(dims[i].text)
		_ = h.WriteByte(0)
	}
	return h.Sum64() ^ uint64(at)*0x9e3779b97f4a7c15
}

// statusClass concludes the dimension of that name from what semantic conventions, Istio and Envoy call the status of a
// call; empty if the point tells none.
func statusClass(attrs pcommon.Map) string {
	for _, key := range [...]string{"rpc.response.status_code", "rpc.grpc.status_code", "grpc_response_status"} {
		if v, ok := attrs.Get(key); ok {
			// An empty text is Istio's way to say that the call was no gRPC.
			if s := v.AsString(); s != "" && s != "0" && s != "OK" {
				return "grpc_error"
			}
		}
	}
	for _, key := range [...]string{"http.response.status_code", "response_code", "envoy_response_code", "envoy.response_code"} {
		if v, ok := attrs.Get(key); ok {
			return classOf(wholeNumber(v))
		}
	}
	for _, key := range [...]string{"response_code_class", "envoy_response_code_class", "envoy.response_code_class"} {
		if v, ok := attrs.Get(key); ok {
			// "5", "5xx" and 5 are all in use.
			if s := v.AsString(); s != "" && s[0] >= '1' && s[0] <= '5' {
				return classNames[s[0]-'0']
			}
		}
	}
	return ""
}

var classNames = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

// classOf names the class of an HTTP status; Envoy has 0 for calls without a response.
func classOf(status int64) string {
	if class := status / 100; class >= 0 && class < int64(len(classNames)) {
		return classNames[class]
	}
	return strconv.FormatInt(status, 10)
}
