// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/deadletter"
)

// walk reads the letters that the options select and that were not delivered since, the oldest file first, until visit
// returns false.
func (o *letterOptions) walk(visit func(file deadletter.File, entry deadletter.Entry) bool) (summary, error) {
	var s summary
	files, err := deadletter.Files(o.directory)
	if err != nil {
		return s, err
	}
	for _, f := range files {
		more, err := o.walkFile(f, &s, visit)
		if errors.Is(err, os.ErrNotExist) {
			continue // it made room since it was listed
		}
		if err != nil {
			return s, fmt.Errorf("%s: %w", f.Name, err)
		}
		if !more {
			break
		}
	}
	return s, nil
}

func (o *letterOptions) walkFile(f deadletter.File, s *summary, visit func(deadletter.File, deadletter.Entry) bool) (more bool, err error) {
	opened, err := os.Open(f.Path)
	if err != nil {
		return false, err
	}
	defer opened.Close()
	marks, err := deadletter.ReadMarks(f.Path)
	if err != nil {
		return false, err
	}
	s.Files++
	s.Bytes += f.Bytes
	reader := deadletter.NewReader(opened)
	for {
		entry, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, err
		}
		if !o.filter.Matches(&entry.Letter) {
			continue
		}
		if marks.Done(entry.Offset) {
			s.Delivered++
			continue
		}
		s.Letters++
		if !visit(f, entry) {
			return false, nil
		}
	}
	s.Torn += reader.Damaged().Torn
	s.Unreadable += reader.Damaged().Unreadable
	return true, nil
}

// summary is what a directory holds.
type summary struct {
	Directory string `json:"directory"`
	Files     int    `json:"files"`
	Bytes     int64  `json:"bytes"`
	// Letters matched and were not delivered; Delivered matched too, and a replay delivered them.
	Letters    int     `json:"letters"`
	Delivered  int     `json:"already_delivered"`
	Torn       int     `json:"torn"`
	Unreadable int     `json:"unreadable"`
	Groups     []group `json:"groups"`
}

// groupKey tells groups apart. There are at most maxGroups, and one more that stands for all others.
type groupKey struct {
	destination, reason string
	status              int
}

const (
	maxGroups   = 1000
	otherGroups = "(other)"
)

// group is the letters of one destination, reason and status.
type group struct {
	Destination string    `json:"destination"`
	Reason      string    `json:"reason"`
	Status      int       `json:"status"`
	Letters     int       `json:"letters"`
	Oldest      time.Time `json:"oldest"`
	Newest      time.Time `json:"newest"`
	// Message is of the newest one.
	Message string `json:"message,omitempty"`
}

func runList(args []string, stdout io.Writer, w *world) (int, error) {
	var o letterOptions
	var asJSON bool
	if err := parse("letters list", args, o.define, func(set *flag.FlagSet) { set.BoolVar(&asJSON, "json", false, "") }); err != nil {
		return 0, err
	}
	if err := o.check(w.now()); err != nil {
		return 0, err
	}
	groups := map[groupKey]*group{}
	s, err := o.walk(func(_ deadletter.File, entry deadletter.Entry) bool {
		l := &entry.Letter
		key := groupKey{l.Destination, l.Reason, l.Status}
		g := groups[key]
		if g == nil && len(groups) >= maxGroups {
			key = groupKey{otherGroups, otherGroups, 0}
			g = groups[key]
		}
		if g == nil {
			g = &group{Destination: key.destination, Reason: key.reason, Status: key.status, Oldest: l.Time}
			groups[key] = g
		}
		g.Letters++
		if l.Time.Before(g.Oldest) {
			g.Oldest = l.Time
		}
		if !l.Time.Before(g.Newest) {
			g.Newest, g.Message = l.Time, strip(l.Message, 200)
		}
		return true
	})
	if err != nil {
		return 0, err
	}
	s.Directory = o.directory
	s.Groups = []group{}
	for _, g := range groups {
		s.Groups = append(s.Groups, *g)
	}
	slices.SortFunc(s.Groups, func(a, b group) int {
		if a.Letters != b.Letters {
			return b.Letters - a.Letters
		}
		return cmp.Or(strings.Compare(a.Destination, b.Destination), strings.Compare(a.Reason, b.Reason), a.Status-b.Status)
	})
	if asJSON {
		return ExitOK, printJSON(stdout, s)
	}
	return ExitOK, s.print(stdout)
}

