// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"cmp"
	"maps"
	"slices"
)

// Group is one set of labels by which accepted items are counted.
type Group struct {
	Type       string `json:"type"`
	Role       string `json:"role"`
	Region     string `json:"region"`
	ResultCode string `json:"resultCode"`
}

// GroupCount is a group with its number of accepted items.
type GroupCount struct {
	Group
	Count uint64 `json:"count"`
}

// Summary tells what arrived since the start or the last reset.
type Summary struct {
	// Requests is the number of track requests, whatever became of them.
	Requests uint64 `json:"requests"`
	// Accepted is the number of accepted items; Stored of them are still kept,
	// and Evicted made room for newer ones.
	Accepted uint64 `json:"accepted"`
	Stored   int    `json:"stored"`
	Evicted  uint64 `json:"evicted"`
	// Duplicates is the number of accepted items whose type, operation and id
	// were those of a stored item.
	Duplicates uint64 `json:"duplicates"`
	// Rejected is the number of items that were refused one by one, and
	// RejectedBy parts it by reason: the status code and the number of the
	// message, or a whole message.
	Rejected   uint64            `json:"rejected"`
	RejectedBy map[string]uint64 `json:"rejectedBy"`
	// ByType, ByRole, ByRegion and ByResultCode part the accepted items by one
	// label; items without the label are left out.
	ByType       map[string]uint64 `json:"byType"`
	ByRole       map[string]uint64 `json:"byRole"`
	ByRegion     map[string]uint64 `json:"byRegion"`
	ByResultCode map[string]uint64 `json:"byResultCode"`
	// Groups parts the accepted items by all labels at once.
	Groups []GroupCount `json:"groups"`
	// Edges are the arrows of the Application Map.
	Edges []Edge `json:"edges"`
}

// Summary returns the counts as of now.
func (s *store) Summary() Summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := Summary{
		Requests: s.received, Accepted: s.accepted, Stored: len(s.items), Evicted: s.evicted,
		Duplicates: s.duplicates, Rejected: s.refused, RejectedBy: maps.Clone(s.rejected),
		ByType: map[string]uint64{}, ByRole: map[string]uint64{},
		ByRegion: map[string]uint64{}, ByResultCode: map[string]uint64{},
		Groups: make([]GroupCount, 0, len(s.groups)), Edges: s.edges.list(),
	}
	for group, n := range s.groups {
		sum.Groups = append(sum.Groups, GroupCount{Group: group, Count: n})
		addLabel(sum.ByType, group.Type, n)
		addLabel(sum.ByRole, group.Role, n)
		addLabel(sum.ByRegion, group.Region, n)
		addLabel(sum.ByResultCode, group.ResultCode, n)
	}
	slices.SortFunc(sum.Groups, func(x, y GroupCount) int {
		return cmp.Or(
			cmp.Compare(x.Type, y.Type), cmp.Compare(x.Role, y.Role),
			cmp.Compare(x.Region, y.Region), cmp.Compare(x.ResultCode, y.ResultCode),
		)
	})
	return sum
}

func addLabel(counts map[string]uint64, label string, n uint64) {
	if label != "" {
		counts[label] += n
	}
}

// Duplicate is a span that arrived more than once.
type Duplicate struct {
	Type        string `json:"type"`
	OperationID string `json:"operation_Id"`
	ID          string `json:"id"`
	// Count is the number of stored items, two or more.
	Count int `json:"count"`
}

// Duplicates returns the requests, dependencies and availability results that
// are stored more than once, by type, operation and id. Other types carry no id.
func (s *store) Duplicates() []Duplicate {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []Duplicate{}
	for id, n := range s.seen {
		if n > 1 {
			found = append(found, Duplicate{Type: id.typeName, OperationID: id.operation, ID: id.id, Count: n})
		}
	}
	slices.SortFunc(found, func(x, y Duplicate) int {
		return cmp.Or(cmp.Compare(x.Type, y.Type), cmp.Compare(x.OperationID, y.OperationID), cmp.Compare(x.ID, y.ID))
	})
	return found
}
