// SPDX-License-Identifier: Apache-2.0

package envoy

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// structType ends the type of a packed Struct.
const structType = "google.protobuf.Struct"

// ParseJSON reads a peer's filter state object as JSON access logs print it, %FILTER_STATE(upstream_peer:TYPED)%: an
// object with the names of [Peer.ParseStruct], or one packed in a google.protobuf.Any, {"@type": …, "value": {…}}. It
// allocates, as texts in JSON may be escaped.
func (p *Peer) ParseJSON(s string) error {
	p.reset()
	if len(s) > maxPeerSize {
		return ErrPeerTooLarge
	}
	decoder := json.NewDecoder(strings.NewReader(s))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return ErrPeerMalformed
	}
	if err := p.jsonObject(decoder, true); err != nil {
		return p.fail(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return p.fail(ErrPeerMalformed)
	}
	return p.finish()
}

// jsonObject reads fields up to the end of their object. Only the outermost object may be an Any.
func (p *Peer) jsonObject(decoder *json.Decoder, outermost bool) error {
	packed := false
	for decoder.More() {
		key, err := jsonKey(decoder)
		if err != nil {
			return err
		}
		switch {
		case key == "@type" && outermost:
			var name string
			if decoder.Decode(&name) != nil || !isStructType(name) {
				return ErrPeerMalformed
			}
			packed = true
		case key == "value" && packed:
			err = jsonOpen(decoder, func() error { return p.jsonObject(decoder, false) })
		case isLabels(key):
			err = jsonOpen(decoder, func() error { return p.jsonLabels(decoder) })
		default:
			err = p.jsonField(decoder, key)
		}
		if err != nil {
			return err
		}
	}
	_, err := decoder.Token()
	return malformed(err)
}

func (p *Peer) jsonLabels(decoder *json.Decoder) error {
	for decoder.More() {
		key, err := jsonKey(decoder)
		if err != nil {
			return err
		}
		text, ok, err := jsonText(decoder)
		if err != nil {
			return err
		}
		if !ok {
			p.Unknown++
		} else if err := p.addLabel(key, text); err != nil {
			return err
		}
	}
	_, err := decoder.Token()
	return malformed(err)
}

func (p *Peer) jsonField(decoder *json.Decoder, key string) error {
	text, ok, err := jsonText(decoder)
	if err != nil {
		return err
	}
	if !ok {
		p.Unknown++
		return nil
	}
	return p.set(key, text)
}

// jsonOpen reads the beginning of an object, and has the rest read.
func jsonOpen(decoder *json.Decoder, read func() error) error {
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return ErrPeerMalformed
	}
	return read()
}

func jsonKey(decoder *json.Decoder) (string, error) {
	token, err := decoder.Token()
	key, ok := token.(string)
	if err != nil || !ok {
		return "", ErrPeerMalformed
	}
	return key, nil
}

// jsonText reads a value; ok is false if it is no text.
func jsonText(decoder *json.Decoder) (text string, ok bool, err error) {
	var value json.RawMessage
	if err := decoder.Decode(&value); err != nil {
		return "", false, ErrPeerMalformed
	}
	if value[0] != '"' {
		return "", false, nil
	}
	return text, true, malformed(json.Unmarshal(value, &text))
}

func malformed(err error) error {
	if err != nil {
		return ErrPeerMalformed
	}
	return nil
}

func isStructType(name string) bool {
	prefix, ok := strings.CutSuffix(name, structType)
	return ok && (prefix == "" || strings.HasSuffix(prefix, "/"))
}
