// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	coordination "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for something that must happen.
const patience = 20 * time.Second

// leaseServer is the part of an API server that keeps one lease.
type leaseServer struct {
	mu      sync.Mutex
	lease   *coordination.Lease
	version int
}

func (s *leaseServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.HasPrefix(r.URL.Path, "/apis/coordination.k8s.io/v1/namespaces/mesh/leases") {
		answer(w, http.StatusForbidden, metav1.StatusReasonForbidden)
		return
	}
	switch r.Method {
	case http.MethodGet:
		if s.lease == nil {
			answer(w, http.StatusNotFound, metav1.StatusReasonNotFound)
			return
		}
	case http.MethodPost:
		if s.lease != nil {
			answer(w, http.StatusConflict, metav1.StatusReasonAlreadyExists)
			return
		}
		if !s.keep(r.Body) {
			answer(w, http.StatusBadRequest, metav1.StatusReasonBadRequest)
			return
		}
	case http.MethodPut:
		if !s.keep(r.Body) {
			answer(w, http.StatusConflict, metav1.StatusReasonConflict)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.lease)
}

func (s *leaseServer) keep(body io.Reader) bool {
	lease := &coordination.Lease{}
	if err := json.NewDecoder(body).Decode(lease); err != nil {
		return false
	}
	if s.lease != nil && lease.ResourceVersion != s.lease.ResourceVersion {
		return false
	}
	s.version++
	lease.APIVersion, lease.Kind, lease.ResourceVersion = "coordination.k8s.io/v1", "Lease", strconv.Itoa(s.version)
	s.lease = lease
	return true
}

func answer(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Reason: reason, Code: int32(code),
	})
}

func (s *leaseServer) holder() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease == nil || s.lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *s.lease.Spec.HolderIdentity
}

// wire is one replica's connection to the server, which a test can cut. There is no network in between, which would take
// true time.
type wire struct {
	server *leaseServer
	cut    atomic.Bool
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.cut.Load() {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	answer := httptest.NewRecorder()
	w.server.serve(answer, r)
	return answer.Result(), nil
}

// clock is a clock that a test can set beside the true one.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// replica is one process that takes part.
type replica struct {
	elector *Elector
	wire    *wire
	clock   *clock
	errs    atomic.Int64
}

func (s *leaseServer) replica(t *testing.T, identity string) *replica {
	r := &replica{wire: &wire{server: s}, clock: &clock{}}
	config := &rest.Config{Host: "http://localhost:1", Transport: r.wire}
	config.ContentType = "application/json"
	elector, err := New(config, Settings{
		Namespace: "mesh", Name: "inventory", Identity: identity,
		Duration: 2 * time.Second, RenewDeadline: time.Second, RetryPeriod: 50 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler), Now: r.clock.now,
		Observe: func(err error) {
			if err != nil {
				r.errs.Add(1)
			}
		},
	})
	require.NoError(t, err)
	r.elector = elector
	return r
}
