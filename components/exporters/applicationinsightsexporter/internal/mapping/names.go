// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// operationName is what a request or dependency is called: two words, of which the first may be absent.
type operationName struct {
	method, rest string
	// used is which attributes it consists of.
	used usage
}

// spanName names an HTTP span after method and route, a call of a database after the summary of the query, and others
// after the span.
func spanName(s shape, a *attributes, name string) operationName {
	switch s {
	case shapeHTTP:
		return httpName(a.text(fieldMethod), a.first(fieldRoute, fieldURLTemplate), name)
	case shapeDatabase:
		if summary := a.text(fieldDBSummary); summary != "" {
			return operationName{rest: summary}
		}
	case shapeRPC:
		service, method := a.text(fieldRPCService), a.text(fieldRPCMethod)
		if name == "" {
			return operationName{method: service, rest: method, used: usedMethod}
		}
		if isMethod(name, service, method) {
			return operationName{rest: name, used: usedMethod}
		}
	}
	return operationName{rest: name}
}

// isMethod says that a span's name is its method, in full.
func isMethod(name, service, method string) bool {
	if service == "" || strings.IndexByte(method, '/') >= 0 {
		return name == method
	}
	rest, ok := strings.CutPrefix(name, service)
	return ok && rest != "" && rest[0] == '/' && rest[1:] == method
}

// httpName is "GET /reviews/{id}" if the route is known. Else it is the span's name, with the method in front unless it has
// one already; paths are not looked at, as each would be a name of its own.
func httpName(method, route, name string) operationName {
	if method == "_OTHER" {
		method = "HTTP"
	}
	if route != "" {
		return operationName{method, route, usedName}
	}
	if method == "" || name == method || name == "HTTP" || hasWord(name, method) || hasWord(name, "HTTP") {
		return operationName{rest: name, used: usedName}
	}
	return operationName{method, name, usedName}
}

// hasWord says that text begins with that word and a space.
func hasWord(text, word string) bool {
	return len(text) > len(word) && text[len(word)] == ' ' && strings.HasPrefix(text, word)
}

func (n operationName) write(e *items.Encoder) {
	e.Write(n.method)
	if n.method != "" && n.rest != "" {
		e.Write(" ")
	}
	e.Write(n.rest)
}
