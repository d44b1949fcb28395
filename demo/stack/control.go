// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"fmt"
	"net"
	"net/http"
	"time"
)

const controlHost = "127.3.0.4:8081"

// ControlURL is where [Stack.ServeControl] answers.
const ControlURL = "http://" + controlHost

// ServeControl serves the demo's switches on loopback: POST /fail and /heal with cluster and service take a service down
// and bring it back, POST /kill with role (hub, agent-<cluster>) or pod sends SIGKILL. Close the returned server to stop.
func (s *Stack) ServeControl() (*http.Server, error) {
	listener, err := net.Listen("tcp", controlHost)
	if err != nil {
		return nil, fmt.Errorf("demo control: %w: is another demo running?", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /fail", answer(func(r *http.Request) error {
		return s.mesh.Fail(r.FormValue("cluster"), r.FormValue("service"))
	}))
	mux.HandleFunc("POST /heal", answer(func(r *http.Request) error {
		return s.mesh.Heal(r.Context(), r.FormValue("cluster"), r.FormValue("service"))
	}))
	mux.HandleFunc("POST /kill", answer(func(r *http.Request) error {
		if role := r.FormValue("role"); role != "" {
			return s.Kill(role)
		}
		return s.mesh.KillEnvoy(r.FormValue("pod"))
	}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }() // ends with ErrServerClosed when the caller closes it
	return server, nil
}

func answer(do func(*http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := do(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintln(w, "done")
	}
}
