// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	meshtopology "github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor"
)

const (
	signalTraces  = "traces"
	signalLogs    = "logs"
	signalMetrics = "metrics"
)

// part is one document of the input.
type part struct {
	signal  string
	traces  ptrace.Traces
	logs    plog.Logs
	metrics pmetric.Metrics
}

func (p *part) explain(e *meshtopology.Explainer) ([]*meshtopology.Explanation, error) {
	switch p.signal {
	case signalTraces:
		return e.Traces(p.traces)
	case signalLogs:
		return e.Logs(p.logs)
	default:
		return e.Metrics(p.metrics)
	}
}

var errEmpty = errors.New("the input is empty")

// parseInput tells the forms of the input apart. pod is "namespace/name", or empty.
func parseInput(data []byte, pod string) (parts []*part, err error) {
	text := bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	switch {
	case len(text) == 0:
		return nil, errEmpty
	case text[0] == '{' || isArray(text):
		parts, err = parseDocuments(text)
	default:
		parts = []*part{lines(text)}
	}
	if err != nil {
		return nil, err
	}
	if pod != "" {
		for _, p := range parts {
			p.setPod(pod)
		}
	}
	return parts, nil
}

// isArray says whether the text begins with a list of documents: Istio's access log begins with a bracket too.
func isArray(text []byte) bool {
	return text[0] == '[' && bytes.HasPrefix(bytes.TrimSpace(text[1:]), []byte("{"))
}

// parseDocuments reads documents one after the other, be they one a line or not, or in a list. Access log lines in
// between become one document of log records.
func parseDocuments(text []byte) (parts []*part, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if text[0] == '[' {
		if _, err := decoder.Token(); err != nil {
			return nil, at(text, decoder, err)
		}
	}
	var records *part
	for decoder.More() {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return nil, at(text, decoder, err)
		}
		p, err := parseDocument(raw)
		if err != nil {
			return nil, at(text, decoder, err)
		}
		if p != nil {
			parts, records = append(parts, p), nil
			continue
		}
		if records == nil {
			records = newRecords()
			parts = append(parts, records)
		}
		if err := records.addStructured(raw); err != nil {
			return nil, at(text, decoder, err)
		}
	}
	if _, err := decoder.Token(); err != nil && !errors.Is(err, io.EOF) {
		return nil, at(text, decoder, err)
	}
	return parts, nil
}

// at puts the line in front of an error.
func at(text []byte, decoder *json.Decoder, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the JSON ends early")
	}
	offset := min(decoder.InputOffset(), int64(len(text)))
	return fmt.Errorf("line %d: %w", 1+bytes.Count(text[:offset], []byte("\n")), err)
}

// wrappers are the keys by which the forms of OTLP JSON are known, with what makes a whole document of each.
var wrappers = []struct{ key, signal, before, after string }{
	{"resourceSpans", signalTraces, "", ""},
	{"resourceLogs", signalLogs, "", ""},
	{"resourceMetrics", signalMetrics, "", ""},
	{"scopeSpans", signalTraces, `{"resourceSpans":[`, `]}`},
	{"scopeLogs", signalLogs, `{"resourceLogs":[`, `]}`},
	{"scopeMetrics", signalMetrics, `{"resourceMetrics":[`, `]}`},
	{"spans", signalTraces, `{"resourceSpans":[{"scopeSpans":[`, `]}]}`},
	{"logRecords", signalLogs, `{"resourceLogs":[{"scopeLogs":[`, `]}]}`},
	{"metrics", signalMetrics, `{"resourceMetrics":[{"scopeMetrics":[`, `]}]}`},
	{"startTimeUnixNano", signalTraces, `{"resourceSpans":[{"scopeSpans":[{"spans":[`, `]}]}]}`},
	{"observedTimeUnixNano", signalLogs, `{"resourceLogs":[{"scopeLogs":[{"logRecords":[`, `]}]}]}`},
	{"timeUnixNano", signalLogs, `{"resourceLogs":[{"scopeLogs":[{"logRecords":[`, `]}]}]}`},
	{"traceId", signalTraces, `{"resourceSpans":[{"scopeSpans":[{"spans":[`, `]}]}]}`},
}

// parseDocument reads OTLP JSON; nil for a JSON object of another form, which is an access log line.
func parseDocument(raw json.RawMessage) (*part, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		return nil, errors.New("not a JSON object: expected OTLP JSON, or a line of an access log in JSON")
	}
	for _, w := range wrappers {
		if _, ok := keys[w.key]; !ok {
			continue
		}
		return unmarshal(w.signal, []byte(w.before+string(raw)+w.after))
	}
	return nil, nil
}

func unmarshal(signal string, data []byte) (*part, error) {
	p := &part{signal: signal}
	var err error
	switch signal {
	case signalTraces:
		p.traces, err = (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(data)
	case signalLogs:
		p.logs, err = (&plog.JSONUnmarshaler{}).UnmarshalLogs(data)
	default:
		p.metrics, err = (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics(data)
	}
	if err != nil {
		return nil, fmt.Errorf("not OTLP JSON of %s: %w", signal, err)
	}
	return p, nil
}

func newRecords() *part {
	p := &part{signal: signalLogs, logs: plog.NewLogs()}
	p.logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	return p
}

func (p *part) add() plog.LogRecord {
	return p.logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().AppendEmpty()
}

// lines makes a record of each line that holds something.
func lines(text []byte) *part {
	p := newRecords()
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" {
			p.add().Body().SetStr(line)
		}
	}
	return p
}

// addStructured makes a record of a JSON access log line, with the body as a map, as the filelog receiver's json_parser
// leaves it.
func (p *part) addStructured(raw json.RawMessage) error {
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		return err
	}
	return p.add().Body().SetEmptyMap().FromRaw(fields)
}

// setPod puts the reporter on each resource that names none.
func (p *part) setPod(pod string) {
	namespace, name, _ := strings.Cut(pod, "/")
	set := func(resource pcommon.Resource) {
		attrs := resource.Attributes()
		if _, ok := attrs.Get("k8s.pod.name"); ok {
			return
		}
		attrs.PutStr("k8s.namespace.name", namespace)
		attrs.PutStr("k8s.pod.name", name)
	}
	switch p.signal {
	case signalTraces:
		for _, rs := range p.traces.ResourceSpans().All() {
			set(rs.Resource())
		}
	case signalLogs:
		for _, rl := range p.logs.ResourceLogs().All() {
			set(rl.Resource())
		}
	default:
		for _, rm := range p.metrics.ResourceMetrics().All() {
			set(rm.Resource())
		}
	}
}
