// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"crypto/x509"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/connection"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/replay"
)

// connectionOptions say where to send to, and how.
type connectionOptions struct {
	text, file     string
	proxyURL       string
	caFile         string
	allowPlainHTTP bool
	identity       identityOptions

	proxy *url.URL // of proxyURL
}

func (o *connectionOptions) define(set *flag.FlagSet) {
	set.StringVar(&o.text, "connection-string", "", "")
	set.StringVar(&o.file, "connection-string-file", "", "")
	set.StringVar(&o.proxyURL, "proxy-url", "", "")
	set.StringVar(&o.caFile, "ca-file", "", "")
	set.BoolVar(&o.allowPlainHTTP, "allow-plain-http", false, "")
	o.identity.define(set)
}

func (o *connectionOptions) check() error {
	if o.text != "" && o.file != "" {
		return usagef("--connection-string and --connection-string-file: give one of them")
	}
	if o.proxyURL != "" {
		u, err := url.Parse(o.proxyURL)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			// It may hold a password.
			return usagef("--proxy-url: write http://<host>:<port> or https://<host>:<port>")
		}
		o.proxy = u
	}
	return o.identity.check()
}

// variables may hold the connection string: the name that our configurations use, and the one of Microsoft's SDKs.
var variables = []string{"APPLICATION_INSIGHTS_CONNECTION_STRING", "APPLICATIONINSIGHTS_CONNECTION_STRING"}

// source reads the connection string and says where from.
func (o *connectionOptions) source(w *world) (source *connection.Source, from string, err error) {
	settings := connection.Settings{Text: o.text, File: o.file, Options: connection.Options{AllowPlainHTTP: o.allowPlainHTTP}}
	from = "--connection-string"
	switch {
	case o.file != "":
		from = "the file " + o.file
	case o.text == "":
		from = ""
		for _, variable := range variables {
			if text := w.getenv(variable); text != "" {
				settings.Text, from = text, "the variable "+variable
				break
			}
		}
		if from == "" {
			return nil, "", errors.New("there is none: give --connection-string-file, or set the variable " + variables[0])
		}
	}
	source, err = connection.New(settings)
	return source, from, err
}

// roots returns the certificates to trust; nil for those of the system.
func (o *connectionOptions) roots() (*x509.CertPool, error) {
	if o.caFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(o.caFile)
	if err != nil {
		return nil, usagef("--ca-file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, usagef("--ca-file %s: there is no certificate in it; write a PEM file", o.caFile)
	}
	return pool, nil
}

// proxyFor returns the proxy on the way to a URL, nil if there is none, and what chose it.
func (o *connectionOptions) proxyFor(target *url.URL, w *world) (proxy *url.URL, why string, err error) {
	if o.proxy != nil {
		return o.proxy, "--proxy-url", nil
	}
	proxy, err = w.proxy(&http.Request{URL: target})
	variable := "HTTPS_PROXY"
	if target.Scheme == "http" {
		variable = "HTTP_PROXY"
	}
	set := w.getenv(variable) != "" || w.getenv(strings.ToLower(variable)) != ""
	switch {
	case err != nil:
		// The error of the variable holds its text, and that may hold a password.
		return nil, "", errors.New(variable + " is set and no URL of a proxy: write http://<host>:<port>")
	case proxy != nil:
		return proxy, variable, nil
	case set:
		return nil, variable + " is set, and NO_PROXY (or being this machine) excepts the host", nil
	default:
		return nil, "", nil
	}
}

// letterOptions select letters.
type letterOptions struct {
	directory             string
	destinations, reasons list
	since, until          string
	filter                replay.Filter
}

// list is an option that may be given more than once.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

// Set adds a value.
func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

func (o *letterOptions) define(set *flag.FlagSet) {
	set.StringVar(&o.directory, "directory", "", "")
	set.Var(&o.destinations, "destination", "")
	set.Var(&o.reasons, "reason", "")
	set.StringVar(&o.since, "since", "", "")
	set.StringVar(&o.until, "until", "", "")
}

func (o *letterOptions) check(now time.Time) error {
	if o.directory == "" {
		return usagef("--directory is missing: give 'dead_letter::directory' of the exporter")
	}
	var err error
	o.filter = replay.Filter{Destinations: o.destinations, Reasons: o.reasons}
	if o.filter.Since, err = moment("--since", o.since, now); err != nil {
		return err
	}
	o.filter.Until, err = moment("--until", o.until, now)
	return err
}

// moment reads a time, or how long ago it was.
func moment(option, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, usagef("%s %q: write a time such as 2026-11-23T05:00:00Z, or how long ago, such as 24h", option, text)
	}
	return at, nil
}

// parse reads the options of one command, which takes nothing else.
func parse(command string, args []string, define ...func(*flag.FlagSet)) error {
	set := flag.NewFlagSet(command, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for _, d := range define {
		d(set)
	}
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return errHelp
		}
		return usageError{err}
	}
	if set.NArg() > 0 {
		return usagef("%q is no option of %s", set.Arg(0), command)
	}
	return nil
}
