// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"strings"
	"time"
)

const (
	// again is after how long a finding that still happens is told again.
	again = 10 * time.Minute
	// maxReports bounds what is remembered of findings.
	maxReports = 4096
)

type reportKey struct{ kind, cluster, subject string }

// reports remembers what was reported.
type reports struct {
	events map[reportKey]time.Time
	// states are findings that hold until they are no longer found.
	states map[reportKey]struct{}
}

// report tells a finding unless it was told a moment ago.
func (w *Writer) report(f Finding) {
	if w.settings.Report == nil {
		return
	}
	f.At = w.settings.Now()
	key := reportKey{f.Kind, f.Cluster, f.Subject}
	if last, ok := w.reports.events[key]; ok && f.At.Sub(last) < again {
		return
	}
	if len(w.reports.events) >= maxReports {
		for k, last := range w.reports.events {
			if f.At.Sub(last) >= again {
				delete(w.reports.events, k)
			}
		}
	}
	if len(w.reports.events) >= maxReports {
		w.counters.FindingsSuppressed++
		return
	}
	if w.reports.events == nil {
		w.reports.events = map[reportKey]time.Time{}
	}
	w.reports.events[key] = f.At
	w.settings.Report(f)
}

// invalid counts and reports something that is refused for what it is.
func (w *Writer) invalid(cluster, subject, problem string) {
	w.counters.Invalid++
	if w.settings.Report != nil {
		w.report(Finding{Kind: KindInvalidObject, Cluster: cluster, Subject: subject, Detail: "the " + subject + " was refused: " + problem})
	}
}

// full says whether there is no room for another, and counts and reports what is refused for it.
func (w *Writer) full(n, limit int, refused *uint64, what string) bool {
	if limit <= 0 || n < limit {
		return false
	}
	*refused++
	w.limitReached(what, limit, "max_"+strings.ReplaceAll(what, " ", "_"))
	return true
}

func (w *Writer) limitReached(what string, limit int, key string) {
	if w.settings.Report == nil {
		return
	}
	w.report(Finding{
		Kind: KindLimitReached, Subject: what,
		Detail: fmt.Sprintf("there are more than %d %s, and calls of those beyond stay without a name; raise '%s' if the memory allows", limit, what, key),
	})
}

// interner hands out one copy of equal strings. It forgets what was not asked for in a long while: a string that is
// still in use then only loses the chance to be shared again.
type interner struct {
	young, old map[string]string
}

// maxInterned is how many strings make a generation.
const maxInterned = 1 << 15

// intern returns a copy of the string that keeps nothing else alive.
func (i *interner) intern(text string) string {
	if text == "" {
		return ""
	}
	if kept, ok := i.young[text]; ok {
		return kept
	}
	kept, ok := i.old[text]
	if !ok {
		kept = strings.Clone(text)
	}
	if i.young == nil || len(i.young) >= maxInterned {
		i.old, i.young = i.young, map[string]string{}
	}
	i.young[kept] = kept
	return kept
}

// age forgets what nobody asked for since it was last called.
func (i *interner) age() { i.old, i.young = i.young, nil }
