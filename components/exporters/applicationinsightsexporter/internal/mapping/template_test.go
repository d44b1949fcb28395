// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// mapped is the item of one span, its fields side by side.
type mapped struct {
	ai.RequestData
	Type, Target, Data, ResultCode string
	Tags                           map[string]string
	ItemCount                      float64
}

// mapOne maps a span of the service me in the namespace ns.
func mapOne(t testing.TB, s Settings, kind ptrace.SpanKind, attributes map[string]any, status ptrace.StatusCode) mapped {
	t.Helper()
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	require.NoError(t, rs.Resource().Attributes().FromRaw(map[string]any{"service.name": "me", "k8s.namespace.name": "ns"}))
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetKind(kind)
	span.SetName("name")
	span.Status().SetCode(status)
	require.NoError(t, span.Attributes().FromRaw(attributes))
	return mapTraces(t, s, td)[0]
}

func mapTraces(t testing.TB, s Settings, td ptrace.Traces) (all []mapped) {
	t.Helper()
	m, _ := newTestMapper(t, s)
	batch := &items.Batch{}
	m.Traces(td, batch)
	for _, item := range acceptAll(t, batch) {
		all = append(all, mappedOf(item))
	}
	return all
}

func mappedOf(item ingestiontest.Item) mapped {
	m := mapped{Tags: item.Envelope.Tags, ItemCount: item.ItemCount, ResultCode: item.ResultCode}
	switch d := item.Envelope.Data.BaseData.(type) {
	case *ai.RequestData:
		m.RequestData = *d
	case *ai.RemoteDependencyData:
		m.Type, m.Target, m.Data = d.Type, d.Target, d.Data
		m.RequestData = ai.RequestData{
			ID: d.ID, Name: d.Name, Duration: d.Duration, Success: d.Success, Properties: d.Properties, Measurements: d.Measurements,
		}
	}
	return m
}

func TestRole(t *testing.T) {
	everything := map[string]any{
		"service.name": "reviews", "service.namespace": "shop", "k8s.namespace.name": "bookinfo", "k8s.cluster.name": "aks-weu",
		"k8s.deployment.name": "reviews-v1", "n": 7,
	}
	for _, tc := range []struct {
		template   string
		attributes map[string]any
		want       string
	}{
		{rolePerCluster, everything, "reviews.bookinfo@aks-weu"},
		{roleMerged, everything, "reviews.bookinfo"},
		{rolePerCluster, map[string]any{"service.name": "reviews.bookinfo", "k8s.namespace.name": "bookinfo", "k8s.cluster.name": "c"}, "reviews.bookinfo@c"},
		{rolePerCluster, map[string]any{"service.name": "reviews.bookinfo"}, "reviews.bookinfo"},
		{rolePerCluster, map[string]any{"service.name": "reviews", "k8s.cluster.name": "c"}, "reviews@c"},
		{rolePerCluster, map[string]any{"service.name": "reviews", "service.namespace": "shop"}, "reviews.shop"},
		{rolePerCluster, map[string]any{"service.name": "bookinfo", "k8s.namespace.name": "bookinfo"}, "bookinfo.bookinfo"},
		{rolePerCluster, map[string]any{"service.name": ".bookinfo", "k8s.namespace.name": "bookinfo"}, ".bookinfo.bookinfo"},
		{rolePerCluster, map[string]any{"service.name": "notbookinfo", "k8s.namespace.name": "bookinfo"}, "notbookinfo.bookinfo"},
		{rolePerCluster, map[string]any{"k8s.deployment.name": "reviews-v1", "k8s.namespace.name": "bookinfo"}, "reviews-v1.bookinfo"},
		{rolePerCluster, map[string]any{"k8s.cluster.name": "c", "service.name": ""}, "unknown_service@c"},
		{rolePerCluster, nil, UnknownRole},
		{"constant", nil, "constant"},
		{"pre-{a}-{b}-post", map[string]any{"a": "A", "b": "B"}, "pre-A-B-post"},
		{"pre-{a}-{b}-post", map[string]any{"b": "B"}, "pre-B-post"},
		{"pre-{a}-{b}-post", map[string]any{"a": "A"}, "pre-A-post"},
		{"pre-{a}-{b}-post", nil, UnknownRole},
		{"{n}", everything, "7"},
		{"{a|n}", everything, "7"},
	} {
		s := DefaultSettings()
		s.Role = tc.template
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		require.NoError(t, rs.Resource().Attributes().FromRaw(tc.attributes))
		rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		assert.Equal(t, tc.want, mapTraces(t, s, td)[0].Tags[ai.TagCloudRole], "%s %v", tc.template, tc.attributes)
	}
}

// TestTargetIsTheRoleOfTheCalled is what the Application Map needs: whatever the template, what a caller names as its target
// is what the called end names as its role, if both know the same.
func TestTargetIsTheRoleOfTheCalled(t *testing.T) {
	for _, role := range []string{rolePerCluster, roleMerged, "{service.name}", "{k8s.cluster.name}/{service.name}", "{cloud.region}-{k8s.namespace.name}-{service.name}"} {
		for _, name := range []string{"reviews", "reviews.bookinfo"} {
			s := DefaultSettings()
			s.Role = role
			called := pcommon.NewMap()
			require.NoError(t, called.FromRaw(map[string]any{
				"service.name": name, "k8s.namespace.name": "bookinfo", "k8s.cluster.name": "c", "cloud.region": "r",
			}))
			m, _ := newTestMapper(t, s)
			dependency := mapOne(t, s, ptrace.SpanKindClient, map[string]any{
				"mesh.destination.service": "reviews", "mesh.destination.namespace": "bookinfo", "mesh.destination.cluster": "c",
				"mesh.destination.region": "r",
			}, unset)
			assert.Equal(t, string(m.role.appendResource(nil, called)), dependency.Target, role)
		}
	}
}

