// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/routes"
)

func newNamer(tb testing.TB, limit int, templates ...string) *Namer {
	tb.Helper()
	n := &Namer{Rename: true, Templates: true, MaxPath: 256, Names: routes.NewNames(limit)}
	if len(templates) > 0 {
		list := make([]routes.Route, len(templates))
		for i, template := range templates {
			list[i].Template = template
		}
		var err error
		n.Routes, err = routes.NewTable(list)
		require.NoError(tb, err)
	}
	return n
}

// named returns a span's name and the attributes written.
func (n *Namer) named(c *Call, current string) (string, NameSource, map[string]string) {
	out := new(Output)
	Normalize(c, out)
	before := len(out.Attributes)
	name, source := n.Name(c, out, current)
	added := map[string]string{}
	for _, a := range out.Attributes[before:] {
		added[a.Name] = a.Text
	}
	return name, source, added
}

const operation = "shop.ns.svc.cluster.local:80/*"

func TestName(t *testing.T) {
	type pairs = []string
	type attrs = map[string]string
	for name, tt := range map[string]struct {
		in      pairs
		current string
		want    string
		source  NameSource
		added   attrs
	}{
		"route": {
			pairs{"http.method", "GET", "http.url", "http://h/products/7?x", "http.status_code", "404"},
			operation, "GET /products/{id}", NameFromRoute,
			attrs{"http.route": "/products/{id}"},
		},
		"route of an unknown method": {
			pairs{"http.method", "BREW", "http.url", "http://h/products/7"},
			operation, "HTTP /products/{id}", NameFromRoute,
			attrs{"http.route": "/products/{id}"},
		},
		"route that somebody knew": {
			pairs{"http.method", "GET", "http.url", "http://h/products/7", "http.route", "/p/{sku}"},
			operation, "GET /p/{sku}", NameFromRoute,
			attrs{},
		},
		"template": {
			pairs{"http.method", "GET", "http.url", "http://h/orders/7/lines", "http.status_code", "200"},
			operation, "GET /orders/{number}/lines", NameFromTemplate,
			attrs{"url.template": "/orders/{number}/lines"},
		},
		"template that somebody knew": {
			pairs{"http.method", "GET", "http.url", "http://h/orders/7", "url.template", "/orders/{o}"},
			operation, "GET /orders/{o}", NameFromTemplate,
			attrs{},
		},
		"template of a path that leads nowhere": {
			pairs{"http.method", "GET", "http.url", "http://h/wp-admin", "http.status_code", "404"},
			operation, operation, NameKept,
			attrs{},
		},
		"cut path": {
			pairs{"http.method", "GET", "http.url", "http://h/products/" + strings.Repeat("7", 246), "http.status_code", "200"},
			operation, operation, NameKept,
			attrs{},
		},
		"cut query": {
			pairs{"http.method", "GET", "http.url", "http://h/products/7?" + strings.Repeat("q", 300)},
			operation, "GET /products/{id}", NameFromRoute,
			attrs{"http.route": "/products/{id}"},
		},
		"operation of an exact match": {
			pairs{"http.method", "GET", "http.url", "http://shop.example.com/shop", "http.status_code", "500"},
			"shop.ns.svc.cluster.local:80/shop", "shop.ns.svc.cluster.local:80/shop", NameKept,
			attrs{},
		},
		"operation of a prefix match": {
			pairs{"http.method", "GET", "http.url", "http://shop.example.com/shop", "http.status_code", "500"},
			"shop.ns.svc.cluster.local:80/shop*", "shop.ns.svc.cluster.local:80/shop*", NameKept,
			attrs{},
		},
		"ingress":         {pairs{"http.method", "GET", "http.url", "http://h/%"}, "ingress", "GET", NameFromMethod, attrs{}},
		"egress":          {pairs{"http.method", "GET", "http.url", "http://h/%"}, "egress h", "GET", NameFromMethod, attrs{}},
		"no name":         {pairs{"http.method", "GET"}, "", "GET", NameFromMethod, attrs{}},
		"the method":      {pairs{"http.method", "GET"}, "GET", "GET", NameFromMethod, attrs{}},
		"raw path":        {pairs{"http.method", "GET", "http.url", "http://h/a%20b"}, "/a%20b", "GET", NameFromMethod, attrs{}},
		"method and path": {pairs{"http.method", "GET", "http.url", "http://h/a%20b"}, "GET /a%20b", "GET", NameFromMethod, attrs{}},
		"path and query":  {pairs{"http.method", "GET", "http.url", "http://h/a%20b?q"}, "x /a%20b?q", "GET", NameFromMethod, attrs{}},
		"URL":             {pairs{"http.method", "GET", "http.url", "http://h:1/a%20b"}, "http://h:1/a%20b", "GET", NameFromMethod, attrs{}},
		"authority, path": {pairs{"http.method", "GET", "http.url", "http://h:1/a%20b"}, "h:1/a%20b", "GET", NameFromMethod, attrs{}},
		"route's name": {
			pairs{"http.method", "GET", "http.url", "http://h/a%20b", "route_name", "checkout"},
			"/a%20b", "GET checkout", NameFromRouteName,
			attrs{},
		},
		"route's name, translated": {
			pairs{"http.method", "GET", "envoy.route.name", "checkout"}, "ingress", "GET checkout", NameFromRouteName, attrs{},
		},
		"route without a name": {
			pairs{"http.method", "GET", "route_name", "default"}, "ingress", "GET", NameFromMethod, attrs{},
		},
		"attempt": {
			pairs{"upstream_cluster", "outbound|80||h"},
			"router outbound|80||h egress", "router outbound|80||h egress", NameKept,
			attrs{},
		},
		"tunnel": {pairs{"http.method", "CONNECT", "http.url", "http://h:443"}, "ingress", "CONNECT", NameFromMethod, attrs{}},
		"root":   {pairs{"http.method", "GET", "http.url", "http://h", "http.status_code", "200"}, "x", "GET /", NameFromTemplate, attrs{"url.template": "/"}},
		"gRPC": {
			pairs{"http.method", "POST", "http.url", "http://h/shop.Cart/Add", "grpc.path", "/shop.Cart/Add", "grpc.status_code", "0"},
			operation, "shop.Cart/Add", NameFromGRPC,
			attrs{},
		},
		"gRPC, failed": {
			pairs{"http.url", "http://h/shop.Cart/Add", "grpc.status_code", "14"}, operation, "shop.Cart/Add", NameFromGRPC, attrs{},
		},
		"gRPC, method that nobody implements": {
			pairs{"grpc.path", "/shop.Cart/Guess", "grpc.status_code", "12"}, operation, "grpc", NameFromMethod, attrs{},
		},
		"gRPC, no status": {
			pairs{"grpc.path", "/shop.Cart/Guess", "grpc.content_type", "application/grpc"}, operation, "grpc", NameFromMethod, attrs{},
		},
		"gRPC, odd path": {pairs{"grpc.path", "/a/b/c", "grpc.status_code", "0"}, operation, "grpc", NameFromMethod, attrs{}},
	} {
		t.Run(name, func(t *testing.T) {
			namer := newNamer(t, 10, "/products/{id}")
			got, source, added := namer.named(call(KindServer, false, tt.in...), tt.current)
			assert.Equal(t, tt.want, got)
			assert.Equal(t, tt.source, source)
			assert.Equal(t, tt.added, added)

			namer.Rename = false
			got, source, added = namer.named(call(KindServer, false, tt.in...), tt.current)
			assert.Equal(t, tt.current, got)
			assert.Equal(t, NameUntouched, source)
			assert.Equal(t, tt.added, added, "attributes do not depend on names")
		})
	}
}

