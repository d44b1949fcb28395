// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/connection"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// response is what came of posting a body.
type response struct {
	// status is 0 without an answer; err then says why.
	status int
	err    error
	header http.Header
	// body is what was read of the answer. broken says that it broke off, and long that there was more than anybody needs.
	body   []byte
	broken error
	long   bool
	// reached says that the endpoint may have the whole body.
	reached bool
	host    string
	// at is when the header of the answer was there.
	at   time.Time
	took time.Duration
	// redirect says why a redirect was not followed.
	redirect error
}

// post sends a body where the connection says, follows redirects, and reads the answer.
func (s *Sender) post(ctx context.Context, info *connection.Info, body *payload, items int) response {
	d := s.destination
	now := d.settings.Now()
	track := info.TrackURL()
	origin, err := url.Parse(track)
	if err != nil { // the connection string was checked
		return response{err: errors.New("the ingestion endpoint is not a URL")}
	}
	target, until := d.redirects.find(track, now)
	cached := target != nil
	if !cached {
		target, until = origin, now.Add(endOfTime)
	}
	var seen []string
	for {
		r := s.once(ctx, target, body, items)
		if !isRedirect(r.status) {
			switch {
			case cached && (r.err != nil || r.status == http.StatusNotFound || r.status >= http.StatusInternalServerError):
				// It may have moved on: ask the endpoint itself again.
				d.redirects.forget()
			case target != origin && r.err == nil:
				d.redirects.keep(track, target, until)
			}
			return r
		}
		next, err := follow(origin, target, r.header.Get("Location"))
		seen = append(seen, target.String())
		switch {
		case err != nil:
		case slices.Contains(seen, next.String()):
			err = fmt.Errorf("the endpoint redirects in a circle, by %s", clean(next.Host, ""))
		case len(seen) > maxRedirects:
			err = fmt.Errorf("the endpoint redirects more than %d times, last to %s", maxRedirects, clean(next.Host, ""))
		}
		if err != nil {
			d.redirects.forget()
			r.redirect = err
			return r
		}
		kept := now.Add(maxAge(r.status, r.header))
		if kept.Before(until) {
			until = kept
		}
		cached, target = false, next
	}
}

// once makes one HTTP request and reads the answer.
func (s *Sender) once(ctx context.Context, target *url.URL, body *payload, items int) (r response) {
	d := s.destination
	r.host = target.Host
	start := d.settings.Now()
	body.taken.Store(false)
	defer func() {
		r.reached = body.taken.Load()
		r.took = d.settings.Now().Sub(start)
		s.observer.Request(r.status, r.took, len(body.bytes))
	}()
	ctx, cancel := context.WithTimeout(ctx, d.settings.Timeout)
	defer cancel()
	reader, err := body.open()
	if err != nil {
		r.err = err
		return r
	}
	request := (&http.Request{
		Method: http.MethodPost, URL: target, Host: target.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Content-Type":     {ai.ContentTypeLines},
			"Content-Encoding": {"gzip"},
			"Accept":           {ai.ContentTypeJSON},
			"User-Agent":       {d.settings.UserAgent},
		},
		Body: reader, GetBody: body.open, ContentLength: int64(len(body.bytes)),
	}).WithContext(ctx)
	answer, err := d.client.Do(request)
	if err != nil {
		r.err = bare(ctx, err)
		return r
	}
	defer func() { _ = answer.Body.Close() }()
	r.status, r.header, r.at = answer.StatusCode, answer.Header, d.settings.Now()
	r.body, r.broken, r.long = readSome(answer.Body, items)
	return r
}

// readSome reads as much of an answer as a report on so many items can have. Reading to the end lets the connection be
// used again.
func readSome(body io.Reader, items int) (text []byte, broken error, long bool) {
	limit := int64(min(64<<10+items<<10, 16<<20))
	text, broken = io.ReadAll(io.LimitReader(body, limit+1))
	return text, broken, int64(len(text)) > limit
}

// errTimeout says that there was no answer in time.
var errTimeout = errors.New("no answer in time")

// bare takes the URL off an error of the client: after a redirect it may be anything.
func bare(ctx context.Context, err error) error {
	timeout := isTimeout(err) || errors.Is(ctx.Err(), context.DeadlineExceeded)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if timeout {
		return fmt.Errorf("%w: %w", errTimeout, err)
	}
	return err
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// notSent says whether an error, as of an authenticator without a token, says of itself that nothing left this machine.
func notSent(err error) bool {
	var known interface{ NotSent() bool }
	return errors.As(err, &known) && known.NotSent()
}
