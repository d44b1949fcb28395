// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	meshtopology "github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

// clipped is the longest name that is printed whole: that of a record may be its line.
const clipped = 120

func title(e *meshtopology.Explanation) string {
	var b strings.Builder
	b.WriteString(e.Item)
	if name := e.Name; name != "" {
		if len(name) > clipped {
			name = strings.ToValidUTF8(name[:clipped], "") + "…"
		}
		fmt.Fprintf(&b, " %q", name)
	}
	if e.Kind != "" {
		b.WriteString(" " + e.Kind)
	}
	if e.ID != "" {
		b.WriteString(" " + e.ID)
	}
	if !e.Time.IsZero() {
		b.WriteString(" at " + e.Time.UTC().Format(time.RFC3339Nano))
	}
	return b.String()
}

// printText writes an explanation for people.
func printText(w io.Writer, e *meshtopology.Explanation) error {
	var b strings.Builder
	fmt.Fprintln(&b, title(e))
	if !e.Judged {
		if by, ok := e.Attributes["mesh.resolution.destination"]; ok {
			fmt.Fprintf(&b, "  judged by the reporter alone; destination: %v\n\n", by)
		} else {
			fmt.Fprintf(&b, "  not judged: it does not tell of a call as a proxy saw it\n\n")
		}
		_, err := io.WriteString(w, b.String())
		return err
	}
	reporter := describe(&e.Near.End)
	if e.Near.PodName != "" {
		reporter = "pod=" + e.Near.PodName + " " + reporter
	}
	if e.Near.NodeType != "" {
		reporter = e.Near.NodeType + " " + reporter
	}
	fmt.Fprintf(&b, "  reporter: %s (%s)\n", dash(strings.TrimSpace(reporter)), word(e.Near.By))
	tried(&b, &e.Trace.Near, reporterSide)
	fmt.Fprintf(&b, "  it stood %s", roleWord(e.Trace.Role))
	if e.Trace.Network != "" {
		fmt.Fprintf(&b, "; addresses are looked up in network %s", e.Trace.Network)
	}
	b.WriteString("\n")
	end(&b, sourceSide, &e.Verdict.Source, e.Verdict.SourceBy, &e.Trace.Source)
	end(&b, destinationSide, &e.Verdict.Destination, e.Verdict.DestinationBy, &e.Trace.Destination)
	fmt.Fprintf(&b, "  call: %s\n\n", call(&e.Verdict))
	_, err := io.WriteString(w, b.String())
	return err
}

func end(b *strings.Builder, side string, e *mesh.End, by mesh.Resolution, trace *rules.EndTrace) {
	fmt.Fprintf(b, "  %s: %s (%s)\n", side, dash(describe(e)), word(by))
	tried(b, trace, side)
	if hint := advice[by]; hint != "" && !by.Known() {
		fmt.Fprintf(b, "    what would tell: %s\n", hint)
	}
}

func tried(b *strings.Builder, trace *rules.EndTrace, side string) {
	for i := range trace.Tried {
		e := &trace.Tried[i]
		what := e.Clue.String()
		if at := where(e.Clue, side); at != "" {
			what += " (" + at + ")"
		}
		if e.Looked != "" {
			what += " " + e.Looked
		}
		if e.Network != "" {
			what += " in " + strings.TrimPrefix(e.Network, "\x00")
		}
		text := outcome(e)
		if e.Note != "" {
			text = strings.TrimPrefix(text+"; "+e.Note, "; ")
		}
		fmt.Fprintf(b, "    - %s: %s\n", what, text)
	}
}

func call(v *rules.Verdict) string {
	words := []string{"mesh.tls=" + v.TLS, "mesh.traffic.locality=" + mesh.Locality(&v.Source, &v.Destination)}
	if cross, known := mesh.CrossCluster(&v.Source, &v.Destination); known {
		words = append(words, fmt.Sprintf("mesh.traffic.cross_cluster=%t", cross))
	}
	if v.Via != "" {
		words = append(words, "mesh.via="+v.Via)
	}
	if v.Stale {
		words = append(words, "mesh.topology.stale=true")
	}
	return strings.Join(words, " ")
}

// word says what told an end, or why nothing did.
func word(by mesh.Resolution) string {
	if by.Known() {
		return "told by " + by.String()
	}
	return by.String() + ": " + reasons[by]
}

