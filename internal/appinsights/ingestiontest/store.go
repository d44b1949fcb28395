// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// Request is what is remembered of one track request.
type Request struct {
	// Number counts the track requests from 1.
	Number uint64 `json:"number"`
	// Received is when the request was read.
	Received time.Time `json:"received"`
	// Path, ContentType, ContentEncoding and UserAgent are those of the request.
	Path            string `json:"path"`
	ContentType     string `json:"contentType"`
	ContentEncoding string `json:"contentEncoding,omitempty"`
	UserAgent       string `json:"userAgent,omitempty"`
	// Authorized says that the request had a header Authorization, whatever it
	// was worth.
	Authorized bool `json:"authorized,omitempty"`
	// Fault is the scripted fault the request met, if any.
	Fault FaultKind `json:"fault,omitempty"`
	// Status is the answer, or 0 when the request was left without one.
	Status int `json:"status"`
	// BodyBytes is the size of the body, decompressed.
	BodyBytes int `json:"bodyBytes"`
	// Items is the number of items in the body, and Accepted how many of them
	// were stored, whatever the answer said.
	Items    int `json:"items"`
	Accepted int `json:"accepted"`
}

func newRequest(r *http.Request, fault *Fault) Request {
	request := Request{
		Path: r.URL.Path, ContentType: r.Header.Get("Content-Type"),
		ContentEncoding: r.Header.Get("Content-Encoding"), UserAgent: r.UserAgent(),
		Authorized: r.Header.Get("Authorization") != "",
	}
	if fault != nil {
		request.Fault = fault.Kind
	}
	return request
}

// spanID is what makes two items duplicates of each other.
type spanID struct{ typeName, operation, id string }

// store keeps accepted items and counts them. Its zero value is not ready.
// All its methods may be called at once from many goroutines.
type store struct {
	cfg Config

	mu         sync.Mutex
	changed    chan struct{} // closed and replaced at every change
	items      []Item        // oldest first
	bytes      int64
	seen       map[spanID]int
	groups     map[Group]uint64
	edges      *edgeBook
	rejected   map[string]uint64
	requests   []Request
	accepted   uint64
	evicted    uint64
	duplicates uint64
	refused    uint64
	received   uint64 // requests
}

func newStore(cfg Config) *store {
	s := &store{cfg: cfg, changed: make(chan struct{})}
	s.resetLocked()
	return s
}

func (s *store) resetLocked() {
	s.items, s.bytes, s.requests = nil, 0, nil
	s.seen = map[spanID]int{}
	s.groups = map[Group]uint64{}
	s.rejected = map[string]uint64{}
	s.edges = newEdgeBook(s.cfg.MaxGroups)
	s.accepted, s.evicted, s.duplicates, s.refused, s.received = 0, 0, 0, 0, 0
}

func (s *store) announceLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// announce lets [Endpoint.Wait] look again.
func (s *store) announce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.announceLocked()
}

// Reset forgets all items, requests and counts. Faults stay.
func (s *store) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resetLocked()
	s.announceLocked()
}

// record stores one request with its accepted items and errors, at once: who
// sees the request sees its items.
func (s *store) record(r Request, items []Item, errs []ai.ItemError) {
	s.recordSome(r, items, 0, errs)
}

// recordSome is record, with so many accepted items beside those that are kept.
func (s *store) recordSome(r Request, items []Item, light int, errs []ai.ItemError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received++
	s.accepted += uint64(light)
	r.Number, r.Received, r.Accepted = s.received, s.cfg.Now(), len(items)+light
	s.requests = append(s.requests, r)
	if over := len(s.requests) - s.cfg.MaxRequests; over > 0 {
		s.requests = slices.Delete(s.requests, 0, over)
	}
	for i := range items {
		items[i].Request, items[i].Received = r.Number, r.Received
		s.addLocked(items[i])
	}
	for _, e := range errs {
		s.refused++
		s.rejected[rejectReason(e)]++
	}
	s.evictLocked()
	s.announceLocked()
}

