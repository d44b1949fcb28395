// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// desk is a source that asks nobody, and what it reports.
type desk struct {
	*Source
	now      time.Time
	reported []topology.Finding
	resolved []string
}

func newDesk(t *testing.T) *desk {
	d := &desk{now: time.Unix(1000, 0)}
	source, err := New(Settings{
		Cluster: "c1", Scope: ScopeCluster, Client: ClientSettings{Config: &rest.Config{Host: "https://127.0.0.1:1"}},
		Now:     func() time.Time { return d.now },
		Report:  func(f topology.Finding) { d.reported = append(d.reported, f) },
		Resolve: func(kind, subject string) { d.resolved = append(d.resolved, kind+" "+subject) },
	})
	require.NoError(t, err)
	d.Source = source
	return d
}

func TestForbiddenIsOverWhenItIsAllowed(t *testing.T) {
	d := newDesk(t)
	refusal := errors.New("no")
	w := newWatcher(d.Source, resource{plural: "pods"}, nil)
	w.established()
	assert.Empty(t, d.resolved, "nothing was wrong")
	for n := range 2 {
		d.reportForbidden("pods", "list and watch", refusal)
		d.reportForbidden("pods", "list and watch", refusal)
		require.Len(t, d.reported, 2*n+1, "once, and once more after it was over")
		d.now = d.now.Add(repeatEvery)
		d.repeatOnce()
		require.Len(t, d.reported, 2*n+2, "it goes on")
		assert.Equal(t, topology.Finding{
			Kind: topology.KindKubernetesForbidden, Cluster: "c1", Subject: "pods", Detail: d.reported[0].Detail, At: d.now,
		}, d.reported[2*n+1])
		w.established()
		require.Len(t, d.resolved, n+1)
		d.repeatOnce()
		require.Len(t, d.reported, 2*n+2)
	}
	assert.Equal(t, topology.KindKubernetesForbidden+" pods", d.resolved[0])
	d.reportInvalid("pod a/b", "x")
	d.repeatOnce()
	assert.Len(t, d.reported, 5, "an object is what it is, and not repeated")
}

func TestAnOutageIsOverWhenTheServerAnswers(t *testing.T) {
	d := newDesk(t)
	for n := range 2 {
		d.failed(errors.New("refused"))
		d.reached()
		assert.Len(t, d.resolved, n, "it was none")
		d.failed(errors.New("refused"))
		d.now = d.now.Add(outageAfter)
		d.failed(errors.New("refused"))
		d.repeatOnce()
		require.Len(t, d.reported, 2*n+2)
		d.reached()
		require.Len(t, d.resolved, n+1)
	}
	assert.Equal(t, topology.KindKubernetesUnreachable+" c1", d.resolved[0])
	// The answer comes while the failure is being reported.
	d.report(topology.KindKubernetesUnreachable, "c1", "late")
	d.repeatOnce()
	assert.Len(t, d.resolved, 3)
	assert.Len(t, d.reported, 5)
}
