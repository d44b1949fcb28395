// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"testing"

	"github.com/stretchr/testify/assert"
	discovery "k8s.io/api/discovery/v1"
)

// TestEndpoints looks at what slices say. test/kube/router follows a real API server.
func TestEndpoints(t *testing.T) {
	s := New("mesh", "hub", 14317)
	end := func(address string, ready, terminating *bool) discovery.Endpoint {
		return discovery.Endpoint{Addresses: []string{address}, Conditions: discovery.EndpointConditions{Ready: ready, Terminating: terminating}}
	}
	assert.Equal(t, map[string]bool{
		"10.0.0.1:14317": true, "10.0.0.2:14317": false, "[fd00::1]:14317": true, "10.0.0.4:14317": true,
	}, s.endpoints([]any{
		&discovery.EndpointSlice{Endpoints: []discovery.Endpoint{
			end("10.0.0.1", nil, nil), end("10.0.0.2", new(false), nil), end("10.0.0.3", new(false), new(true)), end("10.0.0.4", new(true), nil),
		}},
		// The same one twice, as while slices are made anew.
		&discovery.EndpointSlice{Endpoints: []discovery.Endpoint{end("fd00::1", new(true), new(false)), end("10.0.0.4", new(false), nil)}},
		"something else",
	}))
}
