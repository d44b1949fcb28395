// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/azuredomain"
	"github.com/otelcol-mesh/otelcol-mesh/internal/entratest"
)

func TestFetch(t *testing.T) {
	for _, method := range []Method{MethodWorkloadIdentity, MethodManagedIdentity, MethodClientSecret, MethodClientCertificate} {
		t.Run(string(method), func(t *testing.T) {
			server := entratest.New(t)
			s := asking(t, server, method)
			f := fetcher(t, s)
			before := time.Now()
			token, err := f.Fetch(t.Context())
			require.NoError(t, err)
			assert.Equal(t, server.Issued(), []string{token.Value})
			assert.WithinRange(t, token.Expires, before.Add(59*time.Minute), time.Now().Add(time.Hour))
			assert.Equal(t, Identity{ClientID: entratest.AppID, ObjectID: entratest.ObjectID, TenantID: entratest.TenantID}, token.Identity)
			for _, text := range []string{fmt.Sprint(token), fmt.Sprintf("%v %+v %#v %s", token, token, token, token), encoded(t, token)} {
				assert.NotContains(t, text, token.Value)
			}
			sent := server.Requests("token")
			switch method {
			case MethodManagedIdentity:
				require.Len(t, server.Requests("managed"), 1)
				values := server.Requests("managed")[0].Values
				assert.Equal(t, strings.TrimSuffix(s.Scope, "/.default"), values.Get("resource"))
				assert.Equal(t, entratest.AppID, values.Get("client_id"))
				assert.Equal(t, "true", server.Requests("managed")[0].Header.Get("Metadata"))
			case MethodClientSecret:
				require.Len(t, sent, 1)
				assert.Equal(t, testSecret, sent[0].Values.Get("client_secret"))
				assert.Contains(t, sent[0].Values.Get("scope"), s.Scope)
				assert.Equal(t, entratest.TenantID, sent[0].Tenant)
			case MethodWorkloadIdentity:
				data, err := os.ReadFile(s.TokenFile)
				require.NoError(t, err)
				require.Len(t, sent, 1)
				assert.Equal(t, string(data), sent[0].Values.Get("client_assertion"))
			case MethodClientCertificate:
				require.Len(t, sent, 1)
				assert.Equal(t, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", sent[0].Values.Get("client_assertion_type"))
			}
		})
	}
}

func TestManagedIdentityIDs(t *testing.T) {
	for key, set := range map[string]func(*Settings){
		"":           func(*Settings) {},
		"object_id":  func(s *Settings) { s.ObjectID = entratest.ObjectID },
		"msi_res_id": func(s *Settings) { s.ResourceID = "/subscriptions/x/resourcegroups/y/id" },
	} {
		t.Run("id "+key, func(t *testing.T) {
			server := entratest.New(t)
			s := asking(t, server, MethodManagedIdentity)
			s.Scope = "https://managed" + key + ".example/.default"
			s.ClientID = ""
			set(&s)
			_, err := fetcher(t, s).Fetch(t.Context())
			require.NoError(t, err)
			values := server.Requests("managed")[0].Values
			assert.Len(t, values, map[bool]int{true: 2, false: 3}[key == ""], "%v", values)
			if key != "" {
				assert.NotEmpty(t, values.Get(key), "%v", values)
			}
		})
	}
}

func TestGivenUp(t *testing.T) {
	server := entratest.New(t)
	f := fetcher(t, asking(t, server, MethodClientSecret))
	ctx, cancel := context.WithCancel(t.Context())
	server.Script(func(entratest.Request) entratest.Answer {
		cancel()
		return entratest.Answer{Hang: true}
	})
	_, err := f.Fetch(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestConcurrentFetches(t *testing.T) {
	server := entratest.New(t)
	f := fetcher(t, asking(t, server, MethodClientCertificate))
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, err := f.Fetch(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	assert.Len(t, server.Issued(), 16)
}

func TestNew(t *testing.T) {
	_, err := New(Settings{Method: "magic"})
	require.ErrorIs(t, err, errNoMethod)
	f, err := New(Settings{Method: MethodClientSecret, Cloud: azuredomain.China})
	require.NoError(t, err)
	assert.Equal(t, "https://monitor.azure.cn/.default", f.Scope())
	assert.Equal(t, DefaultTimeout, f.settings.Timeout)
	for cloud, host := range map[azuredomain.Cloud]string{
		"": "https://login.microsoftonline.com/", azuredomain.Public: "https://login.microsoftonline.com/",
		azuredomain.Government: "https://login.microsoftonline.us/", azuredomain.China: "https://login.chinacloudapi.cn/",
	} {
		assert.Equal(t, host, (&Settings{Cloud: cloud}).Authority())
	}
	assert.NotNil(t, newTransport().Proxy)
	assert.True(t, errors.Is(&Failure{cause: context.Canceled}, context.Canceled))
}

// The machine's own link is never asked through a proxy.
func TestProxy(t *testing.T) {
	proxy := exceptMetadata(http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.example:3128"}))
	for to, want := range map[string]bool{"http://169.254.169.254/metadata": false, "https://login.microsoftonline.com/x": true} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to, nil)
		require.NoError(t, err)
		by, err := proxy(request)
		require.NoError(t, err)
		assert.Equal(t, want, by != nil, to)
	}
}

// The default method is a developer's: here it has nothing to try but what the test leaves it.
func TestDefault(t *testing.T) {
	server := entratest.New(t)
	for _, name := range []string{"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"} {
		t.Setenv(name, map[string]string{"AZURE_CLIENT_ID": entratest.AppID, "AZURE_TENANT_ID": entratest.TenantID, "AZURE_CLIENT_SECRET": testSecret}[name])
	}
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
	f := fetcher(t, asking(t, server, MethodDefault))
	_, err := f.Fetch(t.Context())
	require.NoError(t, err)
	server.Script(func(r entratest.Request) entratest.Answer { return entratest.Denied(401, 7000222, "expired") })
	failed := failure(t, f)
	assert.Equal(t, ReasonInvalidSecret, failed.Reason)
	t.Setenv("AZURE_CLIENT_SECRET", "")
	os.Unsetenv("AZURE_CLIENT_SECRET")
	assert.Equal(t, ReasonMissingSetting, failure(t, f).Reason)
}
