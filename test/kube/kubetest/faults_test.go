// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// ended waits for the end of a watch and returns its last error event, if it has one.
func ended(t *testing.T, w watch.Interface) error {
	t.Helper()
	timeout := time.After(within)
	var last error
	for {
		select {
		case event, ok := <-w.ResultChan():
			if !ok {
				return last
			}
			if event.Type == watch.Error {
				last = apierrors.FromObject(event.Object)
			}
		case <-timeout:
			t.Fatal("the watch goes on")
		}
	}
}

// quiet fails if a watch tells of an object within a moment.
func quiet(t *testing.T, w watch.Interface, name string) {
	t.Helper()
	moment := time.After(300 * time.Millisecond)
	for {
		select {
		case event := <-w.ResultChan():
			require.NotEqual(t, name, event.Object.(*core.ConfigMap).Name)
		case <-moment:
			return
		}
	}
}

func configMap(t *testing.T, c *Cluster, name string) *core.ConfigMap {
	t.Helper()
	m, err := c.Client.CoreV1().ConfigMaps("default").Create(t.Context(), &core.ConfigMap{ObjectMeta: meta.ObjectMeta{Name: name}}, meta.CreateOptions{})
	require.NoError(t, err)
	return m
}

func proxyDisturbs(t *testing.T, c *Cluster) {
	p, err := c.NewProxy()
	require.NoError(t, err)
	defer p.Close()
	config := rest.CopyConfig(c.AdminConfig())
	config.Host = p.URL()
	k := client(t, config)
	maps := k.CoreV1().ConfigMaps("default")
	open := func() watch.Interface {
		w, err := maps.Watch(t.Context(), meta.ListOptions{ResourceVersion: "0"})
		require.NoError(t, err)
		return w
	}
	w := open()
	assert.Positive(t, p.Cut())
	require.NoError(t, ended(t, w), "a watch that is cut ends without an error event")

	w = open()
	before := p.Received()
	p.Stall()
	configMap(t, c, "stalled")
	quiet(t, w, "stalled")
	p.Resume()
	for event := range w.ResultChan() {
		if event.Object.(*core.ConfigMap).Name == "stalled" {
			break
		}
	}
	assert.Greater(t, p.Received(), before)
	w.Stop()

	p.Refuse()
	short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond) // client-go tries for ten seconds
	defer cancel()
	_, err = maps.List(short, meta.ListOptions{})
	require.Error(t, err)
	p.Resume()
	_, err = maps.List(t.Context(), meta.ListOptions{})
	require.NoError(t, err)
	assert.GreaterOrEqual(t, p.Connections(), int64(3))
	assert.Positive(t, p.Sent())
}

func killed(t *testing.T, c *Cluster) {
	ctx := t.Context()
	old := configMap(t, c, "before")
	k := client(t, c.AdminConfig())
	w, err := k.CoreV1().ConfigMaps("default").Watch(ctx, meta.ListOptions{ResourceVersion: old.ResourceVersion})
	require.NoError(t, err)
	configMap(t, c, "missed")
	require.NoError(t, c.KillAPIServer())
	require.NoError(t, ended(t, w))
	began := time.Now()
	require.NoError(t, c.StartAPIServer(ctx))
	t.Logf("API server ready %s after SIGKILL", time.Since(began).Round(time.Millisecond))
	_, err = k.CoreV1().ConfigMaps("default").Get(ctx, "missed", meta.GetOptions{})
	require.NoError(t, err)
	// The new server's cache begins now, so that it cannot serve a watch from before, and says so.
	w, err = k.CoreV1().ConfigMaps("default").Watch(ctx, meta.ListOptions{ResourceVersion: old.ResourceVersion})
	if err == nil {
		err = ended(t, w)
	}
	require.True(t, apierrors.IsResourceExpired(err) || apierrors.IsGone(err), "%v", err)

	require.NoError(t, c.KillEtcd())
	began = time.Now()
	require.NoError(t, c.StartEtcd(ctx))
	require.NoError(t, poll(ctx, func(ctx context.Context) (bool, error) {
		_, err := k.CoreV1().ConfigMaps("default").Update(ctx, old, meta.UpdateOptions{})
		return err == nil, nil
	}))
	t.Logf("writes go through again %s after etcd's SIGKILL", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	require.NoError(t, c.RestartAPIServer(ctx))
	t.Logf("an orderly restart takes %s", time.Since(began).Round(time.Millisecond))
}

// TestCompactionEndsWatches needs a server without a watch cache, which would shield its watches.
func TestCompactionEndsWatches(t *testing.T) {
	c := Start(t, Options{NoWatchCache: true})
	old := configMap(t, c, "old")
	configMap(t, c, "missed")
	configMap(t, c, "newest") // whose revision remains
	revision, err := c.Compact(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, revision)
	w, err := c.Client.CoreV1().ConfigMaps("default").Watch(t.Context(), meta.ListOptions{ResourceVersion: old.ResourceVersion})
	if err == nil {
		err = ended(t, w)
	}
	require.True(t, apierrors.IsResourceExpired(err) || apierrors.IsGone(err), "%v", err)
}

func TestTwoAtOnce(t *testing.T) {
	began := time.Now()
	var clusters [2]*Cluster
	var wait sync.WaitGroup
	for i, name := range []string{"aks-westeurope", "aks-northeurope"} {
		wait.Go(func() { clusters[i] = Start(t, Options{Name: name}) })
	}
	wait.Wait()
	t.Logf("two ready after %s", time.Since(began).Round(time.Millisecond))
	configMap(t, clusters[0], "only-in-the-first")
	_, err := clusters[1].Client.CoreV1().ConfigMaps("default").Get(t.Context(), "only-in-the-first", meta.GetOptions{})
	require.True(t, apierrors.IsNotFound(err), "%v", err)
	uid := func(c *Cluster) string {
		var n *core.Namespace
		require.NoError(t, poll(t.Context(), func(ctx context.Context) (bool, error) {
			var err error
			n, err = c.Client.CoreV1().Namespaces().Get(ctx, "kube-system", meta.GetOptions{})
			return err == nil, nil
		}))
		return string(n.UID)
	}
	assert.NotEqual(t, uid(clusters[0]), uid(clusters[1]))
}

func TestMissingProgramSaysWhatToDo(t *testing.T) {
	t.Setenv("OTELCOL_MESH_ETCD", filepath.Join(t.TempDir(), "none"))
	_, err := start(t.Context(), t.TempDir(), Options{})
	require.ErrorContains(t, err, "run 'make kube-tools'")
}

func TestAServerThatDoesNotStartSaysWhy(t *testing.T) {
	c, err := start(t.Context(), t.TempDir(), Options{APIServerFlags: []string{"--no-such-flag"}})
	require.ErrorContains(t, err, "unknown flag: --no-such-flag")
	require.Error(t, c.close())
}
