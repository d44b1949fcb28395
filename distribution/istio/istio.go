// SPDX-License-Identifier: Apache-2.0

// Package istio holds what Istio has to be told of otelcol-mesh, as files for users, and reads them for the demo, whose
// Envoys run with exactly these settings.
package istio

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"

	"github.com/goccy/go-yaml"
)

// MeshConfig is the part of Istio's mesh configuration that names the providers.
//
//go:embed meshconfig.yaml
var MeshConfig []byte

// Telemetry is the resource that turns them on.
//
//go:embed telemetry.yaml
var Telemetry []byte

// Setting is a name and the format of Envoy that fills it, as in
// https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#command-operators.
type Setting struct{ Name, Format string }

// CustomTags returns the tags that [Telemetry] adds to spans, sorted by name.
func CustomTags() ([]Setting, error) {
	var file struct {
		Spec struct {
			Tracing []struct {
				CustomTags map[string]struct {
					Formatter struct{ Value string }
				} `yaml:"customTags"`
			}
		}
	}
	if err := yaml.Unmarshal(Telemetry, &file); err != nil {
		return nil, fmt.Errorf("distribution/istio/telemetry.yaml: %w", err)
	}
	tags := map[string]string{}
	for _, tracing := range file.Spec.Tracing {
		for name, tag := range tracing.CustomTags {
			tags[name] = tag.Formatter.Value
		}
	}
	return sorted(tags), nil
}

// AccessLogLabels returns the attributes of the OpenTelemetry access log that [MeshConfig] defines, sorted by name.
func AccessLogLabels() ([]Setting, error) {
	var file struct {
		MeshConfig struct {
			ExtensionProviders []struct {
				EnvoyOtelAls struct {
					LogFormat struct{ Labels map[string]string } `yaml:"logFormat"`
				} `yaml:"envoyOtelAls"`
			} `yaml:"extensionProviders"`
		} `yaml:"meshConfig"`
	}
	if err := yaml.Unmarshal(MeshConfig, &file); err != nil {
		return nil, fmt.Errorf("distribution/istio/meshconfig.yaml: %w", err)
	}
	labels := map[string]string{}
	for _, provider := range file.MeshConfig.ExtensionProviders {
		maps.Copy(labels, provider.EnvoyOtelAls.LogFormat.Labels)
	}
	return sorted(labels), nil
}

func sorted(m map[string]string) []Setting {
	list := make([]Setting, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, Setting{name, m[name]})
	}
	return list
}
