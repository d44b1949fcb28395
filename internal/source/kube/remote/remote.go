// SPDX-License-Identifier: Apache-2.0

// Package remote reads whole clusters from afar, with the credentials that istiod has for them: secrets in Istio's
// namespace with the label istio/multiCluster=true, in which each key is the id of a cluster and its value a kubeconfig.
//
//   - [New] takes [Settings].
//   - [Manager.Run] watches the secrets and runs one [kube.Source] for each cluster, until its context ends.
//   - [Manager.State] tells how each fares.
//
// A kubeconfig is code that somebody else wrote: one that would run a program or read a file of this machine is refused.
// No value of a secret gets into an error, a log or a finding.
package remote

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// Label marks the secrets, as istiod and istioctl create-remote-secret know it.
const Label = "istio/multiCluster=true"

// Settings are what a [Manager] needs.
type Settings struct {
	// Client says how to reach the API server that has the secrets.
	Client kube.ClientSettings
	// Namespace is where the secrets are; empty stands for [kube.DefaultSystemNamespace].
	Namespace string
	// OwnCluster is an id to leave alone, since another source has that cluster; empty leaves none alone.
	OwnCluster string
	// MaxClusters is the most clusters to read; 0 stands for no limit.
	MaxClusters int
	// Logger takes what happens; nil drops it.
	Logger *slog.Logger
	// Emit takes what the sources say: for each cluster a full delta first, then changes. It is called from one
	// goroutine for each cluster, and not after [Manager.Run] has returned. Required.
	Emit func(*topology.Delta)
	// Report takes findings, and Resolve says that one is over; from several goroutines. Nil drops them.
	Report  func(topology.Finding)
	Resolve func(kind, cluster, subject string)
	// Now is the clock; nil stands for [time.Now].
	Now func() time.Time

	// secrets and open replace the API servers in tests.
	secrets corev1.SecretsGetter
	open    func(cluster string, config *rest.Config) (source, error)
}

// source is what runs for each cluster: a [kube.Source], other than in tests.
type source interface {
	Run(ctx context.Context, emit func(*topology.Delta)) error
	State() kube.State
	Counters() kube.Counters
}

// Manager runs the sources. Make one with [New]; [Manager.Run] may be called once.
type Manager struct {
	settings Settings
	sources  sync.WaitGroup

	// mu guards what follows. It is held for no call to the outside: who is told something may ask for the state, and
	// may hold a lock of its own meanwhile.
	mu       sync.Mutex
	clusters map[string]*cluster
	watching bool
	// running are the instances whose goroutine has not ended, ended the totals of those whose has.
	running map[*instance]struct{}
	ended   kube.Counters

	// changed says that there is something to do, asked which clusters to read anew.
	changed chan struct{}
	askedMu sync.Mutex
	asked   []string
}

// cluster is one that the secrets name.
type cluster struct {
	name string
	// rejected is the hash of the kubeconfig that was found unusable last. It is not looked at again until it changes.
	rejected [sha256.Size]byte

	// emitting keeps the two instances from emitting at the same time. It is held while one waits for the writer, so
	// nobody else may wait for it: the writer itself asks how the cluster fares.
	emitting sync.Mutex

	// mu guards what follows and the hash above.
	mu sync.Mutex
	// current emits; next takes its place with its first full delta. Either may be nil.
	current, next *instance
}

// instance is one source of a cluster: there are two while its kubeconfig changes.
type instance struct {
	secret  string
	hash    [sha256.Size]byte
	config  *rest.Config
	source  source
	stop    context.CancelFunc
	started time.Time
}

var errNoEmit = errors.New("nobody takes what the remote clusters say")

