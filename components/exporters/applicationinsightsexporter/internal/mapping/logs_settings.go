// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"errors"
	"slices"
)

// LogSettings is about log records.
type LogSettings struct {
	// CustomEvents are the event names of records that become custom events, as patterns in which * stands for any text.
	// Records with the attribute microsoft.custom_event.name become one in any case. The default is none.
	CustomEvents []string `mapstructure:"custom_events"`

	// AccessLogLines gives an access log of the mesh without a body a line of text for people, made of its attributes. The
	// default is true; without it the message of such a record is its event name.
	AccessLogLines bool `mapstructure:"access_log_lines"`
}

func DefaultLogSettings() LogSettings { return LogSettings{AccessLogLines: true} }

func (s *LogSettings) Validate() error {
	if slices.Contains(s.CustomEvents, "") {
		return errors.New("logs::custom_events: an entry is empty: write an event name, or a pattern with *")
	}
	return nil
}

// logRules is LogSettings, ready for use.
type logRules struct {
	customEvents   []string
	accessLogLines bool
}

func newLogRules(s *LogSettings) *logRules {
	return &logRules{customEvents: s.CustomEvents, accessLogLines: s.AccessLogLines}
}

// matchesAny says whether one of the patterns, in which * stands for any text, is the whole of name.
func matchesAny(patterns []string, name string) bool {
	for _, pattern := range patterns {
		if matches(pattern, name) {
			return true
		}
	}
	return false
}

// matches compares without going back further than the last *, so it takes at most len(pattern)*len(name) steps.
func matches(pattern, name string) bool {
	star, mark, p, n := -1, 0, 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && pattern[p] == name[n]:
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
