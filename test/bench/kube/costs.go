// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/test/bench/kube/fakeapi"
)

const (
	costPods  = 10_000
	costNodes = 200
)

// cost is what clients asked of the API server in some time.
type cost struct {
	requests, bytes float64
	// sent and received are what the network carried, per everything.
	sent, received float64
}

func (c cost) times(n float64) cost {
	return cost{c.requests * n, c.bytes * n, c.sent * n, c.received * n}
}

func (c cost) plus(o cost) cost {
	return cost{c.requests + o.requests, c.bytes + o.bytes, c.sent + o.sent, c.received + o.received}
}

// phases of a cost: until synced, then per minute in a cluster where only kubelets report, then in one that changes.
type phases struct{ start, rest, changing cost }

// costs counts what agents and an inventory cost the API server.
func costs(ctx context.Context, o *options) error {
	tasks := []task{
		{Side: "ours", Agents: 1},
		{Side: "ours-node", Agents: o.agents},
		{Side: "k8sattributes", Agents: o.agents},
		{Side: "k8sattributes-node", Agents: o.agents},
	}
	all, failures := make([]phases, len(tasks)), make([]error, len(tasks))
	var group sync.WaitGroup
	// All at once, each with a server of its own: what is counted does not depend on who else runs.
	for i, t := range tasks {
		group.Go(func() { all[i], failures[i] = costOf(ctx, o, t) })
	}
	group.Wait()
	for i, err := range failures {
		if err != nil {
			return fmt.Errorf("%s: %w", tasks[i].Side, err)
		}
	}
	inventory, agents, unfiltered, filtered := all[0], all[1], all[2], all[3]
	fmt.Printf("\nCosts at the API server, %s pods on %d nodes\n\n", thousands(costPods), costNodes)
	fmt.Println("| who | at start: requests | bytes | network | at rest, a minute: requests | bytes | network " +
		"| changing, a minute: requests | bytes | network |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
	row := func(who string, p phases) {
		fmt.Printf("| %s |", who)
		for _, c := range []cost{p.start, p.rest, p.changing} {
			fmt.Printf(" %.4g | %s | %s |", c.requests, mega(int64(c.bytes)), mega(int64(c.sent+c.received)))
		}
		fmt.Println()
	}
	n := float64(o.agents)
	row("our inventory, 1", inventory)
	row(fmt.Sprintf("our agents, %d", o.agents), agents)
	row(fmt.Sprintf("**our inventory and %d agents**", o.agents), add(inventory, agents, 1))
	row(fmt.Sprintf("k8sattributes, %d, unfiltered", o.agents), unfiltered)
	row(fmt.Sprintf("k8sattributes, %d, each filtered to its node", o.agents), filtered)
	every := costNodes / n
	row(fmt.Sprintf("**our inventory and %d agents (computed)**", costNodes), add(inventory, agents, every))
	row(fmt.Sprintf("k8sattributes, %d, unfiltered (computed)", costNodes), add(phases{}, unfiltered, every))
	row(fmt.Sprintf("k8sattributes, %d, each filtered to its node (computed)", costNodes), add(phases{}, filtered, every))
	ours := add(inventory, agents, every)
	fmt.Printf("\nAt start, %d nodes: %.0f× fewer bytes than unfiltered. One of our agents pulls %s, which are %s on the network; "+
		"one k8sattributes filtered to its node pulls %s, which are %s.\n",
		costNodes, unfiltered.start.bytes*every/ours.start.bytes, mega(int64(agents.start.bytes/n)), mega(int64((agents.start.sent+agents.start.received)/n)),
		mega(int64(filtered.start.bytes/n)), mega(int64((filtered.start.sent+filtered.start.received)/n)))
	return nil
}

func add(once, each phases, n float64) phases {
	return phases{once.start.plus(each.start.times(n)), once.rest.plus(each.rest.times(n)), once.changing.plus(each.changing.times(n))}
}

func costOf(ctx context.Context, o *options, t task) (p phases, err error) {
	t.Pods, t.Nodes = costPods, costNodes
	c, err := fakeapi.NewCluster(t.Pods, t.Nodes)
	if err != nil {
		return p, err
	}
	server := fakeapi.Serve(c, fakeapi.Options{Keep: true})
	defer server.Close()
	client, err := spawn(ctx, server, t)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, client.end()) }()
	for range 2 {
		if _, err := client.step(); err != nil {
			return p, err
		}
	}
	if err := wait(ctx, settle); err != nil {
		return p, err
	}
	p.start = take(o, server, t.Side+", start", 1)
	for _, phase := range []struct {
		into    *cost
		replace int
		name    string
	}{{&p.rest, 0, "at rest"}, {&p.changing, o.replace, "changing"}} {
		live, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.Live(live, phase.replace)
		}()
		err := wait(ctx, o.rest)
		stop()
		<-done
		if err != nil {
			return p, err
		}
		*phase.into = take(o, server, t.Side+", "+phase.name, 1/o.rest.Minutes())
	}
	return p, nil
}

// take returns what was asked for since the last time, times a factor.
func take(o *options, server *fakeapi.Server, what string, factor float64) cost {
	counts := server.Take()
	sent, received := server.Network()
	if o.verbose {
		fmt.Printf("  %s: sent %s, received %s: %s\n", what, mega(sent), mega(received), requests(counts))
	}
	total := counts.Total()
	return cost{float64(total.Requests), float64(total.Bytes), float64(sent), float64(received)}.times(factor)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
