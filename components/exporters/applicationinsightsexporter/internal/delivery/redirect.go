// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
	"github.com/otelcol-mesh/otelcol-mesh/internal/azuredomain"
)

// maxRedirects is how many redirects one request follows, as in Microsoft's own clients.
const maxRedirects = 10

// redirects remembers where the endpoint wants requests to go.
type redirects struct {
	mu     sync.Mutex
	origin string
	target *url.URL
	until  time.Time
}

// find returns where requests to origin go now, and until when that is known; nil if they go to origin.
func (r *redirects) find(origin string, now time.Time) (*url.URL, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.target == nil || r.origin != origin || !now.Before(r.until) {
		return nil, time.Time{}
	}
	return r.target, r.until
}

func (r *redirects) keep(origin string, target *url.URL, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.origin, r.target, r.until = origin, target, until
}

func (r *redirects) forget() { r.keep("", nil, time.Time{}) }

func isRedirect(status int) bool {
	return status == http.StatusTemporaryRedirect || status == http.StatusPermanentRedirect
}

var errNoLocation = errors.New("the endpoint redirects to nowhere: the header Location is missing or not a URL")

// follow returns where a redirect leads, or an error if nothing may be sent there: a request carries the key, and maybe a
// token. The hosts must be equal, or both take telemetry for the same Azure cloud; encryption must not end on the way.
func follow(origin, from *url.URL, location string) (*url.URL, error) {
	if location == "" || len(location) > 8<<10 {
		return nil, errNoLocation
	}
	to, err := from.Parse(location)
	if err != nil || to.Host == "" || to.Hostname() == "" {
		return nil, errNoLocation // without the error, which quotes the URL
	}
	if to.Path == "" || to.Path == "/" {
		to.Path, to.RawPath = ai.TrackPath, ""
	}
	to.Fragment, to.RawFragment = "", ""
	to.Scheme = strings.ToLower(to.Scheme)
	switch {
	case to.Scheme != "https" && to.Scheme != "http":
		return nil, fmt.Errorf("the endpoint redirects to the scheme %q", clean(to.Scheme, ""))
	case origin.Scheme == "https" && to.Scheme != "https":
		return nil, fmt.Errorf("the endpoint redirects from https to http, on %s", clean(to.Host, ""))
	case to.User != nil:
		return nil, errors.New("the endpoint redirects to a URL with a user in it")
	case !azuredomain.Same(origin.Hostname(), to.Hostname()):
		return nil, fmt.Errorf("the endpoint redirects to %s, which is another host and not an ingestion endpoint of the same Azure cloud: "+
			"the key and the token stay here", clean(to.Host, ""))
	case !strings.EqualFold(origin.Hostname(), to.Hostname()) && to.Port() != "" && to.Port() != "443":
		return nil, fmt.Errorf("the endpoint redirects to an unusual port, %s", clean(to.Host, ""))
	default:
		return to, nil
	}
}
