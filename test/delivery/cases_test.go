// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// fault is short for what the cases are made of.
type fault = ingestiontest.Fault

// faultCase is one thing that goes wrong, and how it is mended.
type faultCase struct {
	name string
	// script is what the endpoint does to the first requests.
	script []fault
	// scriptOf is a script that depends on the world.
	scriptOf func(w *world) []fault
	// endpoint changes the endpoint for good, arrange the world before the exporter starts.
	endpoint func(*ingestiontest.Config)
	arrange  func(w *world)
	// hangs gives upstream a short timeout.
	hangs bool
	// tls begins with an expired certificate, foreign adds an endpoint at another address.
	tls, foreign bool
	// signal is set where the case is about one; the others take turns.
	signal string
	odd    odd
	n      int
	// sick tells that the exporter has met the fault, and heal ends it. Nil means that the script ends by itself.
	sick func(w *world) bool
	heal func(w *world)
	// restart shuts the exporter down between sick and heal, and starts another one with the same storage after.
	restart bool
	// gated hands over all but the first hundred items only once the exporter is sick.
	gated bool
	// unreached says that some requests do not get as far as the endpoint.
	unreached bool
	// crashes gives the upstream exporter a process of its own.
	crashes bool
	// outage lasts longer than upstream tries, which takes it a hundred seconds.
	outage bool

	// sampledOut and dead are how many items end there, dead with one of the reasons.
	sampledOut, dead int
	reasons          []string
	// duplicates is how many items may be stored twice at most: those whose fate the client could not know.
	duplicates int
	// check looks at what else matters. It is asked for both exporters.
	check func(w *world) (note string, ok bool)
}

func (c *faultCase) items() int {
	if c.n != 0 {
		return c.n
	}
	return 60
}

func (c *faultCase) faults(w *world) []fault {
	if c.scriptOf != nil {
		return c.scriptOf(w)
	}
	return c.script
}

// requests tells that the endpoint has met so many requests.
func requests(n int) func(*world) bool {
	return func(w *world) bool { return len(w.server.Requests()) >= n }
}

func clearFaults(w *world) { w.server.ClearFaults() }

func allCases() []faultCase {
	return slices.Concat(statusCases(), partialCases(), connectionCases(), redirectCases(), pauseCases(), setupCases(), itemCases(), shutdownCases())
}

func statusCases() []faultCase {
	var cases []faultCase
	for _, status := range []int{400, 401, 402, 403, 404, 408, 413, 418, 429, 439, 500, 502, 503, 504, 529} {
		cases = append(cases, faultCase{
			name:   fmt.Sprintf("status %d, twice", status),
			script: []fault{{Kind: ingestiontest.FaultStatus, Status: status, Times: 2}},
		})
	}
	return append(cases,
		faultCase{
			name:     "413 for bodies over 8 KiB",
			endpoint: func(c *ingestiontest.Config) { c.MaxBodyBytes = 8 << 10 },
		}, faultCase{
			name:     "413 for more than 7 items",
			endpoint: func(c *ingestiontest.Config) { c.MaxRequestItems = 7 },
		})
}

func partialCases() []faultCase {
	half := []int{0, 2, 4, 6, 8, 10, 12, 14, 16, 18}
	cases := []faultCase{
		{
			name: "206, mixed: some items 429, one 400",
			script: []fault{
				{Kind: ingestiontest.FaultItems, Indexes: []int{1, 3}, ItemStatus: 429},
				{Kind: ingestiontest.FaultItems, Indexes: []int{2}, ItemStatus: 400, ItemMessage: "109: Field 'name' on type 'RequestData' is required but missing or empty. Expected: string, Actual: "},
			},
			dead: 1, reasons: []string{"invalid"},
		},
		{
			name:       "206, five items sampled out",
			script:     []fault{{Kind: ingestiontest.FaultItems, Indexes: []int{0, 1, 2, 3, 4}, ItemStatus: 206}},
			sampledOut: 5,
		},
		{name: "206, all items 500", script: []fault{{Kind: ingestiontest.FaultItems, Times: 2}}},
		{name: "400, all items 503", script: []fault{{Kind: ingestiontest.FaultItems, ItemStatus: 503, Status: 400, Times: 2}}},
		{name: "206, half the JSON", script: []fault{{Kind: ingestiontest.FaultTruncate}}, duplicates: 60},
		{name: "200, half the JSON", script: []fault{{Kind: ingestiontest.FaultTruncate, Status: 200}}, duplicates: 60},
		{name: "206, a page of HTML", script: []fault{{Kind: ingestiontest.FaultBody, Body: "<html>Bad gateway</html>"}}, duplicates: 60},
		{name: "200, a page of HTML", script: []fault{{Kind: ingestiontest.FaultBody, Status: 200, Body: "<html>Log in</html>"}}, duplicates: 60},
		{name: "206, index out of range and negative", script: []fault{{Kind: ingestiontest.FaultBadIndex}}, duplicates: 60, crashes: true},
	}
	for _, status := range []int{401, 402, 403, 408, 439, 500, 502, 503, 504} {
		cases = append(cases, faultCase{
			name:   fmt.Sprintf("206, half of the items %d", status),
			script: []fault{{Kind: ingestiontest.FaultItems, Indexes: half, ItemStatus: status, Times: 2}},
		})
	}
	// What is said of an item, and not of the whole, and is no known condition that passes, is final.
	return append(cases, faultCase{
		name:   "206, half of the items 404",
		script: []fault{{Kind: ingestiontest.FaultItems, Indexes: half, ItemStatus: 404, Times: 2}},
		dead:   20, reasons: []string{"invalid"},
	})
}

