// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/test/bench/kube/fakeapi"
)

// nodesOfLarge is the size of the cluster of which one node's agent is measured.
const nodesOfLarge = 5000

const memoryHead = "| pods | side | peak RSS | above idle | live heap | per pod | store alone, per pod | until synced | bytes pulled " +
	"| of them pods | requests | right answers |\n|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"

// measured is what one run of one side showed.
type measured struct {
	// peak is the most memory the process ever had; peakIdle that of one that does nothing.
	peak uint64
	// live is what the heap grew by.
	live int64
	// store is that without the source, of a side that has one; else 0.
	store        int64
	seconds      float64
	counts       fakeapi.Counts
	sent         int64
	asked, right int
}

// measure runs a side once.
func measure(ctx context.Context, server *fakeapi.Server, t task) (m measured, err error) {
	p, err := spawn(ctx, server, t)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, p.end()) }()
	before, err := p.step()
	if err != nil {
		return m, err
	}
	server.Take()
	server.Network()
	synced, err := p.step()
	if err != nil {
		return m, err
	}
	select {
	case <-ctx.Done():
		return m, ctx.Err()
	case <-time.After(settle):
	}
	if m.peak, err = p.peak(); err != nil {
		return m, err
	}
	m.counts, m.seconds = server.Take(), synced.Seconds
	m.sent, _ = server.Network()
	after, err := p.step()
	if err != nil {
		return m, err
	}
	m.live = int64(after.Heap) - int64(before.Heap)
	if after.Store != 0 {
		m.store = int64(after.Store) - int64(before.Heap)
	}
	checked, err := p.step()
	m.asked, m.right = checked.Asked, checked.Right
	return m, err
}

// median runs a side several times, in turn with the others, and returns for each side the run of the median peak.
func median(ctx context.Context, o *options, server *fakeapi.Server, tasks []task) ([]measured, error) {
	runs := make([][]measured, len(tasks))
	for run := range o.runs {
		for i := range tasks {
			// Each run in another order: who comes later must not gain by it.
			n := i
			if run%2 == 1 {
				n = len(tasks) - 1 - i
			}
			m, err := measure(ctx, server, tasks[n])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", tasks[n].Side, err)
			}
			if o.verbose {
				fmt.Printf("  run %d, %s: peak %s, live %s, %.2f s, %s\n", run+1, tasks[n].Side, mega(int64(m.peak)), mega(m.live),
					m.seconds, requests(m.counts))
			}
			runs[n] = append(runs[n], m)
		}
	}
	out := make([]measured, len(tasks))
	for i := range runs {
		slices.SortFunc(runs[i], func(a, b measured) int { return cmp.Compare(a.peak, b.peak) })
		out[i] = runs[i][len(runs[i])/2]
	}
	return out, nil
}

// memory measures whole clusters.
func memory(ctx context.Context, o *options) error {
	for lists := range strings.SplitSeq(o.lists, ",") {
		if lists != "streaming" && lists != "pages" {
			return fmt.Errorf("-lists %q: write streaming or pages, or both with a comma between them", o.lists)
		}
		fmt.Printf("\nWhole clusters, API server with %s lists\n\n", lists)
		fmt.Print(memoryHead)
		for _, pods := range o.pods {
			if err := memoryOf(ctx, o, pods, lists == "pages"); err != nil {
				return err
			}
		}
	}
	return nil
}

func memoryOf(ctx context.Context, o *options, pods int, noStreaming bool) error {
	nodes := (pods + o.podsPerNode - 1) / o.podsPerNode
	c, err := fakeapi.NewCluster(pods, nodes)
	if err != nil {
		return err
	}
	server := fakeapi.Serve(c, fakeapi.Options{Keep: true, NoStreamingLists: noStreaming})
	defer server.Close()
	for _, plural := range []string{"pods", "nodes", "services", "endpointslices"} {
		if err := server.Warm(plural); err != nil {
			return err
		}
	}
	t := task{Agents: 1, Pods: pods, Nodes: nodes}
	return compare(ctx, o, server, pods, sides(o, t, "idle", "ours", "k8sattributes", "k8sattributes-defaults"))
}

