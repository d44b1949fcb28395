// SPDX-License-Identifier: Apache-2.0

package churn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	core "k8s.io/api/core/v1"
)

// API is what a driver asks of a cluster. What has returned without an error has happened; an error ends the driver.
type API interface {
	Create(ctx context.Context, pod *core.Pod) (*core.Pod, error)
	// Run says that the pod runs with that address.
	Run(ctx context.Context, pod *core.Pod, host, address netip.Addr) (*core.Pod, error)
	// Complete says that the pod has ended; its status keeps the address.
	Complete(ctx context.Context, pod *core.Pod) (*core.Pod, error)
	// Terminate asks to delete the pod, Remove takes it out.
	Terminate(ctx context.Context, pod *core.Pod) error
	Remove(ctx context.Context, pod *core.Pod) error
}

// Clock is the time; tests have their own.
type Clock interface {
	Now() time.Time
	// Wait returns early with an error when ctx ends.
	Wait(ctx context.Context, d time.Duration) error
}

// Node is where pods run: its own address, and the range of its pods' addresses, of which each worker takes a part.
type Node struct {
	Name    string
	Address netip.Addr
	Pods    netip.Prefix
}

// Settings of a driver; all but Rate, Workers, Plain, Clock and Only are required.
type Settings struct {
	Cluster, Network, Namespace string
	API                         API
	Truth                       *Truth
	Nodes                       []Node
	// Pods is how many pods there are, give or take those that are being replaced.
	Pods int
	// Rate is how many events (a pod replaced, drained, …) begin a second; 0 is as fast as possible.
	Rate float64
	// Workers act at the same time, each on its own pods and addresses; 4 if 0. More of them makes more events overlap.
	Workers int
	// Seed determines all decisions, of each worker by itself: not how those of several workers mix.
	Seed uint64
	// Plain leaves the sidecars out of the pods, which makes them smaller.
	Plain bool
	// Only limits the events to these kinds; all if empty.
	Only  []Event
	Clock Clock
}

// Event is something that happens to a pod.
type Event string

const (
	// Replace deletes a pod, at once or in order, and starts another one, half of the time with its address.
	Replace Event = "replace"
	// Rename is a StatefulSet's way: the next pod has the name of the last one.
	Rename Event = "rename"
	// Finish lets a job's pod end and gives its address to another pod while the finished one is still listed.
	Finish Event = "finish"
	// Handover gives the address to another pod after the sandbox is gone and before the API server hears of the end.
	Handover Event = "handover"
	// Drain moves all pods of a node, of one worker, to other nodes.
	Drain Event = "drain"
)

// weights says how often each event happens.
var weights = []struct {
	event  Event
	weight int
}{{Replace, 10}, {Rename, 4}, {Finish, 4}, {Handover, 2}, {Drain, 1}}

// opTimeout bounds one event, all requests and pauses together, also while the API server is down.
const opTimeout = 2 * time.Minute

// Driver makes pods come and go.
type Driver struct {
	settings Settings
	workers  []*worker
	counts   map[Event]*atomic.Int64
}

// New returns a driver. It does nothing yet.
func New(s Settings) (*Driver, error) {
	if s.API == nil || s.Truth == nil || s.Pods <= 0 || len(s.Nodes) < 2 || s.Namespace == "" || s.Cluster == "" {
		return nil, errors.New("churn needs Cluster, Namespace, API, Truth, Pods and at least two Nodes")
	}
	if s.Workers == 0 {
		s.Workers = 4
	}
	s.Workers = min(s.Workers, s.Pods)
	if s.Clock == nil {
		s.Clock = wall{}
	}
	d := &Driver{settings: s, counts: map[Event]*atomic.Int64{}}
	for _, w := range weights {
		d.counts[w.event] = new(atomic.Int64)
	}
	for i := range s.Workers {
		w := &worker{s: &d.settings, id: i, random: rand.New(rand.NewPCG(s.Seed, uint64(i))), counts: d.counts}
		for n, node := range s.Nodes {
			w.free = append(w.free, addresses(node.Pods, i, s.Workers))
			if len(w.free[n]) == 0 {
				return nil, fmt.Errorf("node %s has no addresses for %d workers", node.Name, s.Workers)
			}
		}
		d.workers = append(d.workers, w)
	}
	return d, nil
}

// addresses returns every n-th address of a prefix but for the network's own, the gateway's and the last one.
func addresses(p netip.Prefix, worker, workers int) []netip.Addr {
	var all []netip.Addr
	first := p.Masked().Addr().Next().Next()
	for i, a := 0, first; p.Contains(a.Next()); i, a = i+1, a.Next() {
		if i%workers == worker {
			all = append(all, a)
		}
	}
	return all
}

// Fill starts all pods and returns when the API server has them.
func (d *Driver) Fill(ctx context.Context) error {
	return d.each(func(w *worker) error {
		for i := w.id; i < d.settings.Pods; i += d.settings.Workers {
			s, err := w.fresh(ctx, w.kind(), w.random.IntN(len(d.settings.Nodes)))
			if err != nil {
				return err
			}
			w.slots = append(w.slots, s)
		}
		return nil
	})
}

// Run lets events happen until ctx ends, and returns when those that began are over, so that the truth is complete.
func (d *Driver) Run(ctx context.Context) error {
	pause := time.Duration(0)
	if d.settings.Rate > 0 {
		pause = time.Duration(float64(time.Second) * float64(d.settings.Workers) / d.settings.Rate)
	}
	return d.each(func(w *worker) error { return w.run(ctx, pause) })
}

// Steps lets a number of events happen per worker, as fast as possible.
func (d *Driver) Steps(ctx context.Context, n int) error {
	return d.each(func(w *worker) error {
		for range n {
			if err := w.step(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// Counts returns how many events of each kind have happened.
func (d *Driver) Counts() map[Event]int64 {
	counts := map[Event]int64{}
	for event, n := range d.counts {
		counts[event] = n.Load()
	}
	return counts
}

func (d *Driver) each(do func(*worker) error) error {
	errs := make([]error, len(d.workers))
	var wait sync.WaitGroup
	for i, w := range d.workers {
		wait.Go(func() { errs[i] = do(w) })
	}
	wait.Wait()
	return errors.Join(errs...)
}

type wall struct{}

func (wall) Now() time.Time { return time.Now() }

func (wall) Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
