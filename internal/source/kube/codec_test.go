// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A custom resource comes through discovery, in the newest version that the server has, and as JSON.
func TestCustomResourcesAreDiscovered(t *testing.T) {
	f := newFakeAPI(t, stream(bookmark("5", true)))
	f.other = func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/apis/networking.istio.io":
			cut(`{"kind":"APIGroup","apiVersion":"v1","versions":[{"version":"v1beta1"},{"version":"v1alpha3"}]}`)(w, r)
		case r.URL.Path == "/apis/networking.istio.io/v1beta1/workloadentries":
			stream(`{"type":"ADDED","object":{"kind":"WorkloadEntry","apiVersion":"networking.istio.io/v1beta1","metadata":{"name":"vm","namespace":"shop"},"spec":{"address":"10.8.8.8"}}}`,
				`{"type":"BOOKMARK","object":{"kind":"WorkloadEntry","apiVersion":"networking.istio.io/v1beta1","metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}}}}`)(w, r)
		case r.URL.Path == "/apis/networking.istio.io/v1alpha3/destinationrules":
			// Only an old version has it.
			stream(`{"type":"ADDED","object":{"kind":"DestinationRule","apiVersion":"networking.istio.io/v1alpha3","metadata":{"name":"r","namespace":"shop"},"spec":{"host":"cart","trafficPolicy":{"outlierDetection":{"consecutive5xxErrors":5}}}}}`,
				`{"type":"BOOKMARK","object":{"kind":"DestinationRule","apiVersion":"networking.istio.io/v1alpha3","metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}}}}`)(w, r)
		case strings.HasPrefix(r.URL.Path, "/apis/"):
			http.NotFound(w, r)
		default:
			refuse(w, r)
		}
	}
	h := run(t, f, ScopeCluster)
	d := h.next()
	assert.True(t, d.Full)
	assert.Equal(t, "vm", podNames(d))
	if assert.Len(t, d.Failovers, 1) {
		assert.Equal(t, "cart", d.Failovers[0].Host)
	}
}
