// SPDX-License-Identifier: Apache-2.0

package fakeapi

import (
	"context"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
)

const (
	added    = "ADDED"
	modified = "MODIFIED"
	deleted  = "DELETED"
	bookmark = "BOOKMARK"

	// logLength is how many events a client may be behind before it must list again.
	logLength = 20_000
	// watchBacklog is how many events may wait for one watch; one that falls further behind is ended.
	watchBacklog = 20_000
)

type event struct {
	revision uint64
	kind     string
	of       *resourceKind
	key      key
	object   runtime.Object
}

// watch is one open watch.
type watch struct {
	of     *resourceKind
	events chan *event
	// lost is closed when events had no room.
	lost   chan struct{}
	broken bool
}

// version of an object: that of the last event about it. The cluster must be locked.
func (c *Cluster) version(kind, i int) string {
	if v, ok := c.versions[[2]int{kind, i}]; ok {
		return strconv.FormatUint(v, 10)
	}
	return strconv.Itoa(100_000 + i)
}

// emit tells the watches about an object. The cluster must be locked for writing.
func (c *Cluster) emit(kind string, of *resourceKind, i int) {
	c.revision++
	c.versions[[2]int{of.id, i}] = c.revision
	e := &event{revision: c.revision, kind: kind, of: of, object: of.object(i), key: of.keyOf(i)}
	c.log = append(c.log, e)
	if len(c.log) > 2*logLength {
		c.log = append([]*event(nil), c.log[len(c.log)-logLength:]...)
		c.forgotten = c.log[0].revision - 1
	}
	for w := range c.watches {
		if w.of != of || w.broken {
			continue
		}
		select {
		case w.events <- e:
		default:
			w.broken = true
			close(w.lost)
		}
	}
}

// Replace ends the pod of the number and starts another in its place, with a uid and an address of its own: six events,
// two of them about its EndpointSlice.
func (c *Cluster) Replace(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pods, slices := c.resources[0], c.resources[3]
	c.phases[i] = ending
	c.emit(modified, pods, i)
	c.emit(modified, slices, i/podsPerWorkload)
	c.emit(deleted, pods, i)
	c.lives[i]++
	c.phases[i] = starting
	c.emit(added, pods, i)
	c.phases[i] = running
	c.emit(modified, pods, i)
	c.emit(modified, slices, i/podsPerWorkload)
}

// Heartbeat reports a node's unchanged status, as each kubelet does every five minutes.
func (c *Cluster) Heartbeat(node int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emit(modified, c.resources[1], node)
}

// Live lets the cluster live until the context ends: every kubelet reports once in five minutes, and so many pods a
// minute are replaced, evenly over time and over the nodes.
func (c *Cluster) Live(ctx context.Context, replacementsPerMinute int) {
	const step = 100 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	var beats, replacements float64
	var node, pod int
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for beats += float64(c.nodes) * step.Minutes() / 5; beats >= 1; beats-- {
			c.Heartbeat(node % c.nodes)
			node += stride(c.nodes, 73)
		}
		for replacements += float64(replacementsPerMinute) * step.Minutes(); replacements >= 1; replacements-- {
			c.Replace(pod % c.pods)
			pod += stride(c.pods, 7919)
		}
	}
}

// stride is a step that visits all of n before any a second time, far from the last one.
func stride(n, prime int) int {
	if n%prime == 0 {
		return 1
	}
	return prime
}

// follow opens a watch. With a revision it begins with the events after it, and gone is true if they are forgotten.
// Without one the caller sends what there is.
func (c *Cluster) follow(of *resourceKind, since uint64) (w *watch, revision uint64, gone bool) {
	w = &watch{of: of, events: make(chan *event, watchBacklog), lost: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	if since != 0 {
		if since < c.forgotten {
			return nil, c.revision, true
		}
		for _, e := range c.log {
			if e.of == of && e.revision > since {
				select {
				case w.events <- e:
				default:
					return nil, c.revision, true
				}
			}
		}
	}
	c.watches[w] = struct{}{}
	return w, c.revision, false
}

func (c *Cluster) unfollow(w *watch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.watches, w)
}
