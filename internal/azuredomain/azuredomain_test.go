// SPDX-License-Identifier: Apache-2.0

package azuredomain

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCloudOf(t *testing.T) {
	for host, want := range map[string]Cloud{
		"dc.services.visualstudio.com":                           Public,
		"DC.Services.VisualStudio.com.":                          Public,
		"westeurope-5.in.applicationinsights.azure.com":          Public,
		"my-dce-ab12.westeurope-1.ingest.monitor.azure.com":      Public,
		"my-dce.westeurope-1.metrics.ingest.monitor.azure.com":   Public,
		"usgovvirginia-1.in.applicationinsights.azure.us":        Government,
		"dc.applicationinsights.us":                              Government,
		"chinanorth3-0.in.applicationinsights.azure.cn":          China,
		"applicationinsights.azure.com.evil.example":             "",
		"evilapplicationinsights.azure.com":                      "",
		"services.visualstudio.com":                              "",
		"x.azure.com":                                            "",
		"":                                                       "",
		".":                                                      "",
		"127.0.0.1":                                              "",
		"westeurope-5.in.applicationinsights.azure.com\x00.evil": "",
	} {
		got, ok := CloudOf(host)
		assert.Equal(t, want, got, host)
		assert.Equal(t, want != "", ok, host)
	}
}

func TestWithin(t *testing.T) {
	list := []string{"example.com", "127.0.0.1", "::1", ""}
	for _, in := range []string{"example.com", "a.b.EXAMPLE.com", "example.com.", "127.0.0.1", "[::1]", "::1"} {
		assert.True(t, Within(in, list), in)
	}
	for _, out := range []string{"notexample.com", "example.com.evil", "27.0.0.1", "", "com", "."} {
		assert.False(t, Within(out, list), out)
	}
}

func TestSame(t *testing.T) {
	assert.True(t, Same("dc.services.visualstudio.com", "westeurope-5.in.applicationinsights.azure.com"))
	assert.True(t, Same("fake.example", "FAKE.example"))
	assert.False(t, Same("dc.services.visualstudio.com", "dc.applicationinsights.us"), "another cloud")
	assert.False(t, Same("fake.example", "other.example"))
	assert.False(t, Same("", ""))
}

func TestAudience(t *testing.T) {
	for _, cloud := range Clouds {
		assert.NotEmpty(t, Of(cloud))
		assert.Regexp(t, `^https://monitor\.azure\.(com|us|cn)$`, cloud.Audience())
	}
	assert.Empty(t, Of("moon"))
	Of(Public)[0] = "evil"
	assert.NotContains(t, Of(Public), "evil", "the caller's list is a copy")
}
