// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/test/bench/kube/fakeapi"
)

const (
	childVariable = "OTELCOL_MESH_BENCH_CHILD"
	// settle is how long a process is left alone before its peak is read: what it does last may need the most.
	settle = 2 * time.Second
)

// task is what a child process does.
type task struct {
	// Side is the name of a side, see sides.
	Side string
	// Agents is how many of it run in the process, each on a node of its own if the side reads nodes.
	Agents int
	// Pods and Nodes are the cluster's, to check answers against.
	Pods, Nodes int
	Kubeconfig  string
	// Profile is where the heap profile goes; empty for none.
	Profile string
	// MemLimit is its GOMEMLIMIT; empty for none.
	MemLimit string
}

// nodeOf is the node of an agent: they are spread over all nodes.
func (t *task) nodeOf(agent int) int { return agent * t.Nodes / t.Agents }

// report is what a child says after each step.
type report struct {
	// Heap is the live heap in bytes after a collection.
	Heap uint64
	// Store is the live heap once the source has ended, of a side that has one; else 0.
	Store uint64
	// Seconds is how long the step took.
	Seconds float64
	// Asked and Right count answers.
	Asked, Right int
}

// process is a child that takes one step at a time.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *json.Decoder
	folder string
	errors *bytes.Buffer
}

// spawn starts a child that is ready, but has not begun.
func spawn(ctx context.Context, server *fakeapi.Server, t task) (*process, error) {
	folder, err := os.MkdirTemp("", "bench-kube")
	if err != nil {
		return nil, err
	}
	p := &process{folder: folder, errors: &bytes.Buffer{}}
	t.Kubeconfig = filepath.Join(folder, "kubeconfig")
	if err := os.WriteFile(t.Kubeconfig, []byte(server.Kubeconfig()), 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	encoded, err := json.Marshal(t)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	p.cmd = exec.CommandContext(ctx, os.Args[0])
	// The memory settings of whoever runs the bench must not count.
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); name != "GOGC" && name != "GOMEMLIMIT" && name != "GODEBUG" {
			p.cmd.Env = append(p.cmd.Env, v)
		}
	}
	p.cmd.Env = append(p.cmd.Env, childVariable+"="+string(encoded), "KUBECONFIG="+t.Kubeconfig)
	if t.MemLimit != "" {
		p.cmd.Env = append(p.cmd.Env, "GOMEMLIMIT="+t.MemLimit)
	}
	p.cmd.Stderr = p.errors
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		p.in, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	p.out = json.NewDecoder(bufio.NewReader(out))
	return p, nil
}

// step lets the child take one step and returns what it says.
func (p *process) step() (report, error) {
	var r report
	if _, err := io.WriteString(p.in, "\n"); err != nil {
		return r, p.failed(err)
	}
	if err := p.out.Decode(&r); err != nil {
		return r, p.failed(err)
	}
	return r, nil
}

func (p *process) failed(err error) error {
	return fmt.Errorf("%w; the process said: %s", err, bytes.TrimSpace(p.errors.Bytes()))
}

// peak is the most memory that the process ever had at once, in bytes.
func (p *process) peak() (uint64, error) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return n * 1024, err
		}
	}
	return 0, errors.New("the kernel tells no VmHWM")
}

func (p *process) end() error {
	p.in.Close()
	err := p.cmd.Wait()
	if err != nil {
		err = p.failed(err)
	}
	return errors.Join(err, os.RemoveAll(p.folder))
}
