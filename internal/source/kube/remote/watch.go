// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// watch keeps the clusters in line with the secrets until the context ends.
func (m *Manager) watch(ctx context.Context) error {
	// The client's own messages go where the manager's go.
	ctx = klog.NewContext(ctx, logr.FromSlogHandler(m.settings.Logger.Handler()))
	client := m.settings.secrets.Secrets(m.settings.Namespace)
	informer := cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.LabelSelector = Label
			return client.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.LabelSelector = Label
			return client.Watch(ctx, options)
		},
	}, m.settings.secrets), &corev1.Secret{}, 0, nil)
	if err := informer.SetTransform(trim); err != nil {
		return err
	}
	if err := informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) { m.watchFailed(err) }); err != nil {
		return err
	}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { m.wake() },
		UpdateFunc: func(any, any) { m.wake() },
		DeleteFunc: func(any) { m.wake() },
	})
	if err != nil {
		return err
	}
	m.sources.Go(func() { informer.RunWithContext(ctx) })
	// Before all secrets are there, the first of two with one id is not known.
	if !cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
		return nil
	}
	m.watchWorks()
	for {
		m.reconcile(ctx, informer.GetStore().List())
		m.readAnew(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-m.changed:
			m.watchWorks()
		}
	}
}

// trim keeps of a secret what is read of it.
func trim(object any) (any, error) {
	secret, ok := object.(*corev1.Secret)
	if !ok {
		return object, nil
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: secret.Namespace, Name: secret.Name, UID: secret.UID, ResourceVersion: secret.ResourceVersion,
			CreationTimestamp: secret.CreationTimestamp,
		},
		Data: secret.Data,
	}, nil
}

func (m *Manager) watchFailed(err error) {
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return
	}
	m.mu.Lock()
	m.watching = false
	m.mu.Unlock()
	f := topology.Finding{
		Kind: topology.KindKubernetesUnreachable, Subject: m.subject(),
		Detail: fmt.Sprintf("the remote secrets cannot be read: %v; they are tried again, and clusters that are read already go on", err),
	}
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		f.Kind = topology.KindKubernetesForbidden
		f.Detail = fmt.Sprintf("the remote secrets may not be read: %v; allow list and watch of secrets in the namespace %s", err, m.settings.Namespace)
	}
	m.report(f)
}

func (m *Manager) watchWorks() {
	m.mu.Lock()
	m.watching = true
	m.mu.Unlock()
	m.settings.Resolve(topology.KindKubernetesUnreachable, "", m.subject())
	m.settings.Resolve(topology.KindKubernetesForbidden, "", m.subject())
}

func (m *Manager) subject() string { return "secrets " + m.settings.Namespace }

func (m *Manager) report(f topology.Finding) {
	f.At = m.settings.Now()
	m.settings.Logger.Warn(f.Detail, slog.String("cluster", f.Cluster), slog.String("subject", f.Subject))
	m.settings.Report(f)
}

// offer is a kubeconfig for a cluster.
type offer struct {
	secret string
	value  []byte
	hash   [sha256.Size]byte
}

