// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// fakeSource is a cluster that the test speaks for.
type fakeSource struct {
	cluster, host string
	deltas        chan *topology.Delta
	ended         chan struct{}
}

func (s *fakeSource) Run(ctx context.Context, emit func(*topology.Delta)) error {
	defer close(s.ended)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case d := <-s.deltas:
			d.Cluster = s.cluster
			emit(d)
		}
	}
}

func (s *fakeSource) State() kube.State     { return kube.State{Synced: true} }
func (*fakeSource) Counters() kube.Counters { return kube.Counters{Lists: 1} }

// tells lets the cluster say something.
func (s *fakeSource) tells(t *testing.T, d *topology.Delta) {
	t.Helper()
	select {
	case s.deltas <- d:
	case <-s.ended:
		t.Fatal("the source has ended")
	}
}

func (s *fakeSource) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// fakeSecrets says that the fake API server does not know streamed lists.
type fakeSecrets struct{ typed.SecretsGetter }

func (fakeSecrets) IsWatchListSemanticsUnSupported() bool { return true }

// stage is a manager, the secrets it watches, and all that it says.
type stage struct {
	t       *testing.T
	manager *Manager
	client  *fake.Clientset

	mu       sync.Mutex
	log      bytes.Buffer
	opened   []*fakeSource
	emitted  []string
	findings []topology.Finding
	resolved []string
}

func (s *stage) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func perform(t *testing.T, change func(*Settings), objects ...runtime.Object) *stage {
	t.Helper()
	s := &stage{t: t, client: fake.NewClientset(objects...)}
	settings := Settings{
		Logger: slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug})), secrets: fakeSecrets{s.client.CoreV1()}, OwnCluster: "own",
		Emit: func(d *topology.Delta) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.emitted = append(s.emitted, fmt.Sprintf("%s %t %d", d.Cluster, d.Full, d.At.Unix()))
		},
		Report: func(f topology.Finding) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.findings = append(s.findings, f)
		},
		Resolve: func(kind, cluster, subject string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.resolved = append(s.resolved, kind+"/"+cluster+"/"+subject)
		},
		open: func(cluster string, config *rest.Config) (source, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			source := &fakeSource{cluster: cluster, host: config.Host, deltas: make(chan *topology.Delta), ended: make(chan struct{})}
			s.opened = append(s.opened, source)
			return source, nil
		},
	}
	// What changes between the fake's list and its watch is lost.
	watched := make(chan struct{})
	var once sync.Once
	s.client.PrependWatchReactor("secrets", func(action clienttesting.Action) (bool, watch.Interface, error) {
		defer once.Do(func() { close(watched) })
		w, err := s.client.Tracker().Watch(action.GetResource(), action.GetNamespace())
		return true, w, err
	})
	own := settings.secrets
	if change != nil {
		change(&settings)
	}
	manager, err := New(settings)
	require.NoError(t, err)
	s.manager = manager
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { assert.NoError(t, manager.Run(ctx)) })
	t.Cleanup(func() {
		cancel()
		group.Wait()
		assert.NotContains(t, s.log.String(), secretToken, "no value of a secret is logged")
		for _, f := range s.findings {
			assert.NotContains(t, f.Detail+f.Subject, secretToken)
		}
	})
	if settings.secrets == own {
		await(t, watched)
	}
	return s
}

func await(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("it does not happen")
	}
}

func (s *stage) eventually(condition func() bool, message string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return condition()
	}, patience, time.Millisecond, message)
}

// source waits for the nth source that was opened.
func (s *stage) source(n int) *fakeSource {
	s.t.Helper()
	s.eventually(func() bool { return len(s.opened) > n }, fmt.Sprintf("source %d", n))
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened[n]
}

// finding waits for a finding with this text.
func (s *stage) finding(kind, text string) {
	s.t.Helper()
	s.eventually(func() bool {
		return slices.ContainsFunc(s.findings, func(f topology.Finding) bool { return f.Kind == kind && strings.Contains(f.Detail, text) })
	}, kind+": "+text)
}

