// SPDX-License-Identifier: Apache-2.0

package router

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	authorization "k8s.io/api/authorization/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
	"github.com/otelcol-mesh/otelcol-mesh/test/kube/leastprivilege"
)

const (
	home    = "otelcol-mesh"
	service = "otelcol-mesh-hub-replicas"
	account = "otelcol-mesh-router"
)

func TestFixedReplicas(t *testing.T) {
	replicas := []*replica{startReplica(t, "127.12.2.2"), startReplica(t, "127.12.2.3")}
	p := start(t, "127.12.2.1", []string{"../../../distribution/examples/router-static.yaml"},
		"MESH_HUB_REPLICAS=[127.12.2.2:14317, 127.12.2.3:14317]")
	check(t, p.dial(t), replicas)
}

// TestWhatReplicasRefuse is told to the agent so that it keeps its data: everything a replica may say when it cannot take more.
func TestWhatReplicasRefuse(t *testing.T) {
	one, two := startReplica(t, "127.12.2.6"), startReplica(t, "127.12.2.7")
	p := start(t, "127.12.2.5", []string{"../../../distribution/examples/router-static.yaml"},
		"MESH_HUB_REPLICAS=[127.12.2.6:14317, 127.12.2.7:14317]")
	conn := p.dial(t)
	exhausted, err := status.New(codes.ResourceExhausted, "no room now").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
	require.NoError(t, err)
	for _, refusal := range []error{
		status.Error(codes.Unavailable, "sending queue is full"), status.Error(codes.DeadlineExceeded, "slow"),
		status.Error(codes.Aborted, "not now"), exhausted.Err(),
	} {
		two.failWith(refusal)
		for _, request := range []any{spans("west", 0, 100, 1), points(50), records(50)} {
			answer, ok := status.FromError(export(t, conn, request))
			require.True(t, ok)
			switch answer.Code() {
			case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.Canceled:
			case codes.ResourceExhausted:
				require.NotEmpty(t, answer.Details(), "without a time to wait an agent drops what it sent")
			default:
				require.Fail(t, "final", "%T: %v", request, answer)
			}
		}
	}
	two.failWith(nil)
	deliver(t, conn, spans("west", 0, 100, 1))
	a, _ := ends(one, 0, 100)
	b, _ := ends(two, 0, 100)
	assert.Equal(t, 100, a[1]+b[1])
}

// TestInventoriesDoNotWaitForOneReplica: which replica a cluster's log records are routed to does not matter for its inventory.
// When it is dead the others have the inventory and the sender is told so, although log records wait for it.
func TestInventoriesDoNotWaitForOneReplica(t *testing.T) {
	one, two := startReplica(t, "127.12.2.9"), startReplica(t, "127.12.2.10")
	p := start(t, "127.12.2.8", []string{"../../../distribution/examples/router-static.yaml", "yaml:{exporters: {inventory_broadcast: {give_up_after: 1s}}}"},
		"MESH_HUB_REPLICAS=[127.12.2.9:14317, 127.12.2.10:14317]")
	conn := p.dial(t)
	two.stop()
	for i := range 12 {
		cluster := fmt.Sprintf("cluster-%d", i)
		deliver(t, conn, inventoryOf(cluster, 1))
		assert.Equal(t, []uint64{1}, one.sequences(cluster))
	}
	mixed := records(50)
	inventoryOf("west", 1).ResourceLogs().MoveAndAppendTo(mixed.ResourceLogs())
	require.Error(t, export(t, conn, mixed), "nobody has the records of the replica that is gone")
	assert.Equal(t, []uint64{1}, one.sequences("west"), "the inventory did not wait for them")
	_, texts := spread([]*replica{one}, func(r *replica) map[string]int { return r.records })
	assert.Positive(t, texts)
}