func (s *store) addLocked(item Item) {
	s.accepted++
	item.Sequence = s.accepted
	if id, ok := identity(&item); ok {
		item.Duplicate = s.seen[id] > 0
		s.seen[id]++
	}
	if item.Duplicate {
		s.duplicates++
	} else {
		s.edges.add(&item)
	}
	group := Group{Type: item.Type, Role: item.Role, Region: item.Region, ResultCode: item.ResultCode}
	if _, known := s.groups[group]; !known && len(s.groups) >= s.cfg.MaxGroups {
		group = Group{Type: item.Type, Role: Overflow, Region: Overflow, ResultCode: Overflow}
	}
	s.groups[group]++
	s.items = append(s.items, item)
	s.bytes += int64(item.size)
}

func (s *store) evictLocked() {
	n := 0
	for len(s.items)-n > s.cfg.MaxItems || s.bytes > s.cfg.MaxItemBytes {
		item := &s.items[n]
		s.bytes -= int64(item.size)
		if id, ok := identity(item); ok {
			if s.seen[id]--; s.seen[id] == 0 {
				delete(s.seen, id)
			}
		}
		s.edges.forget(item)
		n++
	}
	// Clearing releases the items; append moves the rest to a new array once
	// the room at the end is used up.
	clear(s.items[:n])
	s.items = s.items[n:]
	s.evicted += uint64(n)
}

func identity(item *Item) (spanID, bool) {
	return spanID{typeName: item.Type, operation: item.OperationID, id: item.ID}, item.ID != ""
}

// rejectReason is a label of bounded origin: messages hold numbers and names
// that clients choose, so only what stands before them is kept.
func rejectReason(e ai.ItemError) string {
	switch {
	case e.Message == ai.MessageItemTooLong, e.Message == ai.MessageInvalidKey, e.Message == ai.MessageSampledOut:
		return e.Message
	case len(e.Message) > 4 && e.Message[3] == ':':
		return fmt.Sprintf("%d %s", e.StatusCode, e.Message[:3])
	default:
		return strconv.Itoa(e.StatusCode)
	}
}

// Items returns the stored items that f selects, oldest first.
func (s *store) Items(f Filter) []Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []Item{}
	for i := len(s.items) - 1; i >= 0 && (f.Limit <= 0 || len(found) < f.Limit); i-- {
		if f.matches(&s.items[i]) {
			found = append(found, s.items[i])
		}
	}
	slices.Reverse(found)
	return found
}

// Requests returns the remembered track requests, oldest first.
func (s *store) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Count returns how many accepted items have the labels of want; an empty
// label matches all. It counts evicted items and duplicates as well.
func (s *store) Count(want Group) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n uint64
	for group, count := range s.groups {
		if matchesType(want.Type, group.Type) && matchesText(want.Role, group.Role) &&
			matchesText(want.Region, group.Region) && matchesText(want.ResultCode, group.ResultCode) {
			n += count
		}
	}
	return n
}

// Wait returns nil as soon as done returns true, which it asks at once and
// after every request. When ctx ends first, it returns an error that tells
// what had arrived. The function done may call the methods of the Endpoint.
func (s *store) Wait(ctx context.Context, done func() bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if done() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			sum := s.Summary()
			return fmt.Errorf("waiting for telemetry: %w; accepted %d %v, rejected %d %v, in %d requests",
				ctx.Err(), sum.Accepted, sum.ByType, sum.Rejected, sum.RejectedBy, sum.Requests)
		}
	}
}

// WaitCount waits until at least n accepted items have the labels of want. See
// [Endpoint.Wait] and [Endpoint.Count].
func (s *store) WaitCount(ctx context.Context, want Group, n uint64) error {
	return s.Wait(ctx, func() bool { return s.Count(want) >= n })
}
