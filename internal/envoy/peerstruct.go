// SPDX-License-Identifier: Apache-2.0

package envoy

// structField begins each entry of a google.protobuf.Struct: field 1, with a length.
const structField = 0x0a

// The tags of google.protobuf.Struct's map entry and of google.protobuf.Value (google/protobuf/struct.proto).
const (
	entryKey     = 0x0a
	entryValue   = 0x12
	valueText    = 0x1a
	valueStruct  = 0x2a
	lengthPrefix = 2 // the wire type of a tag
)

// ParseStruct reads a google.protobuf.Struct, encoded: the filter state objects upstream_peer and downstream_peer, and
// what x-envoy-peer-metadata holds. The names of its fields are those of node metadata (CLUSTER_ID) or those of the
// filter state (cluster). It is stricter than a general decoder: an entry has one key and one value, and unknown fields
// are refused. It does not allocate once p has room for the labels.
func (p *Peer) ParseStruct(s string) error {
	p.reset()
	if len(s) > maxPeerSize {
		return ErrPeerTooLarge
	}
	for s != "" {
		var key, value string
		var ok bool
		if key, value, s, ok = nextEntry(s); !ok {
			return p.fail(ErrPeerMalformed)
		}
		if err := p.structEntry(key, value); err != nil {
			return p.fail(err)
		}
	}
	return p.finish()
}

func (p *Peer) structEntry(key, value string) error {
	tag, content, ok := soleField(value)
	switch {
	case !ok:
		return ErrPeerMalformed
	case isLabels(key) && tag == valueStruct:
		return p.structLabels(content)
	case tag == valueText:
		return p.set(key, content)
	default:
		return p.set("", "") // Of another type: no field has this name.
	}
}

func (p *Peer) structLabels(s string) error {
	for s != "" {
		var key, value string
		var ok bool
		if key, value, s, ok = nextEntry(s); !ok {
			return ErrPeerMalformed
		}
		tag, content, ok := soleField(value)
		if !ok {
			return ErrPeerMalformed
		}
		if tag != valueText {
			p.Unknown++
			continue
		}
		if err := p.addLabel(key, content); err != nil {
			return err
		}
	}
	return nil
}

// nextEntry cuts an entry of a Struct off the text. value is the encoded google.protobuf.Value.
func nextEntry(s string) (key, value, rest string, ok bool) {
	tag, entry, rest, ok := nextField(s)
	if !ok || tag != structField {
		return "", "", "", false
	}
	tag, key, entry, ok = nextField(entry)
	if !ok || tag != entryKey {
		return "", "", "", false
	}
	tag, value, entry, ok = nextField(entry)
	if !ok || tag != entryValue || entry != "" {
		return "", "", "", false
	}
	return key, value, rest, true
}

// soleField returns the one field of a message. The fields of google.protobuf.Value that are numbers tell no text, so
// their content stays unread: "".
func soleField(s string) (tag byte, content string, ok bool) {
	if s == "" {
		return 0, "", true // A Value without a kind is legal, and tells nothing.
	}
	if s[0]&7 == lengthPrefix {
		tag, content, s, ok = nextField(s)
		return tag, content, ok && s == "" && (tag == valueText || tag == valueStruct || tag == 0x32)
	}
	switch s[0] {
	case 0x08, 0x20: // null_value and bool_value, in one byte
		return s[0], "", len(s) == 2 && s[1] < 0x80
	case 0x11: // number_value
		return s[0], "", len(s) == 9
	}
	return 0, "", false
}

// nextField cuts a field with a length off the text.
func nextField(s string) (tag byte, content, rest string, ok bool) {
	if s == "" || s[0]&7 != lengthPrefix {
		return 0, "", "", false
	}
	n, size := 0, 1
	for shift := 0; ; shift += 7 {
		if size == len(s) || shift > 21 {
			return 0, "", "", false
		}
		b := s[size]
		size++
		n |= int(b&0x7f) << shift
		if b < 0x80 {
			break
		}
	}
	if n > len(s)-size {
		return 0, "", "", false
	}
	return s[0], s[size : size+n], s[size+n:], true
}