// Without the list and without the templater, nothing is said about routes.
func TestNoRouteIsMadeUp(t *testing.T) {
	namer := newNamer(t, 10)
	namer.Templates = false
	name, _, added := namer.named(call(KindServer, false, "http.method", "GET", "http.url", "http://h/products", "http.status_code", "200"), operation)
	assert.Equal(t, operation, name)
	assert.Empty(t, added)
}

// Whatever callers send, the number of names is bounded: by the routes and methods of the configuration, and by the
// ceiling on the rest.
func TestNamesAreBounded(t *testing.T) {
	const limit = 50
	namer := newNamer(t, limit, "/products/{id}", "/static/{path...}")
	seen := map[string]bool{}
	sources := map[NameSource]int{}
	for i := range 5000 {
		n := strconv.Itoa(i)
		for _, in := range [][2]string{
			{operation, "http://h/products/" + n},
			{operation, "http://h/static/" + n + "/" + n},
			{operation, "http://h/orders/" + n},
			{operation, "http://h/user" + n},
			{operation, "http://h/user@" + n},
			{"GET /raw@" + n, "http://h/raw@" + n},
			{"egress host" + n, "http://h/x@"},
			{"svc" + n + ":80/*", "http://h/x@"},
			{"anything " + n, "http://h/x@"},
		} {
			c := call(KindServer, false, "http.method", "GET", "http.url", in[1], "http.status_code", "200", "route_name", "r"+n)
			name, source, _ := namer.named(c, in[0])
			seen[name] = true
			sources[source]++
		}
		c := call(KindServer, false, "grpc.path", "/svc/Method"+n, "grpc.status_code", "5", "http.method", "M"+n)
		name, source, _ := namer.named(c, operation)
		seen[name] = true
		sources[source]++
	}
	assert.LessOrEqual(t, len(seen), limit+2+len([]string{"GET", "grpc", "HTTP"}))
	assert.Equal(t, limit, namer.Names.Len())
	assert.Equal(t, 10_000, sources[NameFromRoute], "routes that are configured need no place")
	assert.Positive(t, sources[NameOverLimit])
}

