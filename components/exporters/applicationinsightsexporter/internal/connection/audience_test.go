// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Tokens for another audience get 401 from then on, which looks like a wrong tenant or clock.
func TestMismatch(t *testing.T) {
	const public, government = "https://monitor.azure.com/.default", "https://monitor.azure.us/.default"
	for name, tc := range map[string]struct {
		rest, scope string
		words       []string
	}{
		"public":                 {"IngestionEndpoint=https://westeurope-5.in.applicationinsights.azure.com", public, nil},
		"two slashes":            {"IngestionEndpoint=https://westeurope-5.in.applicationinsights.azure.com", "https://monitor.azure.com//.default", nil},
		"another cloud":          {"IngestionEndpoint=https://usgovvirginia-1.in.applicationinsights.azure.us", public, []string{"of a cloud", "'scopes: [" + government + "]'", "401"}},
		"the audience":           {"IngestionEndpoint=https://a.example;AADAudience=https://monitor.azure.us/", government, nil},
		"another audience":       {"IngestionEndpoint=https://a.example;AADAudience=https://monitor.azure.us/", public, []string{"AADAudience", "for " + government, "for " + public}},
		"nobody knows":           {"IngestionEndpoint=https://a.example", government, nil},
		"the cloud's is too old": {"IngestionEndpoint=https://x.applicationinsights.azure.com;AADAudience=api://other", public, []string{"[api://other/.default]"}},
	} {
		t.Run(name, func(t *testing.T) {
			info, err := Parse("InstrumentationKey="+testKey+";"+tc.rest, Options{})
			require.NoError(t, err)
			note := info.Mismatch(tc.scope)
			assert.Equal(t, len(tc.words) == 0, note == "", note)
			for _, words := range tc.words {
				assert.Contains(t, note, words)
			}
			assert.NotContains(t, note, testKey)
		})
	}
}
