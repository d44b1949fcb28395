// SPDX-License-Identifier: Apache-2.0

package topology

import "math/bits"

// networkIndex finds networks by their names. It is small, and every look-up by address begins in it: a map of Go costs
// a fifth of the look-up.
type networkIndex struct {
	seeds *seeds
	// slots is a power of two long and at least half empty.
	slots []namedNetwork
}

type namedNetwork struct {
	name string
	// network is nil where nothing is.
	network *network
}

func newNetworkIndex(seeds *seeds, n int) networkIndex {
	return networkIndex{seeds: seeds, slots: make([]namedNetwork, 1<<bits.Len(uint(2*n)))}
}

// add adds a network whose name is not in the index.
func (x networkIndex) add(name string, n *network) {
	at := x.start(name)
	for x.slots[at].network != nil {
		at = (at + 1) & (len(x.slots) - 1)
	}
	x.slots[at] = namedNetwork{name, n}
}

// find returns the network of this name, or nil.
func (x networkIndex) find(name string) *network {
	if len(x.slots) == 0 {
		return nil
	}
	for at := x.start(name); ; at = (at + 1) & (len(x.slots) - 1) {
		if slot := &x.slots[at]; slot.network == nil || slot.name == name {
			return slot.network
		}
	}
}

// start returns the slot in which the search for a name begins. Its ends and its length tell names apart well enough: who
// can choose the names of networks can make every search as long as there are networks, and no longer.
func (x networkIndex) start(name string) int {
	var first, last uint64
	if n := len(name); n >= 8 {
		first, last = word(name[:8]), word(name[n-8:])
	} else {
		for i := range n {
			first = first<<8 | uint64(name[i])
		}
	}
	return int(x.seeds.mix(first, last+uint64(len(name)))) & (len(x.slots) - 1)
}

func word(s string) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