// A scanner must not use up the places of the paths that exist.
func TestOnlyPathsThatLeadSomewhereAreLearned(t *testing.T) {
	namer := newNamer(t, 3)
	for i := range 100 {
		for _, status := range []string{"404", "401", "500", "0", "301x"} {
			namer.named(call(KindServer, false, "http.method", "GET", "http.url", fmt.Sprintf("http://h/scan%d", i),
				"http.status_code", status), "GET")
		}
	}
	assert.Zero(t, namer.Names.Len())
	ok := []string{"http.method", "GET", "http.url", "http://h/cart", "http.status_code", "200"}
	name, _, _ := namer.named(call(KindServer, false, ok...), "GET")
	assert.Equal(t, "GET /cart", name)
	failed := []string{"http.method", "GET", "http.url", "http://h/cart", "http.status_code", "500"}
	name, _, _ = namer.named(call(KindServer, false, failed...), "GET")
	assert.Equal(t, "GET /cart", name, "what was learned serves failures too")
}

func FuzzName(f *testing.F) {
	f.Add("shop.ns.svc.cluster.local:80/*", "http://h/products/42?q", "GET", "200")
	f.Add("egress h", "http://h/%2", "BREW", "0")
	f.Add("GET /x", "http://h:1/x", "POST", "503")
	namer := newNamer(f, 1, "/products/{id}")
	f.Fuzz(func(t *testing.T, current, url, method, status string) {
		c := call(KindServer, false, "http.url", url, "http.method", method, "http.status_code", status)
		name, source, added := namer.named(c, current)
		if name == "" || source == NameUntouched || len(added) > 1 {
			t.Errorf("%q %d %v", name, source, added)
		}
		if namer.Names.Len() > 1 {
			t.Error("over the ceiling")
		}
		again := call(KindServer, false, "http.url", url, "http.method", method, "http.status_code", status)
		for k, v := range added {
			*again.SemconvField(k) = v
		}
		if second, _, _ := namer.named(again, name); second != name {
			t.Errorf("%q became %q", name, second)
		}
	})
}
