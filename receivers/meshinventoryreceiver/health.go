// SPDX-License-Identifier: Apache-2.0

package meshinventoryreceiver

import (
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube"
)

// After how long without a confirmation the leader is not well. The source confirms every ten seconds while all is well;
// if its requests fail meanwhile, the first one that is due and does not come is telling.
const (
	failingAfter     = 12 * time.Second
	unconfirmedAfter = 30 * time.Second
)

// health keeps the component's status: a recoverable error while the API server does not answer, be it to the election
// or to the source.
type health struct {
	host component.Host

	mu             sync.Mutex
	lease, cluster error
	reported       string
}

// leaseHeard takes what came of a request about the lease.
func (h *health) leaseHeard(err error) {
	if err != nil {
		err = fmt.Errorf("the lease of the leader election cannot be reached: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lease = err
	h.report()
}

// clusterSeen takes how the source fares; nil means that this replica does not lead.
func (h *health) clusterSeen(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cluster = err
	h.report()
}

func (h *health) report() {
	err := h.lease
	if h.cluster != nil {
		err = h.cluster
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	if (text == "") == (h.reported == "") {
		return // times and ports within the text change with each try
	}
	h.reported = text
	event := componentstatus.NewEvent(componentstatus.StatusOK)
	if err != nil {
		event = componentstatus.NewRecoverableErrorEvent(err)
	}
	componentstatus.ReportStatus(h.host, event)
}

// judge says what is wrong with the source, nil if nothing is. began is when the term did.
func judge(state kube.State, f figures, began, now time.Time) error {
	why := ""
	if state.LastError != "" {
		why = ": " + state.LastError
	}
	age := now.Sub(f.confirmed)
	switch {
	case !f.synced && (state.LastError != "" || now.Sub(began) > unconfirmedAfter):
		return fmt.Errorf("the cluster could not be read so far, nothing is published%s", why)
	case f.synced && (age > unconfirmedAfter || (age > failingAfter && state.LastError != "")):
		return fmt.Errorf("the cluster was last confirmed at %s, heartbeats say so%s", f.confirmed.UTC().Format(time.RFC3339), why)
	}
	return nil
}
