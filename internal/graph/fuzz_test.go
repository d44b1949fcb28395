// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"testing"
	"time"
)

func FuzzRestore(f *testing.F) {
	g, err := New(DefaultConfig(), start)
	if err != nil {
		f.Fatal(err)
	}
	for minute := 1; minute < 4; minute++ {
		_ = g.Add(ok(key("web", "reviews-v2", HTTP), Source, 3))
		_ = g.Add(ok(key("web", "", HTTP), Source, 3))
		g.Roll(at(minute))
	}
	state := g.Encode()
	f.Add(state[len(stateMagic)+1 : len(state)-4])
	f.Add([]byte{1, 1, 0, 1, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > 1<<16 {
			return
		}
		edges, sequence, clock, resume, err := decodeBody(body)
		if err != nil {
			return
		}
		one := newGraph(t, DefaultConfig())
		one.sequence, one.clock, one.resume = sequence, clock, resume
		for _, e := range edges {
			s := one.lock(&e.key)
			h := one.hash(&e.key)
			e.next = s.edges[h]
			s.edges[h] = e
			s.order = append(s.order, e)
			s.mu.Unlock()
		}
		two := newGraph(t, DefaultConfig())
		if _, err := two.Restore(one.Encode(), time.Unix(0, 0)); err != nil {
			t.Fatalf("what was read cannot be written and read again: %v", err)
		}
		two.Roll(at(1))
		two.Roll(at(2))
	})
}

func FuzzFlags(f *testing.F) {
	f.Add("UF,URX", 503, -1, uint8(0))
	f.Add(",,-, DC ,", 0, 14, uint8(1))
	f.Fuzz(func(t *testing.T, flags string, status, grpc int, reporter uint8) {
		g := newGraph(t, DefaultConfig())
		p := ok(key("web", "v", HTTP), Reporter(reporter%3), 2)
		p.Flags, p.Status, p.GRPC = flags, status, grpc
		for range 2 {
			if err := g.Add(p); err != nil {
				t.Fatal(err)
			}
		}
		for minute := range 4 {
			g.Roll(at(minute + 1))
		}
		if n := g.Snapshot().Edges[0].Total.Requests(); n != 4 {
			t.Fatalf("%d requests", n)
		}
	})
}