func connectionCases() []faultCase {
	return []faultCase{
		{name: "hang", hangs: true, script: []fault{{Kind: ingestiontest.FaultHang}}},
		{name: "hang after storing", hangs: true, script: []fault{{Kind: ingestiontest.FaultHang, Store: true}}, duplicates: 60},
		{name: "answer without an end", hangs: true, script: []fault{{Kind: ingestiontest.FaultHang, Store: true, Drip: 10 * time.Millisecond}}, duplicates: 60},
		{name: "slow answer", script: []fault{{Kind: ingestiontest.FaultSlow, Drip: 2 * time.Millisecond, Times: 2}}},
		{name: "answer slower than the timeout", hangs: true, script: []fault{{Kind: ingestiontest.FaultSlow, Drip: time.Second}}, duplicates: 60},
		{name: "delay", script: []fault{{Kind: ingestiontest.FaultDelay, Delay: 300 * time.Millisecond, Times: 2}}},
		{name: "reset before storing", script: []fault{{Kind: ingestiontest.FaultClose, Times: 2}}},
		{name: "reset after storing", script: []fault{{Kind: ingestiontest.FaultClose, Store: true}}, duplicates: 60},
		{
			name: "name not known for a while", unreached: true,
			arrange: func(w *world) {
				host, port, _ := net.SplitHostPort(w.server.Addr())
				w.names = theNames
				w.host = net.JoinHostPort(w.names.name(host), port)
			},
			sick: func(w *world) bool { return w.names.questions(w.host) >= 2 },
			heal: func(w *world) { w.names.reveal(w.host) },
		},
		{
			name: "certificate expired, then renewed", tls: true, unreached: true,
			sick: func(w *world) bool { return w.server.Handshakes() >= 1 },
			heal: (*world).renewCertificate,
		},
	}
}

func redirectCases() []faultCase {
	redirect := func(f fault, to func(*world) *ingestiontest.Server) func(*world) []fault {
		return func(w *world) []fault {
			one := f // the worlds of a case are made at the same time
			one.Kind, one.Location = ingestiontest.FaultRedirect, to(w).URL()+appinsights.TrackPath
			return []fault{one}
		}
	}
	itself := func(w *world) *ingestiontest.Server { return w.server }
	elsewhere := func(w *world) *ingestiontest.Server { return w.foreign }
	withToken := func(w *world) {
		w.tokenFile = filepath.Join(w.dir, "token")
		w.writeFile(w.tokenFile, "secret")
	}
	return []faultCase{
		{name: "redirect 307 to the same host", scriptOf: redirect(fault{Status: 307}, itself)},
		{name: "redirect 308 to the same host", scriptOf: redirect(fault{Status: 308, MaxAge: time.Hour}, itself)},
		{name: "redirect loop", scriptOf: redirect(fault{Times: 25}, itself)},
		{
			name: "redirect to another host of Azure's", arrange: func(w *world) {
				withToken(w)
				w.host = w.named(w.server, "westeurope", "in.applicationinsights.azure.com")
			},
			scriptOf: func(w *world) []fault {
				to := w.named(w.server, "northeurope", "in.applicationinsights.azure.com")
				return []fault{{Kind: ingestiontest.FaultRedirect, Location: "http://" + to + appinsights.TrackPath, Times: 2}}
			},
		},
		{
			name: "redirect from Azure's to another cloud", foreign: true, check: nothingToForeign, arrange: func(w *world) {
				withToken(w)
				w.host = w.named(w.server, "westeurope", "in.applicationinsights.azure.com")
			},
			scriptOf: func(w *world) []fault {
				to := w.named(w.foreign, "usgovvirginia", "in.applicationinsights.azure.us")
				return []fault{{Kind: ingestiontest.FaultRedirect, Location: "http://" + to + appinsights.TrackPath, Times: 2}}
			},
		},
		{
			name: "redirect to a foreign host", foreign: true, arrange: withToken,
			scriptOf: redirect(fault{Times: 2}, elsewhere), check: nothingToForeign,
		},
	}
}

// nothingToForeign tells whether the token or an item, which carries the key, came to another host.
func nothingToForeign(w *world) (string, bool) {
	tokens, items := 0, 0
	for _, r := range w.foreign.Requests() {
		items += r.Items
		if r.Authorized {
			tokens++
		}
	}
	if tokens+items == 0 {
		return "", true
	}
	return fmt.Sprintf("the foreign host got the token %d times and %d items with the key", tokens, items), false
}

