// SPDX-License-Identifier: Apache-2.0

package istio

import (
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	mesh "istio.io/api/mesh/v1alpha1"
	telemetry "istio.io/api/telemetry/v1alpha1"
)

// read decodes the object under the key with Istio's own types, which refuse what they do not know.
func read(t *testing.T, file []byte, key string, into proto.Message) {
	t.Helper()
	var document map[string]any
	require.NoError(t, yaml.Unmarshal(file, &document))
	part, err := yaml.Marshal(document[key])
	require.NoError(t, err)
	text, err := yaml.YAMLToJSON(part)
	require.NoError(t, err)
	require.NoError(t, protojson.Unmarshal(text, into))
}

// TestIstioTakesTheFiles prevents that a user's istiod refuses what we recommend, and that a Telemetry resource names a
// provider that nobody defined: Istio ignores such a one silently.
func TestIstioTakesTheFiles(t *testing.T) {
	var config mesh.MeshConfig
	read(t, MeshConfig, "meshConfig", &config)
	var resource telemetry.Telemetry
	read(t, Telemetry, "spec", &resource)
	defined := map[string]bool{"prometheus": true}
	for _, provider := range config.ExtensionProviders {
		require.NotNil(t, provider.Provider, provider.Name)
		defined[provider.Name] = true
	}
	var used []string
	for _, tracing := range resource.Tracing {
		for _, provider := range tracing.Providers {
			used = append(used, provider.Name)
		}
		for name, tag := range tracing.CustomTags {
			assert.NotEmpty(t, tag.GetFormatter().GetValue(), name)
		}
	}
	for _, logging := range resource.AccessLogging {
		for _, provider := range logging.Providers {
			used = append(used, provider.Name)
		}
	}
	require.Len(t, used, 3)
	for _, name := range used {
		assert.True(t, defined[name], name)
	}
}

// TestSettingsAreTheFiles prevents that the demo runs with other settings than users, or with none.
func TestSettingsAreTheFiles(t *testing.T) {
	var resource telemetry.Telemetry
	read(t, Telemetry, "spec", &resource)
	tags, err := CustomTags()
	require.NoError(t, err)
	require.Len(t, tags, len(resource.Tracing[0].CustomTags))
	for _, tag := range tags {
		assert.Equal(t, resource.Tracing[0].CustomTags[tag.Name].GetFormatter().GetValue(), tag.Format)
	}
	var config mesh.MeshConfig
	read(t, MeshConfig, "meshConfig", &config)
	labels, err := AccessLogLabels()
	require.NoError(t, err)
	found := 0
	for _, provider := range config.ExtensionProviders {
		for name, value := range provider.GetEnvoyOtelAls().GetLogFormat().GetLabels().GetFields() {
			found++
			assert.Contains(t, labels, Setting{name, value.GetStringValue()})
		}
	}
	assert.Len(t, labels, found)
	for _, tag := range tags {
		assert.Contains(t, labels, tag, "a span and an access log record tell the same")
	}
}
