// SPDX-License-Identifier: Apache-2.0

package churn

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	core "k8s.io/api/core/v1"

	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
)

// slot is a pod that holds an address.
type slot struct {
	pod     *core.Pod
	node    int
	tenancy *Tenancy
	kind    string
	ordinal int
}

// maxFinished is how many finished pods of a worker the API server lists, although they gave up their addresses.
const maxFinished = 8

// worker owns its pods and addresses, so that its decisions depend on no other worker.
type worker struct {
	s      *Settings
	id     int
	random *rand.Rand
	slots  []*slot
	// free holds each node's addresses that no pod has; the one that was given up last is the last.
	free     [][]netip.Addr
	finished []*core.Pod
	created  int
	counts   map[Event]*atomic.Int64
}

func (w *worker) run(ctx context.Context, pause time.Duration) error {
	next := w.s.Clock.Now()
	for ctx.Err() == nil {
		if err := w.step(ctx); err != nil {
			return err
		}
		next = next.Add(pause)
		if wait := next.Sub(w.s.Clock.Now()); wait > 0 {
			if w.s.Clock.Wait(ctx, wait) != nil { // ctx ended, as it was to
				return nil
			}
		} else {
			next = w.s.Clock.Now() // what was not possible in time is not made up for
		}
	}
	return nil
}

// step lets one event happen, to its end: a ctx that ends does not leave it half done, only its timeout does.
func (w *worker) step(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), opTimeout)
	defer cancel()
	event := w.pick()
	var err error
	switch i := w.random.IntN(len(w.slots)); event {
	case Replace:
		err = w.replace(ctx, i)
	case Rename:
		err = w.rename(ctx, i)
	case Finish:
		err = w.finish(ctx, i)
	case Handover:
		err = w.handover(ctx, i)
	case Drain:
		err = w.drain(ctx, w.slots[i].node)
	}
	if err != nil {
		return fmt.Errorf("%s in cluster %s: %w", event, w.s.Cluster, err)
	}
	w.counts[event].Add(1)
	return nil
}

func (w *worker) pick() Event {
	total := 0
	for _, e := range weights {
		if len(w.s.Only) == 0 || slices.Contains(w.s.Only, e.event) {
			total += e.weight
		}
	}
	at := w.random.IntN(total)
	for _, e := range weights {
		if len(w.s.Only) > 0 && !slices.Contains(w.s.Only, e.event) {
			continue
		}
		if at < e.weight {
			return e.event
		}
		at -= e.weight
	}
	panic("unreachable: the weights add up to the total")
}

func (w *worker) kind() string {
	return []string{"Deployment", "Deployment", "StatefulSet", "Job"}[w.random.IntN(4)]
}

func (w *worker) replace(ctx context.Context, i int) error {
	old := w.slots[i]
	if err := w.end(ctx, old, w.random.IntN(2) == 0); err != nil {
		return err
	}
	node := old.node // whose newest free address is the one that was just given up
	if w.random.IntN(2) == 0 {
		node = w.random.IntN(len(w.s.Nodes))
		w.random.Shuffle(len(w.free[node]), func(a, b int) { w.free[node][a], w.free[node][b] = w.free[node][b], w.free[node][a] })
	}
	var err error
	w.slots[i], err = w.fresh(ctx, w.kind(), node)
	return err
}

func (w *worker) rename(ctx context.Context, i int) error {
	old := w.slots[i]
	if err := w.end(ctx, old, true); err != nil {
		return err
	}
	node := old.node
	if w.random.IntN(2) == 0 {
		node = w.random.IntN(len(w.s.Nodes))
	}
	var err error
	w.slots[i], err = w.start(ctx, &slot{node: node, kind: "StatefulSet", ordinal: old.ordinal}, old.pod.Name)
	return err
}

func (w *worker) finish(ctx context.Context, i int) error {
	old := w.slots[i]
	w.release(old)
	pod, err := w.s.API.Complete(ctx, old.pod)
	if err != nil {
		return err
	}
	w.told(old)
	w.finished = append(w.finished, pod)
	if w.slots[i], err = w.fresh(ctx, "Job", old.node); err != nil {
		return err
	}
	if len(w.finished) <= maxFinished {
		return nil
	}
	oldest := w.finished[0]
	w.finished = w.finished[1:]
	return w.s.API.Remove(ctx, oldest)
}