func pauseCases() []faultCase {
	return []faultCase{
		{name: "429, Retry-After in seconds", script: []fault{{Kind: ingestiontest.FaultStatus, Status: 429, RetryAfter: time.Second}}},
		{name: "429, Retry-After as a date", script: []fault{{Kind: ingestiontest.FaultStatus, Status: 429, RetryAfter: 2 * time.Second, RetryAfterDate: true}}},
		{
			name: "429, Retry-After as a date, 4,900 items meanwhile", n: 5000, gated: true, sick: requests(1),
			script: []fault{{Kind: ingestiontest.FaultStatus, Status: 429, RetryAfter: 5 * time.Second, RetryAfterDate: true}},
		},
		{
			name: "439 for ten minutes", outage: true,
			script: []fault{{Kind: ingestiontest.FaultStatus, Status: appinsights.StatusQuotaExceeded, Times: ingestiontest.Forever}},
			sick:   outageOver, heal: clearFaults,
		},
		{
			name: "503 for ten minutes", outage: true,
			script: []fault{{Kind: ingestiontest.FaultStatus, Status: 503, Times: ingestiontest.Forever}},
			sick:   outageOver, heal: clearFaults,
		},
	}
}

func setupCases() []faultCase {
	clock := func(offset time.Duration) func(*ingestiontest.Config) {
		return func(c *ingestiontest.Config) { c.Now = func() time.Time { return time.Now().Add(offset) } }
	}
	token := func(first string) func(*world) {
		return func(w *world) {
			w.tokenFile = filepath.Join(w.dir, "token")
			w.writeFile(w.tokenFile, first)
		}
	}
	needsToken := func(c *ingestiontest.Config) {
		c.Auth = ingestiontest.Auth{Mode: ingestiontest.AuthRequire, Tokens: []string{"good"}}
	}
	grant := func(w *world) { w.writeFile(w.tokenFile, "good") }
	return []faultCase{
		{name: "no token (401), then one", endpoint: needsToken, arrange: token(""), sick: requests(1), heal: grant},
		{name: "token without the role (403), then granted", endpoint: needsToken, arrange: token("bad"), sick: requests(1), heal: grant},
		{
			name: "wrong key, then corrected in the file",
			arrange: func(w *world) {
				w.connectionFile = filepath.Join(w.dir, "connection")
				w.key = "11111111-1111-1111-1111-111111111111"
				w.writeConnection()
			},
			sick: requests(1),
			heal: func(w *world) { w.key = ingestiontest.DefaultInstrumentationKey; w.writeConnection() },
		},
		// To an endpoint that is two days ahead every item is too old.
		{name: "clock of the endpoint two days ahead", endpoint: clock(49 * time.Hour), dead: 60, reasons: []string{"too_old"}},
		{name: "clock of the endpoint two days behind", endpoint: clock(-49 * time.Hour)},
	}
}

func itemCases() []faultCase {
	poisoned := func(whole bool) []fault {
		return []fault{{Kind: ingestiontest.FaultPoison, Match: poison, Whole: whole, Times: ingestiontest.Forever}}
	}
	return []faultCase{
		{name: "one item refused (206)", odd: oddPoison, script: poisoned(false), dead: 1, reasons: []string{"invalid"}},
		{name: "one item makes the endpoint refuse all (400)", odd: oddPoison, script: poisoned(true), dead: 1, reasons: []string{"invalid"}},
		{name: "one item over 64 KiB", odd: oddLarge, signal: traces},
		{name: "one point is not a number", odd: oddNaN, signal: metrics, dead: 1, reasons: []string{"not_finite"}},
	}
}

// shutdownCases end the exporter while the fault lasts. What it took over is on disk, so the next one delivers it.
func shutdownCases() []faultCase {
	var cases []faultCase
	for name, f := range map[string]fault{
		"503":                        {Kind: ingestiontest.FaultStatus, Status: 503},
		"429 with an hour to wait":   {Kind: ingestiontest.FaultStatus, Status: 429, RetryAfter: time.Hour},
		"439":                        {Kind: ingestiontest.FaultStatus, Status: 439},
		"404":                        {Kind: ingestiontest.FaultStatus, Status: 404},
		"a hang":                     {Kind: ingestiontest.FaultHang},
		"resets":                     {Kind: ingestiontest.FaultClose},
		"resets after storing":       {Kind: ingestiontest.FaultClose, Store: true},
		"206 with every other a 500": {Kind: ingestiontest.FaultItems, Indexes: []int{0, 2, 4, 6, 8, 10, 12, 14, 16, 18}},
	} {
		f.Times = ingestiontest.Forever
		c := faultCase{
			name: "shutdown during " + name, script: []fault{f}, restart: true,
			sick: requests(1), heal: clearFaults, hangs: f.Kind == ingestiontest.FaultHang,
		}
		if f.Store {
			c.duplicates = unbounded
		}
		cases = append(cases, c)
	}
	slices.SortFunc(cases, func(x, y faultCase) int {
		if x.name < y.name {
			return -1
		}
		return 1
	})
	return cases
}

// unbounded says that each attempt may store all items again; what the exporter counts as uncertain is the bound.
const unbounded = 1 << 30
