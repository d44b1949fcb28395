// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// fakeAPI answers requests for pods by a script, one entry each, and refuses all else. It stands for faults that a real
// API server does not produce on demand.
type fakeAPI struct {
	*httptest.Server
	mu       sync.Mutex
	script   []http.HandlerFunc
	requests []string
	// other answers for other resources.
	other http.HandlerFunc
}

func newFakeAPI(t *testing.T, script ...http.HandlerFunc) *fakeAPI {
	f := &fakeAPI{script: script, other: refuse}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeAPI) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("limit") == "1" {
		list := corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, ListMeta: metav1.ListMeta{RemainingItemCount: new(int64)}}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(list)
		return
	}
	if r.URL.Path != "/api/v1/pods" {
		f.other(w, r)
		return
	}
	f.mu.Lock()
	f.requests = append(f.requests, r.URL.Query().Encode())
	handler := hang
	if len(f.script) > 0 {
		handler, f.script = f.script[0], f.script[1:]
	}
	f.mu.Unlock()
	handler(w, r)
}

func (f *fakeAPI) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.requests...)
}

func refuse(w http.ResponseWriter, r *http.Request) { fail(w, http.StatusForbidden, "Forbidden") }

func fail(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(statusOf(code, reason))
}

func failing(code int, reason metav1.StatusReason) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fail(w, code, reason) }
}

func statusOf(code int, reason metav1.StatusReason) metav1.Status {
	return metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: string(reason),
	}
}

// hang is a watch without events.
func hang(w http.ResponseWriter, r *http.Request) { stream()(w, r) }

// stream is a watch with events, which stays open.
func stream(events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		cut(events...)(w, r)
		<-r.Context().Done()
	}
}

// cut is a watch with events, which ends.
func cut(events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for _, e := range events {
			fmt.Fprintln(w, e)
		}
		w.(http.Flusher).Flush()
	}
}

func event(kind string, object any) string {
	raw, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"type":%q,"object":%s}`, kind, raw)
}

func added(p *corev1.Pod) string    { return event("ADDED", p) }
func modified(p *corev1.Pod) string { return event("MODIFIED", p) }
func deleted(p *corev1.Pod) string  { return event("DELETED", p) }

func bookmark(rv string, initial bool) string {
	p := corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{ResourceVersion: rv}}
	if initial {
		p.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
	}
	return event("BOOKMARK", p)
}

func aPod(name, uid, ip, rv string) *corev1.Pod {
	controller := true
	return &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "shop", UID: types.UID(uid), ResourceVersion: rv,
			Labels:          map[string]string{"pod-template-hash": "5d8f", "app": "cart"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "cart-5d8f", Controller: &controller}},
		},
		Spec:   corev1.PodSpec{NodeName: "n1", ServiceAccountName: "cart-sa"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: ip}}},
	}
}

// harness runs a source against a fake and collects what it emits.
type harness struct {
	t        *testing.T
	source   *Source
	deltas   chan *topology.Delta
	findings chan topology.Finding
}

func run(t *testing.T, f *fakeAPI, scope Scope) *harness {
	h := &harness{t: t, deltas: make(chan *topology.Delta, 100), findings: make(chan topology.Finding, 100)}
	source, err := New(Settings{
		Cluster: "c1", Scope: scope, NodeName: "n1", Client: ClientSettings{Config: &rest.Config{Host: f.URL}},
		Report: func(f topology.Finding) { h.findings <- f },
	})
	require.NoError(t, err)
	h.follow(source)
	return h
}

// follow runs a source.
func follow(t *testing.T, source *Source) *harness {
	h := &harness{t: t, deltas: make(chan *topology.Delta, 100), findings: make(chan topology.Finding, 100)}
	h.follow(source)
	return h
}

func (h *harness) follow(source *Source) {
	t := h.t
	h.source = source
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- source.Run(ctx, func(d *topology.Delta) { h.deltas <- d }) }()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}

const patience = 20 * time.Second

// next returns the next delta that says more than a confirmation.
func (h *harness) next() *topology.Delta {
	h.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case d := <-h.deltas:
			if d.Full || !empty(d) {
				return d
			}
		case <-deadline:
			h.t.Fatal("no delta")
		}
	}
}

func (h *harness) finding() topology.Finding {
	h.t.Helper()
	select {
	case f := <-h.findings:
		return f
	case <-time.After(patience):
		h.t.Fatal("no finding")
		return topology.Finding{}
	}
}

func podNames(d *topology.Delta) string {
	var list []string
	for i := range d.Pods {
		list = append(list, d.Pods[i].Name)
	}
	return strings.Join(list, " ")
}

func endNames(d *topology.Delta) string {
	var list []string
	for _, e := range d.GonePods {
		list = append(list, e.Name)
	}
	return strings.Join(list, " ")
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
