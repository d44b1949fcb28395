// SPDX-License-Identifier: Apache-2.0

package inventorylog

import (
	"context"
	"errors"
	"strconv"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
)

// Sink takes the messages of all clusters, as the mesh_topology extension does where 'inventory' is configured.
type Sink interface {
	// AcceptInventory takes one message. Any goroutine may call it. What it returns decides what becomes of the record:
	//
	//   - nil: the message was taken.
	//   - an error for which consumererror.IsPermanent holds, or that wraps inventory.ErrSchema, inventory.ErrInvalid or
	//     inventory.ErrRefused: the message will never be taken; it is counted, logged and dropped.
	//   - an error that wraps [ErrNotTaken]: nobody asked for inventories here; the record stays among the logs.
	//   - any other error (a full queue, a context that ended): the sender is to try again. It then sends the whole batch,
	//     so that a message may come twice; the sink ignores what it has.
	AcceptInventory(ctx context.Context, m *inventory.Message) error
}

// ErrNotTaken is wrapped by the error of a [Sink] that is not configured to take inventories at all.
var ErrNotTaken = errors.New("inventories are not taken here")

// Reason says in a word why a record is no message: the values of an attribute of a metric.
type Reason string

// The reasons of a [FormatError].
const (
	// ReasonEvent: the event name is none of the inventory's.
	ReasonEvent Reason = "event_name"
	// ReasonCluster: the resource does not name the cluster.
	ReasonCluster Reason = "cluster"
	// ReasonAttribute: an attribute of the record is missing, has another type, or is out of range.
	ReasonAttribute Reason = "attribute"
	// ReasonTimestamp: the timestamp is out of range.
	ReasonTimestamp Reason = "timestamp"
	// ReasonBody: the body is missing, of another type, or too large.
	ReasonBody Reason = "body"
)

// FormatError is the error about a log record of the inventory's scope that is no message.
type FormatError struct {
	Reason Reason
	detail string
}

// Error says what is wrong, without repeating foreign text at length.
func (e *FormatError) Error() string { return "inventory log record: " + e.detail }

// quote quotes foreign text and keeps it short.
func quote(s string) string {
	const most = 64
	if len(s) > most {
		return strconv.Quote(s[:most]) + "…"
	}
	return strconv.Quote(s)
}