func (w *worker) handover(ctx context.Context, i int) error {
	old := w.slots[i]
	if err := w.s.API.Terminate(ctx, old.pod); err != nil {
		return err
	}
	w.release(old)
	var err error
	if w.slots[i], err = w.fresh(ctx, "Deployment", old.node); err != nil {
		return err
	}
	if err := w.pause(ctx); err != nil {
		return err
	}
	if err := w.s.API.Remove(ctx, old.pod); err != nil {
		return err
	}
	w.told(old)
	return nil
}

func (w *worker) drain(ctx context.Context, node int) error {
	for i, old := range w.slots {
		if old.node != node {
			continue
		}
		if err := w.end(ctx, old, true); err != nil {
			return err
		}
		other := (node + 1 + w.random.IntN(len(w.s.Nodes)-1)) % len(w.s.Nodes)
		var err error
		if w.slots[i], err = w.fresh(ctx, old.kind, other); err != nil {
			return err
		}
	}
	return nil
}

// end deletes a pod, in order or at once. The address is free from the request that removes it: nobody else can have it
// before, as this worker alone gives it away.
func (w *worker) end(ctx context.Context, old *slot, graceful bool) error {
	if graceful {
		if err := w.s.API.Terminate(ctx, old.pod); err != nil {
			return err
		}
		if err := w.pause(ctx); err != nil {
			return err
		}
	}
	w.release(old)
	if err := w.s.API.Remove(ctx, old.pod); err != nil {
		return err
	}
	w.told(old)
	return nil
}

// pause is how long a pod takes to shut down, which is short here.
func (w *worker) pause(ctx context.Context) error {
	return w.s.Clock.Wait(ctx, time.Duration(w.random.IntN(300))*time.Millisecond)
}

func (w *worker) release(old *slot) {
	now := w.s.Clock.Now()
	w.s.Truth.update(func() { old.tenancy.End = now })
	w.free[old.node] = append(w.free[old.node], old.tenancy.Address)
}

func (w *worker) told(old *slot) {
	now := w.s.Clock.Now()
	w.s.Truth.update(func() { old.tenancy.Told = now })
}

// fresh starts a pod of a name that no other one had.
func (w *worker) fresh(ctx context.Context, kind string, node int) (*slot, error) {
	w.created++
	return w.start(ctx, &slot{node: node, kind: kind, ordinal: w.created}, "")
}

// start starts a pod, with the address of its node that was given up last.
func (w *worker) start(ctx context.Context, s *slot, name string) (*slot, error) {
	if len(w.free[s.node]) == 0 { // the node is full: the next one is not, as there are more addresses than pods
		s.node = slices.IndexFunc(w.free, func(free []netip.Addr) bool { return len(free) > 0 })
		if s.node < 0 {
			return nil, fmt.Errorf("no free address on %d nodes", len(w.free))
		}
	}
	node := w.s.Nodes[s.node]
	workload := []string{"productpage", "reviews", "ratings", "details"}[s.ordinal%4] + "-" + strconv.Itoa(w.id)
	pod, err := w.s.API.Create(ctx, kubetest.Pod(kubetest.PodOptions{
		Namespace: w.s.Namespace, Name: name, Workload: workload, Kind: s.kind, Ordinal: s.ordinal, Node: node.Name, Plain: w.s.Plain,
	}))
	if err != nil {
		return nil, err
	}
	last := len(w.free[s.node]) - 1
	address := w.free[s.node][last]
	w.free[s.node] = w.free[s.node][:last]
	id := PodID{Cluster: w.s.Cluster, Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)}
	if s.tenancy, err = w.s.Truth.begin(w.s.Network, address, id, w.s.Clock.Now()); err != nil {
		return nil, err
	}
	if s.pod, err = w.s.API.Run(ctx, pod, node.Address, address); err != nil {
		return nil, err
	}
	now := w.s.Clock.Now()
	w.s.Truth.update(func() { s.tenancy.Started = now })
	return s, nil
}
