// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/connection"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/deadletter"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/delivery"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/replay"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/azureauthextension/credential"
)

// replayOptions are those of the command letters replay.
type replayOptions struct {
	letters    letterOptions
	connection connectionOptions
	settings   replay.Settings
	json       bool
}

// requestTimeout bounds one request of a replay, as 'timeout' does in the exporter.
const requestTimeout = 30 * time.Second

func runReplay(ctx context.Context, args []string, stdout io.Writer, w *world) (int, error) {
	var o replayOptions
	err := parse("letters replay", args, o.letters.define, o.connection.define, func(set *flag.FlagSet) {
		set.BoolVar(&o.settings.DryRun, "dry-run", false, "")
		set.BoolVar(&o.settings.ShiftTime, "shift-time", false, "")
		set.Float64Var(&o.settings.Rate, "rate", 500, "")
		set.IntVar(&o.settings.Batch, "batch", 0, "")
		set.DurationVar(&o.settings.Patience, "patience", 0, "")
		set.BoolVar(&o.json, "json", false, "")
	})
	if err != nil {
		return 0, err
	}
	if err := errors.Join(o.letters.check(w.now()), o.connection.check()); err != nil {
		return 0, usageError{err}
	}
	o.settings.Directory, o.settings.Filter = o.letters.directory, o.letters.filter
	o.settings.Now, o.settings.Wait = w.now, w.wait
	if err := o.oneDestination(); err != nil {
		return 0, err
	}
	if !o.settings.DryRun {
		sender, closeSender, err := o.sender(w)
		if err != nil {
			return 0, err
		}
		defer closeSender()
		o.settings.Sender = sender
	}
	if err := o.settings.Validate(); err != nil {
		return 0, usageError{err}
	}
	report, err := replay.Run(ctx, o.settings)
	if printed := o.print(stdout, &report, err); printed != nil {
		return 0, errors.Join(err, printed)
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("stopped early: %w", err)
	case report.Kept() > 0 || len(report.Busy) > 0:
		return ExitLeft, nil
	}
	return ExitOK, nil
}

// oneDestination refuses to send the letters of several routes to one resource unless they were named.
func (o *replayOptions) oneDestination() error {
	if len(o.letters.destinations) > 0 {
		return nil
	}
	var destinations []string
	_, err := o.letters.walk(func(_ deadletter.File, entry deadletter.Entry) bool {
		if !slices.Contains(destinations, entry.Letter.Destination) {
			destinations = append(destinations, entry.Letter.Destination)
		}
		return len(destinations) < 20
	})
	if err == nil && len(destinations) > 1 {
		slices.Sort(destinations)
		return usagef("the letters are of several destinations (%s) and all would go to one resource: choose with --destination", strings.Join(destinations, ", "))
	}
	return err
}

// sender sends as the exporter does.
func (o *replayOptions) sender(w *world) (*delivery.Sender, func(), error) {
	source, _, err := o.connection.source(w)
	if err != nil {
		return nil, nil, fmt.Errorf("connection string: %w", err)
	}
	roots, err := o.connection.roots()
	if err != nil {
		return nil, nil, err
	}
	transport := &http.Transport{
		DialContext:       w.dial,
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2: true,
		Proxy: func(r *http.Request) (*url.URL, error) {
			proxy, _, err := o.connection.proxyFor(r.URL, w)
			return proxy, err
		},
	}
	client := &http.Client{Transport: transport, Timeout: requestTimeout}
	done := transport.CloseIdleConnections
	if o.connection.identity.kind != "" {
		keeper, err := o.keeper(source.Current(), w)
		if err != nil {
			return nil, nil, err
		}
		client.Transport = &authorize{next: transport, keeper: keeper}
		done = func() {
			keeper.Shutdown()
			transport.CloseIdleConnections()
		}
	}
	destination, err := delivery.NewDestination(delivery.Settings{
		Name: "replay", Client: client, Connection: source, Authenticated: o.connection.identity.kind != "", UserAgent: name, Timeout: requestTimeout,
	})
	if err != nil {
		done()
		return nil, nil, err
	}
	return destination.Sender(nil), done, nil
}

// keeper keeps a token for as long as the replay takes.
func (o *replayOptions) keeper(info *connection.Info, w *world) (*credential.Keeper, error) {
	settings, err := o.connection.identity.settings(info, w)
	if err != nil {
		return nil, err
	}
	fetcher, err := credential.New(settings)
	if err != nil {
		return nil, err
	}
	keeper := credential.NewKeeper(func(ctx context.Context) (credential.Token, error) {
		defer fetcher.Close()
		return fetcher.Fetch(ctx)
	}, nil)
	keeper.Start()
	return keeper, nil
}

// printed is a report as JSON.
type printed struct {
	replay.Report
	DryRun bool   `json:"dry_run"`
	Error  string `json:"error,omitempty"`
}

func (o *replayOptions) print(w io.Writer, r *replay.Report, failed error) error {
	if o.json {
		p := printed{Report: *r, DryRun: o.settings.DryRun}
		if failed != nil {
			p.Error = failed.Error()
		}
		return printJSON(w, p)
	}
	var text bytes.Buffer
	delivered := "delivered"
	if o.settings.DryRun {
		delivered = "would be sent (dry run: nothing was)"
	}
	fmt.Fprintf(&text, "%s in %s\n", plural(r.Matched, "letter"), plural(r.Files, "file"))
	fmt.Fprintf(&text, "%7d  %s\n", r.Delivered, delivered)
	line := func(n int, words string) {
		if n > 0 {
			fmt.Fprintf(&text, "%7d  %s\n", n, words)
		}
	}
	line(r.Shifted, "of these with the time of now in place of their own")
	for _, c := range r.Refused {
		line(c.Letters, "refused again, "+strip(c.Why, 200))
	}
	for _, c := range r.PassedOver {
		line(c.Letters, "not sent, "+strip(c.Why, 200))
	}
	line(r.Left, "left when it stopped")
	line(r.Already, "beside them, delivered by a replay before")
	line(r.Uncertain, "sent once with the outcome unknown: these may be stored twice")
	line(r.Unreadable, "damaged lines, which are no letters; they stay where they are")
	line(r.Torn, "last lines without an end, which are no letters")
	for _, busy := range r.Busy {
		fmt.Fprintf(&text, "another process replays %s: it was passed over\n", busy)
	}
	if r.Removed > 0 {
		fmt.Fprintf(&text, "%s held nothing else and went\n", plural(r.Removed, "file"))
	}
	_, err := w.Write(text.Bytes())
	return err
}
