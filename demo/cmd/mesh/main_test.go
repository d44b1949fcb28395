// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
)

func TestAgentFlags(t *testing.T) {
	agents, err := agentFlags(map[string]string{"aks-westeurope": "127.0.0.1:1,127.0.0.1:2", "aks-northeurope": ""})
	require.NoError(t, err)
	require.Equal(t, map[string]mesh.AgentAddresses{"aks-westeurope": {OTLP: "127.0.0.1:1", ALS: "127.0.0.1:2"}}, agents)
	_, err = agentFlags(map[string]string{"aks-westeurope": "127.0.0.1:1"})
	require.ErrorContains(t, err, "write two addresses, ip:port,ip:port")
}

func TestControl(t *testing.T) {
	m, err := mesh.New(mesh.Options{Envoy: "envoy"})
	require.NoError(t, err)
	ask := func(method, target string) *httptest.ResponseRecorder {
		recorder := httptest.NewRecorder()
		handler(m).ServeHTTP(recorder, httptest.NewRequest(method, target, nil))
		return recorder
	}
	for _, target := range []string{"/fail?cluster=aks-westeurope&service=reviews", "/heal?cluster=aks-westeurope&service=reviews", "/kill?pod=127.1.0.31"} {
		answer := ask(http.MethodPost, target)
		require.Equal(t, http.StatusBadRequest, answer.Code)
		require.Equal(t, "mesh: not running\n", answer.Body.String())
		require.Equal(t, http.StatusMethodNotAllowed, ask(http.MethodGet, target).Code)
	}
	require.Equal(t, http.StatusBadRequest, ask(http.MethodPost, "/fail?cluster=aks-mars&service=reviews").Code)
	topology := ask(http.MethodGet, "/topology")
	require.Equal(t, http.StatusOK, topology.Code)
	require.Contains(t, topology.Body.String(), "mesh_id: mesh1")
}
