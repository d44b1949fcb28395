// SPDX-License-Identifier: Apache-2.0

// Package explain says, for recorded telemetry and a topology, who called whom, what told each end, and what else was
// tried and why it lost. The entry point is [Run], the command otelcol-mesh-explain. It runs the very code of the
// mesh_topology processor.
package explain

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	meshtopology "github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor"
)

// The exit codes of [Run].
const (
	// ExitOK: at least one item was explained.
	ExitOK = 0
	// ExitFailed: the topology or the input could not be read.
	ExitFailed = 1
	// ExitUsage: the command line is wrong.
	ExitUsage = 2
	// ExitNothing: the input was read, and nothing in it tells of a call.
	ExitNothing = 3
)

const usage = `otelcol-mesh-explain says who called whom in recorded telemetry, what told each end, and what else was tried and why
it lost. It runs the code of the mesh_topology processor and sends nothing anywhere.

usage: otelcol-mesh-explain --topology <file> [options] <file>|-

The input, from a file or from the standard input (-), is one of:
  - OTLP JSON: spans, log records or metrics, one document or one a line, as the file exporter writes them;
    a single span ({"traceId": …}) or a single resource's part of a document will do
  - lines of an access log of Envoy (Istio's text or JSON format) or ztunnel

options:
  --topology <file>   the topology: the YAML file of the mesh_topology extension ('static::file'), or the disk copy that a
                      hub keeps in 'inventory::directory' (….inventory). Required
  --cluster <name>    the cluster of the collector, as its option 'cluster'. Leave it out to judge as a hub does
  --pod <ns>/<name>   whose proxy wrote the input, where the input does not say it: lines of an access log never do
  --signal <signal>   traces, logs or metrics: fail if the input is something else
  --json              print JSON, one document a line, instead of text
  --help              print this

exit codes: 0 explained, 1 the topology or the input cannot be read, 2 wrong options, 3 nothing in the input tells of a call
`

// options are the command line.
type options struct {
	topology, cluster, pod, signal, input string
	json                                  bool
}

// errHelp asks for the usage.
var errHelp = errors.New("help")

// Run explains what the arguments (without the command's name) ask for and returns the exit code.
func Run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parse(args)
	switch {
	case errors.Is(err, errHelp):
		fmt.Fprint(stdout, usage)
		return ExitOK
	case err != nil:
		fmt.Fprintf(stderr, "otelcol-mesh-explain: %v\nTry --help.\n", err)
		return ExitUsage
	}
	found, err := run(o, stdin, stdout, stderr)
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "otelcol-mesh-explain: %v\n", err)
		return ExitFailed
	case !found:
		fmt.Fprintln(stderr, "otelcol-mesh-explain: nothing in the input tells of a call: spans count if they are Envoy's (scope \"envoy\", component=proxy, "+
			"an upstream_cluster or an Istio node_id), log records if they are an access log, points of istio_* metrics if they have a reporter")
		return ExitNothing
	}
	return ExitOK
}

// parse reads the command line. Options may stand before and after the input.
func parse(args []string) (options, error) {
	var o options
	set := flag.NewFlagSet("otelcol-mesh-explain", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&o.topology, "topology", "", "")
	set.StringVar(&o.cluster, "cluster", "", "")
	set.StringVar(&o.pod, "pod", "", "")
	set.StringVar(&o.signal, "signal", "", "")
	set.BoolVar(&o.json, "json", false, "")
	for rest := args; ; {
		if err := set.Parse(rest); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return o, errHelp
			}
			return o, err
		}
		rest = set.Args()
		if len(rest) == 0 {
			break
		}
		if o.input != "" {
			return o, fmt.Errorf("two inputs, %q and %q; give one file, or - for the standard input", o.input, rest[0])
		}
		o.input, rest = rest[0], rest[1:]
	}
	return o, o.check()
}

func (o *options) check() error {
	switch {
	case o.topology == "":
		return errors.New("--topology is missing: give the topology file of the mesh_topology extension, or a hub's disk copy")
	case o.input == "":
		return errors.New("no input: give a file with telemetry, or - for the standard input")
	case o.signal != "" && o.signal != signalTraces && o.signal != signalLogs && o.signal != signalMetrics:
		return fmt.Errorf("--signal %q: write traces, logs or metrics", o.signal)
	}
	if namespace, name, ok := strings.Cut(o.pod, "/"); o.pod != "" && (!ok || namespace == "" || name == "" || strings.Contains(name, "/")) {
		return fmt.Errorf("--pod %q: write <namespace>/<name>", o.pod)
	}
	return nil
}

// run reports whether something was explained.
func run(o options, stdin io.Reader, stdout, stderr io.Writer) (found bool, err error) {
	snapshot, warning, err := loadTopology(o.topology, time.Now())
	if err != nil {
		return false, fmt.Errorf("--topology %s: %w", o.topology, err)
	}
	if warning != "" {
		fmt.Fprintf(stderr, "otelcol-mesh-explain: warning: --topology %s: %s\n", o.topology, warning)
	}
	if o.cluster != "" {
		if _, ok := snapshot.Cluster(o.cluster); !ok {
			return false, fmt.Errorf("--cluster %q is not in the topology, which has %s", o.cluster, clusterNames(snapshot))
		}
	}
	data, name, err := readInput(o.input, stdin)
	if err != nil {
		return false, err
	}
	parts, err := parseInput(data, o.pod)
	if err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	explainer, err := meshtopology.NewExplainer(snapshot, o.cluster)
	if err != nil {
		return false, err
	}
	write := printText
	if o.json {
		write = printJSON
	}
	for _, part := range parts {
		if o.signal != "" && part.signal != o.signal {
			return found, fmt.Errorf("%s: it holds %s, and --signal says %s", name, part.signal, o.signal)
		}
		explanations, err := part.explain(explainer)
		if err != nil {
			return found, fmt.Errorf("%s: %w", name, err)
		}
		for _, e := range explanations {
			found = found || e.Judged
			if err := write(stdout, e); err != nil {
				return found, fmt.Errorf("cannot write: %w", err)
			}
		}
	}
	return found, nil
}

// maxInput is the most that is read: a support tool looks at samples.
const maxInput = 64 << 20

func readInput(path string, stdin io.Reader) (data []byte, name string, err error) {
	in, name := stdin, "the standard input"
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, "", fmt.Errorf("cannot open the input: %w", err)
		}
		defer file.Close()
		in, name = file, path
	}
	if data, err = io.ReadAll(io.LimitReader(in, maxInput+1)); err != nil {
		return nil, name, fmt.Errorf("cannot read %s: %w", name, err)
	}
	if len(data) > maxInput {
		return nil, name, fmt.Errorf("%s is larger than %d MiB; give a part of it", name, maxInput>>20)
	}
	return data, name, nil
}

func clusterNames(s *topology.Snapshot) string {
	var names []string
	for c := range s.Clusters() {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}
