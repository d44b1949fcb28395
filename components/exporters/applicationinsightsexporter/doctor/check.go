// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/x509"
	"flag"
	"io"
	"net/url"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/connection"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/azureauthextension/credential"
)

// checkOptions are those of the command check.
type checkOptions struct {
	connection connectionOptions
	dryRun     bool
	timeout    time.Duration
	json       bool
}

// maxTimeout bounds a check that somebody waits for.
const maxTimeout = 10 * time.Minute

func runCheck(ctx context.Context, args []string, stdout io.Writer, w *world) (int, error) {
	var o checkOptions
	err := parse("check", args, o.connection.define, func(set *flag.FlagSet) {
		set.BoolVar(&o.dryRun, "dry-run", false, "")
		set.DurationVar(&o.timeout, "timeout", time.Minute, "")
		set.BoolVar(&o.json, "json", false, "")
	})
	if err != nil {
		return 0, err
	}
	if o.timeout <= 0 || o.timeout > maxTimeout {
		return 0, usagef("--timeout %s: write more than 0 and at most %s", o.timeout, maxTimeout)
	}
	if err := o.connection.check(); err != nil {
		return 0, err
	}
	roots, err := o.connection.roots()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	c := &check{world: w, options: &o, roots: roots}
	r := c.run(ctx)
	write := r.printText
	if o.json {
		write = r.printJSON
	}
	if err := write(stdout); err != nil {
		return 0, err
	}
	if !r.Works {
		return ExitFailed, nil
	}
	return ExitOK, nil
}

// check goes the way of one item, step by step.
type check struct {
	*world
	options *checkOptions
	roots   *x509.CertPool

	info   *connection.Info
	target *url.URL // the ingestion endpoint
	proxy  *url.URL // nil if there is none
	// addresses are where a connection is made to: of the proxy, if there is one.
	addresses []string
	token     string
	identity  credential.Identity
	steps     []step
}

// run takes the steps until one fails.
func (c *check) run(ctx context.Context) report {
	for _, s := range []struct {
		name string
		take func(context.Context, *step)
	}{
		{"connection string", c.readConnection},
		{"proxy", c.findProxy},
		{"name (DNS)", c.lookUp},
		{"connection (TCP)", c.connect},
		{"encryption (TLS)", c.encrypt},
		{"token (Microsoft Entra ID)", c.askToken},
		{"answer", c.post},
	} {
		next := step{Name: s.name, Verdict: verdictOK, Says: []string{}}
		began := c.now()
		s.take(ctx, &next)
		next.Millis = c.now().Sub(began).Milliseconds()
		c.steps = append(c.steps, next)
		if next.Verdict == verdictFailed {
			break
		}
	}
	r := report{Steps: c.steps}
	r.conclude(c.options.dryRun)
	return r
}

func (c *check) skip(s *step, format string, args ...any) {
	s.Verdict = verdictSkipped
	s.say(format, args...)
}

func (c *check) readConnection(_ context.Context, s *step) {
	source, from, err := c.options.connection.source(c.world)
	if err != nil {
		s.fail("%v", err)
		s.advise("copy the connection string from the overview of the Application Insights resource in the Azure portal")
		return
	}
	c.info = source.Current()
	target, err := url.Parse(c.info.TrackURL())
	if err != nil {
		s.fail("its endpoint is no URL")
		return
	}
	c.target = target
	s.say("from %s: items go to %s; the instrumentation key is there (it is never shown)", from, c.info.TrackURL())
	if c.info.Location() != "" {
		s.say("region: %s", c.info.Location())
	}
	for _, note := range c.info.Notes() {
		s.warn("%s", note)
	}
	if from == "--connection-string" {
		s.warn("the string stands on the command line, where other users of this machine may see it")
		s.advise("use --connection-string-file")
	}
}

func (c *check) findProxy(_ context.Context, s *step) {
	proxy, why, err := c.options.connection.proxyFor(c.target, c.world)
	switch {
	case err != nil:
		s.fail("%v", err)
	case proxy == nil && why != "":
		s.say("none: %s", why)
	case proxy == nil:
		s.say("none: neither --proxy-url nor the environment names one")
	default:
		c.proxy = proxy
		s.say("%s, chosen by %s", hideUser(proxy), why)
		s.say("the collector uses it only if its own 'proxy_url' or environment says the same")
	}
}

// hideUser shows a URL without its password.
func hideUser(u *url.URL) string {
	if u.User != nil {
		return u.Scheme + "://(user)@" + u.Host
	}
	return u.Scheme + "://" + u.Host
}
