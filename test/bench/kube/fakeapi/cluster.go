// SPDX-License-Identifier: Apache-2.0

// Package fakeapi is an API server of made-up objects for measuring clients: it serves list (in pages) and watch (with
// initial events and bookmarks) in JSON and protobuf as a real one does, from objects that are computed rather than
// stored, and counts what it was asked for. It checks no credentials and takes no writes.
package fakeapi

import (
	"fmt"
	"net/netip"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

const (
	podsPerWorkload       = 10
	workloadsPerNamespace = 20
	// statefulEvery makes each so many-th workload a StatefulSet; the others are Deployments.
	statefulEvery = 10
	// hostEvery makes each so many-th pod one of a DaemonSet in the node's own network, as on any cluster.
	hostEvery = 50
	// addressesPerNode is how many of a node's /24 pods get, in turn.
	addressesPerNode = 250
	// Region is the cloud region of every node.
	Region = "westeurope"
	// Network is the Istio network of the cluster.
	Network = "network-weu"
	// TrustDomain is the mesh's.
	TrustDomain = "mesh.example"
)

// Cluster is a cluster of pods spread over nodes. Its objects follow from their number and from how often the pod of
// that number was replaced, so that a cluster of any size costs little memory. Safe for concurrent use.
type Cluster struct {
	pods, nodes int
	resources   []*resourceKind

	mu       sync.RWMutex
	revision uint64
	// lives is how often each pod was replaced; phases is where in its life it is.
	lives  []uint32
	phases []phase
	// versions of the objects that had events; the others have that of the beginning.
	versions map[[2]int]uint64
	log      []*event
	// forgotten is the revision up to which the log no longer has the events.
	forgotten uint64
	// watches of all resources; each is told of every event of its resource.
	watches map[*watch]struct{}
}

// phase of a pod's life, as far as watchers can tell them apart.
type phase uint8

const (
	running phase = iota
	starting
	ending
)

// NewCluster returns a cluster of so many pods on so many nodes. Both must be at least 1, and at most addressesPerNode
// pods fit on a node.
func NewCluster(pods, nodes int) (*Cluster, error) {
	if pods < 1 || nodes < 1 || pods > nodes*addressesPerNode || nodes > 1<<15 {
		return nil, fmt.Errorf("%d pods do not fit on %d nodes: from 1 to %d a node, on at most %d nodes", pods, nodes, addressesPerNode, 1<<15)
	}
	c := &Cluster{
		pods: pods, nodes: nodes, revision: 1_000_000,
		lives: make([]uint32, pods), phases: make([]phase, pods), watches: map[*watch]struct{}{},
		versions: map[[2]int]uint64{},
	}
	c.resources = c.allResources()
	return c, nil
}

// Pod is what a client must be able to tell of a pod.
type Pod struct {
	Namespace, Name, Node, Workload, Kind, UID string
	Address                                    netip.Addr
	HostNetwork                                bool
}

// Pods is how many pods there are.
func (c *Cluster) Pods() int { return c.pods }

// Pod returns the pod of the number, from 0 to Pods()-1, as it is now.
func (c *Cluster) Pod(i int) Pod {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.pod(i)
}

// NodeName is the name of the node of the number.
func NodeName(node int) string {
	return "aks-user" + strconv.Itoa(node%7) + "-3917" + strconv.Itoa(1000+node%9000) + "-vmss" + leftPad(strconv.FormatInt(int64(node), 36), 6)
}

func (c *Cluster) pod(i int) Pod {
	life, node := c.lives[i], i%c.nodes
	p := Pod{Node: NodeName(node), UID: uid(kindPod, i, life)}
	if i%hostEvery == hostEvery-1 {
		p.Namespace, p.Workload, p.Kind, p.HostNetwork = "kube-system", "node-agent", "daemonset", true
		p.Name = "node-agent-" + suffix(uint64(i)<<20|uint64(life), 5)
		p.Address = nodeAddress(node)
		return p
	}
	w := i / podsPerWorkload
	p.Namespace, p.Workload, p.Kind = namespaceName(w/workloadsPerNamespace), workloadName(w), "deployment"
	if w%statefulEvery == statefulEvery-1 {
		p.Kind = "statefulset"
		p.Name = p.Workload + "-" + strconv.Itoa(i%podsPerWorkload)
	} else {
		p.Name = p.Workload + "-" + templateHash(w) + "-" + suffix(uint64(i)<<20|uint64(life), 5)
	}
	// A replaced pod gets another address of its node, and after a while the addresses come again.
	perNode := (c.pods + c.nodes - 1) / c.nodes
	slot := (i/c.nodes + int(life)*perNode) % addressesPerNode
	p.Address = netip.AddrFrom4([4]byte{10, byte(128 + node>>8), byte(node), byte(2 + slot)})
	return p
}

func nodeAddress(node int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 2, byte(node >> 8), byte(node)})
}

func namespaceName(n int) string { return "team-" + leftPad(strconv.Itoa(n), 3) }

var trades = [...]string{"orders", "payments", "catalog", "reviews", "shipping", "accounts", "search", "pricing"}

func workloadName(w int) string {
	return trades[w%len(trades)] + "-service-" + leftPad(strconv.Itoa(w), 4)
}

// alphabet is the one Kubernetes makes names from: no vowels, and nothing that looks like one.
const alphabet = "bcdfghjklmnpqrstvwxz2456789"

func suffix(n uint64, length int) string {
	b := make([]byte, length)
	n = mix(n)
	for i := range b {
		b[i] = alphabet[n%uint64(len(alphabet))]
		n /= uint64(len(alphabet))
	}
	return string(b)
}

func templateHash(w int) string { return suffix(uint64(w)|1<<60, 10) }

// uid is a uid of its own for each object, the same in each run.
func uid(kind uint64, i int, life uint32) string {
	a, b := mix(kind<<56|uint64(i)), mix(uint64(life)<<32|uint64(i)<<1|1)
	return fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", uint32(a), uint16(a>>32), a>>52, uint16(b)>>4, b>>16)
}

func objectUID(kind uint64, i int) types.UID { return types.UID(uid(kind, i, 0)) }

// Kinds, for uid alone.
const (
	kindPod = iota + 1
	kindNode
	kindService
	kindSlice
	kindNamespace
	kindReplicaSet
	kindOther
)

// mix is SplitMix64's finalizer: neighbors get numbers that have nothing in common.
func mix(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

func leftPad(s string, length int) string {
	for len(s) < length {
		s = "0" + s
	}
	return s
}
