// SPDX-License-Identifier: Apache-2.0

package items

// Fragment is JSON that many items share: the tags and properties of a resource, written once. The zero value is empty.
type Fragment struct {
	tags []byte
	// text holds the properties, each with a comma after it.
	text   []byte
	fields []fragmentField
	// encoder is one of its own, so that building a fragment does not disturb an open item.
	encoder Encoder
}

// fragmentField is one property: its key, where it stands in the text, and what of it may be cut.
type fragmentField struct {
	key      string
	from, to int
	piece    piece
}

// Reset empties the fragment.
func (f *Fragment) Reset() {
	f.tags, f.text = f.tags[:0], f.text[:0]
	clear(f.fields)
	f.fields = f.fields[:0]
	f.encoder.keys.reset()
	f.encoder.TextsTrimmed, f.encoder.PropertiesDropped = 0, 0
}

// Trimmed returns how many texts were cut.
func (f *Fragment) Trimmed() int { return f.encoder.TextsTrimmed }

// Dropped returns how many properties had no name or no room.
func (f *Fragment) Dropped() int { return f.encoder.PropertiesDropped }

// Tag adds a tag unless it is empty.
func (f *Fragment) Tag(key, value string) {
	e := &f.encoder
	// A field is told by what stands before it whether it needs a comma.
	e.buf = append(e.buf[:0], '{')
	e.Tag(key, value)
	if len(e.buf) > 1 {
		if len(f.tags) > 0 {
			f.tags = append(f.tags, ',')
		}
		f.tags = append(f.tags, e.buf[1:]...)
	}
}

// Property adds a property that write appends to. Of two with one key the first stays.
func (f *Fragment) Property(key string, write func(*Encoder)) {
	e := &f.encoder
	e.buf = append(e.buf[:0], '{')
	e.pieces = e.pieces[:0]
	if !e.OpenProperty(key) {
		return
	}
	write(e)
	e.CloseEmpty()
	field := fragmentField{key: e.keys.keys[len(e.keys.keys)-1], from: len(f.text)}
	if len(e.pieces) > 0 {
		p := e.pieces[0]
		field.piece = piece{p.from - 1 + field.from, p.to - 1 + field.from}
	}
	f.text = append(f.text, e.buf[1:]...)
	f.text = append(f.text, ',')
	field.to = len(f.text)
	f.fields = append(f.fields, field)
}

// AddTags adds the tags of the fragment to those of the item. They must be no others than the item has.
func (e *Encoder) AddTags(f *Fragment) {
	if len(f.tags) > 0 {
		e.comma()
		e.buf = append(e.buf, f.tags...)
	}
}

// AddProperties adds those properties of the fragment whose keys the item does not have.
func (e *Encoder) AddProperties(f *Fragment) {
	for i := range f.fields {
		field := &f.fields[i]
		if len(e.keys.keys) >= maxProperties {
			e.PropertiesDropped++
			continue
		}
		if !e.keys.add(field.key) {
			continue
		}
		e.comma()
		base := len(e.buf) - field.from
		e.buf = append(e.buf, f.text[field.from:field.to-1]...)
		if field.piece.to > 0 {
			e.addPiece(base+field.piece.from, base+field.piece.to)
		}
	}
}