// TestPartsThatAreLargerThanTheWhole: load_balancing gives each scope's spans their resource anew. What a replica takes at most is
// hub-routed.yaml's.
func TestPartsThatAreLargerThanTheWhole(t *testing.T) {
	raw, err := os.ReadFile("../../../distribution/examples/hub-routed.yaml")
	require.NoError(t, err)
	var routed struct {
		Extensions struct {
			Limits struct {
				Request struct {
					MaxBytes int `yaml:"max_bytes"`
				}
			} `yaml:"request_limits"`
		}
		Receivers struct {
			OTLP struct {
				Protocols struct {
					GRPC struct {
						MiB int `yaml:"max_recv_msg_size_mib"`
					}
				}
			} `yaml:"otlp"`
		}
	}
	require.NoError(t, yaml.Unmarshal(raw, &routed))
	most := routed.Receivers.OTLP.Protocols.GRPC.MiB << 20
	require.Equal(t, routed.Extensions.Limits.Request.MaxBytes, most)
	one := startReplica(t, "127.12.2.12", grpc.MaxRecvMsgSize(most))
	two := startReplica(t, "127.12.2.13", grpc.MaxRecvMsgSize(most))
	p := start(t, "127.12.2.11", []string{"../../../distribution/examples/router-static.yaml"},
		"MESH_HUB_REPLICAS=[127.12.2.12:14317, 127.12.2.13:14317]")
	td, calls := small()
	require.NoError(t, export(t, p.dial(t), td))
	a, _ := ends(one, 0, calls)
	b, _ := ends(two, 0, calls)
	assert.Equal(t, calls, a[1]+b[1])
}

// slice plays the EndpointSlice controller.
type slice struct {
	t       *testing.T
	cluster *kubetest.Cluster
	object  *discovery.EndpointSlice
}

func newSlice(t *testing.T, c *kubetest.Cluster, service string) *slice {
	t.Helper()
	_, err := c.Client.CoreV1().Services(home).Create(t.Context(), &core.Service{
		ObjectMeta: meta.ObjectMeta{Name: service},
		Spec:       core.ServiceSpec{ClusterIP: core.ClusterIPNone, Ports: []core.ServicePort{{Name: "otlp-grpc", Port: 14317}}},
	}, meta.CreateOptions{})
	require.NoError(t, err)
	object, err := c.Client.DiscoveryV1().EndpointSlices(home).Create(t.Context(), &discovery.EndpointSlice{
		ObjectMeta: meta.ObjectMeta{Name: service + "-1", Labels: map[string]string{discovery.LabelServiceName: service}},
		// The API server takes no address of the loopback as IPv4. Readers take addresses as they are.
		AddressType: discovery.AddressTypeFQDN,
		Ports:       []discovery.EndpointPort{{Name: new("otlp-grpc"), Port: new(int32(14317))}},
	}, meta.CreateOptions{})
	require.NoError(t, err)
	return &slice{t, c, object}
}

// set writes which replicas there are, and whether each is ready.
func (s *slice) set(ready map[*replica]bool) {
	s.t.Helper()
	s.object.Endpoints = nil
	for r, is := range ready {
		s.object.Endpoints = append(s.object.Endpoints, discovery.Endpoint{Addresses: []string{r.host}, Conditions: discovery.EndpointConditions{Ready: new(is)}})
	}
	var err error
	s.object, err = s.cluster.Client.DiscoveryV1().EndpointSlices(home).Update(s.t.Context(), s.object, meta.UpdateOptions{})
	require.NoError(s.t, err)
}

// TestAgainstTheAPIServer takes the replicas from an EndpointSlice, with the rights of distribution/rbac/router.yaml and no more:
// from a server that streams lists, and from one that does not.
func TestAgainstTheAPIServer(t *testing.T) {
	path := filepath.Join("..", "..", "..", "distribution", "rbac", "router.yaml")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	granted, err := leastprivilege.Parse(string(text), home, account)
	require.NoError(t, err)
	require.NotEmpty(t, granted)
	user := kubetest.ServiceAccountUser(home, account)
	var requests []kubetest.Request
	for i, flags := range [][]string{nil, {"--feature-gates=WatchList=false"}} {
		c := kubetest.Start(t, kubetest.Options{Name: fmt.Sprintf("hub-%d", i), APIServerFlags: flags})
		c.Namespace(t, home, nil)
		c.Apply(t, string(text))
		awaitGrants(t, c, user, granted)
		scale(t, c, i)
		if i == 0 {
			loseFromQueues(t, c)
		}
		of, err := c.Requests(user)
		require.NoError(t, err)
		requests = append(requests, of...)
	}
	require.NotEmpty(t, requests)
	report := leastprivilege.Compare(granted, requests)
	require.True(t, report.Empty(), "%s:\n%s", path, report)
}

