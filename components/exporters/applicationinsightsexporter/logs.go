// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"errors"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/delivery"
)

// outageInterval is the time between two entries of the log about the same outage.
const outageInterval = time.Minute

// pauseLog decides what of the pauses of a destination goes into the log. The zero value is that of a destination without any.
type pauseLog struct {
	mu     sync.Mutex
	told   bool
	cause  delivery.Cause
	status int
	at     time.Time
}

// begin says whether a pause is to be told: if it is for another reason than the last one, or that was some time ago.
func (o *pauseLog) begin(f *delivery.Failure, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cause == f.Cause && o.status == f.Status && now.Sub(o.at) < outageInterval {
		return false
	}
	o.told, o.cause, o.status, o.at = true, f.Cause, f.Status, now
	return true
}

// end says whether the end of a pause is to be told: if the pause was.
func (o *pauseLog) end() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	told := o.told
	o.told = false
	return told
}

// The entries of the collector's queue and retry that say less than this exporter does, or something else than what happens.
const (
	entryDropping = "Exporting failed. Dropping data."
	entryRetry    = "Exporting failed. Will retry"
)

// calm returns a logger for the collector's queue and retry. With the queue on disk nothing is dropped when the collector
// stops, though the queue says so; and that each batch which waits for a blocked destination waits on is no news.
func calm(logger *zap.Logger, persistent bool) *zap.Logger {
	return logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return &calmCore{Core: core, persistent: persistent}
	}))
}

type calmCore struct {
	zapcore.Core
	persistent bool
}

// With returns a core with these fields.
func (c *calmCore) With(fields []zapcore.Field) zapcore.Core {
	return &calmCore{Core: c.Core.With(fields), persistent: c.persistent}
}

// Check leaves the decision about what it may change to Write, which knows the error.
func (c *calmCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) && (c.persistent && strings.HasPrefix(entry.Message, entryDropping) || strings.HasPrefix(entry.Message, entryRetry)) {
		return checked.AddCore(entry, c)
	}
	return c.Core.Check(entry, checked)
}

// Write writes an entry as it should be.
func (c *calmCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	switch cause := causeOf(fields); {
	case strings.HasPrefix(entry.Message, entryRetry):
		if cause == delivery.CauseBlocked || cause == delivery.CauseCanceled {
			entry.Level = zapcore.DebugLevel
		}
	case cause != "":
		// A failed delivery with the queue on disk ends only with the process.
		entry.Level, entry.Stack = zapcore.InfoLevel, ""
		entry.Message = "The collector stops before a batch was delivered; it stays in the queue on disk, and is sent after the next start"
		fields = rename(fields, "dropped_items", "items")
	}
	// The core below samples, and may be of a higher level.
	if checked := c.Core.Check(entry, nil); checked != nil {
		checked.Write(fields...)
	}
	return nil
}

func rename(fields []zapcore.Field, from, to string) []zapcore.Field {
	renamed := make([]zapcore.Field, len(fields))
	for i, f := range fields {
		if f.Key == from {
			f.Key = to
		}
		renamed[i] = f
	}
	return renamed
}

// causeOf returns why a delivery failed, if the fields have an error that says so.
func causeOf(fields []zapcore.Field) delivery.Cause {
	for _, f := range fields {
		var failure *delivery.Failure
		if err, ok := f.Interface.(error); ok && errors.As(err, &failure) {
			return failure.Cause
		}
	}
	return ""
}