// offers returns what the secrets have for each cluster, the oldest secret first.
func offers(objects []any, own string) map[string][]offer {
	secrets := make([]*corev1.Secret, 0, len(objects))
	for _, object := range objects {
		if secret, ok := object.(*corev1.Secret); ok {
			secrets = append(secrets, secret)
		}
	}
	slices.SortFunc(secrets, func(a, b *corev1.Secret) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	out := map[string][]offer{}
	for _, secret := range secrets {
		for id, value := range secret.Data {
			if id != own {
				out[id] = append(out[id], offer{secret: secret.Namespace + "/" + secret.Name, value: value, hash: sha256.Sum256(value)})
			}
		}
	}
	return out
}

// reconcile starts, changes and stops sources so that they are what the secrets say. Only the goroutine of
// [Manager.watch] changes m.clusters, so it reads them without m.mu: whoever is told something here may ask in turn how
// the clusters fare.
func (m *Manager) reconcile(ctx context.Context, objects []any) {
	wanted := offers(objects, m.settings.OwnCluster)
	for _, name := range slices.Sorted(maps.Keys(m.clusters)) {
		if len(wanted[name]) == 0 {
			m.settings.Logger.Info("no secret has the cluster any more, it is not read and becomes stale", slog.String("cluster", name))
			m.remove(m.clusters[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		c := m.clusters[name]
		if c == nil {
			if m.settings.MaxClusters > 0 && len(m.clusters) >= m.settings.MaxClusters {
				m.report(topology.Finding{
					Kind: topology.KindLimitReached, Cluster: name, Subject: "remote cluster",
					Detail: fmt.Sprintf("more than %d remote clusters: this one is not read; raise 'max_clusters'", m.settings.MaxClusters),
				})
				continue
			}
			c = &cluster{name: name}
			m.mu.Lock()
			m.clusters[name] = c
			m.mu.Unlock()
			m.settings.Resolve(topology.KindLimitReached, name, "remote cluster")
		}
		m.update(ctx, c, m.choose(c, wanted[name]))
	}
}

// choose returns the offer to take: the one in use, else the one of the oldest secret. The others are reported.
func (m *Manager) choose(c *cluster, list []offer) offer {
	chosen := 0
	c.mu.Lock()
	for _, running := range []*instance{c.next, c.current} {
		if running == nil {
			continue
		}
		if i := slices.IndexFunc(list, func(o offer) bool { return o.secret == running.secret }); i >= 0 {
			chosen = i
		}
	}
	c.mu.Unlock()
	var others []string
	for i, o := range list {
		if i != chosen {
			others = append(others, o.secret)
		}
	}
	if len(others) == 0 {
		m.settings.Resolve(topology.KindDuplicateClusterName, c.name, "remote secrets")
	} else {
		m.report(topology.Finding{
			Kind: topology.KindDuplicateClusterName, Cluster: c.name, Subject: "remote secrets",
			Detail: fmt.Sprintf("the secrets %s have the same cluster id as %s, which is used; delete what is not true",
				strings.Join(others, ", "), list[chosen].secret),
		})
	}
	return list[chosen]
}

// update starts a source if the kubeconfig is new. What runs already goes on until the new one is ready, or forever if
// the new kubeconfig is of no use.
func (m *Manager) update(ctx context.Context, c *cluster, o offer) {
	c.mu.Lock()
	newest := c.next
	if newest == nil {
		newest = c.current
	}
	if newest != nil && newest.hash == o.hash {
		newest.secret, c.rejected = o.secret, [sha256.Size]byte{}
		c.mu.Unlock()
		m.settings.Resolve(topology.KindInvalidObject, c.name, "remote secret")
		return
	}
	known := c.rejected == o.hash
	c.mu.Unlock()
	if known {
		return
	}
	config, err := parse(o.value)
	var opened source
	if err == nil {
		opened, err = m.settings.open(c.name, config)
		if err != nil {
			err = errUnusable
		}
	}
	if err != nil {
		c.mu.Lock()
		c.rejected = o.hash
		c.mu.Unlock()
		m.report(topology.Finding{
			Kind: topology.KindInvalidObject, Cluster: c.name, Subject: "remote secret",
			Detail: fmt.Sprintf("secret %s, key %s: %v; it is not looked at again until it changes", o.secret, c.name, err),
		})
		return
	}
	m.settings.Resolve(topology.KindInvalidObject, c.name, "remote secret")
	m.start(ctx, c, &instance{secret: o.secret, hash: o.hash, config: config, source: opened, started: m.settings.Now()})
}

// start runs the instance beside the one that runs already.
func (m *Manager) start(ctx context.Context, c *cluster, i *instance) {
	ctx, i.stop = context.WithCancel(ctx)
	c.mu.Lock()
	c.rejected = [sha256.Size]byte{}
	if c.next != nil {
		c.next.stop()
	}
	c.next = i
	c.mu.Unlock()
	m.settings.Logger.Info("reading a remote cluster", slog.String("cluster", c.name), slog.String("secret", i.secret))
	m.mu.Lock()
	m.running[i] = struct{}{}
	m.mu.Unlock()
	m.sources.Go(func() {
		defer m.end(i)
		defer i.stop()
		if err := i.source.Run(ctx, func(d *topology.Delta) { m.emit(c, i, d) }); err != nil && ctx.Err() == nil {
			m.report(topology.Finding{
				Kind: topology.KindKubernetesUnreachable, Cluster: c.name, Subject: "remote cluster",
				Detail: fmt.Sprintf("reading the cluster ended: %v", err),
			})
		}
	})
}

// end keeps the totals of an instance that has ended.
func (m *Manager) end(i *instance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.running, i)
	m.ended = sum(m.ended, i.source.Counters())
}

// emit passes on what an instance says if it is its turn. The first full delta of the next instance makes it the
// current one: until then the old one's knowledge stays.
func (m *Manager) emit(c *cluster, i *instance, d *topology.Delta) {
	c.emitting.Lock()
	defer c.emitting.Unlock()
	c.mu.Lock()
	if c.next == i && d.Full {
		if c.current != nil {
			c.current.stop()
		}
		c.current, c.next = i, nil
	}
	heard := c.current == i
	c.mu.Unlock()
	if heard {
		m.settings.Emit(d)
	}
}

// remove stops the cluster. What is known of it stays until the writer forgets it.
func (m *Manager) remove(c *cluster) {
	m.mu.Lock()
	delete(m.clusters, c.name)
	m.mu.Unlock()
	c.mu.Lock()
	for _, i := range []*instance{c.current, c.next} {
		if i != nil {
			i.stop()
		}
	}
	c.current, c.next = nil, nil
	c.mu.Unlock()
	m.settings.Resolve(topology.KindInvalidObject, c.name, "remote secret")
	m.settings.Resolve(topology.KindDuplicateClusterName, c.name, "remote secrets")
}
