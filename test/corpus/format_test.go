// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/encode"
	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/world"
)

// testCase is a case.yaml.
type testCase struct {
	// About says in a sentence what happened.
	About string `yaml:"about"`
	// Signal is span, als, otlp_text, otlp_labels, json, file_text, ztunnel_log or metric.
	Signal string      `yaml:"signal"`
	Role   encode.Role `yaml:"role"`
	// Istio is the version whose form the input has.
	Istio string `yaml:"istio"`
	// Settings are what the mesh is told beyond Istio's defaults, "none" for nothing.
	Settings string `yaml:"settings"`
	// Failure is what went wrong, "none" for nothing.
	Failure string `yaml:"failure"`
	// Topology is the file the hub knows the mesh by; Then, where there is one, takes its place at a time.
	Topology string `yaml:"topology"`
	Then     *then  `yaml:"then,omitempty"`
	// HandWritten says that no family of cases makes this folder.
	HandWritten bool    `yaml:"hand_written,omitempty"`
	Inputs      []input `yaml:"inputs"`
	// Calls are the truth: who called whom.
	Calls []call `yaml:"calls"`
	// Items say of each item of the inputs, in order, which call it is about.
	Items []item `yaml:"items"`

	folder string
	// forget takes things out of what the hub knows; nil for nothing.
	forget func(*world.World)
}

type then struct {
	Topology string `yaml:"topology"`
	// From and To are the last time the first topology was seen to be true, and the first time of this one.
	From time.Time `yaml:"from"`
	To   time.Time `yaml:"to"`
}

// input is one file, as it comes to one collector.
type input struct {
	File string `yaml:"file"`
	// Form is otlp_spans, otlp_logs, als, lines, json_bodies, prometheus or metrics_service.
	Form string `yaml:"form"`
	// Agent is the first collector; none if the input comes to the hub at once.
	Agent *agent `yaml:"agent,omitempty"`
	// Connection is the address the agent gets it from.
	Connection string `yaml:"connection,omitempty"`
	// Resource is what a reader of log files says of the pod whose log it is.
	Resource yaml.MapSlice `yaml:"resource,omitempty"`
	// Scraped is the ip:port that was scraped.
	Scraped string `yaml:"scraped,omitempty"`
}

type agent struct {
	Cluster string `yaml:"cluster"`
	Node    string `yaml:"node"`
}

// call is what really happened.
type call struct {
	Source      end    `yaml:"source,flow"`
	Destination end    `yaml:"destination,flow"`
	Via         string `yaml:"via,omitempty"`
	TLS         string `yaml:"tls"`
}

// end is a truth about an end. One without a cluster is outside of the mesh, or was never chosen: then Service and
// Namespace are what was called.
type end struct {
	world.End `yaml:",inline"`
	// Called is the service that was called, where that is not the canonical service of the workload that answered.
	Called string `yaml:"called,omitempty"`
}

type item struct {
	// Call is the number of the call; -1 for an item that is about none.
	Call int `yaml:"call"`
	// Role is whose proxy wrote the item, where the case has several.
	Role encode.Role `yaml:"role,omitempty"`
	// Reporter is the pod whose proxy wrote it.
	Reporter string `yaml:"reporter,omitempty"`
	Misses   []miss `yaml:"misses,omitempty"`
}

// miss is an end that the processors leave unknown, or of which they name the cluster alone.
type miss struct {
	End string `yaml:"end"`
	// Named is "nothing" or "cluster".
	Named string `yaml:"named"`
	// Reason is the word of mesh.resolution.
	Reason string `yaml:"reason"`
	// Why says which evidence is not there.
	Why string `yaml:"why"`
}

// role returns whose proxy wrote an item.
func (c *testCase) role(i int) encode.Role {
	if r := c.Items[i].Role; r != "" {
		return r
	}
	return c.Role
}

func (c *testCase) name() string {
	name, err := filepath.Rel("cases", c.folder)
	if err != nil {
		panic(err)
	}
	return filepath.ToSlash(name)
}

// readCases reads all folders of cases, in order.
func readCases() ([]*testCase, error) {
	files, err := filepath.Glob(filepath.Join("cases", "*", "*", "*", "case.yaml"))
	if err != nil {
		return nil, err
	}
	sort.Strings(files)
	var out []*testCase
	for _, file := range files {
		c, err := readCase(filepath.Dir(file))
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func readCase(folder string) (*testCase, error) {
	data, err := os.ReadFile(filepath.Join(folder, "case.yaml"))
	if err != nil {
		return nil, err
	}
	c := &testCase{folder: folder}
	return c, yaml.UnmarshalWithOptions(data, c, yaml.Strict())
}

// marshal returns the case.yaml.
func (c *testCase) marshal() ([]byte, error) {
	return yaml.MarshalWithOptions(c, yaml.IndentSequence(true))
}

// pretty formats JSON for people: what fits into a line is one line.
func pretty(data []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var raw json.RawMessage
	if err := decoder.Decode(&raw); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := prettyValue(&b, raw, ""); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

const lineLength = 140

func prettyValue(b *bytes.Buffer, raw json.RawMessage, indent string) error {
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return err
	}
	text := compact.String()
	if len(indent)+len(text) <= lineLength && !strings.Contains(text, "},{") || (text[0] != '{' && text[0] != '[') {
		b.WriteString(spaced(text))
		return nil
	}
	deeper := indent + "  "
	if text[0] == '[' {
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			return err
		}
		b.WriteString("[")
		for i, value := range list {
			b.WriteString(map[bool]string{true: "\n", false: ",\n"}[i == 0] + deeper)
			if err := prettyValue(b, value, deeper); err != nil {
				return err
			}
		}
		b.WriteString("\n" + indent + "]")
		return nil
	}
	return prettyObject(b, raw, indent)
}

// prettyObject keeps the order of the keys.
func prettyObject(b *bytes.Buffer, raw json.RawMessage, indent string) error {
	deeper := indent + "  "
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if _, err := decoder.Token(); err != nil {
		return err
	}
	b.WriteString("{")
	for first := true; decoder.More(); first = false {
		key, err := decoder.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return err
		}
		name, err := json.Marshal(key)
		if err != nil {
			return err
		}
		b.WriteString(map[bool]string{true: "\n", false: ",\n"}[first] + deeper + string(name) + ": ")
		if err := prettyValue(b, value, deeper); err != nil {
			return err
		}
	}
	b.WriteString("\n" + indent + "}")
	return nil
}

// spaced puts a space after each colon and comma outside of strings.
func spaced(text string) string {
	var b strings.Builder
	quoted := false
	for i := range len(text) {
		ch := text[i]
		if ch == '"' && (i == 0 || text[i-1] != '\\') {
			quoted = !quoted
		}
		b.WriteByte(ch)
		if !quoted && (ch == ':' || ch == ',') {
			b.WriteByte(' ')
		}
	}
	return b.String()
}
