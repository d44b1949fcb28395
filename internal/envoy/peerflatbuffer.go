// SPDX-License-Identifier: Apache-2.0

package envoy

// The places of the fields that a [Peer] has, in the table FlatNode (istio/proxy extensions/common/node_info.fbs, up to
// Istio 1.23). Its other fields are platform_metadata, istio_version, mesh_id, app_containers and instance_ips.
const (
	nodeName = iota
	nodeNamespace
	nodeLabels
	nodeOwner
	nodeWorkload
	nodePlatform
	nodeIstioVersion
	nodeMeshID
	nodeContainers
	nodeCluster
	nodeIPs
	nodeIdentity
	nodeFields
)

// nodeNames are the names of the fields that are text and that a [Peer] has, by their place.
var nodeNames = [nodeFields]string{
	nodeName: "NAME", nodeNamespace: "NAMESPACE", nodeOwner: "OWNER", nodeWorkload: "WORKLOAD_NAME",
	nodeCluster: "CLUSTER_ID", nodeIdentity: "IDENTITY",
}

// ParseFlatBuffer reads the FlatBuffer that wasm.upstream_peer and wasm.downstream_peer hold in Istio before 1.24, when
// peers were kept by a WebAssembly extension. Each offset is checked against the text's length. It does not allocate
// once p has room for the labels.
func (p *Peer) ParseFlatBuffer(s string) error {
	p.reset()
	if len(s) > maxPeerSize {
		return ErrPeerTooLarge
	}
	root, ok := flatBuffer(s).follow(0)
	if !ok {
		return ErrPeerMalformed
	}
	node, ok := flatBuffer(s).table(root)
	if !ok {
		return ErrPeerMalformed
	}
	for i, name := range nodeNames {
		at, told := node.field(i)
		if !told {
			continue
		}
		if name == "" {
			if i != nodeLabels {
				p.Unknown++
			}
			continue
		}
		text, ok := node.buffer.text(at)
		if !ok {
			return p.fail(ErrPeerMalformed)
		}
		if err := p.set(name, text); err != nil {
			return p.fail(err)
		}
	}
	if err := p.flatLabels(node); err != nil {
		return p.fail(err)
	}
	return p.finish()
}

// flatLabels reads a vector of tables of a key and a value.
func (p *Peer) flatLabels(node flatTable) error {
	at, told := node.field(nodeLabels)
	if !told {
		return nil
	}
	buffer := node.buffer
	vector, ok := buffer.follow(at)
	if !ok {
		return ErrPeerMalformed
	}
	n, ok := buffer.number(vector)
	if !ok {
		return ErrPeerMalformed
	}
	if n > maxPeerLabels {
		return ErrPeerTooLarge
	}
	for i := range n {
		pair, ok := buffer.follow(vector + 4 + 4*i)
		if !ok {
			return ErrPeerMalformed
		}
		label, ok := buffer.table(pair)
		if !ok {
			return ErrPeerMalformed
		}
		key, okKey := label.text(0)
		value, okValue := label.text(1)
		if !okKey || !okValue {
			return ErrPeerMalformed
		}
		if err := p.addLabel(key, value); err != nil {
			return err
		}
	}
	return nil
}

// isFlatBuffer says whether the text begins as a FlatBuffer does: with the place of a table within it.
func isFlatBuffer(s string) bool {
	root, ok := flatBuffer(s).follow(0)
	if !ok {
		return false
	}
	_, ok = flatBuffer(s).table(root)
	return ok
}

// flatBuffer is a FlatBuffer in the encoding of flatbuffers.dev/internals: little endian, numbers at places that are
// multiples of their size.
type flatBuffer string

// number returns the 32-bit number at a place, if it can be a size or an offset within the text.
func (b flatBuffer) number(at int) (int, bool) {
	if at < 0 || at%4 != 0 || at > len(b)-4 {
		return 0, false
	}
	n := uint32(b[at]) | uint32(b[at+1])<<8 | uint32(b[at+2])<<16 | uint32(b[at+3])<<24
	return int(n), int64(n) < int64(len(b))
}

func (b flatBuffer) short(at int) (int, bool) {
	if at < 0 || at%2 != 0 || at > len(b)-2 {
		return 0, false
	}
	return int(b[at]) | int(b[at+1])<<8, true
}

// follow returns the place that the offset at a place leads to.
func (b flatBuffer) follow(at int) (int, bool) {
	n, ok := b.number(at)
	if !ok || n == 0 || at+n > len(b)-4 {
		return 0, false
	}
	return at + n, true
}

// text returns the text that the offset at a place leads to.
func (b flatBuffer) text(at int) (string, bool) {
	start, ok := b.follow(at)
	if !ok {
		return "", false
	}
	n, ok := b.number(start)
	if !ok || n > len(b)-start-4 {
		return "", false
	}
	return string(b[start+4 : start+4+n]), true
}

// flatTable is a table of a FlatBuffer, and the list of where its fields are.
type flatTable struct {
	buffer                 flatBuffer
	at, size, list, listed int
}

// table reads the head of a table. The list of its fields stands before or after it, by a signed offset.
func (b flatBuffer) table(at int) (flatTable, bool) {
	if at < 0 || at%4 != 0 || at > len(b)-4 {
		return flatTable{}, false
	}
	back := int32(uint32(b[at]) | uint32(b[at+1])<<8 | uint32(b[at+2])<<16 | uint32(b[at+3])<<24)
	t := flatTable{buffer: b, at: at, list: at - int(back)}
	listed, okListed := b.short(t.list)
	size, okSize := b.short(t.list + 2)
	if !okListed || !okSize || listed < 4 || listed%2 != 0 || listed > len(b)-t.list || size < 4 || size > len(b)-at {
		return flatTable{}, false
	}
	t.listed, t.size = listed, size
	return t, true
}

// field returns the place of a field, by its number; told is false if the table leaves it out.
func (t flatTable) field(i int) (at int, told bool) {
	entry := 4 + 2*i
	if entry+2 > t.listed {
		return 0, false
	}
	offset, ok := t.buffer.short(t.list + entry)
	if !ok || offset == 0 {
		return 0, false
	}
	if offset > t.size-4 {
		return -1, true // no place, which the reader of the field finds
	}
	return t.at + offset, true
}

// text returns a field that is text, "" if it is left out.
func (t flatTable) text(i int) (string, bool) {
	at, told := t.field(i)
	if !told {
		return "", true
	}
	return t.buffer.text(at)
}