func printJSON(w io.Writer, value any) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(value)
}

func (s *summary) print(w io.Writer) error {
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s in %s (%s, %.1f MiB)\n", plural(s.Letters, "dead letter"), s.Directory, plural(s.Files, "file"), float64(s.Bytes)/(1<<20))
	if len(s.Groups) > 0 {
		table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "\nletters\tdestination\treason\tstatus\toldest\tnewest\tthe newest says")
		for _, g := range s.Groups {
			fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", g.Letters, strip(g.Destination, 64), strip(g.Reason, 64), status(g.Status),
				stamp(g.Oldest), stamp(g.Newest), strip(g.Message, 80))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	for _, line := range []struct {
		count int
		text  string
	}{
		{s.Delivered, "delivered by a replay; a file goes when all of its letters are"},
		{s.Unreadable, "damaged lines, which are no letters; they stay where they are"},
		{s.Torn, "last lines without an end: their writer was stopped, or writes just now; their items were not given up"},
	} {
		if line.count > 0 {
			fmt.Fprintf(&text, "\nbeside them, %s: %d", line.text, line.count)
		}
	}
	if s.Delivered+s.Unreadable+s.Torn > 0 {
		text.WriteByte('\n')
	}
	_, err := w.Write(text.Bytes())
	return err
}

func status(code int) string {
	if code == 0 {
		return "-"
	}
	return strconv.Itoa(code)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func runShow(args []string, stdout io.Writer, w *world) (int, error) {
	var o letterOptions
	var asJSON bool
	limit := 10
	err := parse("letters show", args, o.define, func(set *flag.FlagSet) {
		set.BoolVar(&asJSON, "json", false, "")
		set.IntVar(&limit, "limit", limit, "")
	})
	if err != nil {
		return 0, err
	}
	if limit < 0 {
		return 0, usagef("--limit %d: write a number, or 0 for all", limit)
	}
	if err := o.check(w.now()); err != nil {
		return 0, err
	}
	shown := 0
	var failed error
	s, err := o.walk(func(f deadletter.File, entry deadletter.Entry) bool {
		if asJSON {
			out := json.NewEncoder(stdout)
			out.SetEscapeHTML(false) // the item as it is
			failed = out.Encode(&entry.Letter)
		} else {
			failed = show(stdout, f, entry)
		}
		shown++
		return failed == nil && shown != limit
	})
	if err := errors.Join(err, failed); err != nil {
		return 0, err
	}
	if !asJSON && s.Letters == 0 {
		fmt.Fprintln(stdout, "no letters")
	}
	return ExitOK, nil
}

// printable takes out what a terminal could take for a command; lines stay.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// show prints one letter for people.
func show(w io.Writer, f deadletter.File, entry deadletter.Entry) error {
	l := &entry.Letter
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s, line %d\n", f.Name, entry.Line)
	fmt.Fprintf(&text, "  given up %s, destination %s, reason %s, status %s\n", stamp(l.Time), strip(l.Destination, 64), strip(l.Reason, 64), status(l.Status))
	if l.Message != "" {
		fmt.Fprintf(&text, "  %s\n", strip(l.Message, 1000))
	}
	switch {
	case len(l.Item) > 0:
		var item bytes.Buffer
		if err := json.Indent(&item, l.Item, "  ", "  "); err != nil {
			return err
		}
		fmt.Fprintf(&text, "  %s\n", printable(item.String()))
	case len(l.Damaged) > 0:
		fmt.Fprintf(&text, "  no item, but %d bytes: %s\n", l.Bytes, strip(string(l.Damaged), 1000))
	}
	text.WriteByte('\n')
	_, err := w.Write(text.Bytes())
	return err
}
