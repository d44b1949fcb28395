// SPDX-License-Identifier: Apache-2.0

package meshbalancingexporter

import "slices"

// ring says which replica a key goes to: the one with the greatest number that key and address make together (rendezvous hashing,
// Thaler and Ravishankar 1998). All routers with the same replicas choose the same one, keys spread evenly, and a replica that comes
// or goes moves no keys but its own. It is never changed.
type ring struct {
	replicas []*replica
	seeds    []uint64
}

func newRing(of []*replica) *ring {
	of = slices.Clone(of)
	slices.SortFunc(of, func(a, b *replica) int {
		if a.endpoint < b.endpoint {
			return -1
		}
		return 1
	})
	r := &ring{replicas: of}
	for _, one := range of {
		r.seeds = append(r.seeds, mix(hash(offset, one.endpoint)))
	}
	return r
}

// of returns the index of the replica of a key; there must be one.
func (r *ring) of(key uint64) (best int) {
	var greatest uint64
	for i, seed := range r.seeds {
		if n := mix(key ^ seed); i == 0 || n > greatest {
			best, greatest = i, n
		}
	}
	return best
}

// offset is the beginning of a hash: FNV-1a, of 64 bits.
const offset = 0xcbf29ce484222325

// hash adds a text, and that it ends, to a hash.
func hash(h uint64, text string) uint64 {
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 0x100000001b3
	}
	return (h ^ 0xff) * 0x100000001b3
}

// mix makes each bit depend on all: the last step of splitmix64.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
