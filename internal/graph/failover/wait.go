// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"fmt"
	"slices"
	"time"
)

// held is a shift that waits for inventories: its first interval, and all since.
type held struct{ first, all *tally }

// waits says whether the inventory of a place is expected at any moment: it may explain the shift, or prove it.
func (j *judgment) waits(s *shift) bool {
	return slices.Contains(j.d.pending, s.from.Cluster) || slices.Contains(j.d.pending, s.to.Cluster)
}

// release decides on a shift that waited: also on one that is over by now.
func (j *judgment) release() []Event {
	p := j.p
	h := p.held
	if j.now != nil {
		h.all.merge(j.now)
	}
	t := h.all
	s := t.compare(p.masses, p.deviation)
	if !j.moved(&s) {
		t = h.first
		s = t.compare(p.masses, p.deviation)
	}
	if j.waits(&s) {
		return nil
	}
	p.held = nil
	return j.decide(&s, t)
}

// followDeployment goes on with calls that went elsewhere because a deployment took all endpoints away.
func (j *judgment) followDeployment(s *shift, evidence []Evidence) []Event {
	e, c := j.p.active, &j.d.config
	from := j.endpointsAt(s.from)
	if late := j.at.Sub(e.Start); late > c.Deploy && from != nil && from.Healthy == 0 && from.Desired != 0 {
		return j.failed(keep(evidence, Evidence{
			Kind: "endpoints_unhealthy", At: j.at,
			Detail: fmt.Sprintf("no endpoint in %s, %s is ready %s after calls went elsewhere for a deployment",
				s.from.Region, s.from.Cluster, late.Round(time.Second)),
		}, false))
	}
	switch {
	case j.explained(s, j.now) != unexplained:
		return nil
	case len(evidence) > 0:
		return j.failed(evidence)
	}
	// Whatever keeps the calls away is not the deployment, and is looked at as a shift of its own.
	return []Event{j.end("deployment_over")}
}