func (s *stage) says(emitted ...string) {
	s.t.Helper()
	s.eventually(func() bool { return len(s.emitted) >= len(emitted) }, "emitted")
	s.mu.Lock()
	defer s.mu.Unlock()
	assert.Equal(s.t, emitted, s.emitted)
}

func (s *stage) put(secret *corev1.Secret) {
	s.t.Helper()
	client := s.client.CoreV1().Secrets(secret.Namespace)
	if _, err := client.Update(s.t.Context(), secret, metav1.UpdateOptions{}); apierrors.IsNotFound(err) {
		_, err = client.Create(s.t.Context(), secret, metav1.CreateOptions{})
		require.NoError(s.t, err)
	} else {
		require.NoError(s.t, err)
	}
}

// secret returns a remote secret that is so many minutes old, with the kubeconfigs of the clusters.
func secret(name string, age int, clusters map[string]string) *corev1.Secret {
	out := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "istio-system", Name: name, Labels: map[string]string{"istio/multiCluster": "true"},
			CreationTimestamp: metav1.NewTime(time.Unix(1_000_000-int64(age)*60, 0)),
		},
		Data: map[string][]byte{},
	}
	for cluster, server := range clusters {
		value := server
		if strings.HasPrefix(server, "https:") {
			value = kubeconfig(server, "", "")
		}
		out.Data[cluster] = []byte(value)
	}
	return out
}

func full(at int64) *topology.Delta { return &topology.Delta{Full: true, At: time.Unix(at, 0)} }
func more(at int64) *topology.Delta { return &topology.Delta{At: time.Unix(at, 0)} }

func TestEachClusterIsRead(t *testing.T) {
	other := secret("other", 1, map[string]string{"unlabelled": "https://u"})
	other.Labels = nil
	elsewhere := secret("elsewhere", 1, map[string]string{"elsewhere": "https://e"})
	elsewhere.Namespace = "default"
	s := perform(t, nil, secret("remote", 1, map[string]string{"west": "https://w", "own": "https://o"}), other, elsewhere)
	west := s.source(0)
	assert.Equal(t, "west", west.cluster)
	assert.Equal(t, "https://w", west.host)
	west.tells(t, full(1))
	west.tells(t, more(2))
	s.says("west true 1", "west false 2")
	clusters, watching := s.manager.State()
	require.Len(t, clusters, 1, "the own cluster, secrets without the label and in other namespaces are left alone")
	assert.True(t, watching)
	assert.Equal(t, "istio-system/remote", clusters[0].Secret)
	assert.True(t, clusters[0].Source.Synced)

	s.put(secret("second", 0, map[string]string{"east": "https://e"}))
	assert.Equal(t, "east", s.source(1).cluster)
	assert.Equal(t, uint64(2), s.manager.Counters().Lists)
}

func TestAChangedKubeconfigTakesOverWhenItIsReady(t *testing.T) {
	s := perform(t, nil, secret("remote", 1, map[string]string{"west": "https://old"}))
	old := s.source(0)
	old.tells(t, full(1))
	// Before it has been heard it would give way at once.
	s.says("west true 1")
	s.put(secret("remote", 1, map[string]string{"west": "https://new"}))
	fresh := s.source(1)
	assert.Equal(t, "https://new", fresh.host)
	clusters, _ := s.manager.State()
	assert.True(t, clusters[0].Changing)
	old.tells(t, more(2))
	s.says("west true 1", "west false 2")
	assert.False(t, old.over(), "the old one is heard until the new one has told all")
	fresh.tells(t, full(3))
	await(t, old.ended)
	fresh.tells(t, more(4))
	s.says("west true 1", "west false 2", "west true 3", "west false 4")
	clusters, _ = s.manager.State()
	assert.False(t, clusters[0].Changing)
	s.eventually(func() bool { return s.manager.Counters().Lists == 2 }, "the totals of the old one are kept")
}

