// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// token stands for what an authenticator adds below the client.
const token = "Bearer secret-of-the-test"

type signing struct{ next http.RoundTripper }

func (s signing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", token)
	return s.next.RoundTrip(r)
}

func signed(s *Settings) { s.Client = &http.Client{Transport: signing{s.Client.Transport}} }

func TestRedirectIsFollowedAndKept(t *testing.T) {
	for _, status := range []int{307, 308} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			global, stamp := endpoint(t, ingestiontest.Config{}), endpoint(t, ingestiontest.Config{Auth: ingestiontest.Auth{Mode: ingestiontest.AuthNone}})
			r := newRig(t, global.URL(), signed)
			require.NoError(t, global.Fault(ingestiontest.Fault{
				Kind: ingestiontest.FaultRedirect, Status: status, Location: stamp.URL(), MaxAge: time.Minute, Times: ingestiontest.Forever,
			}))
			for range 3 {
				assert.Equal(t, 2, r.send(batch(2)).Accepted)
			}
			assert.Len(t, global.Requests(), 1, "kept for a minute")
			assert.Len(t, stamp.Requests(), 3)
			assert.Equal(t, "/v2.1/track", stamp.Requests()[0].Path)
			r.clock.advance(time.Minute)
			assert.Equal(t, 2, r.send(batch(2)).Accepted)
			assert.Len(t, global.Requests(), 2)

			// The stamp fails: the endpoint itself is asked again, and takes the items now.
			global.ClearFaults()
			require.NoError(t, stamp.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultStatus, Status: 404}))
			got := r.send(batch(2))
			require.Len(t, got.Left, 2)
			r.clock.advance(got.Delay)
			assert.Equal(t, 2, r.send(batch(2)).Accepted)
			assert.Len(t, global.Requests(), 3)

			// Another connection does not use what was kept for the first.
			require.NoError(t, global.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultRedirect, Status: status, Location: stamp.URL(), MaxAge: time.Hour}))
			assert.Equal(t, 2, r.send(batch(2)).Accepted)
			third := endpoint(t, ingestiontest.Config{})
			r.connection.set(t, third.URL(), testKey)
			assert.Equal(t, 2, r.send(batch(2)).Accepted)
			assert.Len(t, third.Requests(), 1)
		})
	}
}

func TestRedirectWithoutAge(t *testing.T) {
	for status, want := range map[int]int{307: 3, 308: 1} {
		global, stamp := endpoint(t, ingestiontest.Config{}), endpoint(t, ingestiontest.Config{})
		r := newRig(t, global.URL(), nil)
		require.NoError(t, global.Fault(ingestiontest.Fault{
			Kind: ingestiontest.FaultRedirect, Status: status, Location: stamp.URL() + "/v2.1/track", Times: ingestiontest.Forever,
		}))
		for range 3 {
			assert.Equal(t, 1, r.send(batch(1)).Accepted)
		}
		assert.Len(t, global.Requests(), want)
	}
}

// TestRedirectElsewhere has a second server under another name: not one request arrives there, so neither the key nor the
// token does.
func TestRedirectElsewhere(t *testing.T) {
	thief := serve(t, func(w http.ResponseWriter, _ *http.Request, lines []string) {
		answerReport(w, 200, len(lines), len(lines))
	})
	elsewhere := strings.Replace(thief.URL, "127.0.0.1", "localhost", 1)
	for name, location := range map[string]string{
		"other name": elsewhere,
		"with path":  elsewhere + "/v2.1/track",
		"no scheme":  strings.TrimPrefix(elsewhere, "http:"),
	} {
		t.Run(name, func(t *testing.T) {
			s := endpoint(t, ingestiontest.Config{})
			r := newRig(t, s.URL(), signed)
			require.NoError(t, s.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultRedirect, Location: location, MaxAge: time.Hour}))
			b := batch(2)
			got := r.send(b)
			assert.Equal(t, "accepted 0, sampled out 0, left [0 1], uncertain 0", short(got))
			assert.Equal(t, CauseRedirect, causeOf(t, got))
			assert.Equal(t, 5*time.Minute, got.Delay)
			assert.ErrorContains(t, got.Err, "localhost")
			assert.NotContains(t, got.Err.Error(), "secret")
			assert.Empty(t, thief.got())
			r.clock.advance(got.Delay)
			assert.Equal(t, 2, r.send(b).Accepted, "nothing was kept")
		})
	}
	// The thief works, or the test would show nothing.
	r := newRig(t, thief.URL, signed)
	assert.Equal(t, 1, r.send(batch(1)).Accepted)
	require.Len(t, thief.got(), 1)
	assert.Equal(t, token, thief.got()[0].header.Get("Authorization"))
	assert.Contains(t, thief.got()[0].lines[0], testKey)
}

