// SPDX-License-Identifier: Apache-2.0

package deliveryrules

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// resolve merges configurations as a collector does, and converts them.
func resolve(t *testing.T, uris ...string) (*confmap.Conf, []string, error) {
	t.Helper()
	core, logs := observer.New(zap.WarnLevel)
	r, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs:               uris,
		ProviderFactories:  []confmap.ProviderFactory{envprovider.NewFactory(), fileprovider.NewFactory(), yamlprovider.NewFactory()},
		ConverterFactories: []confmap.ConverterFactory{NewFactory()},
		ConverterSettings:  confmap.ConverterSettings{Logger: zap.New(core)},
		DefaultScheme:      "env",
	})
	require.NoError(t, err)
	conf, err := r.Resolve(t.Context())
	require.NoError(t, r.Shutdown(context.Background()))
	var warnings []string
	for _, entry := range logs.All() {
		warnings = append(warnings, entry.ContextMap()["exporter"].(string)+": "+entry.Message)
	}
	return conf, warnings, err
}

// noQueues turns off the queues of a balancing exporter's endpoints.
const noQueues = "protocol: {otlp: {sending_queue: {enabled: false}}}"

// TestBalancingRule: what waits for an endpoint that leaves is lost, and so are metrics that no service routes.
func TestBalancingRule(t *testing.T) {
	const queues, service = "::protocol::otlp::sending_queue is not turned off", "routing_key: service, also by default, drops metrics"
	for _, test := range []struct{ name, exporter, signal, settings, refused string }{
		{"without queues", "load_balancing/traces", "traces", "{" + noQueues + "}", ""},
		{"by default", "load_balancing", "traces", "{}", "exporters::load_balancing" + queues},
		{"by default, null", "load_balancing", "traces", "{protocol: {otlp: {sending_queue: }}}", queues},
		{"the old name", "loadbalancing/2", "logs", "{protocol: {otlp: {sending_queue: {queue_size: 5}}}}", "exporters::loadbalancing/2" + queues},
		{"turned on", "load_balancing", "logs", "{protocol: {otlp: {sending_queue: {enabled: true}}}}", queues},
		{"metrics by default", "load_balancing", "metrics", "{" + noQueues + "}", service},
		{"metrics by service", "load_balancing", "metrics/2", "{" + noQueues + ", routing_key: service}", service},
		{"metrics by attributes", "load_balancing", "metrics", "{" + noQueues + ", routing_key: attributes, routing_attributes: [service.name]}", ""},
		{"logs by service", "load_balancing", "logs", "{" + noQueues + ", routing_key: service}", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			conf := "exporters: {" + test.exporter + ": " + test.settings + "}, service: {pipelines: {" + test.signal + ": {receivers: [otlp], exporters: [" + test.exporter + "]}}}}"
			_, _, err := resolve(t, "yaml:{"+conf)
			if test.refused == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.refused)
			_, _, err = resolve(t, "yaml:{delivery_rules: {allow_loss: ["+test.exporter+"]}, "+conf)
			require.NoError(t, err)
		})
	}
}

// one is a configuration with one exporter.
func one(exporter, settings string) string {
	return "yaml:{exporters: {" + exporter + ": " + settings + "}, service: {pipelines: {traces: {receivers: [otlp], exporters: [" + exporter + "]}}}}"
}

