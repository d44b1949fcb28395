// SPDX-License-Identifier: Apache-2.0

package distribution_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

const alertsHost = "127.7.0.5"

// alertRule is one alert of distribution/examples/alerts.yaml.
type alertRule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// alertRules reads the rules, and refuses keys that Prometheus would refuse.
func alertRules(t *testing.T) []alertRule {
	t.Helper()
	raw, err := os.ReadFile("examples/alerts.yaml")
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Name  string      `yaml:"name"`
			Rules []alertRule `yaml:"rules"`
		} `yaml:"groups"`
	}
	require.NoError(t, yaml.UnmarshalWithOptions(raw, &file, yaml.Strict()))
	var all []alertRule
	for _, group := range file.Groups {
		require.NotEmpty(t, group.Rules, group.Name)
		all = append(all, group.Rules...)
	}
	require.NotEmpty(t, all)
	return all
}

// selectors returns what an expression asks for, and with it whether it is one.
func selectors(t *testing.T, rule alertRule) []*parser.VectorSelector {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(rule.Expr)
	require.NoError(t, err, "%s", rule.Alert)
	var found []*parser.VectorSelector
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok {
			found = append(found, s)
		}
		return nil
	})
	require.NotEmpty(t, found, "%s asks for nothing", rule.Alert)
	return found
}

// TestAlertsAskForMetricsThatAreThere prevents the bug that a metric or a label is renamed and the alert on it stays, silent
// forever: a real hub meets what the rules warn of, and its page must have a series for every selector of every rule, with
// the labels that the rules group by and speak of.
func TestAlertsAskForMetricsThatAreThere(t *testing.T) {
	rules := alertRules(t)
	endpoint := ingestiontest.Start(t, ingestiontest.Config{})
	dir := t.TempDir()
	// A file that is no database, where a queue is: damaged_files.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "exporter_application_insights__logs"), []byte(strings.Repeat("no database ", 4000)), 0o600))
	senders := newSenders(t)
	overlay := `yaml:{extensions: {pprof: {endpoint: "` + standaloneHost + `:1777"}}, receivers: {otlp: {protocols: {http: {endpoint: "` + alertsHost + `:4318"}}}},
exporters: {application_insights: {sending_queue: {batch: {flush_timeout: 10ms}}, dead_letter: {max_mib: 2, max_file_mib: 1}},
 application_insights/careless: {connection_string: "${env:APPLICATION_INSIGHTS_CONNECTION_STRING}", sending_queue: {batch: {flush_timeout: 10ms}}}},
service: {pipelines: {logs: {receivers: [otlp, otlp/tiny], exporters: [application_insights, application_insights/careless]}}}}`
	stderr, _ := start(t, []string{"config/hub.yaml", "examples/static-topology.yaml", overlay, senders.overlay()}, "MESH_LISTEN_HOST="+alertsHost,
		"MESH_ADMIN_HOST="+alertsHost, "MESH_DEBUG_HOST="+alertsHost, "MESH_STORAGE_DIR="+dir, "MESH_HUB_UNVERIFIED=accept",
		"MESH_TOPOLOGY_FILE=examples/topology.yaml", "APPLICATION_INSIGHTS_CONNECTION_STRING="+endpoint.ConnectionString())
	senders.misbehave(t, stderr)

	// Items that the endpoint refuses for good, more of them than the dead letters have room for; without dead letters, lost.
	require.NoError(t, endpoint.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultPoison, Match: "poison", ItemStatus: 400, Times: -1}))
	for range 6 {
		eventually(t, stderr, func() bool { return post(t, "http://"+alertsHost+":4318/v1/logs", poisonLogs(20)) })
	}
	eventually(t, stderr, func() bool {
		page := scrape(t)
		return page["otelcol_exporter_application_insights_dead_letters_evicted"] != nil && page["otelcol_exporter_application_insights_items_lost"] != nil
	})
	// A proxy's counter as it counts it, past an agent's mesh_metrics.
	eventually(t, stderr, func() bool {
		return post(t, "http://"+alertsHost+":4318/v1/metrics", []byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"istio_requests_total",
			"sum":{"isMonotonic":true,"aggregationTemporality":2,"dataPoints":[{"asInt":"1","attributes":[{"key":"reporter","value":{"stringValue":"source"}}]}]}}]}]}]}`))
	})
	// A destination that wants a token.
	endpoint.ClearFaults()
	require.NoError(t, endpoint.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultStatus, Status: http.StatusUnauthorized, Times: -1}))
	for path, body := range map[string][]byte{
		"logs": poisonLogs(1), "traces": []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"}]}]}]}`),
		"metrics": []byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"a","gauge":{"dataPoints":[{"asDouble":1}]}}]}]}]}`),
	} {
		eventually(t, stderr, func() bool { return post(t, "http://"+alertsHost+":4318/v1/"+path, body) })
	}
	var page map[string]*dto.MetricFamily
	eventually(t, stderr, func() bool {
		page = scrape(t)
		return page["otelcol_exporter_application_insights_destination_blocked"] != nil
	})

	for _, rule := range rules {
		t.Run(rule.Alert, func(t *testing.T) {
			for _, s := range selectors(t, rule) {
				assert.True(t, matches(page, s.LabelMatchers), "%s asks for %s, and the page of a hub that met it has no such series", rule.Alert, s)
			}
			assert.Contains(t, []string{"warning", "critical"}, rule.Labels["severity"])
			assert.NotEmpty(t, rule.Annotations["summary"])
			book, anchor, _ := strings.Cut(rule.Annotations["runbook"], "#")
			assert.True(t, headings(read(t, filepath.Join("..", book)))[anchor], "%s has no heading for #%s", book, anchor)
			if rule.For != "" {
				_, err := time.ParseDuration(rule.For)
				assert.NoError(t, err)
			}
			for _, name := range grouping(t, rule) {
				assert.True(t, name == "instance" || labeled(page, selectors(t, rule), name), "%s groups by %s, which no series of its has", rule.Alert, name)
			}
		})
	}
}

// poisonLogs is a request of records with a word that the endpoint is told to refuse, 20 kB each.
func poisonLogs(count int) []byte {
	record := fmt.Sprintf(`{"timeUnixNano":"%d","body":{"stringValue":"poison %s"}}`, time.Now().UnixNano(), strings.Repeat("x", 20_000))
	return []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[` + strings.TrimSuffix(strings.Repeat(record+",", count), ",") + `]}]}]}`)
}

