// SPDX-License-Identifier: Apache-2.0

// Command appinsights is a local Application Insights ingestion endpoint. It
// checks and counts what an exporter sends, shows it over HTTP, and misbehaves
// on demand.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "appinsights:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	listen string
	live   bool
	config ingestiontest.Config
}

func parseFlags(args []string, output io.Writer) (options, error) {
	var o options
	var keys, tokens, lengths, auth string
	flags := flag.NewFlagSet("appinsights", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8088", "`address` to listen on; port 0 picks a free one")
	flags.BoolVar(&o.live, "live", false, "print a line of counts each second")
	flags.StringVar(&keys, "keys", "", "known instrumentation `keys`, comma-separated; empty knows any")
	flags.StringVar(&lengths, "lengths", "truncate", "what to do with long texts: truncate or reject (`mode`)")
	flags.StringVar(&auth, "auth", "none", "authentication `mode`: none, require, unauthorized or forbidden")
	flags.StringVar(&tokens, "tokens", "", "bearer `tokens` that -auth require accepts, comma-separated; empty accepts any")
	flags.IntVar(&o.config.MaxItems, "max-items", 0, "`number` of items to keep; 0 means 100000")
	flags.Int64Var(&o.config.MaxBodyBytes, "max-body-bytes", 0, "largest request body, decompressed, in `bytes`; 0 means 64 MiB")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q: all settings are flags", flags.Arg(0))
	}
	o.config.InstrumentationKeys = list(keys)
	o.config.Lengths = ingestiontest.LengthMode(lengths)
	o.config.Auth = ingestiontest.Auth{Mode: ingestiontest.AuthMode(auth), Tokens: list(tokens)}
	return o, nil
}

func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// run serves until ctx ends, then prints what arrived.
func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parseFlags(args, out)
	if err != nil {
		return err
	}
	server, err := ingestiontest.Listen(o.listen, o.config)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("the port is in use: stop what listens on %s, or choose another with -listen", o.listen)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Ingestion endpoint on %s. Send with the connection string\n  %s\nLook at /summary, /items and /requests; POST /faults; Ctrl-C to stop.\n",
		server.URL(), server.ConnectionString())

	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	serve(ctx, server, o.live, ticker.C, out)

	stopping, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = server.Shutdown(stopping)
	return errors.Join(err, writeSummary(out, server.Summary()))
}

// serve returns when ctx ends; if live, it prints a line at each tick.
func serve(ctx context.Context, server *ingestiontest.Server, live bool, ticks <-chan time.Time, out io.Writer) {
	var before uint64
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticks:
			if live {
				sum := server.Summary()
				fmt.Fprintln(out, liveLine(now, sum, before))
				before = sum.Accepted
			}
		}
	}
}