func TestAChangeBeforeTheFirstIsReady(t *testing.T) {
	s := perform(t, nil, secret("remote", 1, map[string]string{"west": "https://old"}))
	old := s.source(0)
	s.put(secret("remote", 1, map[string]string{"west": "https://new"}))
	fresh := s.source(1)
	await(t, old.ended)
	fresh.tells(t, full(1))
	s.says("west true 1")
}

func TestTheSameKubeconfigChangesNothing(t *testing.T) {
	same := secret("remote", 1, map[string]string{"west": "https://w"})
	s := perform(t, nil, same)
	west := s.source(0)
	same = same.DeepCopy()
	same.Annotations = map[string]string{"touched": "yes"}
	s.put(same)
	s.put(secret("second", 0, map[string]string{"east": "https://e"}))
	s.source(1)
	west.tells(t, full(1))
	s.says("west true 1")
	assert.Len(t, s.opened, 2)
}

func TestARemovedClusterIsReadNoMore(t *testing.T) {
	s := perform(t, nil, secret("remote", 1, map[string]string{"west": "https://w", "east": "https://e"}))
	east, west := s.source(0), s.source(1)
	west.tells(t, full(1))
	s.put(secret("remote", 1, map[string]string{"east": "https://e"}))
	await(t, west.ended)
	assert.False(t, east.over())
	require.NoError(t, s.client.CoreV1().Secrets("istio-system").Delete(t.Context(), "remote", metav1.DeleteOptions{}))
	await(t, east.ended)
	s.eventually(func() bool { c, _ := s.manager.State(); return len(c) == 0 }, "none left")
}

func TestAMalformedKubeconfigIsReportedAndLeftUntilItChanges(t *testing.T) {
	s := perform(t, nil, secret("remote", 1, map[string]string{"west": "https://w", "east": secretToken}))
	s.finding(topology.KindInvalidObject, "secret istio-system/remote, key east: the value is no kubeconfig")
	west := s.source(0)
	west.tells(t, full(1))
	s.put(secret("second", 0, map[string]string{"north": "https://n"}))
	s.source(1)
	s.mu.Lock()
	assert.Len(t, s.findings, 1, "not looked at again")
	s.mu.Unlock()

	// A change for the worse leaves what runs.
	s.put(secret("remote", 1, map[string]string{"west": "garbage", "east": "https://e"}))
	s.finding(topology.KindInvalidObject, "key west")
	west.tells(t, more(2))
	s.says("west true 1", "west false 2")
	assert.Equal(t, "east", s.source(2).cluster)
	s.eventually(func() bool { return slices.Contains(s.resolved, "invalid_object/east/remote secret") }, "east is over")
	clusters, _ := s.manager.State()
	for _, c := range clusters {
		assert.Equal(t, c.Cluster == "west", c.Rejected, c.Cluster)
	}

	s.put(secret("remote", 1, map[string]string{"west": "https://w", "east": "https://e"}))
	s.eventually(func() bool { return slices.Contains(s.resolved, "invalid_object/west/remote secret") }, "back to what runs")
	assert.False(t, west.over())
}

func TestOfTwoSecretsForOneClusterTheFirstCounts(t *testing.T) {
	s := perform(t, nil, secret("b-young", 1, map[string]string{"west": "https://young"}), secret("z-old", 9, map[string]string{"west": "https://old"}))
	west := s.source(0)
	assert.Equal(t, "https://old", west.host)
	s.finding(topology.KindDuplicateClusterName, "the secrets istio-system/b-young have the same cluster id as istio-system/z-old, which is used")

	// One that claims to be older does not take over what runs.
	s.put(secret("a-oldest", 99, map[string]string{"west": "https://oldest"}))
	s.finding(topology.KindDuplicateClusterName, "a-oldest")
	west.tells(t, full(1))
	s.says("west true 1")
	assert.Len(t, s.opened, 1)

	require.NoError(t, s.client.CoreV1().Secrets("istio-system").Delete(t.Context(), "z-old", metav1.DeleteOptions{}))
	assert.Equal(t, "https://oldest", s.source(1).host)
}

