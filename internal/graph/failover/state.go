// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrState means bytes that are no state of a detector.
var ErrState = errors.New("not a state of the failover detector")

const stateVersion = 1

// state is what a detector keeps over a restart: all but the calls of the latest intervals.
type state struct {
	Version  int            `json:"version"`
	Pairs    []pairState    `json:"pairs"`
	Services []serviceState `json:"services"`
}

type pairState struct {
	From      string  `json:"from"`
	Service   Service `json:"service"`
	Masses    []mass  `json:"masses"`
	Steps     int     `json:"steps"`
	Deviation float64 `json:"deviation"`
	Failed    rate    `json:"failed"`
	Flagged   rate    `json:"flagged"`
	Ejected   float64 `json:"ejected,omitzero"`
	// Gap is in seconds.
	Gap       float64    `json:"gap,omitzero"`
	Evidence  []Evidence `json:"evidence"`
	Active    *Event     `json:"active,omitempty"`
	First     time.Time  `json:"first"`
	Last      time.Time  `json:"last"`
	Learned   time.Time  `json:"learned"`
	Suspect   time.Time  `json:"suspect,omitzero"`
	Suspected time.Time  `json:"suspected,omitzero"`
	Back      time.Time  `json:"back,omitzero"`
	Doubt     []mass     `json:"doubt,omitempty"`
}

type serviceState struct {
	Service  Service   `json:"service"`
	Versions []version `json:"versions"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
}

// Encode returns the state of the detector, as JSON.
func (d *Detector) Encode() ([]byte, error) {
	s := state{Version: stateVersion}
	seen := map[Service]bool{}
	for _, k := range d.sorted() {
		p := d.pairs[k]
		s.Pairs = append(s.Pairs, pairState{
			From: k.from, Service: k.service, Masses: p.masses, Steps: p.steps, Deviation: p.deviation,
			Failed: p.failed, Flagged: p.flagged, Ejected: p.ejected, Gap: p.gap.Seconds(), Evidence: p.evidence, Active: p.active,
			First: p.first, Last: p.last, Learned: p.learned, Suspect: p.suspect, Suspected: p.suspected, Back: p.back,
			Doubt: p.doubt,
		})
		if v := d.services[k.service]; v != nil && !seen[k.service] {
			seen[k.service] = true
			s.Services = append(s.Services, serviceState{Service: k.service, Versions: v.versions, First: v.first, Last: v.last})
		}
	}
	return json.Marshal(&s)
}

// seconds reads a time of at most an hour, and none of what is no number of seconds.
func seconds(s float64) time.Duration {
	if !(s > 0) {
		return 0
	}
	return time.Duration(min(s, time.Hour.Seconds()) * float64(time.Second))
}

// Restore takes a state in the place of what the detector knows. Pairs beyond Config.MaxPairs are left out and counted.
// With an error, which is an [ErrState], nothing was changed.
func (d *Detector) Restore(raw []byte) error {
	var s state
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	if s.Version != stateVersion {
		return fmt.Errorf("%w: it has version %d, not %d", ErrState, s.Version, stateVersion)
	}
	pairs := make(map[pairKey]*pair, min(len(s.Pairs), d.config.MaxPairs))
	for i := range s.Pairs {
		p := &s.Pairs[i]
		for _, m := range slices.Concat(p.Masses, p.Doubt) {
			if m.Mass < 0 {
				return fmt.Errorf("%w: a negative mass", ErrState)
			}
		}
		if len(pairs) >= d.config.MaxPairs {
			d.refused++
			continue
		}
		pairs[pairKey{p.From, p.Service}] = &pair{
			masses: p.Masses[:min(len(p.Masses), maxPlaces)], steps: max(0, p.Steps), deviation: p.Deviation,
			failed: p.Failed, flagged: p.Flagged, ejected: p.Ejected, gap: seconds(p.Gap), evidence: p.Evidence, active: p.Active,
			first: p.First, last: p.Last, learned: p.Learned, suspect: p.Suspect, suspected: p.Suspected, back: p.Back,
			doubt: p.Doubt[:min(len(p.Doubt), maxPlaces)],
		}
	}
	services := make(map[Service]*service, len(s.Services))
	for i := range s.Services {
		v := &s.Services[i]
		services[v.Service] = &service{
			versions: v.Versions[:min(len(v.Versions), maxVersions)], first: v.First, last: v.Last,
		}
	}
	d.pairs, d.services = pairs, services
	return nil
}