func roleWord(role string) string {
	if role == "unclear" {
		return "somewhere in the call that nothing tells"
	}
	return role + " of the call"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// document is the JSON form of an explanation.
type document struct {
	Item        string       `json:"item"`
	Name        string       `json:"name,omitempty"`
	Kind        string       `json:"kind,omitempty"`
	ID          string       `json:"id,omitempty"`
	Time        string       `json:"time,omitempty"`
	Judged      bool         `json:"judged"`
	Reporter    *endDocument `json:"reporter,omitempty"`
	Role        string       `json:"role,omitempty"`
	Network     string       `json:"network,omitempty"`
	Source      *endDocument `json:"source,omitempty"`
	Destination *endDocument `json:"destination,omitempty"`
	Via         string       `json:"via,omitempty"`
	TLS         string       `json:"tls,omitempty"`
	Locality    string       `json:"locality,omitempty"`
	// Attributes are the item's mesh.* attributes after it was stamped.
	Attributes map[string]any `json:"attributes,omitempty"`
}

type endDocument struct {
	Resolution string             `json:"resolution"`
	Conflict   bool               `json:"conflict,omitempty"`
	Pod        string             `json:"pod,omitempty"`
	Proxy      string             `json:"proxy,omitempty"`
	End        map[string]string  `json:"end"`
	Tried      []evidenceDocument `json:"tried"`
}

type evidenceDocument struct {
	Evidence string            `json:"evidence"`
	Where    string            `json:"where,omitempty"`
	Looked   string            `json:"looked_up,omitempty"`
	Network  string            `json:"network,omitempty"`
	Outcome  string            `json:"outcome"`
	Said     map[string]string `json:"said,omitempty"`
	LostTo   string            `json:"lost_to,omitempty"`
	Reason   string            `json:"reason,omitempty"`
	Note     string            `json:"note,omitempty"`
}

// printJSON writes an explanation as one line.
func printJSON(w io.Writer, e *meshtopology.Explanation) error {
	d := document{Item: e.Item, Name: e.Name, Kind: e.Kind, ID: e.ID, Judged: e.Judged}
	if !e.Time.IsZero() {
		d.Time = e.Time.UTC().Format(time.RFC3339Nano)
	}
	d.Attributes = map[string]any{}
	for key, value := range e.Attributes {
		if strings.HasPrefix(key, "mesh.") {
			d.Attributes[key] = value
		}
	}
	if e.Judged {
		v := &e.Verdict
		d.Reporter = endOf(&e.Near.End, e.Near.By, e.Near.Conflict, &e.Trace.Near, reporterSide)
		d.Reporter.Pod, d.Reporter.Proxy = e.Near.PodName, e.Near.NodeType
		d.Role, d.Network = e.Trace.Role, e.Trace.Network
		d.Source = endOf(&v.Source, v.SourceBy, v.SourceConflict, &e.Trace.Source, sourceSide)
		d.Destination = endOf(&v.Destination, v.DestinationBy, v.DestinationConflict, &e.Trace.Destination, destinationSide)
		d.Via, d.TLS, d.Locality = v.Via, v.TLS, mesh.Locality(&v.Source, &v.Destination)
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(&d)
}

func endOf(e *mesh.End, by mesh.Resolution, conflict bool, trace *rules.EndTrace, side string) *endDocument {
	d := &endDocument{Resolution: by.String(), Conflict: conflict, End: asMap(e), Tried: []evidenceDocument{}}
	for i := range trace.Tried {
		t := &trace.Tried[i]
		doc := evidenceDocument{
			Evidence: t.Clue.String(), Where: where(t.Clue, side), Looked: t.Looked,
			Network: strings.TrimPrefix(t.Network, "\x00"), Outcome: t.Outcome.String(), Said: asMap(&t.Said), Note: t.Note,
		}
		if t.Against.Known() {
			doc.LostTo = t.Against.String()
		}
		if t.Why != mesh.UnknownNoEvidence {
			doc.Reason = t.Why.String()
		}
		d.Tried = append(d.Tried, doc)
	}
	return d
}

func asMap(e *mesh.End) map[string]string {
	out := map[string]string{}
	for _, f := range fields(e) {
		out[f.name] = f.value
	}
	return out
}
