// SPDX-License-Identifier: Apache-2.0

package meshnoiseprocessor

import (
	"context"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processorhelper"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshnoiseprocessor/internal/rules"
)

func (p *meshNoise) processLogs(ctx context.Context, ld plog.Logs) (plog.Logs, error) {
	var t tally
	look := p.rules.Look()
	ld.ResourceLogs().RemoveIf(func(rl plog.ResourceLogs) bool {
		own := p.ownResource(rl.Resource().Attributes())
		removed := false
		rl.ScopeLogs().RemoveIf(func(sl plog.ScopeLogs) bool {
			before := sl.LogRecords().Len()
			sl.LogRecords().RemoveIf(func(record plog.LogRecord) bool {
				return p.act(p.judgeRecord(record, own, &look), record.Attributes(), &t)
			})
			removed = removed || sl.LogRecords().Len() < before
			return sl.LogRecords().Len() == 0 && before > 0
		})
		return removed && rl.ScopeLogs().Len() == 0
	})
	p.counter.add(ctx, &t)
	if ld.ResourceLogs().Len() == 0 {
		return ld, processorhelper.ErrSkipProcessingData
	}
	return ld, nil
}

func (p *meshNoise) judgeRecord(record plog.LogRecord, own bool, look *rules.Look) rules.Reason {
	var c rules.Call
	if !readSuspect(record.Attributes(), &c) {
		return rules.None
	}
	if own {
		return rules.Telemetry
	}
	if !look.Suspect(&c) {
		return rules.None
	}
	readRest(record.Attributes(), &c, false)
	return p.rules.Judge(&c)
}
