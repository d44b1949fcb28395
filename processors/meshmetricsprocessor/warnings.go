// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

var configuredDrop = metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", "configured")))

// warnings says once in an interval at most what the metrics count each time.
type warnings struct {
	full, overflowed atomic.Int64
	refusing         bool
	unsaving         atomic.Bool
}

// ceilings warns of ceilings that were hit since it was asked last.
func (w *warnings) ceilings(logger *zap.Logger) {
	if n := w.full.Swap(0); n > 0 {
		logger.Warn("Points were dropped: a ceiling of series is reached. Raise 'max_state_mib' or 'max_series_per_process', or scrape less",
			zap.Int64("points", n))
	}
	if n := w.overflowed.Swap(0); n > 0 {
		logger.Warn("Series overflow: 'max_series' is reached. Their points have otel.metric.overflow and the labels of the topology alone",
			zap.Int64("points", n))
	}
	w.refusing = false
	w.unsaving.Store(false)
}

// unsaved warns of a state that was not written; the first in an interval.
func (w *warnings) unsaved(logger *zap.Logger, err error) {
	if !w.unsaving.Swap(true) {
		logger.Error("What is known of series could not be written to 'directory'. If the process is killed now, what was added up is lost",
			zap.Error(err))
	}
}

// refused warns of a refusal; the first in an interval.
func (w *warnings) refused(logger *zap.Logger, err error) {
	if !w.refusing {
		w.refusing = true
		logger.Warn("The next component refused metrics; what they count goes with the next ones", zap.Error(err))
	}
}