func TestRedirectLoops(t *testing.T) {
	t.Run("itself", func(t *testing.T) {
		s := endpoint(t, ingestiontest.Config{})
		r := newRig(t, s.URL(), nil)
		require.NoError(t, s.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultRedirect, Location: s.URL() + "/v2.1/track", Times: ingestiontest.Forever}))
		got := r.send(batch(2))
		assert.Equal(t, "accepted 0, sampled out 0, left [0 1], uncertain 0", short(got))
		assert.Equal(t, CauseRedirect, causeOf(t, got))
		assert.ErrorContains(t, got.Err, "circle")
		assert.Len(t, s.Requests(), 1)
	})
	t.Run("two", func(t *testing.T) {
		one, two := endpoint(t, ingestiontest.Config{}), endpoint(t, ingestiontest.Config{})
		r := newRig(t, one.URL(), nil)
		require.NoError(t, one.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultRedirect, Location: two.URL() + "/v2.1/track", MaxAge: time.Hour, Times: ingestiontest.Forever}))
		require.NoError(t, two.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultRedirect, Location: one.URL() + "/v2.1/track", MaxAge: time.Hour, Times: ingestiontest.Forever}))
		for range 2 {
			got := r.send(batch(2))
			assert.ErrorContains(t, got.Err, "circle")
			r.clock.advance(got.Delay)
		}
		assert.Len(t, one.Requests(), 2)
		assert.Len(t, two.Requests(), 2)
	})
	t.Run("ever further", func(t *testing.T) {
		n := 0
		s := serve(t, func(w http.ResponseWriter, _ *http.Request, _ []string) {
			n++
			w.Header().Set("Location", fmt.Sprintf("/v2.1/track?hop=%d", n))
			w.WriteHeader(http.StatusTemporaryRedirect)
		})
		r := newRig(t, s.URL, nil)
		got := r.send(batch(2))
		assert.Equal(t, CauseRedirect, causeOf(t, got))
		assert.ErrorContains(t, got.Err, "more than 10 times")
		assert.Len(t, s.got(), maxRedirects+1)
	})
	t.Run("nowhere", func(t *testing.T) {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request, _ []string) { w.WriteHeader(http.StatusPermanentRedirect) })
		got := newRig(t, s.URL, nil).send(batch(2))
		assert.Equal(t, CauseRedirect, causeOf(t, got))
		assert.ErrorContains(t, got.Err, "Location")
	})
}

func TestFollow(t *testing.T) {
	const regional = "https://westeurope-5.in.applicationinsights.azure.com/v2.1/track"
	for _, test := range []struct{ origin, location, want string }{
		{"https://dc.services.visualstudio.com/v2.1/track", regional, regional},
		{"https://dc.services.visualstudio.com/v2.1/track", "https://westeurope-5.in.applicationinsights.azure.com", regional},
		{"https://dc.services.visualstudio.com/v2.1/track", "https://westeurope-5.in.applicationinsights.azure.com:443/", "https://westeurope-5.in.applicationinsights.azure.com:443/v2.1/track"},
		{"https://dc.applicationinsights.us/v2.1/track", "https://usgovvirginia-1.in.applicationinsights.azure.us/x", "https://usgovvirginia-1.in.applicationinsights.azure.us/x"},
		{"https://fake.example/v2.1/track", "https://FAKE.example:8443/x#y", "https://FAKE.example:8443/x"},
		{"https://fake.example/v2.1/track", "/other", "https://fake.example/other"},
		{"http://fake.example/v2.1/track", "https://fake.example/x", "https://fake.example/x"},
		{origin: regional, location: "https://dc.applicationinsights.us/v2.1/track"},
		{origin: regional, location: "https://dc.applicationinsights.azure.cn/v2.1/track"},
		{origin: regional, location: "https://applicationinsights.azure.com.evil.example/v2.1/track"},
		{origin: regional, location: "https://evil.example/v2.1/track"},
		{origin: regional, location: "https://evil.example\\@westeurope-5.in.applicationinsights.azure.com/"},
		{origin: regional, location: "http://westeurope-5.in.applicationinsights.azure.com/v2.1/track"},
		{origin: regional, location: "https://me:secret@westeurope-5.in.applicationinsights.azure.com/v2.1/track"},
		{origin: regional, location: "https://northeurope-2.in.applicationinsights.azure.com:8443/v2.1/track"},
		{origin: regional, location: "ftp://westeurope-5.in.applicationinsights.azure.com/"},
		{origin: regional, location: "file:///etc/passwd"},
		{origin: regional, location: "mailto:me"},
		{origin: regional, location: "https://"},
		{origin: regional, location: "https://:443/"},
		{origin: regional, location: "%zz"},
		{origin: regional, location: ""},
		{origin: regional, location: "https://" + strings.Repeat("a", 9000)},
		{origin: "https://one.example/v2.1/track", location: "https://two.example/v2.1/track"},
		{origin: "https://one.example/v2.1/track", location: regional},
	} {
		origin, err := url.Parse(test.origin)
		require.NoError(t, err)
		got, err := follow(origin, origin, test.location)
		if test.want == "" {
			require.Error(t, err, test.location)
			assert.NotContains(t, err.Error(), "secret")
			continue
		}
		require.NoError(t, err, test.location)
		assert.Equal(t, test.want, got.String())
	}
}

func FuzzFollow(f *testing.F) {
	for _, seed := range []string{"https://westeurope-5.in.applicationinsights.azure.com/", "//evil.example", "/x", "https://a@b/", "http://[::1]:80/", "https:dc.services.visualstudio.com"} {
		f.Add(seed)
	}
	origin, err := url.Parse("https://dc.services.visualstudio.com/v2.1/track")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, location string) {
		to, err := follow(origin, origin, location)
		if err != nil {
			return
		}
		// What a client would connect to, read again from the text.
		again, err := url.Parse(to.String())
		require.NoError(t, err)
		host := strings.ToLower(strings.TrimSuffix(again.Hostname(), "."))
		require.Equal(t, "https", again.Scheme)
		require.True(t, host == "dc.services.visualstudio.com" || host == "applicationinsights.azure.com" || strings.HasSuffix(host, ".dc.services.visualstudio.com") ||
			strings.HasSuffix(host, ".applicationinsights.azure.com") || host == "ingest.monitor.azure.com" || strings.HasSuffix(host, ".ingest.monitor.azure.com"), host)
	})
}