func TestRetryRule(t *testing.T) {
	const queue = "sending_queue: {storage: queue_storage}"
	for _, test := range []struct {
		name, exporter, settings string
		refused, warned          string
	}{
		{name: "without end", exporter: "otlp_grpc/hub", settings: "{" + queue + ", retry_on_failure: {max_elapsed_time: 0}}"},
		{name: "without end, with a unit", exporter: "otlp", settings: "{" + queue + ", retry_on_failure: {max_elapsed_time: 0s}}"},
		{name: "without end, from the environment", exporter: "otlp", settings: "{" + queue + ", retry_on_failure: {max_elapsed_time: '${env:DELIVERYRULES_ZERO}'}}"},
		{
			name: "a limit", exporter: "otlp_grpc/hub", settings: "{" + queue + ", retry_on_failure: {max_elapsed_time: 10m}}",
			refused: "exporters::otlp_grpc/hub::retry_on_failure::max_elapsed_time: 10m with sending_queue::storage deletes from the disk what could not be sent for that long: write 0",
		},
		{
			name: "a limit, from the environment", exporter: "otlp", settings: "{" + queue + ", retry_on_failure: {max_elapsed_time: '${env:DELIVERYRULES_HOUR}'}}",
			refused: "max_elapsed_time: 1h with",
		},
		{name: "a limit in nanoseconds", exporter: "otlp", settings: "{" + queue + ", retry_on_failure: {max_elapsed_time: 1000000000}}", refused: "write 0"},
		{name: "not said", exporter: "otlp_http", settings: "{" + queue + "}", refused: "exporters::otlp_http::retry_on_failure::max_elapsed_time is not set, which means 5m"},
		{name: "not said, null", exporter: "otlphttp/x", settings: "{" + queue + ", retry_on_failure: }", refused: "which means 5m"},
		{name: "other keys only", exporter: "otlp", settings: "{" + queue + ", retry_on_failure: {initial_interval: 1s}}", refused: "which means 5m"},
		{name: "off", exporter: "otlp", settings: "{" + queue + ", retry_on_failure: {enabled: false}}", refused: "::enabled: false with sending_queue::storage"},
		{name: "off, of any type", exporter: "somebodys", settings: "{" + queue + ", retry_on_failure: {enabled: false, max_elapsed_time: 0}}", refused: "write true"},
		{name: "a limit, of any type", exporter: "somebodys", settings: "{" + queue + ", retry_on_failure: {max_elapsed_time: 1m}}", refused: "write 0"},
		{name: "not readable", exporter: "otlp", settings: "{" + queue + ", retry_on_failure: {max_elapsed_time: soon}}"},
		{name: "no storage", exporter: "otlp", settings: "{sending_queue: {queue_size: 10}, retry_on_failure: {max_elapsed_time: 1m}}"},
		{name: "storage null", exporter: "otlp", settings: "{sending_queue: {storage: }}"},
		{name: "no queue", exporter: "otlp", settings: "{sending_queue: {enabled: false, storage: queue_storage}}"},
		{name: "no settings", exporter: "debug", settings: "null"},
		{name: "our own", exporter: "application_insights/eu", settings: "{" + queue + "}"},
		{name: "our own, with a limit", exporter: "application_insights", settings: "{" + queue + ", retry_on_failure: {max_elapsed_time: 1m}}", refused: "write 0"},
		{name: "without retries", exporter: "azure_monitor", settings: "{" + queue + "}", warned: "azure_monitor: This exporter has no retries"},
		{name: "unknown", exporter: "somebodys/1", settings: "{" + queue + "}", warned: "somebodys/1: This exporter has a queue on disk and no retry_on_failure::max_elapsed_time"},
		{name: "balancing", exporter: "load_balancing", settings: "{" + queue + ", " + noQueues + "}", refused: "which means no retries"},
		{name: "balancing with retries", exporter: "load_balancing", settings: "{" + queue + ", " + noQueues + ", retry_on_failure: {enabled: true, max_elapsed_time: 0}}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("DELIVERYRULES_ZERO", "0s")
			t.Setenv("DELIVERYRULES_HOUR", "1h")
			_, warnings, err := resolve(t, one(test.exporter, test.settings))
			if test.refused != "" {
				require.ErrorContains(t, err, test.refused)
				require.ErrorContains(t, err, "delivery_rules::allow_loss")
			} else {
				require.NoError(t, err)
			}
			assert.Equal(t, test.warned != "", len(warnings) > 0, warnings)
			assert.Contains(t, strings.Join(warnings, "\n"), test.warned)
		})
	}
}