func TestRoleInstance(t *testing.T) {
	for _, tc := range []struct {
		attributes map[string]any
		want       string
		properties map[string]string
	}{
		{map[string]any{"k8s.pod.name": "p", "service.instance.id": "i"}, "p", map[string]string{"service.instance.id": "i"}},
		{map[string]any{"service.instance.id": "i", "host.name": "h"}, "i", map[string]string{"host.name": "h"}},
		{map[string]any{"host.name": "h"}, "h", nil},
		{nil, "", nil},
	} {
		s := DefaultSettings()
		s.Attributes = []string{"*"}
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		require.NoError(t, rs.Resource().Attributes().FromRaw(tc.attributes))
		rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		got := mapTraces(t, s, td)[0]
		assert.Equal(t, tc.want, got.Tags[ai.TagCloudRoleInstance])
		assert.Equal(t, tc.properties, got.Properties, "what is the tag is no property, and nothing else is missing")
	}
}

func TestSettingsValidate(t *testing.T) {
	s := DefaultSettings()
	require.NoError(t, s.Validate())
	for key, change := range map[string]func(*Settings){
		"role: it is empty":                       func(s *Settings) { s.Role = "" },
		`role: "{a" has a { without a }`:          func(s *Settings) { s.Role = "{a" },
		`role: "a}" has a } without a {`:          func(s *Settings) { s.Role = "a}" },
		`role: "{a{b}}" has a { without a }`:      func(s *Settings) { s.Role = "{a{b}}" },
		"role: it is longer than 1000 characters": func(s *Settings) { s.Role = strings.Repeat("a", 1001) },
		`role_instance: "{}" has an empty name`:   func(s *Settings) { s.RoleInstance = "{}" },
		`role_instance: "{a| b}" has an empty`:    func(s *Settings) { s.RoleInstance = "{a| b}" },
		"attributes: an entry is empty":           func(s *Settings) { s.Attributes = []string{""} },
		`attributes: "a*b": * may stand at the`:   func(s *Settings) { s.Attributes = []string{"a*b"} },
		`measurements: "**": * may stand at`:      func(s *Settings) { s.Measurements = []string{"**"} },
		"additional_success_status_codes: 99":     func(s *Settings) { s.AdditionalSuccessStatusCodes = []int{99} },
		"additional_success_status_codes: 600":    func(s *Settings) { s.AdditionalSuccessStatusCodes = []int{600} },
		`span_events: "some": write all,`:         func(s *Settings) { s.SpanEvents = "some" },
	} {
		s := DefaultSettings()
		change(&s)
		assert.ErrorContains(t, s.Validate(), key)
		_, err := New(s, nil)
		assert.ErrorContains(t, err, key)
	}
}

// TestSettingsFromConfig holds that what users write replaces lists, also by nothing, and that unknown keys are errors.
func TestSettingsFromConfig(t *testing.T) {
	s := DefaultSettings()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"attributes": []any{}, "measurements": []any{"a"}, "role": "merged", "additional_success_status_codes": []any{404},
	}).Unmarshal(&s))
	assert.Empty(t, s.Attributes)
	assert.Equal(t, []string{"a"}, s.Measurements)
	assert.Equal(t, "merged", s.Role)
	assert.Equal(t, []int{404}, s.AdditionalSuccessStatusCodes)
	assert.Equal(t, DefaultRoleInstance, s.RoleInstance)
	require.NoError(t, s.Validate())
	assert.ErrorContains(t, confmap.NewFromStringMap(map[string]any{"sdk_version": "x"}).Unmarshal(&s), "sdk_version")
}

func TestAttributeChoice(t *testing.T) {
	attributes := map[string]any{
		"http.request.method": "GET", "http.response.status_code": 200, "mesh.tls": "mutual", "color": "red", "http.request.body.size": 5,
		"db.connection_string": "secret",
	}
	for _, tc := range []struct {
		why          string
		attributes   []string
		measurements []string
		want         map[string]string
		measured     map[string]float64
	}{
		{
			"default",
			[]string{wordDefault},
			[]string{wordDefault},
			map[string]string{"mesh.tls": "mutual", "k8s.namespace.name": "ns"},
			map[string]float64{"http.request.body.size": 5},
		},
		{"none", nil, nil, nil, nil},
		{"by name, though a field has it", []string{"http.response.status_code", "db.connection_string"}, nil, map[string]string{"http.response.status_code": "200", "db.connection_string": "secret"}, nil},
		{"by prefix, unless a field has it", []string{"http.*"}, nil, map[string]string{"http.request.body.size": "5"}, nil},
		{"all but what a field has and secrets", []string{"*"}, []string{"http.*"}, map[string]string{
			"mesh.tls": "mutual", "color": "red", "service.name": "me", "k8s.namespace.name": "ns",
		}, map[string]float64{"http.request.body.size": 5, "http.response.status_code": 200}},
	} {
		s := DefaultSettings()
		s.Attributes, s.Measurements = tc.attributes, tc.measurements
		got := mapOne(t, s, ptrace.SpanKindServer, attributes, unset)
		assert.Equal(t, tc.want, got.Properties, tc.why)
		assert.Equal(t, tc.measured, got.Measurements, tc.why)
	}
}
