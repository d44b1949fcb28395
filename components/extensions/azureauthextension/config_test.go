// SPDX-License-Identifier: Apache-2.0

package azureauthextension

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/azureauthextension/credential"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/azureauthextension/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/internal/azuredomain"
)

const (
	client = "11111111-1111-4111-8111-111111111111"
	tenant = "22222222-2222-4222-8222-222222222222"
)

func load(t *testing.T, name string) (*Config, error) {
	t.Helper()
	all, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)
	sub, err := all.Sub(component.NewIDWithName(metadata.Type, name).String())
	require.NoError(t, err)
	config := createDefaultConfig().(*Config)
	if err := sub.Unmarshal(config); err != nil {
		return nil, err
	}
	return config, config.Validate()
}

func TestConfig(t *testing.T) {
	settings := func(s credential.Settings) credential.Settings {
		if s.Cloud == "" {
			s.Cloud = azuredomain.Public
		}
		if s.Timeout == 0 {
			s.Timeout = 30 * time.Second
		}
		return s
	}
	for name, want := range map[string]credential.Settings{
		"": {Method: credential.MethodWorkloadIdentity},
		"full": {
			Method: credential.MethodWorkloadIdentity, ClientID: client, TenantID: "contoso.onmicrosoft.com",
			TokenFile: "/var/run/secrets/azure/tokens/azure-identity-token", Scope: "https://monitor.azure.us/.default", Cloud: azuredomain.Government, Timeout: 10 * time.Second,
		},
		"system": {Method: credential.MethodManagedIdentity},
		"user": {
			Method: credential.MethodManagedIdentity, ResourceID: "/subscriptions/1/resourcegroups/x/providers/Microsoft.ManagedIdentity/userAssignedIdentities/hub",
		},
		"secret": {Method: credential.MethodClientSecret, ClientID: client, TenantID: tenant, SecretFile: "/etc/secret/value"},
		"certificate": {
			Method: credential.MethodClientCertificate, ClientID: client, TenantID: tenant, CertificateFile: "/etc/certificate/tls.pem", SendChain: true, Cloud: azuredomain.China,
		},
		"default": {Method: credential.MethodDefault},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := load(t, name)
			require.NoError(t, err)
			assert.Equal(t, settings(want), config.Credential())
			assert.Equal(t, name == "full", config.RetryRejected)
		})
	}
}

func TestConfigRefused(t *testing.T) {
	for name, want := range map[string][]string{
		"none": {"no method is on: write exactly one of 'workload_identity', 'managed_identity', 'client_secret', 'client_certificate' and 'default'"},
		"null": {"no method is on"},
		"two":  {"'managed_identity', 'default' are on together: leave exactly one"},
		"ids": {
			"'managed_identity' may have one of 'client_id', 'object_id' and 'resource_id'", "'managed_identity::object_id' must be an id such as",
			"'managed_identity::resource_id' must begin with /subscriptions/",
		},
		"empty_secret": {
			"'client_secret::client_id' must be an id", "'client_secret::tenant_id' must be the tenant's id", "'client_secret::client_secret' is missing: write it as ${env:...}",
		},
		"two_secrets": {"'client_secret::client_secret' and 'client_secret::client_secret_file' are there together: leave one"},
		"empty_certificate": {
			"'client_certificate::client_id' must be", "'client_certificate::tenant_id' must be", "'client_certificate::certificate_file' is missing: write the path",
		},
		"places": {
			"'workload_identity::tenant_id' must be", "'workload_identity::client_id' must be", "'cloud' must be public, government or china",
			"'scopes' has \"https://monitor.azure.com\"", "'authority_host' must be an https URL", "'additional_domains' has \"https://a.example\"",
			"'additional_domains' has \"*.example\"", "'additional_domains' has \"\"", "'timeout' must be from 1s to 5m",
		},
		"scopes":    {"'scopes' must have exactly one scope"},
		"no_scopes": {"'scopes' must have exactly one scope"},
		"unknown":   {"use_default"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, name)
			require.Error(t, err)
			for _, text := range want {
				assert.ErrorContains(t, err, text)
			}
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
	config, _ := load(t, "two_secrets")
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v %v", config, config, config, struct{ Config component.Config }{config}), "hunter2")
	printed := confmap.New()
	require.NoError(t, printed.Marshal(config))
	assert.NotContains(t, fmt.Sprint(printed.ToStringMap()), "hunter2")
	assert.Contains(t, fmt.Sprint(printed.ToStringMap()), "[REDACTED]")
}

func TestCheckURL(t *testing.T) {
	config := createDefaultConfig().(*Config)
	config.AdditionalDomains = []string{"127.0.0.1", "localhost", "ingest.example.com"}
	for text, want := range map[string]string{
		"https://dc.services.visualstudio.com/v2.1/track":                      "",
		"https://westeurope-5.in.applicationinsights.azure.com/v2.1/track":     "",
		"https://WESTEUROPE-5.in.applicationinsights.azure.com:443/v2.1/track": "",
		"https://dce-1.westeurope-1.metrics.ingest.monitor.azure.com/x":        "",
		"https://a.ingest.example.com":                                         "",
		"http://127.0.0.1:8080/v2.1/track":                                     "",
		"http://localhost:8080":                                                "",
		"https://127.0.0.1:8080":                                               "",
		"http://westeurope-5.in.applicationinsights.azure.com/v2.1/track":      refusedScheme,
		"http://ingest.example.com":                                            refusedScheme,
		"ftp://127.0.0.1":                                                      refusedScheme,
		"https://usgovvirginia-1.in.applicationinsights.azure.us":              refusedDomain,
		"https://example.com":                                                  refusedDomain,
		"https://westeurope-5.in.applicationinsights.azure.com@example.com":    refusedDomain,
		"https://westeurope-5.in.applicationinsights.azure.com.example.com":    refusedDomain,
		"https://127.0.0.2":                                                    refusedDomain,
		"http://[::1]":                                                         refusedDomain,
		"https://example.com/westeurope-5.in.applicationinsights.azure.com":    refusedDomain,
		"https://example.com?.in.applicationinsights.azure.com":                refusedDomain,
		"https://xapplicationinsights.azure.com":                               refusedDomain,
		"":                                                                     refusedDomain,
	} {
		u, err := url.Parse(text)
		require.NoError(t, err)
		err = config.CheckURL(u)
		if want == "" {
			assert.NoError(t, err, text)
			continue
		}
		var refused *RefusedError
		require.ErrorAs(t, err, &refused, text)
		assert.Equal(t, want, refused.Refusal, text)
		assert.True(t, refused.NotSent())
	}
}
