// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/internal/inventorylog"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
)

const (
	// rejectionPeriod is how often a dropped message of the same cluster is logged at most, and maxRejections how many
	// clusters are remembered: their names are the senders'.
	rejectionPeriod = time.Minute
	maxRejections   = 256
)

// The reasons for which a message is rejected, beside those of [inventorylog.FormatError].
const (
	reasonSchema  = "schema"
	reasonInvalid = "invalid"
	reasonRefused = "refused"
	// reasonNotHere: it came to an agent.
	reasonNotHere = "not_here"
)

// isInventory says whether the records of the scope are messages of the inventory stream.
func isInventory(sl plog.ScopeLogs) bool { return sl.Scope().Name() == inventory.ScopeName }

// onlyInventories says whether nothing of the resource is about calls.
func onlyInventories(rl plog.ResourceLogs) bool {
	for _, sl := range rl.ScopeLogs().All() {
		if !isInventory(sl) {
			return false
		}
	}
	return rl.ScopeLogs().Len() > 0
}

// takeInventories hands the messages of the inventory stream to the extension and takes them out of the logs. Nothing is
// taken out, and nothing of the batch may go on, if it returns an error: then the sender sends all of it again, and the
// extension ignores the messages that it has already.
func (m *meshTopology) takeInventories(ctx context.Context, ld plog.Logs) (taken bool, err error) {
	if m.inventories == nil {
		return m.turnAway(ctx, ld), nil
	}
	handed := handover{m: m}
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			if !isInventory(sl) {
				continue
			}
			taken = true
			if err := handed.scope(ctx, rl, sl); err != nil {
				if errors.Is(err, inventorylog.ErrNotTaken) {
					return m.turnAway(ctx, ld), nil
				}
				m.telemetry.ProcessorMeshTopologyInventoryDeferred.Add(ctx, 1)
				return false, err
			}
		}
	}
	if !taken {
		return false, nil
	}
	handed.count(ctx)
	removeInventories(ld)
	return true, nil
}

func removeInventories(ld plog.Logs) {
	ld.ResourceLogs().RemoveIf(func(rl plog.ResourceLogs) bool {
		before := rl.ScopeLogs().Len()
		rl.ScopeLogs().RemoveIf(isInventory)
		return before > 0 && rl.ScopeLogs().Len() == 0
	})
}

// turnAway drops the inventories where nobody takes them and the telemetry is of one cluster, as at an agent. Any pod reaches
// an agent: what it said there of who has which address would go on under the certificate of the whole cluster, and the hub
// would believe it. It reports whether there were any.
func (m *meshTopology) turnAway(ctx context.Context, ld plog.Logs) (any bool) {
	if m.config.Cluster == "" {
		return false
	}
	handed := handover{m: m}
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			if !isInventory(sl) {
				continue
			}
			any = true
			for range sl.LogRecords().Len() {
				handed.reject(rl, reasonNotHere, errNotHere)
			}
		}
	}
	if any {
		handed.count(ctx)
		removeInventories(ld)
	}
	return any
}

var errNotHere = errors.New("it came to an agent, to which only pods send: an inventory is sent to the hub itself")

// handover hands the messages of one batch over. What it counts is told only when the whole batch went through, so that
// a batch that is sent again is not counted twice.
type handover struct {
	m        *meshTopology
	accepted int64
	rejected map[string]int64
}

// scope hands the messages of one scope over. The error is one for the sender, or wraps [inventorylog.ErrNotTaken].
func (h *handover) scope(ctx context.Context, rl plog.ResourceLogs, sl plog.ScopeLogs) error {
	for _, record := range sl.LogRecords().All() {
		message, err := inventorylog.FromLogRecord(record, rl.Resource().Attributes())
		if err == nil {
			err = h.m.inventories.AcceptInventory(ctx, message)
		}
		if err == nil {
			h.accepted++
			continue
		}
		reason := rejection(err)
		if reason == "" {
			return fmt.Errorf("the topology does not take an inventory now, send it again: %w", err)
		}
		h.reject(rl, reason, err)
	}
	return nil
}

// rejection returns why a message will never be taken; empty if the error is not about the message.
func rejection(err error) string {
	var format *inventorylog.FormatError
	switch {
	case errors.As(err, &format):
		return string(format.Reason)
	case errors.Is(err, inventorylog.ErrNotTaken):
		return ""
	case errors.Is(err, inventory.ErrSchema):
		return reasonSchema
	case errors.Is(err, inventory.ErrInvalid):
		return reasonInvalid
	case errors.Is(err, inventory.ErrRefused), consumererror.IsPermanent(err):
		return reasonRefused
	}
	return ""
}

func (h *handover) reject(rl plog.ResourceLogs, reason string, err error) {
	if h.rejected == nil {
		h.rejected = map[string]int64{}
	}
	h.rejected[reason]++
	cluster := ""
	if value, ok := rl.Resource().Attributes().Get("k8s.cluster.name"); ok {
		cluster = clip(value.Str())
	}
	if h.m.rejections.allow(cluster, h.m.now()) {
		h.m.logger.Warn("dropped a message of an inventory; more of this cluster are counted and not logged for a minute",
			zap.String("cluster", cluster), zap.String("reason", reason), zap.Error(err))
	}
}

func (h *handover) count(ctx context.Context) {
	if h.accepted > 0 {
		h.m.telemetry.ProcessorMeshTopologyInventoryAccepted.Add(ctx, h.accepted)
	}
	for reason, n := range h.rejected {
		h.m.telemetry.ProcessorMeshTopologyInventoryRejected.Add(ctx, n, reasonOption(reason))
	}
}