// TestOpenLinks: an exporter that anybody on the way can read or pose as the other end of is warned of by its key, and no other.
func TestOpenLinks(t *testing.T) {
	const insecure, anybody = "tls: {insecure: true}", "tls: {insecure_skip_verify: true}"
	for _, test := range []struct{ name, exporter, settings, warned string }{
		{"TLS", "otlp_grpc/hub", "{endpoint: 'hub.example:14317', tls: {insecure: false}}", ""},
		{"by default", "otlp_grpc/hub", "{endpoint: 'hub.example:14317'}", ""},
		{"without", "otlp_grpc/hub", "{endpoint: 'hub.example:14317', " + insecure + "}", "otlp_grpc/hub: exporters::otlp_grpc/hub::tls::insecure: true sends without TLS to hub.example:14317"},
		{"from the environment", "otlp", "{endpoint: 'hub.example:14317', tls: {insecure: '${env:DELIVERYRULES_TRUE}', ca_file: '${env:DELIVERYRULES_UNSET:-}'}}", "without TLS"},
		{"a text", "otlp", "{endpoint: 'hub.example:14317', tls: {insecure: 'True'}}", "without TLS"},
		{"with an authority", "otlp", "{endpoint: 'hub.example:14317', tls: {insecure: true, ca_file: ca.crt}}", ""},
		{"https", "otlp", "{endpoint: 'https://hub.example:14317', " + insecure + "}", ""},
		{"a resolver", "otlp", "{endpoint: 'dns:///hub.example:14317', " + insecure + "}", "to dns:///hub.example:14317"},
		{"this machine", "otlp", "{endpoint: '127.1.0.2:14317', " + insecure + "}", ""},
		{"this machine, version 6", "otlp", "{endpoint: '[::1]:14317', " + insecure + "}", ""},
		{"this machine, by a resolver", "otlp", "{endpoint: 'passthrough:///localhost:14317', " + insecure + "}", ""},
		{"a socket", "otlp", "{endpoint: 'unix:///run/hub.sock', " + insecure + "}", ""},
		{"a host of that name", "otlp", "{endpoint: 'unix.example:14317', " + insecure + "}", "without TLS to unix.example:14317"},
		{"anybody", "otlp", "{endpoint: 'hub.example:14317', " + anybody + "}", "exporters::otlp::tls::insecure_skip_verify: true accepts any certificate to hub.example:14317"},
		{"HTTP", "otlp_http", "{endpoint: 'HTTP://hub.example:14318'}", "exporters::otlp_http::endpoint sends without TLS to HTTP://hub.example:14318"},
		{"HTTP of one signal", "otlphttp/x", "{endpoint: 'https://hub.example', logs_endpoint: 'http://logs.example/v1/logs'}", "exporters::otlphttp/x::logs_endpoint sends without TLS"},
		{"HTTPS", "otlp_http", "{endpoint: 'https://hub.example:14318', " + insecure + "}", ""},
		{"HTTPS, anybody", "otlp_http", "{endpoint: 'https://hub.example', " + anybody + "}", "insecure_skip_verify: true accepts any certificate to https://hub.example"},
		{"HTTP on this machine", "otlp_http", "{endpoint: 'http://localhost/v1'}", ""},
		{"balancing", "load_balancing", "{protocol: {otlp: {sending_queue: {enabled: false}, " + insecure + "}}}", "exporters::load_balancing::protocol::otlp::tls::insecure: true sends without TLS"},
		{"of another type", "application_insights", "{endpoint: 'http://hub.example', " + insecure + "}", ""},
		{"TLS of an extension, which warns itself", "otlp_grpc", "{endpoint: 'hub.example:1', middlewares: [{id: request_limits}, {id: cluster_identity/2}], " + insecure + "}", ""},
		{"another middleware", "otlp_grpc", "{endpoint: 'hub.example:1', middlewares: [{id: request_limits}], " + insecure + "}", "without TLS"},
		{"nothing", "otlp", "null", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("DELIVERYRULES_TRUE", "true")
			_, warnings, err := resolve(t, one(test.exporter, test.settings))
			require.NoError(t, err)
			assert.Equal(t, test.warned != "", len(warnings) > 0, warnings)
			assert.Contains(t, strings.Join(warnings, "\n"), test.warned)
		})
	}
	_, warnings, err := resolve(t, "yaml:{exporters: {otlp: {endpoint: 'hub.example:1', "+insecure+"}}}")
	require.NoError(t, err)
	assert.Empty(t, warnings, "nothing uses it")
}

const disk = "d: {sending_queue: {storage: s}, retry_on_failure: {max_elapsed_time: 0}}, m: {}"

func TestHoldRule(t *testing.T) {
	for _, test := range []struct{ name, pipelines, refused string }{
		{"none", "traces: {receivers: [r], processors: [memory_limiter], exporters: [d]}", ""},
		{"before memory", "traces: {receivers: [r], processors: [batch], exporters: [m]}", ""},
		{"of another type", "traces: {receivers: [r], processors: [batcher, other/batch], exporters: [d]}", ""},
		{
			"before the disk", "traces: {receivers: [r], processors: [memory_limiter, batch], exporters: [m, d]}",
			"service::pipelines::traces::processors: batch holds in memory what was acknowledged, before the queue on disk of exporter d: remove it, and write exporters::d::sending_queue::batch: {sizer: items",
		},
		{"named", "logs/x: {receivers: [r], processors: [batch/2], exporters: [d]}", "service::pipelines::logs/x::processors: batch/2 holds"},
		{
			"through a connector", "traces/in: {receivers: [r], processors: [batch], exporters: [forward/a]}, traces/out: {receivers: [forward/a], exporters: [d]}",
			"service::pipelines::traces/in::processors: batch holds in memory what was acknowledged, before the queue on disk of exporter d (through forward/a)",
		},
		{"through two", "traces/1: {receivers: [r], processors: [batch], exporters: [f1]}, traces/2: {receivers: [f1], exporters: [f2]}, traces/3: {receivers: [f2], exporters: [d]}", "(through f1) (through f2)"},
		{"in a circle", "traces/1: {receivers: [f2], processors: [batch], exporters: [f1]}, traces/2: {receivers: [f1], exporters: [f2]}", ""},
		{"behind the connector", "traces/in: {receivers: [r], exporters: [f]}, traces/out: {receivers: [f], processors: [batch], exporters: [d]}", "service::pipelines::traces/out::processors"},
		{"what is made of the data", "traces: {receivers: [r], processors: [batch], exporters: [spanmetrics]}, metrics: {receivers: [spanmetrics], exporters: [d]}", ""},
		{"a pipeline without settings", "traces: ", ""},
		{
			"a sampler", "traces/in: {receivers: [r], exporters: [f]}, traces/sampled: {receivers: [f], processors: [tail_sampling/two], exporters: [d]}",
			"service::pipelines::traces/sampled::processors: tail_sampling/two holds in memory what was acknowledged, before the queue on disk of exporter d: a kill loses",
		},
		{"a sampler before memory", "traces: {receivers: [r], processors: [tail_sampling], exporters: [m]}", ""},
		{"whole traces", "traces: {receivers: [r], processors: [groupbytrace], exporters: [d]}", "tail_sampling needs no such processor"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := resolve(t, "yaml:{exporters: {"+disk+"}, service: {pipelines: {"+test.pipelines+"}}}")
			if test.refused == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.refused)
			}
		})
	}
}

