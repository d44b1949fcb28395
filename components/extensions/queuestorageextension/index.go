// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"container/heap"
	"time"
)

// entry is what is known of a stored value without reading it.
type entry struct {
	put  int64 // nanoseconds since 1970
	size int64 // of the payload, in bytes
}

// index knows the values that wait: how many, how large, and how old the oldest is.
type index struct {
	entries map[string]entry
	bytes   int64
	// ages holds entries that are gone too, until they come to its top or are most of it.
	ages ages
}

func newIndex() *index { return &index{entries: map[string]entry{}} }

func (x *index) set(key string, put time.Time, size int64) {
	x.remove(key)
	e := entry{put: put.UnixNano(), size: size}
	x.entries[key] = e
	x.bytes += size
	heap.Push(&x.ages, aged{put: e.put, key: key})
	if len(x.ages) > 2*len(x.entries)+1024 {
		x.ages = x.ages[:0]
		for key, e := range x.entries {
			x.ages = append(x.ages, aged{put: e.put, key: key})
		}
		heap.Init(&x.ages)
	}
}

func (x *index) remove(key string) {
	if e, ok := x.entries[key]; ok {
		x.bytes -= e.size
		delete(x.entries, key)
	}
}

// oldest is the time of the oldest put, and whether there is any.
func (x *index) oldest() (time.Time, bool) {
	for len(x.ages) > 0 {
		top := x.ages[0]
		if e, ok := x.entries[top.key]; ok && e.put == top.put {
			return time.Unix(0, top.put), true
		}
		heap.Pop(&x.ages)
	}
	return time.Time{}, false
}

type aged struct {
	put int64
	key string
}

type ages []aged

func (a ages) Len() int           { return len(a) }
func (a ages) Less(i, j int) bool { return a[i].put < a[j].put }
func (a ages) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *ages) Push(x any)        { *a = append(*a, x.(aged)) }

func (a *ages) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	*a = (*a)[:last]
	return x
}

// putTime is the time of a value's put. The value is there.
func (x *index) putTime(key string) time.Time { return time.Unix(0, x.entries[key].put) }

func (x *index) setEntry(key string, e entry) { x.set(key, time.Unix(0, e.put), e.size) }
