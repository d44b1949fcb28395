// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const testKey = "5ec4e7ab-0000-4000-8000-c0ffee00beef"

func TestParse(t *testing.T) {
	for name, tc := range map[string]struct {
		text, track, scope, location, app string
		notes                             int
		options                           Options
	}{
		"as the portal shows it": {
			text: "InstrumentationKey=" + testKey + ";IngestionEndpoint=https://westeurope-5.in.applicationinsights.azure.com/;" +
				"LiveEndpoint=https://westeurope.livediagnostics.monitor.azure.com/;ApplicationId=c5a9a5b5-0e9c-4b7c-9b5a-1d2e3f405162",
			track: "https://westeurope-5.in.applicationinsights.azure.com/v2.1/track",
			scope: "https://monitor.azure.com/.default", app: "c5a9a5b5-0e9c-4b7c-9b5a-1d2e3f405162",
		},
		"case, order, spaces, empty parts": {
			text:  " ;; ingestionENDPOINT = HTTPS://Host.Example:8443//  ; instrumentationkey=" + testKey + " ;;\n",
			track: "https://host.example:8443/v2.1/track", scope: "https://monitor.azure.com/.default",
		},
		"a path stays": {
			text:  "InstrumentationKey=" + testKey + ";IngestionEndpoint=https://proxy.example/ai/%2Fx/",
			track: "https://proxy.example/ai/%2Fx/v2.1/track", scope: "https://monitor.azure.com/.default",
		},
		"key alone": {
			text: "InstrumentationKey=" + testKey, track: "https://dc.services.visualstudio.com/v2.1/track",
			scope: "https://monitor.azure.com/.default", notes: 1,
		},
		"suffix": {
			text: "InstrumentationKey=" + testKey + ";EndpointSuffix=applicationinsights.us", track: "https://dc.applicationinsights.us/v2.1/track",
			scope: "https://monitor.azure.us/.default",
		},
		"suffix and location": {
			text:  "InstrumentationKey=" + testKey + ";EndpointSuffix=applicationinsights.azure.cn;Location=chinanorth3;Authorization=iKey",
			track: "https://chinanorth3.dc.applicationinsights.azure.cn/v2.1/track", scope: "https://monitor.azure.cn/.default", location: "chinanorth3",
		},
		"an explicit endpoint wins over the suffix": {
			text:  "InstrumentationKey=" + testKey + ";EndpointSuffix=applicationinsights.us;IngestionEndpoint=https://a.example",
			track: "https://a.example/v2.1/track", scope: "https://monitor.azure.com/.default",
		},
		"audience": {
			text:  "InstrumentationKey=" + testKey + ";IngestionEndpoint=https://a.example;AADAudience=https://monitor.azure.eaglex.ic.gov/",
			track: "https://a.example/v2.1/track", scope: "https://monitor.azure.eaglex.ic.gov/.default",
		},
		"unknown key": {
			text:  "InstrumentationKey=" + testKey + ";IngestionEndpoint=https://a.example;Newcomer=1",
			track: "https://a.example/v2.1/track", scope: "https://monitor.azure.com/.default", notes: 1,
		},
		"no GUID": {
			text:  "InstrumentationKey=test-1;IngestionEndpoint=http://127.0.0.1:8080",
			track: "http://127.0.0.1:8080/v2.1/track", scope: "https://monitor.azure.com/.default", notes: 1,
		},
		"loopback of the new kind": {
			text:  "InstrumentationKey=" + testKey + ";IngestionEndpoint=http://[::1]:8080/",
			track: "http://[::1]:8080/v2.1/track", scope: "https://monitor.azure.com/.default",
		},
		"http where it is allowed": {
			text:  "InstrumentationKey=" + testKey + ";IngestionEndpoint=http://fake.demo.svc:8080/",
			track: "http://fake.demo.svc:8080/v2.1/track", scope: "https://monitor.azure.com/.default", options: Options{AllowPlainHTTP: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			info, err := Parse(tc.text, tc.options)
			require.NoError(t, err)
			assert.Equal(t, tc.track, info.TrackURL())
			assert.Equal(t, info.TrackURL(), info.Endpoint()+"/v2.1/track")
			assert.Equal(t, tc.scope, info.Scope())
			assert.Equal(t, tc.location, info.Location())
			assert.Equal(t, tc.app, info.ApplicationID())
			assert.Len(t, info.Notes(), tc.notes, info.Notes())
			assert.Contains(t, tc.text, info.InstrumentationKey())
			assertSilent(t, info)
		})
	}
}

// assertSilent holds every way to print an Info to not printing the key.
func assertSilent(t *testing.T, info *Info) {
	t.Helper()
	encoded, err := json.Marshal(map[string]any{"info": info})
	require.NoError(t, err)
	for _, text := range append([]string{
		fmt.Sprint(info), fmt.Sprintf("%v %+v %#v %s %q %x %d", info, info, info, info, info, info, info), info.String(), info.GoString(), string(encoded),
	}, info.Notes()...) {
		assert.NotContains(t, text, info.InstrumentationKey())
	}
}