func sides(o *options, t task, names ...string) []task {
	tasks := make([]task, 0, len(names))
	t.MemLimit = o.memlimit
	for _, name := range names {
		t.Side = name
		if o.profiles != "" {
			t.Profile = filepath.Join(o.profiles, name+"-"+strconv.Itoa(t.Pods)+".pprof")
		}
		tasks = append(tasks, t)
	}
	return tasks
}

// compare prints a row a side; the first task is the idle one, the second ours. perPod divides the heap.
func compare(ctx context.Context, o *options, server *fakeapi.Server, perPod int, tasks []task) error {
	all, err := median(ctx, o, server, tasks)
	if err != nil {
		return err
	}
	idlePeak := int64(all[0].peak)
	fmt.Printf("| %s | idle | %s | | | | | | | | | |\n", thousands(perPod), mega(idlePeak))
	for i, m := range all[1:] {
		store := ""
		if m.store != 0 {
			store = strconv.FormatInt(m.store/int64(perPod), 10) + " B"
		}
		total, peak := m.counts.Total(), int64(m.peak)
		fmt.Printf("| %s | %s | %s | %s | %s | %d B | %s | %.2f s | %s | %s | %d | %d of %d |\n", thousands(perPod), tasks[i+1].Side, mega(peak), mega(peak-idlePeak),
			mega(m.live), m.live/int64(perPod), store, m.seconds, mega(total.Bytes), mega(podBytes(m.counts)), total.Requests, m.right, m.asked)
		if m.right != m.asked || m.asked == 0 {
			return fmt.Errorf("%s knows %d of %d pods: its figures are worth nothing", tasks[i+1].Side, m.right, m.asked)
		}
	}
	a := all[1]
	for i, b := range all[2:] {
		fmt.Printf("| %s | **%s to ours** | **%.1f×** | %.1f× | **%.1f×** | | | %.1f× | %.1f× | %.1f× | | |\n", thousands(perPod), tasks[i+2].Side,
			ratio(b.peak, a.peak), ratio(b.peak-all[0].peak, a.peak-all[0].peak), ratio(uint64(b.live), uint64(a.live)), b.seconds/a.seconds,
			ratio(uint64(b.counts.Total().Bytes), uint64(a.counts.Total().Bytes)), ratio(uint64(podBytes(b.counts)), uint64(podBytes(a.counts))))
	}
	return nil
}

// oneNode measures the agent of one node of a large cluster.
func oneNode(ctx context.Context, o *options) error {
	c, err := fakeapi.NewCluster(nodesOfLarge*o.podsPerNode, nodesOfLarge)
	if err != nil {
		return err
	}
	server := fakeapi.Serve(c, fakeapi.Options{})
	defer server.Close()
	fmt.Printf("\nOne node of %s nodes with %d pods each\n\n", thousands(nodesOfLarge), o.podsPerNode)
	fmt.Print(memoryHead)
	t := task{Agents: 1, Pods: nodesOfLarge * o.podsPerNode, Nodes: nodesOfLarge}
	return compare(ctx, o, server, o.podsPerNode, sides(o, t, "idle", "ours-node", "k8sattributes-node"))
}

// podBytes is how much of what was pulled were pods.
func podBytes(counts fakeapi.Counts) (bytes int64) {
	for _, n := range counts {
		if strings.HasSuffix(n.Request, " pods") {
			bytes += n.Bytes
		}
	}
	return bytes
}

func ratio(a, b uint64) float64 { return float64(a) / float64(b) }

func mega(n int64) string {
	if n < 1e6 && n > -1e6 {
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return thousands(n/1000) + " " + fmt.Sprintf("%03d", n%1000)
}

func requests(counts fakeapi.Counts) string {
	var b strings.Builder
	for i, n := range counts {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s ×%d %s", n.Request, n.Requests, mega(n.Bytes))
		if n.Wire != n.Bytes {
			fmt.Fprintf(&b, " (%s compressed)", mega(n.Wire))
		}
	}
	return b.String()
}
