// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

func TestFullThenChanges(t *testing.T) {
	second := make(chan struct{})
	f := newFakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		cut(added(aPod("a", "ua", "10.0.0.1", "1")), added(aPod("b", "ub", "10.0.0.2", "2")), bookmark("5", true))(w, r)
		<-second
		cut(modified(aPod("a", "ua", "10.0.0.1", "6")), modified(aPod("b", "ub", "10.0.0.3", "7")), deleted(aPod("a", "ua", "10.0.0.1", "8")))(w, r)
		<-r.Context().Done()
	})
	h := run(t, f, ScopeCluster)
	d := h.next()
	assert.True(t, d.Full)
	assert.Equal(t, "c1", d.Cluster)
	assert.False(t, d.At.IsZero())
	assert.Equal(t, "a b", podNames(d))
	assert.Equal(t, "cart", d.Pods[0].Workload)
	assert.Equal(t, "deployment", d.Pods[0].Kind)
	assert.NotNil(t, d.Facts)
	assert.NotNil(t, d.Gateways)
	close(second)
	d = h.next()
	assert.False(t, d.Full)
	// An event that changed nothing is not told.
	assert.Equal(t, "b", podNames(d))
	assert.Equal(t, []netip.Addr{netip.MustParseAddr("10.0.0.3")}, d.Pods[0].Addresses)
	assert.Equal(t, "a", endNames(d))
	assert.False(t, d.GonePods[0].Gap)
	assert.Equal(t, uidOf("ua"), d.GonePods[0].UID)
}

func TestCutStreamResumes(t *testing.T) {
	f := newFakeAPI(t,
		cut(added(aPod("a", "ua", "10.0.0.1", "1")), bookmark("5", true)),
		// The same event again changes nothing.
		stream(added(aPod("a", "ua", "10.0.0.1", "1")), added(aPod("b", "ub", "10.0.0.2", "6"))),
	)
	h := run(t, f, ScopeCluster)
	require.Equal(t, "a", podNames(h.next()))
	d := h.next()
	assert.Equal(t, "b", podNames(d))
	assert.Empty(t, d.GonePods)
	asked := f.asked()
	assert.Contains(t, asked[0], "sendInitialEvents=true")
	assert.Contains(t, asked[1], "resourceVersion=5")
	assert.NotContains(t, asked[1], "sendInitialEvents")
}

func TestExpiredVersionListsAgain(t *testing.T) {
	gone := event("ERROR", statusOf(http.StatusGone, metav1.StatusReasonExpired))
	for name, middle := range map[string]http.HandlerFunc{
		"within the stream": cut(gone),
		"as the answer":     failing(http.StatusGone, metav1.StatusReasonExpired),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeAPI(t,
				cut(added(aPod("a", "ua", "10.0.0.1", "1")), added(aPod("b", "ub", "10.0.0.2", "2")), added(aPod("c", "uc", "10.0.0.3", "3")), bookmark("5", true)),
				middle,
				// One stayed, one is gone, one is another of the name, and one is new.
				stream(added(aPod("a", "ua", "10.0.0.1", "1")), added(aPod("c", "ux", "10.0.0.3", "8")), added(aPod("d", "ud", "10.0.0.4", "9")), bookmark("20", true)),
			)
			h := run(t, f, ScopeCluster)
			require.Equal(t, "a b c", podNames(h.next()))
			ends, pods := map[string]topology.PodEnd{}, map[string]topology.PodState{}
			for len(ends) < 2 || len(pods) < 2 {
				d := h.next()
				for _, e := range d.GonePods {
					ends[e.Name] = e
				}
				for _, p := range d.Pods {
					pods[p.Name] = p
				}
			}
			assert.True(t, ends["b"].Gap)
			assert.True(t, ends["b"].Earliest.IsZero())
			assert.True(t, ends["c"].Gap)
			assert.Equal(t, uidOf("uc"), ends["c"].UID)
			assert.Equal(t, uidOf("ux"), pods["c"].UID)
			assert.Contains(t, pods, "d")
			assert.NotContains(t, pods, "a")
		})
	}
}

// A pod that comes and goes within one interval must not stay.
func TestShortLivedPodEnds(t *testing.T) {
	f := newFakeAPI(t, stream(bookmark("5", true), added(aPod("a", "ua", "10.0.0.1", "6")), deleted(aPod("a", "ua", "10.0.0.1", "7")), added(aPod("a", "ub", "10.0.0.2", "8"))))
	h := run(t, f, ScopeCluster)
	alive := map[string]topology.UID{}
	for alive["a"] != uidOf("ub") {
		d := h.next()
		for _, e := range d.GonePods {
			if alive[e.Name] == e.UID {
				delete(alive, e.Name)
			}
		}
		for i := range d.Pods {
			_, taken := alive[d.Pods[i].Name]
			require.False(t, taken, "the end of the first pod was not told")
			alive[d.Pods[i].Name] = d.Pods[i].UID
		}
	}
}

