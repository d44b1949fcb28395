// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// KindMeshConfigMissing is the kind of finding for a node scope without Istio's mesh configuration.
const KindMeshConfigMissing = "mesh_config_missing"

// Lasting returns the kinds of findings that are reported every five minutes until they are over. Who does not hear of one
// for longer may take it for over: its source ended.
func Lasting() []string {
	return []string{topology.KindKubernetesForbidden, topology.KindKubernetesUnreachable, KindMeshConfigMissing}
}

// findingsOnce remembers what was reported, so that a finding that stays comes once.
type findingsOnce struct {
	mu       sync.Mutex
	reported map[[2]string]string
}

// maxRemembered bounds the memory for hostile clusters. When it is full it starts anew, and findings may come again.
const maxRemembered = 4096

func (f *findingsOnce) news(kind, subject, detail string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := [2]string{kind, subject}
	if f.reported[key] == detail {
		return false
	}
	if f.reported == nil || len(f.reported) >= maxRemembered {
		f.reported = map[[2]string]string{}
	}
	f.reported[key] = detail
	return true
}

// forget says that a finding is over. It returns true if it was reported.
func (f *findingsOnce) forget(kind, subject string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := [2]string{kind, subject}
	_, known := f.reported[key]
	delete(f.reported, key)
	return known
}

// conditions returns what was reported of the kinds that last until they are over.
func (f *findingsOnce) conditions() (found []topology.Finding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	lasting := Lasting()
	for key, detail := range f.reported {
		if slices.Contains(lasting, key[0]) {
			found = append(found, topology.Finding{Kind: key[0], Subject: key[1], Detail: detail})
		}
	}
	return found
}

// repeatEvery is how often what goes on is reported again, so that a finding which nobody repeats is known to be over,
// as one of a source that ended.
const repeatEvery = 5 * time.Minute

// repeat reports what goes on again and again, until the context ends.
func (s *Source) repeat(ctx context.Context) {
	for sleep(ctx, repeatEvery) {
		s.repeatOnce()
	}
}

func (s *Source) repeatOnce() {
	for _, f := range s.once.conditions() {
		if f.Kind == topology.KindKubernetesUnreachable && s.outage.text() == "" {
			// It ended while it was being reported.
			s.resolve(f.Kind, f.Subject)
			continue
		}
		f.Cluster, f.At = s.settings.Cluster, s.settings.Now()
		s.settings.Report(f)
	}
}

// resolve says that something is over, if it was reported.
func (s *Source) resolve(kind, subject string) {
	if s.once.forget(kind, subject) {
		s.settings.Logger.Info("a finding is over", "finding", kind, "subject", subject)
		s.settings.Resolve(kind, subject)
	}
}

// allowed says that the API server lets the collector do what it may have been refused before.
func (s *Source) allowed(subject string) { s.resolve(topology.KindKubernetesForbidden, subject) }

func (s *Source) report(kind, subject, detail string) {
	if !s.once.news(kind, subject, detail) {
		return
	}
	s.settings.Logger.Warn(detail, "finding", kind, "subject", subject)
	s.settings.Report(topology.Finding{
		Kind: kind, Cluster: s.settings.Cluster, Subject: subject, Detail: detail, At: s.settings.Now(),
	})
}

func (s *Source) reportForbidden(subject, verbs string, err error) {
	s.report(topology.KindKubernetesForbidden, subject, fmt.Sprintf(
		"the API server does not let the collector %s %s; grant it, or accept that what it tells stays unknown: %v", verbs, subject, err))
}

func (s *Source) reportInvalid(subject, detail string) {
	s.report(topology.KindInvalidObject, subject, detail)
}

// outageAfter is how long the API server must fail before it is a finding. A rolling upgrade of it takes seconds.
const outageAfter = 10 * time.Second

// outage is a time without the API server.
type outage struct {
	mu       sync.Mutex
	since    time.Time
	reported bool
	last     string
}

func (o *outage) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last
}

// reached ends an outage.
func (s *Source) reached() {
	s.outage.mu.Lock()
	over := s.outage.reported
	s.outage.since, s.outage.reported, s.outage.last = time.Time{}, false, ""
	s.outage.mu.Unlock()
	if over {
		s.resolve(topology.KindKubernetesUnreachable, s.settings.Cluster)
	}
}

// failed counts a failure, and reports the outage that it belongs to when that has lasted.
func (s *Source) failed(err error) {
	if err == nil {
		return
	}
	s.counters.failures.Add(1)
	now := s.settings.Now()
	o := &s.outage
	o.mu.Lock()
	o.last = err.Error()
	if o.since.IsZero() {
		o.since = now
	}
	since := o.since
	news := !o.reported && now.Sub(since) >= outageAfter
	o.reported = o.reported || news
	o.mu.Unlock()
	if news {
		s.report(topology.KindKubernetesUnreachable, s.settings.Cluster, fmt.Sprintf(
			"the API server has not answered since %s; what is known of the cluster grows old: %v", since.UTC().Format(time.RFC3339), err))
	}
}
