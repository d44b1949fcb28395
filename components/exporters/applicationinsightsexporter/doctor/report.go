// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// verdict is what a step came to.
type verdict string

const (
	verdictOK      verdict = "ok"
	verdictWarning verdict = "warning"
	verdictFailed  verdict = "failed"
	// verdictSkipped is a step that had nothing to do, or that an earlier failure kept from being taken.
	verdictSkipped verdict = "skipped"
)

// step is one part of the way.
type step struct {
	Name    string  `json:"name"`
	Verdict verdict `json:"verdict"`
	// Says are sentences about what was found; Do about what to do.
	Says []string `json:"says"`
	Do   []string `json:"do,omitempty"`
	// Millis is how long it took.
	Millis int64 `json:"milliseconds"`

	// cause is the sentence that tells why it failed.
	cause string
}

func (s *step) say(format string, args ...any) { s.Says = append(s.Says, fmt.Sprintf(format, args...)) }

// advise says what to do, once.
func (s *step) advise(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); !slices.Contains(s.Do, line) {
		s.Do = append(s.Do, line)
	}
}

// warn makes a good step one to look at.
func (s *step) warn(format string, args ...any) {
	if s.Verdict == verdictOK {
		s.Verdict = verdictWarning
	}
	s.say(format, args...)
}

func (s *step) fail(format string, args ...any) {
	s.Verdict = verdictFailed
	s.say(format, args...)
	if s.cause == "" {
		s.cause = s.Says[len(s.Says)-1]
	}
}

// report is a whole check.
type report struct {
	Steps []step `json:"steps"`
	// Works says whether the endpoint took the item, or would have been asked to in a dry run.
	Works   bool   `json:"works"`
	Verdict string `json:"verdict"`
}

// conclude words the verdict.
func (r *report) conclude(dryRun bool) {
	warnings := 0
	for _, s := range r.Steps {
		switch s.Verdict {
		case verdictFailed:
			r.Verdict = "does not work: " + s.Name + ": " + s.cause
			return
		case verdictWarning:
			warnings++
		case verdictOK, verdictSkipped:
		}
	}
	r.Works = true
	r.Verdict = "works: Application Insights took the test item"
	if dryRun {
		r.Verdict = "all steps work up to posting, which a dry run does not do"
	}
	switch {
	case warnings == 1:
		r.Verdict += "; one step has a warning"
	case warnings > 1:
		r.Verdict += fmt.Sprintf("; %d steps have warnings", warnings)
	}
}

func (r *report) printJSON(w io.Writer) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(r)
}

var signs = map[verdict]string{verdictOK: "[ ok ]", verdictWarning: "[warn]", verdictFailed: "[FAIL]", verdictSkipped: "[ -- ]"}

func (r *report) printText(w io.Writer) error {
	var out strings.Builder
	for _, s := range r.Steps {
		fmt.Fprintf(&out, "%s %s", signs[s.Verdict], s.Name)
		if s.Millis > 0 {
			fmt.Fprintf(&out, " (%d ms)", s.Millis)
		}
		out.WriteByte('\n')
		for _, line := range s.Says {
			fmt.Fprintf(&out, "       %s\n", line)
		}
		for _, line := range s.Do {
			fmt.Fprintf(&out, "       -> %s\n", line)
		}
	}
	fmt.Fprintf(&out, "\n%s\n", r.Verdict)
	_, err := io.WriteString(w, out.String())
	return err
}
