// SPDX-License-Identifier: Apache-2.0

package appinsights

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrTooManyItems says that a body holds more items than allowed.
var ErrTooManyItems = errors.New("too many items")

// SplitBody cuts the plain body of a track request into its items without
// judging them: an item may be any JSON value of an array, or any line that is
// not blank. The first byte that is not white space decides between the two
// forms, as clients mislabel them. The items of lines share memory with body.
//
// It returns an error when an array is not well formed, or one that wraps
// [ErrTooManyItems] when there are more than limit items.
func SplitBody(body []byte, limit int) ([]json.RawMessage, error) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil, nil
	}
	if body[0] == '[' {
		return splitArray(body, limit)
	}
	return splitLines(body, limit)
}

func splitArray(body []byte, limit int) ([]json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	if _, err := decoder.Token(); err != nil {
		return nil, fmt.Errorf("reading the array: %w", err)
	}
	var items []json.RawMessage
	for decoder.More() {
		if len(items) == limit {
			return nil, fmt.Errorf("%w: more than %d", ErrTooManyItems, limit)
		}
		var item json.RawMessage
		if err := decoder.Decode(&item); err != nil {
			return nil, fmt.Errorf("reading item %d: %w", len(items), err)
		}
		items = append(items, item)
	}
	if _, err := decoder.Token(); err != nil {
		return nil, fmt.Errorf("reading the end of the array: %w", err)
	}
	if rest := bytes.TrimSpace(body[decoder.InputOffset():]); len(rest) > 0 {
		return nil, errors.New("data after the array")
	}
	return items, nil
}

func splitLines(body []byte, limit int) ([]json.RawMessage, error) {
	var items []json.RawMessage
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if len(items) == limit {
			return nil, fmt.Errorf("%w: more than %d", ErrTooManyItems, limit)
		}
		items = append(items, json.RawMessage(line))
	}
	return items, nil
}