func TestServerWithoutStreamsIsPaged(t *testing.T) {
	page := func(rv, next string, pods ...*corev1.Pod) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			list := corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, ListMeta: metav1.ListMeta{ResourceVersion: rv, Continue: next}}
			for _, p := range pods {
				list.Items = append(list.Items, *p)
			}
			cut(event("", list)[len(`{"type":"","object":`):len(event("", list))-1])(w, r)
		}
	}
	f := newFakeAPI(t,
		failing(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid),
		page("9", "more", aPod("a", "ua", "10.0.0.1", "1")),
		page("9", "", aPod("b", "ub", "10.0.0.2", "2")),
		stream(added(aPod("c", "uc", "10.0.0.3", "10"))),
	)
	h := run(t, f, ScopeCluster)
	names := podNames(h.next())
	if names != "a b c" {
		assert.Equal(t, "a b", names)
		assert.Equal(t, "c", podNames(h.next()))
	}
	asked := f.asked()
	assert.Contains(t, asked[1], "limit=500")
	assert.Contains(t, asked[2], "continue=more")
	assert.Contains(t, asked[3], "resourceVersion=9")
}

func TestTransientFailures(t *testing.T) {
	f := newFakeAPI(t,
		failing(http.StatusUnauthorized, metav1.StatusReasonUnauthorized),
		failing(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests),
		failing(http.StatusInternalServerError, metav1.StatusReasonInternalError),
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		// A cut before the end of the initial objects starts anew.
		cut(added(aPod("x", "ux", "10.0.0.9", "1"))),
		stream(added(aPod("a", "ua", "10.0.0.1", "1")), bookmark("5", true)),
	)
	h := run(t, f, ScopeCluster)
	d := h.next()
	assert.True(t, d.Full)
	assert.Equal(t, "a", podNames(d), "a pod of the listing that was cut is gone")
	assert.Empty(t, d.GonePods)
	assert.GreaterOrEqual(t, h.source.Counters().Failures, uint64(4))
}

func TestMalformedEvents(t *testing.T) {
	f := newFakeAPI(t,
		cut(added(aPod("a", "ua", "10.0.0.1", "1")), bookmark("5", true)),
		cut(`{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","metadata":7}}`),
		cut(`{"type":"ADDED","object":{"kind":"Martian","apiVersion":"v9"}}`),
		cut(`{"type":"NONSENSE","object":{"kind":"Pod","apiVersion":"v1"}}`),
		stream(added(aPod("b", "ub", "10.0.0.2", "6")), bookmark("7", true)),
	)
	h := run(t, f, ScopeCluster)
	require.Equal(t, "a", podNames(h.next()))
	gone, there := false, false
	for !gone || !there {
		d := h.next()
		gone = gone || endNames(d) == "a"
		there = there || podNames(d) == "b"
	}
	assert.Contains(t, f.asked()[4], "sendInitialEvents", "an event that never decodes leads to a new listing")
}

func TestForbiddenIsFound(t *testing.T) {
	f := newFakeAPI(t, stream(bookmark("5", true)))
	h := run(t, f, ScopeCluster)
	h.next()
	subjects := map[string]int{}
	for len(subjects) < 12 {
		found := h.finding()
		assert.Equal(t, topology.KindKubernetesForbidden, found.Kind)
		assert.Equal(t, "c1", found.Cluster)
		subjects[found.Subject]++
		assert.Equal(t, 1, subjects[found.Subject])
	}
	assert.Contains(t, subjects, "services")
	assert.Contains(t, subjects, "namespaces kube-system")
}

func TestNodeScopeAsksForItsNode(t *testing.T) {
	f := newFakeAPI(t)
	run(t, f, ScopeNode)
	require.Eventually(t, func() bool { return len(f.asked()) > 0 }, patience, time.Millisecond)
	assert.Equal(t, "fieldSelector=spec.nodeName%3Dn1&resourceVersion=0&resourceVersionMatch=NotOlderThan", f.asked()[0])
}

func TestConfirms(t *testing.T) {
	f := newFakeAPI(t, stream(bookmark("5", true)))
	h := run(t, f, ScopeCluster)
	d := h.next()
	began := d.At
	require.Eventually(t, func() bool { return h.source.State().Synced && h.source.State().Live == 1 }, patience, time.Millisecond)
	// The connection is silent from here on, so nothing later than its last byte is confirmed.
	require.Eventually(t, func() bool { return h.source.State().Confirmed.After(began) }, patience, time.Millisecond)
	heard, ok := h.source.meter.heard()
	require.True(t, ok)
	assert.False(t, h.source.State().Confirmed.After(heard.Add(time.Second)))
}

func TestSettings(t *testing.T) {
	for want, s := range map[error]Settings{
		errNoCluster:    {},
		errNoNodeName:   {Cluster: "c"},
		errScope:        {Cluster: "c", Scope: 7},
		errContextAlone: {Cluster: "c", Scope: ScopeCluster, Client: ClientSettings{Context: "x"}},
	} {
		_, err := New(s)
		assert.ErrorIs(t, err, want)
	}
	_, err := New(Settings{Cluster: "c", Scope: ScopeCluster, Client: ClientSettings{Kubeconfig: "testdata/none"}})
	assert.ErrorContains(t, err, "testdata/none")
}
