// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"errors"
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// template is a text with placeholders. A placeholder that has no value is left out, with the literal text between it and
// the one before it; literal text before the first and after the last placeholder stays.
type template struct {
	parts []templatePart
	tail  string
}

// templatePart is a placeholder and the literal text before it.
type templatePart struct {
	before string
	// names are attributes, of which the first with a value counts.
	names []string
	// ends are the same at the far end of a call, as an index into an [end]; noPart if that is not told.
	ends []endPart
	// service says that one of the names is that of the service, without which nobody is named.
	service bool
}

// endPart says which of mesh.source.* or mesh.destination.* tells of a far end what a resource attribute tells of the near one.
type endPart uint8

const (
	noPart endPart = iota
	partService
	partWorkload
	partNamespace
	partCluster
	partRegion
	partZone
	partVersion
	partCount
)

// end is the end of a call, by what the mesh says of it.
type end [partCount]string

// known says that the end is named.
func (e *end) known() bool { return e[partService] != "" || e[partWorkload] != "" }

var endParts = map[string]endPart{
	"service.name":            partService,
	"service.version":         partVersion,
	"service.namespace":       partNamespace,
	"k8s.namespace.name":      partNamespace,
	"k8s.cluster.name":        partCluster,
	"k8s.deployment.name":     partWorkload,
	"k8s.statefulset.name":    partWorkload,
	"k8s.daemonset.name":      partWorkload,
	"k8s.cronjob.name":        partWorkload,
	"k8s.job.name":            partWorkload,
	"cloud.region":            partRegion,
	"cloud.availability_zone": partZone,
}

const (
	maxTemplateLength = 1000
	serviceName       = "service.name"
)

func parseTemplate(text string) (*template, error) {
	if text == "" {
		return nil, errors.New("it is empty")
	}
	if len(text) > maxTemplateLength {
		return nil, fmt.Errorf("it is longer than %d characters", maxTemplateLength)
	}
	t := &template{}
	for rest := text; ; {
		before, after, found := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return nil, fmt.Errorf("%q has a } without a {", text)
		}
		if !found {
			t.tail = before
			return t, nil
		}
		inside, tail, closed := strings.Cut(after, "}")
		if !closed || strings.Contains(inside, "{") {
			return nil, fmt.Errorf("%q has a { without a }", text)
		}
		part := templatePart{before: before, names: strings.Split(inside, "|")}
		for _, name := range part.names {
			if name == "" || strings.TrimSpace(name) != name {
				return nil, fmt.Errorf("%q has an empty name, or a space, in {%s}", text, inside)
			}
			part.ends = append(part.ends, endParts[name])
			part.service = part.service || name == serviceName
		}
		t.parts = append(t.parts, part)
		rest = tail
	}
}

// sole returns the attribute that the template yields as it is, or nothing if there is more to it.
func (t *template) sole(attributes pcommon.Map) string {
	if len(t.parts) == 1 && t.parts[0].before == "" && t.tail == "" && !t.parts[0].service {
		for _, name := range t.parts[0].names {
			if firstText(attributes, name) != "" {
				return name
			}
		}
	}
	return ""
}

// appendWith appends the text with the values that value tells, or nothing if there are placeholders and all are empty.
func (t *template) appendWith(b []byte, value func(*templatePart) string) []byte {
	from := len(b)
	written := len(t.parts) == 0
	for i := range t.parts {
		part := &t.parts[i]
		v := value(part)
		if v == "" {
			continue
		}
		if written || i == 0 {
			b = append(b, part.before...)
		} else {
			b = append(b, t.parts[0].before...)
		}
		b = append(b, v...)
		written = true
	}
	if !written {
		return b[:from]
	}
	return append(b, t.tail...)
}

// appendResource appends the text for a resource. A service that is missing beside what is not is [UnknownRole].
func (t *template) appendResource(b []byte, attributes pcommon.Map) []byte {
	namespace := firstText(attributes, "k8s.namespace.name", "service.namespace")
	return t.appendWith(b, func(part *templatePart) string {
		for _, name := range part.names {
			if v := firstText(attributes, name); v != "" {
				if name == serviceName {
					return bareService(v, namespace)
				}
				return v
			}
		}
		if part.service {
			return UnknownRole
		}
		return ""
	})
}

// appendEnd appends the text for the far end of a call, or nothing if its service is not known and the template asks for it.
func (t *template) appendEnd(b []byte, e *end) []byte {
	from, nobody := len(b), false
	b = t.appendWith(b, func(part *templatePart) string {
		for i, p := range part.ends {
			if v := e[p]; v != "" {
				if part.names[i] == serviceName {
					return bareService(v, e[partNamespace])
				}
				return v
			}
		}
		nobody = nobody || part.service
		return ""
	})
	if nobody {
		return b[:from]
	}
	return b
}

// bareService is the name of a service without its namespace: Istio's proxies call themselves reviews.bookinfo, and the
// application in the same pod, like everybody who calls it, says reviews. Both must be one node of the map.
func bareService(name, namespace string) string {
	if namespace == "" {
		return name
	}
	if bare, ok := strings.CutSuffix(name, namespace); ok && len(bare) > 1 && bare[len(bare)-1] == '.' {
		return bare[:len(bare)-1]
	}
	return name
}

// firstText returns the first of the attributes that has a value, as text.
func firstText(attributes pcommon.Map, names ...string) string {
	for _, name := range names {
		if v, ok := attributes.Get(name); ok {
			if v.Type() == pcommon.ValueTypeStr {
				if v.Str() != "" {
					return v.Str()
				}
				continue
			}
			if s := v.AsString(); s != "" {
				return s
			}
		}
	}
	return ""
}