// scrape reads the hub's page of own metrics, as Prometheus does.
func scrape(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+alertsHost+":8888/metrics", nil)
	require.NoError(t, err)
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	reader := expfmt.NewTextParser(model.UTF8Validation)
	families, err := reader.TextToMetricFamilies(response.Body)
	require.NoError(t, err)
	return families
}

// matches says whether the page has a series that fits all matchers.
func matches(page map[string]*dto.MetricFamily, matchers []*labels.Matcher) bool {
	for name, family := range page {
	series:
		for _, metric := range family.GetMetric() {
			for _, m := range matchers {
				value := label(metric, m.Name)
				if m.Name == model.MetricNameLabel {
					value = name
				}
				if !m.Matches(value) {
					continue series
				}
			}
			return true
		}
	}
	return false
}

func label(metric *dto.Metric, name string) string {
	for _, pair := range metric.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}

// labeled says whether a series that a selector asks for has a label.
func labeled(page map[string]*dto.MetricFamily, asked []*parser.VectorSelector, name string) bool {
	for _, s := range asked {
		for _, metric := range page[s.Name].GetMetric() {
			if label(metric, name) != "" {
				return true
			}
		}
	}
	return false
}

// grouping returns the labels that the aggregations of a rule keep.
func grouping(t *testing.T, rule alertRule) []string {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(rule.Expr)
	require.NoError(t, err)
	var names []string
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if a, ok := node.(*parser.AggregateExpr); ok {
			names = append(names, a.Grouping...)
		}
		return nil
	})
	return names
}
