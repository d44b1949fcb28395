// SPDX-License-Identifier: Apache-2.0

package meshinventoryreceiver

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

const (
	// findingQuiet is how long the same finding is not logged again: what went away and came back after days is news.
	findingQuiet = time.Hour
	// maxFindings is how many findings are remembered as logged.
	maxFindings = 1000
)

// findings logs what was found about the cluster, each once, and counts it.
type findings struct {
	telemetry *telemetry
	logger    *zap.Logger

	mu     sync.Mutex
	logged map[findingKey]time.Time
}

type findingKey struct{ kind, subject string }

// report takes a finding, from any goroutine.
func (f *findings) report(found topology.Finding) {
	f.telemetry.finding(found.Kind)
	if !f.news(findingKey{found.Kind, found.Subject}, time.Now()) {
		return
	}
	log := f.logger.Warn
	if found.Severity == topology.SeverityInfo {
		log = f.logger.Info
	}
	log(found.Detail, zap.String("finding", found.Kind), zap.String("subject", found.Subject), zap.Time("at", found.At))
}

func (f *findings) news(key findingKey, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at, known := f.logged[key]; known && now.Sub(at) < findingQuiet {
		return false
	}
	if len(f.logged) >= maxFindings {
		// So many are beyond reading; the counter goes on.
		for old, at := range f.logged {
			if now.Sub(at) >= findingQuiet {
				delete(f.logged, old)
			}
		}
		if len(f.logged) >= maxFindings {
			return false
		}
	}
	if f.logged == nil {
		f.logged = map[findingKey]time.Time{}
	}
	f.logged[key] = now
	return true
}