func TestParseRefuses(t *testing.T) {
	good := "InstrumentationKey=" + testKey + ";"
	for name, tc := range map[string]struct{ text, want string }{
		"nothing":           {" \n", "the connection string is empty"},
		"too long":          {good + strings.Repeat(";", MaxLength), "longer than 4096 bytes"},
		"a bare key":        {testKey, "part 1 of the connection string has no '='"},
		"no key":            {"IngestionEndpoint=https://a.example", "no InstrumentationKey"},
		"an empty key":      {"InstrumentationKey=;IngestionEndpoint=https://a.example", "InstrumentationKey of the connection string has no value"},
		"a key to inject":   {`InstrumentationKey=` + testKey + `","x":"`, "InstrumentationKey of the connection string is not one"},
		"an empty endpoint": {good + "IngestionEndpoint=", "IngestionEndpoint of the connection string has no value"},
		"twice":             {good + "instrumentationKEY=" + testKey, "has InstrumentationKey twice: write it once"},
		"no URL":            {good + "IngestionEndpoint=" + testKey, "IngestionEndpoint of the connection string is no URL"},
		"bad URL":           {good + "IngestionEndpoint=https://" + testKey + ":port", "IngestionEndpoint of the connection string is no URL"},
		"no host":           {good + "IngestionEndpoint=https://:443/", "IngestionEndpoint of the connection string is no URL"},
		"scheme":            {good + "IngestionEndpoint=ftp://a.example", "IngestionEndpoint of the connection string must begin with https://"},
		"http":              {good + "IngestionEndpoint=http://a.example", "uses http, which shows the key"},
		"http, almost":      {good + "IngestionEndpoint=http://localhost.a.example", "uses http, which shows the key"},
		"live, http":        {good + "IngestionEndpoint=https://a.example;LiveEndpoint=http://a.example", "LiveEndpoint of the connection string uses http"},
		"user":              {good + "IngestionEndpoint=https://me:" + testKey + "@a.example", "without user, query and fragment"},
		"query":             {good + "IngestionEndpoint=https://a.example/?k=" + testKey, "without user, query and fragment"},
		"fragment":          {good + "IngestionEndpoint=https://a.example/#", "without user, query and fragment"},
		"suffix":            {good + "EndpointSuffix=https://a.example/", "EndpointSuffix of the connection string must be a domain"},
		"location":          {good + "EndpointSuffix=a.example;Location=evil.example/", "Location of the connection string must be letters and digits"},
		"authorization":     {good + "Authorization=bearer", "has an Authorization other than ikey"},
		"audience":          {good + "AADAudience=" + testKey, "AADAudience of the connection string must be a URL"},
		"application":       {good + "ApplicationId=a b", "ApplicationId of the connection string is not one"},
		"no name":           {good + testKey + "=x", "part 2 of the connection string begins with what is no key"},
	} {
		t.Run(name, func(t *testing.T) {
			info, err := Parse(tc.text, Options{})
			require.ErrorContains(t, err, tc.want)
			assert.Nil(t, info)
			assert.NotContains(t, err.Error(), testKey)
		})
	}
}

// FuzzParse holds the parser to what the sender relies on: a key that needs no escaping, a URL that is one, and no text
// that has the key in it.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"InstrumentationKey=" + testKey + ";IngestionEndpoint=https://westeurope-5.in.applicationinsights.azure.com/;LiveEndpoint=https://westeurope.livediagnostics.monitor.azure.com/",
		"InstrumentationKey=" + testKey + ";EndpointSuffix=applicationinsights.us;Location=usgovvirginia",
		"instrumentationkey=" + testKey + ";AADAudience=api://" + testKey,
		"InstrumentationKey=k;IngestionEndpoint=http://[::1%25lo]:1/x", "=;=", ";", "InstrumentationKey", "IngestionEndpoint=https://a@b/?#",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		info, err := Parse(text, Options{})
		if err != nil {
			require.Nil(t, info)
			require.NotContains(t, err.Error(), testKey)
			return
		}
		key := info.InstrumentationKey()
		require.Regexp(t, `^[0-9a-zA-Z._-]{1,64}$`, key)
		require.Regexp(t, `^https?://[^/?#@\s]+(/[^?#\s]*)?/v2\.1/track$`, info.TrackURL())
		if strings.HasPrefix(info.TrackURL(), "http:") {
			require.Regexp(t, `^http://(127\.|\[|localhost)`, info.TrackURL())
		}
		require.True(t, strings.HasSuffix(info.Scope(), "/.default"), info.Scope())
		// What was read reads the same when it is written down again.
		again, err := Parse("InstrumentationKey="+key+";IngestionEndpoint="+info.Endpoint(), Options{})
		require.NoError(t, err)
		require.Equal(t, info.TrackURL(), again.TrackURL())
		require.Equal(t, key, again.InstrumentationKey())
	})
}
