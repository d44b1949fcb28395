// SPDX-License-Identifier: Apache-2.0

package rules

// Reason says what is wrong with a value that was left under its original name.
type Reason uint8

// The reasons.
const (
	NotANumber Reason = iota
	OutOfRange
	BadURL
	UnknownProtocol
	BadType
	NumReasons
)

// ValueType is the type of an [Attribute].
type ValueType uint8

// The types.
const (
	Text ValueType = iota
	Int
	Double
	// List is a list of one text, as the semantic conventions ask for headers.
	List
)

// Attribute is one attribute to write.
type Attribute struct {
	Name string
	Type ValueType
	// Text, Int and Double hold the value of the type that they are named for; Text is also the one of a list.
	Text   string
	Int    int64
	Double float64
	// Derived marks a value that was concluded from another attribute: if the name is taken, this is no conflict.
	Derived bool
	// Follows marks a value that belongs to the attribute before it, as a port belongs to its address: it is to be
	// written only if the item holds that attribute with the value given there.
	Follows bool
	// Source is the attribute of Envoy's that holds just this text, [KeyNone] if there is none: its value may be moved
	// instead of copied.
	Source Key
}

// Output is what the rules say about one item. It is reused: its slices are valid until the next [Normalize].
type Output struct {
	// Attributes are to be written unless their name is taken.
	Attributes []Attribute
	// Failed reports whether the call failed by the semantic conventions of its kind.
	Failed bool
	// DropNetworkPeer reports that network.peer.address and .port name the downstream end, which is among Attributes
	// under its own name, and must not be read as the callee.
	DropNetworkPeer bool
	// DropStatusCode reports that http.response.status_code is 0, which is how Envoy says that there was no response.
	DropStatusCode bool
	// Repeats reports that a name may be among Attributes twice; the first one counts.
	Repeats bool
	// Conflicts counts values whose semantic convention was present with another value, as far as no attribute to
	// write shows it.
	Conflicts int64
	// Unparsed counts the values left alone, by reason.
	Unparsed [NumReasons]int64

	keep uint64
	// status is the HTTP status that counts, 0 for none; grpc is the status of gRPC.
	status int64
	grpc   grpcCode
	// noResponse reports that the item says in so many words that there was no HTTP status.
	noResponse bool
	// path is where a template is built.
	path []byte
}

// Keeps reports whether an attribute must stay under its original name although originals are dropped, as it could
// not be translated.
func (o *Output) Keeps(key Key) bool {
	return o.keep&(1<<key) != 0
}

func (o *Output) reset() {
	*o = Output{Attributes: o.Attributes[:0], path: o.path[:0]}
}

// rename writes a text under another name; an empty one says nothing.
func (o *Output) rename(name, text string) {
	if text != "" {
		o.Attributes = append(o.Attributes, Attribute{Name: name, Text: text})
	}
}

// move writes a text of Envoy's as it is under another name; see [Attribute.Source].
func (o *Output) move(name string, c *Call, key Key) {
	if text := c.text[key]; text != "" {
		o.Attributes = append(o.Attributes, Attribute{Name: name, Text: text, Source: key})
	}
}

func (o *Output) renameInt(name string, n int64) {
	o.Attributes = append(o.Attributes, Attribute{Name: name, Type: Int, Int: n})
}

// derive writes a text concluded from another attribute; an empty one says nothing.
func (o *Output) derive(name, text string) {
	if text != "" {
		o.Attributes = append(o.Attributes, Attribute{Name: name, Text: text, Derived: true})
	}
}

func (o *Output) deriveInt(name string, n int64) {
	o.Attributes = append(o.Attributes, Attribute{Name: name, Type: Int, Int: n, Derived: true})
}

// follow marks the attribute written last as a companion of the one before it.
func (o *Output) follow() {
	o.Attributes[len(o.Attributes)-1].Follows = true
}

// retain keeps an attribute as it came: it means something that no rule is about.
func (o *Output) retain(key Key) {
	o.keep |= 1 << key
}

// leave keeps an attribute as it came, and counts why.
func (o *Output) leave(key Key, reason Reason) {
	o.keep |= 1 << key
	o.Unparsed[reason]++
}
