// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"cmp"
	"unicode/utf8"
	"unique"
)

// Caller is the calling end of an edge. An empty field means that nothing told it.
type Caller struct {
	Cluster, Region, Namespace, Workload, Version string
}

// Callee is the called end of an edge. Service is the service that was called, in Namespace; Workload is who answered,
// empty if the call reached nobody.
type Callee struct {
	Cluster, Region, Namespace, Service, Workload, Version string
}

// Protocol is what an edge speaks.
type Protocol uint8

// The protocols of Istio's request_protocol.
const (
	ProtocolUnknown Protocol = iota
	HTTP
	GRPC
	TCP
	protocolCount
)

var protocolWords = [protocolCount]string{"unknown", "http", "grpc", "tcp"}

// String returns the word in the document: "http", "grpc", "tcp" or "unknown".
func (p Protocol) String() string {
	if p >= protocolCount {
		return protocolWords[ProtocolUnknown]
	}
	return protocolWords[p]
}

// ParseProtocol reads Istio's request_protocol. What it does not know is [ProtocolUnknown].
func ParseProtocol(word string) Protocol {
	for p, w := range protocolWords {
		if w == word {
			return Protocol(p)
		}
	}
	return ProtocolUnknown
}

// Key names an edge.
type Key struct {
	Caller   Caller
	Callee   Callee
	Protocol Protocol
	// Overflow marks an edge that holds what the ceiling had no room for: of its ends it keeps cluster and region.
	Overflow bool
}

// MaxText is the most bytes of a name. Longer ones are cut, and counted in [Stats.TextsCut].
const MaxText = 253

// fields are the names in a fixed order, that of sorting and of the encoding.
func (k *Key) fields() [11]*string {
	return [11]*string{
		&k.Caller.Cluster, &k.Caller.Region, &k.Caller.Namespace, &k.Caller.Workload, &k.Caller.Version,
		&k.Callee.Cluster, &k.Callee.Region, &k.Callee.Namespace, &k.Callee.Service, &k.Callee.Workload,
		&k.Callee.Version,
	}
}

// interned returns the key with names that are held once in the process, and how many were cut.
func (k Key) interned() (Key, int) {
	cut := 0
	for _, f := range k.fields() {
		if len(*f) > MaxText {
			*f = cutText(*f)
			cut++
		}
		*f = unique.Make(*f).Value()
	}
	return k, cut
}

// regionsDiffer says whether the ends are known to be in two regions.
func (k *Key) regionsDiffer() bool {
	return k.Caller.Region != "" && k.Callee.Region != "" && k.Caller.Region != k.Callee.Region
}

// long says whether a name has to be cut.
func (k *Key) long() bool {
	for _, f := range k.fields() {
		if len(*f) > MaxText {
			return true
		}
	}
	return false
}

func cutText(s string) string {
	if len(s) <= MaxText {
		return s
	}
	end := MaxText
	for end > MaxText-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// overflow is the key of the edge that takes what this one would have got.
func (k *Key) overflow() Key {
	return Key{
		Caller:   Caller{Cluster: k.Caller.Cluster, Region: k.Caller.Region},
		Callee:   Callee{Cluster: k.Callee.Cluster, Region: k.Callee.Region},
		Protocol: k.Protocol, Overflow: true,
	}
}

// compareKeys orders edges by caller, callee and protocol.
func compareKeys(a, b *Key) int {
	left, right := a.fields(), b.fields()
	for i := range left {
		if c := cmp.Compare(*left[i], *right[i]); c != 0 {
			return c
		}
	}
	if c := cmp.Compare(a.Protocol, b.Protocol); c != 0 {
		return c
	}
	switch {
	case a.Overflow == b.Overflow:
		return 0
	case b.Overflow:
		return -1
	default:
		return 1
	}
}
