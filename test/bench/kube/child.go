// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/test/bench/kube/fakeapi"
)

// checks is how many pods a side is asked for in the end.
const checks = 1000

// side is one way to know the pods of a cluster.
type side interface {
	// start returns once all is known, and goes on until the context ends.
	start(ctx context.Context) error
	// right says whether the side knows the pod by its address, with its node and workload.
	right(ctx context.Context, p *fakeapi.Pod) (bool, error)
}

// storing is a side whose store can do without what fills it.
type storing interface{ alone() error }

// idle knows nothing: its process is what the program itself costs.
type idle struct{}

func (idle) start(context.Context) error                       { return nil }
func (idle) right(context.Context, *fakeapi.Pod) (bool, error) { return false, nil }

// newSide makes the agent of the number of a side.
func newSide(t *task, agent int) (side, error) {
	node := fakeapi.NodeName(t.nodeOf(agent))
	switch t.Side {
	case "idle":
		return idle{}, nil
	case "ours":
		return newOurs(t.Kubeconfig, ""), nil
	case "ours-node":
		return newOurs(t.Kubeconfig, node), nil
	case "k8sattributes":
		return newK8sAttributes("", false)
	case "k8sattributes-defaults":
		return newK8sAttributes("", true)
	case "k8sattributes-node":
		return newK8sAttributes(node, false)
	}
	return nil, fmt.Errorf("no side %q", t.Side)
}

// child takes a step for each line it reads, until there are no more: ready, start, measure, check.
func child(encoded string) error {
	var t task
	if err := json.Unmarshal([]byte(encoded), &t); err != nil {
		return err
	}
	if t.Profile != "" {
		runtime.MemProfileRate = 4096
	}
	var sides []side
	for agent := range t.Agents {
		s, err := newSide(&t, agent)
		if err != nil {
			return err
		}
		sides = append(sides, s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	steps := []func() (report, error){
		func() (report, error) { return report{Heap: heap()}, nil },
		func() (report, error) { return start(ctx, sides) },
		func() (report, error) { return weigh(&t, sides) },
		func() (report, error) { return check(ctx, &t, sides) },
	}
	in, out := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	for _, step := range steps {
		if _, err := in.ReadString('\n'); err != nil {
			return ended(err)
		}
		r, err := step()
		if err != nil {
			return err
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	_, err := in.ReadString('\n')
	runtime.KeepAlive(sides)
	return ended(err)
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func start(ctx context.Context, sides []side) (report, error) {
	began := time.Now()
	for _, s := range sides {
		if err := s.start(ctx); err != nil {
			return report{}, err
		}
	}
	return report{Seconds: time.Since(began).Seconds()}, nil
}

// weigh returns the live heap with everything, then with the store alone.
func weigh(t *task, sides []side) (report, error) {
	r := report{Heap: heap()}
	if err := profile(t.Profile); err != nil {
		return r, err
	}
	for _, s := range sides {
		if s, ok := s.(storing); ok {
			if err := s.alone(); err != nil {
				return r, err
			}
			r.Store = heap()
		}
	}
	return r, nil
}

func check(ctx context.Context, t *task, sides []side) (report, error) {
	c, err := fakeapi.NewCluster(t.Pods, t.Nodes)
	if err != nil {
		return report{}, err
	}
	var r report
	for n := range checks {
		agent := n % len(sides)
		i := n * 7919 % t.Pods
		if t.Side == "ours-node" || t.Side == "k8sattributes-node" {
			// Only the pods of the agent's own node are its business.
			i = n*t.Nodes%t.Pods/t.Nodes*t.Nodes + t.nodeOf(agent)
		}
		if i >= t.Pods {
			continue
		}
		p := c.Pod(i)
		if p.HostNetwork {
			// Its address is its node's, which names nobody.
			continue
		}
		ok, err := sides[agent].right(ctx, &p)
		if err != nil {
			return r, err
		}
		r.Asked++
		if ok {
			r.Right++
		}
	}
	return r, nil
}

// profile writes what is live to a file.
func profile(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.WriteHeapProfile(f), f.Close())
}

// heap is the live heap after everything that can be freed was.
func heap() uint64 {
	// Finalizers and pools need a second collection.
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