func TestTooManyClusters(t *testing.T) {
	s := perform(t, func(s *Settings) { s.MaxClusters = 1 }, secret("remote", 1, map[string]string{"a": "https://a", "b": "https://b"}))
	assert.Equal(t, "a", s.source(0).cluster)
	s.finding(topology.KindLimitReached, "raise 'max_clusters'")
	s.put(secret("remote", 1, map[string]string{"b": "https://b"}))
	assert.Equal(t, "b", s.source(1).cluster, "there is room now")
}

func TestSecretsThatMayNotBeRead(t *testing.T) {
	refused := make(chan struct{})
	s := perform(t, func(settings *Settings) {
		client := fake.NewClientset(secret("remote", 1, map[string]string{"west": "https://w"}))
		client.PrependReactor("list", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
			select {
			case <-refused:
				return false, nil, nil
			default:
				return true, nil, apierrors.NewForbidden(corev1.Resource("secrets"), "", errors.New("no"))
			}
		})
		settings.secrets = fakeSecrets{client.CoreV1()}
	})
	s.finding(topology.KindKubernetesForbidden, "allow list and watch of secrets in the namespace istio-system")
	_, watching := s.manager.State()
	assert.False(t, watching)
	close(refused)
	s.source(0)
	s.eventually(func() bool { return slices.Contains(s.resolved, "kubernetes_forbidden//secrets istio-system") }, "over")
	_, watching = s.manager.State()
	assert.True(t, watching)
}

func TestAClusterIsReadAnew(t *testing.T) {
	s := perform(t, nil, secret("remote", 1, map[string]string{"west": "https://w"}))
	west := s.source(0)
	s.manager.Again("west")
	west.tells(t, full(1))
	s.says("west true 1")
	s.manager.Again("nowhere")
	s.manager.Again("west")
	fresh := s.source(1)
	fresh.tells(t, full(2))
	await(t, west.ended)
	s.says("west true 1", "west true 2")
}

// The writer that a source waits for asks meanwhile how the clusters fare, and the secrets change.
func TestASourceThatWaitsForTheWriterHoldsUpNobody(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := perform(t, func(s *Settings) {
		s.Emit = func(*topology.Delta) {
			entered <- struct{}{}
			<-release
		}
	}, secret("remote", 1, map[string]string{"west": "https://w"}))
	west := s.source(0)
	west.tells(t, full(1))
	await(t, entered)
	s.put(secret("remote", 1, map[string]string{"west": "https://new"}))
	s.source(1)
	s.put(secret("remote", 1, map[string]string{"east": "https://e"}))
	s.source(2)
	clusters, _ := s.manager.State()
	assert.Len(t, clusters, 1)
	assert.NotZero(t, s.manager.Counters().Lists)
	close(release)
}

// A finding is told to somebody who asks how the clusters fare before the call returns.
func TestWhoIsToldMayAsk(t *testing.T) {
	var manager atomic.Pointer[Manager]
	answered := make(chan int, 100)
	s := perform(t, func(s *Settings) {
		ask := func() {
			if m := manager.Load(); m != nil {
				clusters, _ := m.State()
				answered <- len(clusters)
			}
		}
		report, resolve := s.Report, s.Resolve
		s.Report = func(f topology.Finding) { ask(); report(f) }
		s.Resolve = func(kind, cluster, subject string) { ask(); resolve(kind, cluster, subject) }
	}, secret("remote", 1, map[string]string{"west": "https://w"}))
	s.source(0)
	manager.Store(s.manager)
	s.put(secret("remote", 1, map[string]string{"east": secretToken}))
	s.finding(topology.KindInvalidObject, "key east")
	assert.NotEmpty(t, answered)
}

func TestNewNeedsSomebodyToTell(t *testing.T) {
	_, err := New(Settings{})
	require.ErrorIs(t, err, errNoEmit)
	_, err = New(Settings{Emit: func(*topology.Delta) {}, Client: kube.ClientSettings{Kubeconfig: "/nonexistent"}})
	require.ErrorContains(t, err, "the client for the remote secrets")
}