// New checks the settings. It makes no request.
func New(s Settings) (*Manager, error) {
	if s.Emit == nil {
		return nil, errNoEmit
	}
	if s.Namespace == "" {
		s.Namespace = kube.DefaultSystemNamespace
	}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	if s.Report == nil {
		s.Report = func(topology.Finding) {}
	}
	if s.Resolve == nil {
		s.Resolve = func(string, string, string) {}
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	m := &Manager{settings: s, clusters: map[string]*cluster{}, running: map[*instance]struct{}{}, changed: make(chan struct{}, 1)}
	if m.settings.secrets == nil {
		client, err := newClient(&s.Client)
		if err != nil {
			return nil, err
		}
		m.settings.secrets = client
	}
	if m.settings.open == nil {
		m.settings.open = m.openKube
	}
	return m, nil
}

// openKube makes the source of a cluster.
func (m *Manager) openKube(name string, config *rest.Config) (source, error) {
	return kube.New(kube.Settings{
		Cluster:         name,
		Client:          kube.ClientSettings{Config: config, Version: m.settings.Client.Version},
		Scope:           kube.ScopeCluster,
		SystemNamespace: m.settings.Namespace,
		Logger:          m.settings.Logger.With(slog.String("cluster", name)),
		Report:          m.settings.Report,
		Resolve:         func(kind, subject string) { m.settings.Resolve(kind, name, subject) },
		Now:             m.settings.Now,
	})
}

// Run reads until the context ends. Errors do not end it: they become findings, and are tried again or wait for the
// secret to change.
func (m *Manager) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer m.sources.Wait()
	defer cancel()
	return m.watch(ctx)
}

// ClusterState is how a cluster of the secrets fares.
type ClusterState struct {
	Cluster string
	// Secret is the namespace and name of the secret it is read with.
	Secret string
	// Since is when reading with this kubeconfig began.
	Since time.Time
	// Source is the state of the cluster's source.
	Source kube.State
	// Changing says that a newer kubeconfig has been given and its client is not ready.
	Changing bool
	// Rejected says that the newest kubeconfig was refused; a finding says why.
	Rejected bool
}

// State returns how the clusters fare, and whether the secrets themselves can be read.
func (m *Manager) State() (clusters []ClusterState, watching bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.clusters {
		clusters = append(clusters, c.state())
	}
	return clusters, m.watching
}

func (c *cluster) state() ClusterState {
	c.mu.Lock()
	defer c.mu.Unlock()
	state := ClusterState{Cluster: c.name, Changing: c.current != nil && c.next != nil, Rejected: c.rejected != [sha256.Size]byte{}}
	running := c.current
	if running == nil {
		running = c.next
	}
	if running == nil {
		return state
	}
	state.Secret, state.Since, state.Source = running.secret, running.started, running.source.State()
	return state
}

// Counters returns the totals of all clusters' sources since the start, without the requests for the secrets.
func (m *Manager) Counters() kube.Counters {
	m.mu.Lock()
	defer m.mu.Unlock()
	total := m.ended
	for i := range m.running {
		total = sum(total, i.source.Counters())
	}
	return total
}

func sum(a, b kube.Counters) kube.Counters {
	return kube.Counters{
		Requests: a.Requests + b.Requests, Lists: a.Lists + b.Lists, Watches: a.Watches + b.Watches, Events: a.Events + b.Events,
		Deltas: a.Deltas + b.Deltas, Failures: a.Failures + b.Failures, Invalid: a.Invalid + b.Invalid,
		BytesRead: a.BytesRead + b.BytesRead, BytesWritten: a.BytesWritten + b.BytesWritten,
	}
}

// Again reads a cluster anew, so that its whole content is emitted once more, for a writer that had it from elsewhere.
// Nothing happens if no secret has the cluster. It does not wait, and may be called at any time.
func (m *Manager) Again(name string) {
	m.askedMu.Lock()
	m.asked = append(m.asked, name)
	m.askedMu.Unlock()
	m.wake()
}

// wake lets [Manager.watch] look at what there is to do.
func (m *Manager) wake() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// readAnew starts a second instance of the clusters that were asked for.
func (m *Manager) readAnew(ctx context.Context) {
	m.askedMu.Lock()
	asked := m.asked
	m.asked = nil
	m.askedMu.Unlock()
	for _, name := range asked {
		c := m.clusters[name]
		if c == nil {
			continue
		}
		c.mu.Lock()
		old, next := c.current, c.next
		c.mu.Unlock()
		if old == nil || next != nil {
			// One that has not told anything yet will tell all.
			continue
		}
		opened, err := m.settings.open(name, old.config)
		if err != nil {
			m.settings.Logger.Warn("the cluster cannot be read anew", slog.String("cluster", name))
			continue
		}
		m.start(ctx, c, &instance{secret: old.secret, hash: old.hash, config: old.config, source: opened, started: m.settings.Now()})
	}
}
