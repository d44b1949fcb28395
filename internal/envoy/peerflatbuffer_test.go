// SPDX-License-Identifier: Apache-2.0

package envoy

import "encoding/binary"

// flatWriter writes a FlatBuffer from front to back, children after their parents.
type flatWriter struct{ data []byte }

func (w *flatWriter) align() {
	for len(w.data)%4 != 0 {
		w.data = append(w.data, 0)
	}
}

func (w *flatWriter) number(n int) int {
	at := len(w.data)
	w.data = binary.LittleEndian.AppendUint32(w.data, uint32(n))
	return at
}

// lead makes the offset at a place lead here.
func (w *flatWriter) lead(from int) {
	w.align()
	binary.LittleEndian.PutUint32(w.data[from:], uint32(len(w.data)-from))
}

func (w *flatWriter) text(from int, s string) {
	w.lead(from)
	w.number(len(s))
	w.data = append(append(w.data, s...), 0)
}

// table writes a table with room for some of n fields, and returns the places of their offsets.
func (w *flatWriter) table(from, n int, present ...int) map[int]int {
	w.align()
	list := len(w.data)
	w.data = binary.LittleEndian.AppendUint16(w.data, uint16(4+2*n))
	w.data = binary.LittleEndian.AppendUint16(w.data, uint16(4+4*len(present)))
	for range n {
		w.data = append(w.data, 0, 0)
	}
	w.lead(from)
	at := w.number(len(w.data) - list)
	places := make(map[int]int)
	for i, field := range present {
		places[field] = w.number(0)
		binary.LittleEndian.PutUint16(w.data[list+4+2*field:], uint16(4+4*i))
	}
	_ = at
	return places
}

// flatNode is the FlatBuffer of a peer, as the WebAssembly extension of Istio before 1.24 kept it.
func flatNode() string {
	var w flatWriter
	root := w.number(0)
	fields := w.table(root, nodeFields,
		nodeName, nodeNamespace, nodeLabels, nodeOwner, nodeWorkload, nodeMeshID, nodeCluster, nodeIdentity)
	w.text(fields[nodeName], "reviews-v1-abc")
	w.text(fields[nodeNamespace], "bookinfo")
	w.text(fields[nodeOwner], reviewsPeer.Owner)
	w.text(fields[nodeWorkload], "reviews-v1")
	w.text(fields[nodeMeshID], "mesh1")
	w.text(fields[nodeCluster], "aks-westeurope")
	w.text(fields[nodeIdentity], peerIdentity)
	w.lead(fields[nodeLabels])
	w.number(len(reviewsPeer.Labels))
	pairs := make([]int, len(reviewsPeer.Labels))
	for i := range pairs {
		pairs[i] = w.number(0)
	}
	for i, label := range reviewsPeer.Labels {
		pair := w.table(pairs[i], 2, 0, 1)
		w.text(pair[0], label.Key)
		w.text(pair[1], label.Value)
	}
	w.align()
	return string(w.data)
}

// flatPeer is what is in flatNode: mesh_id has no place in a Peer.
func flatPeer() Peer {
	p := reviewsPeer
	p.Region, p.Zone, p.Unknown = "", "", 1
	return p
}
