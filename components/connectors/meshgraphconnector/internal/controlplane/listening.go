// SPDX-License-Identifier: Apache-2.0

package controlplane

import "time"

// listening is since when a store hears of control planes. What an istiod does not say can be held against it only by who would
// have heard it: not by a hub that has just begun, and not by a replica to which routers have just begun to give the control planes,
// or to which they give none.
type listening struct {
	// since is when the time began in which all that was said was heard; zero for not.
	since time.Time
	// heard is when the last point was taken.
	heard time.Time
}

// Begin says that what istiods say comes in from now on. Without it that is with the first point or the first [Store.Roll].
func (s *Store) Begin(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listening = listening{since: now}
}

// quiet is how long nothing of any cluster has to come until a replica takes it that the routers give it to another one: several
// scrapes, of istiods and of proxies, and less than what makes an istiod count as gone.
func (s *Store) quiet() time.Duration { return s.config.Expire / 2 }

// hear notes that something came. For who hears all of it at any time, silence is what the mesh says; for one of several replicas
// it may be that another one heard what was said.
func (s *Store) hear(now time.Time) {
	if s.since.IsZero() || s.config.Routed && now.Sub(s.heard) > s.quiet() {
		s.since = now
	}
	s.heard = now
}

// listens says whether there is anything to tell, and writes into the document what a reader has to know of that.
func (s *Store) listens(now time.Time, doc *Document) bool {
	if s.config.Routed {
		// A clock that was set back is no silence, and its future none that lasts.
		if now.Before(s.heard) {
			s.heard = now
		}
		silent := now.Sub(s.heard)
		if silent > s.config.Expire {
			// What comes after that begins anew.
			clear(s.clusters)
			s.listening = listening{}
		}
		receiving := !s.heard.IsZero() && silent <= s.quiet()
		doc.Receiving = &receiving
		if !receiving {
			return false
		}
	}
	if s.since.IsZero() || now.Before(s.since) {
		s.since = now
	}
	if judged := s.since.Add(s.config.Expire); !now.After(judged) {
		doc.AbsenceJudgedFrom = judged
	}
	return true
}

// empty is a document without records.
func (s *Store) empty(at time.Time) *Document {
	doc := &Document{SchemaVersion: SchemaVersion, At: at, WindowSeconds: s.config.Window.Seconds(), ControlPlanes: []Record{}}
	if s.config.Routed {
		doc.Receiving = new(bool)
	}
	return doc
}
