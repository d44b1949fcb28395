// SPDX-License-Identifier: Apache-2.0

// Command kube measures what it costs to know the pods of a cluster, in memory and at the API server: our Kubernetes
// source with our store beside k8sattributesprocessor, each in a process of its own, from one API server of made-up
// objects that counts. See the README.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"
)

type options struct {
	pods        []int
	podsPerNode int
	runs        int
	agents      int
	rest        time.Duration
	replace     int
	lists       string
	profiles    string
	memlimit    string
	verbose     bool
}

func main() {
	if os.Getenv(childVariable) != "" {
		if err := child(os.Getenv(childVariable)); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	what := flag.String("what", "memory,node,costs", "what to measure: memory (whole clusters), node (one node of a large cluster), costs (at the API server)")
	pods := flag.String("pods", "1000,10000,50000", "sizes of the clusters for memory, in pods")
	flag.IntVar(&o.podsPerNode, "pods-per-node", 50, "pods on each node")
	flag.IntVar(&o.runs, "runs", 3, "runs of each measurement of memory; the median counts")
	flag.IntVar(&o.agents, "agents", 10, "agents that really run for costs; totals for all nodes are computed")
	flag.DurationVar(&o.rest, "rest", 5*time.Minute, "how long to watch a cluster at rest, then one that changes, for costs; every kubelet reports once in 5m")
	flag.IntVar(&o.replace, "replace", 60, "pods replaced a minute in the cluster that changes, for costs")
	flag.StringVar(&o.lists, "lists", "streaming,pages", "what the API server offers for memory: streaming lists (v1.34 and later), pages alone (before)")
	flag.StringVar(&o.profiles, "profiles", "", "folder for a heap profile of each side, for go tool pprof; empty for none")
	flag.StringVar(&o.memlimit, "memlimit", "", "GOMEMLIMIT of each side, such as 100MiB; empty for none")
	flag.BoolVar(&o.verbose, "v", false, "print each run, and each kind of request")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx, &o, *what, *pods); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o *options, what, pods string) error {
	for n := range strings.SplitSeq(pods, ",") {
		size, err := strconv.Atoi(strings.TrimSpace(n))
		if err != nil || size < 1 {
			return fmt.Errorf("-pods %q: write numbers of pods, separated by commas", pods)
		}
		o.pods = append(o.pods, size)
	}
	if o.podsPerNode < 1 || o.runs < 1 || o.agents < 1 {
		return errors.New("-pods-per-node, -runs and -agents must be at least 1")
	}
	for name := range strings.SplitSeq(what, ",") {
		measure, ok := map[string]func(context.Context, *options) error{"memory": memory, "node": oneNode, "costs": costs}[name]
		if !ok {
			return fmt.Errorf("-what %q: write memory, node or costs, separated by commas", what)
		}
		if err := measure(ctx, o); err != nil {
			return err
		}
	}
	return nil
}
