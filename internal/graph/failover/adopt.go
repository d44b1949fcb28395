// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"
	"time"
)

// Adopt puts what another detector told of an interval in the place of what this one returned of it: that one knew the inventories of
// the time. What it told goes on here, and ends as the same event.
func (d *Detector) Adopt(returned, told []Event) {
	for _, e := range slices.Backward(returned) {
		p := d.pairs[pairKey{e.Caller, e.Service}]
		switch {
		case p == nil:
		case e.Phase == Started:
			p.active = nil
		case e.Phase == Ended:
			was := e.copy()
			was.Phase, was.End, was.Reason = Started, time.Time{}, ""
			p.active = &was
		}
	}
	for i := range told {
		e := &told[i]
		p := d.pairs[pairKey{e.Caller, e.Service}]
		switch {
		case p == nil:
		case e.Phase == Started:
			now := e.copy()
			p.active, p.held, p.back = &now, nil, time.Time{}
			p.trust()
		case e.Phase == Ended:
			p.active, p.window, p.evidence, p.back, p.learned = nil, nil, nil, time.Time{}, e.End
		case p.active != nil:
			p.active.Scope = e.Scope
		}
	}
}
