// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"cmp"
	"net/netip"
	"slices"
)

// mergePrefixes returns few prefixes that cover exactly the given ones: covered ones are dropped and halves are joined.
// When more than limit remain, the longest become shorter until they fit, so that the result covers at least as much.
// The list is changed.
func mergePrefixes(list []netip.Prefix, limit int) []netip.Prefix {
	list = joinPrefixes(list)
	for len(list) > limit {
		longest := 0
		for _, p := range list {
			longest = max(longest, p.Bits())
		}
		if longest == 0 {
			break
		}
		for i, p := range list {
			if p.Bits() == longest {
				list[i] = netip.PrefixFrom(p.Addr(), longest-1).Masked()
			}
		}
		list = joinPrefixes(list)
	}
	return list
}

func joinPrefixes(list []netip.Prefix) []netip.Prefix {
	slices.SortFunc(list, func(a, b netip.Prefix) int { return cmp.Or(a.Addr().Compare(b.Addr()), a.Bits()-b.Bits()) })
	joined := list[:0]
	for _, p := range list {
		if n := len(joined); n > 0 && joined[n-1].Bits() <= p.Bits() && joined[n-1].Contains(p.Addr()) {
			continue
		}
		joined = append(joined, p)
		// Two halves may make a half of something larger in turn.
		for n := len(joined); n > 1 && halves(joined[n-2], joined[n-1]); n = len(joined) {
			joined = joined[:n-1]
			joined[n-2] = netip.PrefixFrom(joined[n-2].Addr(), joined[n-2].Bits()-1)
		}
	}
	return joined
}

// halves tells whether a and b, in order, are the halves of one prefix.
func halves(a, b netip.Prefix) bool {
	if a.Bits() != b.Bits() || a.Bits() == 0 || a == b {
		return false
	}
	whole := netip.PrefixFrom(a.Addr(), a.Bits()-1).Masked()
	return whole.Addr() == a.Addr() && whole.Contains(b.Addr())
}
