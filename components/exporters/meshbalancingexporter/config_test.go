// SPDX-License-Identifier: Apache-2.0

package meshbalancingexporter

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

func TestConfig(t *testing.T) {
	const static = "resolver: {static: {hostnames: ['10.0.0.1:14317']}}"
	for text, refused := range map[string]string{
		static: "",
		"resolver: {k8s: {service: hub.mesh, ports: [14317]}}":           "",
		static + "\nprotocol: {otlp: {sending_queue: {enabled: false}}}": "",
		"{}":                                  "write exactly one of k8s and static",
		"resolver: {static: {hostnames: []}}": "resolver::static::hostnames",
		static + "\nprotocol: {otlp: {sending_queue: {queue_size: 5}}}":    "protocol::otlp::sending_queue: write enabled: false",
		static + "\nprotocol: {otlp: {retry_on_failure: {enabled: true}}}": "protocol::otlp::retry_on_failure::enabled: write false",
		static + "\ntimeout: 0s": "timeout: 0s",
	} {
		retrieved, err := confmap.NewRetrievedFromYAML([]byte(text))
		require.NoError(t, err)
		conf, err := retrieved.AsConf()
		require.NoError(t, err)
		c := createDefaultConfig()
		require.NoError(t, conf.Unmarshal(c), text)
		if err := confmap.Validate(c); refused == "" {
			require.NoError(t, err, text)
		} else {
			require.ErrorContains(t, err, refused)
		}
	}
}
