// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/routes"
)

// NameSource says what a span's name was made of.
type NameSource uint8

// The sources.
const (
	// NameUntouched is the name of a span that is not to be renamed.
	NameUntouched NameSource = iota
	// NameFromRoute is "{method} {http.route}".
	NameFromRoute
	// NameFromTemplate is "{method} {url.template}".
	NameFromTemplate
	// NameFromGRPC is "package.Service/Method".
	NameFromGRPC
	// NameKept is Envoy's own: the operation that the mesh's configuration gave to the route.
	NameKept
	// NameFromRouteName is "{method} {envoy.route.name}".
	NameFromRouteName
	// NameFromMethod is "{method}", or "grpc": nothing of few different values is known.
	NameFromMethod
	// NameOverLimit is the same, because the ceiling on names was reached.
	NameOverLimit
	NumNameSources
)

// Namer names spans, and tells their routes. It is safe for concurrent use.
type Namer struct {
	// Rename gives spans names by the semantic conventions; otherwise only attributes are written.
	Rename bool
	// Routes are the configured routes, nil for none.
	Routes *routes.Table
	// Templates asks for url.template where no route is known.
	Templates bool
	// MaxPath is the length to which Envoy cuts paths (max_path_tag_length of its tracing configuration, 256 unless
	// set). A path of that length may lack its end, so nothing is concluded from it.
	MaxPath int
	// Names holds the names that nobody configured.
	Names *routes.Names
}

// Name adds http.route or url.template to out, for a span for which [Normalize] filled it, and returns the span's
// name.
func (n *Namer) Name(c *Call, out *Output, current string) (string, NameSource) {
	if c.isGRPC() {
		if !n.Rename {
			return current, NameUntouched
		}
		return n.grpcName(c, out)
	}
	name, source := n.fromTarget(c, out)
	switch {
	case !n.Rename:
		return current, NameUntouched
	case source != NameUntouched:
		return name, source
	}
	return n.fromEnvoy(c, current)
}

// fromTarget names the span after its route, or after what is left of its path without identifiers.
func (n *Namer) fromTarget(c *Call, out *Output) (string, NameSource) {
	if c.semconv.route != "" {
		return n.join(c, c.semconv.route), NameFromRoute
	}
	path, known := n.path(c)
	if known && n.Routes != nil {
		if m, ok := n.Routes.Match(c.location.host, path); ok {
			out.derive(httpRoute, m.Template)
			return m.SpanName(c.methodName()), NameFromRoute
		}
	}
	if c.semconv.template != "" {
		return n.join(c, c.semconv.template), NameFromTemplate
	}
	if !known || !n.Templates {
		return "", NameUntouched
	}
	var ok bool
	if out.path, ok = routes.Template(out.path[:0], path); !ok {
		return "", NameUntouched
	}
	// A scanner's paths must not use up the ceiling: only paths that lead somewhere are learned.
	template, ok := n.Names.Use(out.path, out.status >= 200 && out.status < 400)
	if !ok {
		return "", NameUntouched
	}
	out.derive(urlTemplate, template)
	return n.join(c, template), NameFromTemplate
}

// path returns the path of the call without its query. It reports false if there is none or Envoy may have cut it;
// where the query begins the path is whole.
func (n *Namer) path(c *Call) (string, bool) {
	if c.location.host == "" || (c.location.query == "" && len(c.location.path) >= n.MaxPath) {
		return "", false
	}
	if c.location.path == "" {
		return "/", c.method() != "CONNECT"
	}
	return c.location.path, true
}

// join does without concatenation if nobody asks for the name.
func (n *Namer) join(c *Call, target string) string {
	if !n.Rename {
		return ""
	}
	return c.methodName() + " " + target
}

// grpcName names the span after the method of gRPC, which comes from the caller. A method is learned from a call
// that a server seems to have understood; before it knows the method it answers UNIMPLEMENTED, or refuses the caller.
func (n *Namer) grpcName(c *Call, out *Output) (string, NameSource) {
	path := c.grpcPath()
	if _, _, ok := splitGRPCPath(path); !ok {
		return "grpc", NameFromMethod
	}
	learn := out.grpc.known
	switch out.grpc.name() {
	case "UNIMPLEMENTED", "UNAUTHENTICATED", "PERMISSION_DENIED":
		learn = false
	}
	if name, ok := n.Names.UseText(path[1:], learn); ok {
		return name, NameFromGRPC
	}
	if learn {
		return "grpc", NameOverLimit
	}
	return "grpc", NameFromMethod
}

// fromEnvoy keeps the name that the mesh's configuration gave to the route, such as
// "reviews.bookinfo.svc.cluster.local:9080/*", and replaces names that come with the request.
func (n *Namer) fromEnvoy(c *Call, current string) (string, NameSource) {
	method := c.methodName()
	if current == method {
		return method, NameFromMethod
	}
	source := NameFromMethod
	if c.isConfiguredName(current) {
		if name, ok := n.Names.UseText(current, true); ok {
			return name, NameKept
		}
		source = NameOverLimit
	}
	route := c.text[KeyRouteName]
	if route == "" {
		route = c.semconv.routeName
	}
	// "default" is what Istio calls every route that has no name.
	if route != "" && route != "-" && route != "default" {
		if _, ok := n.Names.UseText(route, true); ok {
			return method + " " + route, NameFromRouteName
		}
		source = NameOverLimit
	}
	return method, source
}

// isConfiguredName reports whether a span's name comes from the proxy's configuration and not with the request. Envoy
// calls a span "ingress" or "egress {host}" if no route named the operation. Istio names it "{service}:{port}{path}",
// where the path is what the route matches, "/*" for all: that may be the path of the request for a route that matches
// just one, but the host is never the request's own spelling of it and its path.
func (c *Call) isConfiguredName(name string) bool {
	if name == "" || name == "ingress" || strings.HasPrefix(name, "egress ") || strings.Contains(name, "://") {
		return false
	}
	path := c.location.path
	if len(path) < 2 {
		return true
	}
	before, rest, found := strings.Cut(name, path)
	if !found {
		return true
	}
	if rest != "" {
		// A prefix match: "/products*" for the path "/products". Before a blank or a query it is the request's path;
		// before anything else the path is but a part of another one.
		return rest[0] != ' ' && rest[0] != '?' && rest[0] != '#'
	}
	return isHostPort(before) && !strings.HasSuffix(c.url(), "://"+name)
}

// isHostPort reports whether a text is "host:port" as Istio writes it: with a port, and without a space.
func isHostPort(s string) bool {
	_, port, ok := splitAuthority(s)
	return ok && port > 0
}

// method returns the request's method as it counts: the new name wins.
func (c *Call) method() string {
	if c.semconv.method != "" {
		return c.semconv.method
	}
	return c.text[KeyMethod]
}

// methodName returns {method} of the span names of the semantic conventions.
func (c *Call) methodName() string {
	if m := c.method(); isKnownMethod(m) {
		return m
	}
	return "HTTP"
}