// scale lets replicas come and go. Addresses are those of the net.
func scale(t *testing.T, c *kubetest.Cluster, net int) {
	t.Helper()
	host := func(last int) string { return fmt.Sprintf("127.12.2.%d", 20*(net+1)+last) }
	endpoints := newSlice(t, c, service)
	one, two := startReplica(t, host(2)), startReplica(t, host(3))
	endpoints.set(map[*replica]bool{one: true, two: true})
	p := start(t, host(1), nil, "MESH_HUB_SERVICE="+service+"."+home, "KUBECONFIG="+c.Kubeconfig(t, home, account))
	conn := p.dial(t)
	check(t, conn, []*replica{one, two})

	// One joins: it has the inventories before it is ready, and gets its share after.
	three := startReplica(t, host(4))
	began := time.Now()
	endpoints.set(map[*replica]bool{one: true, two: true, three: false})
	require.Eventually(t, func() bool { return len(three.sequences("west")) == 2 }, within, 5*time.Millisecond)
	t.Logf("a replica that joins has the inventories after %s", time.Since(began).Round(time.Millisecond))
	endpoints.set(map[*replica]bool{one: true, two: true, three: true})
	next := 10_000
	require.Eventually(t, func() bool {
		next += 100
		deliver(t, conn, spans("west", next, 100, 1))
		_, n := spread([]*replica{three}, func(r *replica) map[string]string { return r.spans })
		return n > 0
	}, within, 50*time.Millisecond)

	// One is gone without a word: whatever was acknowledged is at a replica, and the rest is taken when it left the slice.
	two.stop()
	require.Error(t, export(t, conn, spans("west", 20_000, 1000, 1)), "nobody has the part of the replica that is gone")
	endpoints.set(map[*replica]bool{one: true, three: true})
	deliver(t, conn, spans("west", 20_000, 1000, 1))
	deliver(t, conn, spans("north", 20_000, 1000, 2))
	deliver(t, conn, inventoryOf("west", 3))
	apart, whole := split([]*replica{one, three}, 20_000, 1000)
	assert.Equal(t, 1000, whole)
	assert.Zero(t, apart)
	for _, r := range []*replica{one, three} {
		assert.Equal(t, []uint64{1, 2, 3}, r.sequences("west"))
	}
}

// loseFromQueues shows why the shipped configuration has no queue for each replica: what waits for one that leaves was
// acknowledged, and is gone.
func loseFromQueues(t *testing.T, c *kubetest.Cluster) {
	t.Helper()
	endpoints := newSlice(t, c, "lossy")
	one, two := startReplica(t, "127.12.2.202"), startReplica(t, "127.12.2.203")
	two.failWith(status.Error(codes.Unavailable, "restarts"))
	endpoints.set(map[*replica]bool{one: true, two: true})
	overlay := "yaml:{delivery_rules: {allow_loss: [load_balancing/traces]}, exporters: {load_balancing/traces: {protocol: {otlp: " +
		"{sending_queue: {enabled: true}, retry_on_failure: {enabled: true, max_elapsed_time: 0}}}}}}"
	p := start(t, "127.12.2.201", []string{overlay}, "MESH_HUB_SERVICE=lossy."+home, "KUBECONFIG="+c.Kubeconfig(t, home, account))
	conn := p.dial(t)
	const calls = 1000
	require.NoError(t, export(t, conn, spans("west", 0, calls, 1)), "everything is acknowledged")
	endpoints.set(map[*replica]bool{one: true})
	// The rest comes once the router knows; what it threw away does not.
	require.Eventually(t, func() bool {
		deliver(t, conn, spans("north", 0, calls, 2))
		_, whole := split([]*replica{one}, 0, calls)
		ends, _ := ends(one, 0, calls)
		return ends[2] == calls && whole == ends[1]
	}, within, 50*time.Millisecond)
	got, _ := ends(one, 0, calls)
	two.failWith(nil)
	t.Logf("with a queue for each replica: of %d acknowledged spans %d were lost when one of two left", calls, calls-got[1])
	assert.Less(t, got[1], calls)
}

// awaitGrants waits until the API server's authorizer, which learns of roles by watches, knows them all.
func awaitGrants(t *testing.T, c *kubetest.Cluster, user string, granted []leastprivilege.Permission) {
	t.Helper()
	require.EventuallyWithT(t, func(collect *assert.CollectT) {
		for _, p := range granted {
			review := &authorization.SubjectAccessReview{Spec: authorization.SubjectAccessReviewSpec{
				User: user,
				ResourceAttributes: &authorization.ResourceAttributes{
					Verb: p.Verb, Group: p.Group, Resource: p.Resource, Name: p.Name, Namespace: p.Namespace,
				},
			}}
			review, err := c.Client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, meta.CreateOptions{})
			require.NoError(collect, err)
			require.True(collect, review.Status.Allowed, p.String())
		}
	}, within, 50*time.Millisecond)
}