func TestAllowLoss(t *testing.T) {
	const bad = "yaml:{exporters: {otlp: {sending_queue: {storage: s}}}, service: {pipelines: {traces: {receivers: [r], processors: [batch], exporters: [otlp]}}}}"
	for _, test := range []struct{ section, refused string }{
		{"{allow_loss: [otlp]}", ""},
		{"{allow_loss: [traces]}", "which means 5m"},
		{"{allow_loss: []}", "batch holds"},
		{"{allow_loss: }", "batch holds"},
		{"", "batch holds"},
		{"{allow_loss: [otlp/typo]}", `delivery_rules::allow_loss: "otlp/typo" is neither an exporter nor a pipeline`},
		{"{allow: [otlp]}", "delivery_rules::allow is not known: write allow_loss"},
		{"{allow_loss: otlp}", "delivery_rules::allow_loss is not known: write allow_loss, a list"},
		{"{allow_loss: [1]}", "1 is not the name"},
		{"[otlp]", "delivery_rules: write a section with the key allow_loss"},
	} {
		t.Run(test.section, func(t *testing.T) {
			conf, _, err := resolve(t, bad, "yaml:delivery_rules: "+test.section)
			if test.refused != "" {
				require.ErrorContains(t, err, test.refused)
				return
			}
			require.NoError(t, err)
			assert.False(t, conf.IsSet(Section), "the collector does not know the section")
			assert.True(t, conf.IsSet("exporters::otlp::sending_queue::storage"), "the rest is as it was")
		})
	}
}

// TestShippedConfigurationsKeepTheRules holds what users install, alone and merged with each overlay.
func TestShippedConfigurationsKeepTheRules(t *testing.T) {
	for _, name := range []string{"MESH_CLUSTER", "MESH_NODE_NAME", "APPLICATION_INSIGHTS_CONNECTION_STRING"} {
		t.Setenv(name, "x")
	}
	shipped := func(pattern string) []string {
		files, err := filepath.Glob("../../../distribution/" + pattern)
		require.NoError(t, err)
		require.NotEmpty(t, files)
		return files
	}
	for _, file := range shipped("config/*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, _, err := resolve(t, "file:"+file)
			require.NoError(t, err)
			for _, overlay := range shipped("examples/*.yaml") {
				if filepath.Base(overlay) == "topology.yaml" {
					continue // not of a collector
				}
				_, _, err := resolve(t, "file:"+file, "file:"+overlay)
				require.NoError(t, err, overlay)
			}
		})
	}
}

// FuzzConvert: no configuration makes the converter panic.
func FuzzConvert(f *testing.F) {
	f.Add("{exporters: {" + disk + "}, service: {pipelines: {traces: {receivers: [r], processors: [batch], exporters: [d]}}}, delivery_rules: {allow_loss: [d]}}")
	f.Add("{service: {pipelines: [1]}, exporters: 3}")
	f.Fuzz(func(t *testing.T, text string) {
		retrieved, err := confmap.NewRetrievedFromYAML([]byte(text))
		if err != nil {
			return
		}
		conf, err := retrieved.AsConf()
		if err != nil {
			return
		}
		_ = NewFactory().Create(confmap.ConverterSettings{}).Convert(t.Context(), conf)
	})
}
