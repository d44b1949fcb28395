// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"net/netip"
	"slices"
)

// addressOf parses an address that can name one holder: no zone, not unspecified, loopback or multicast. An IPv4 address
// in IPv6 form becomes IPv4, as Envoy reports it.
func addressOf(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	a = a.Unmap()
	return a, !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast()
}

// addressSet collects valid addresses, each once, in the order in which they come.
type addressSet struct {
	list []netip.Addr
	// bad counts texts that are no addresses.
	bad int
}

func (s *addressSet) add(text string) {
	if text == "" {
		return
	}
	a, ok := addressOf(text)
	if !ok {
		s.bad++
		return
	}
	s.addAddr(a)
}

func (s *addressSet) addAddr(a netip.Addr) {
	if !slices.Contains(s.list, a) {
		s.list = append(s.list, a)
	}
}
