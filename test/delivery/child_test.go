// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/test/collectortest"
)

// childVariable makes a process of the test's own program a child: one that runs exporters as it is told on its standard
// input. The upstream exporter runs in such processes, because it may panic, and because it has been shut down only when
// its process has ended: what its library holds goes on by itself until then.
const childVariable = "OTELCOL_MESH_DELIVERY_CHILD"

// command is a line for a child, report one from it.
type (
	command struct {
		Start *spec  `json:"start,omitempty"`
		Stop  string `json:"stop,omitempty"`
	}
	report struct {
		Name     string           `json:"name"`
		Sent     bool             `json:"sent,omitempty"`
		Stopped  bool             `json:"stopped,omitempty"`
		Error    string           `json:"error,omitempty"`
		Counters map[string]int64 `json:"counters,omitempty"`
	}
)

// runChild runs until in ends. It does not stop what was not told to stop.
func runChild(in io.Reader, out io.Writer) error {
	var mu sync.Mutex
	encoder := json.NewEncoder(out)
	tell := func(r report) {
		mu.Lock()
		defer mu.Unlock()
		_ = encoder.Encode(r) // a parent that is gone needs no reports
	}
	sessions := map[string]*session{}
	commands := json.NewDecoder(in)
	for {
		var c command
		switch err := commands.Decode(&c); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading a command: %w", err)
		}
		ctx := context.Background()
		if c.Start != nil {
			s, err := startSession(ctx, *c.Start)
			if err != nil {
				tell(report{Name: c.Start.Name, Error: err.Error()})
				continue
			}
			sessions[c.Start.Name] = s
			go func() {
				err := s.send(ctx)
				tell(report{Name: s.spec.Name, Sent: true, Error: text(err)})
			}()
			continue
		}
		s := sessions[c.Stop]
		if s == nil {
			tell(report{Name: c.Stop, Stopped: true, Error: "it does not run"})
			continue
		}
		go func() {
			limit, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			err := s.stop(limit)
			counters, countErr := s.counters(ctx)
			tell(report{Name: c.Stop, Stopped: true, Error: text(errors.Join(err, countErr)), Counters: counters})
		}()
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// child is such a process, seen from the test.
type child struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	write sync.Mutex
	// gone is closed when it has ended; err is how, and tail the end of what it wrote to standard error.
	gone chan struct{}
	err  error
	tail tail

	mu      sync.Mutex
	changed chan struct{}
	reports map[string]report // merged by name
}

func startChild(t *testing.T) *child {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	c := &child{cmd: exec.Command(self, "-test.run=^$"), gone: make(chan struct{}), changed: make(chan struct{}), reports: map[string]report{}}
	// Microsoft's variable would override every exporter of the process.
	c.cmd.Env = append(collectortest.Clean(os.Environ()), childVariable+"=1")
	c.cmd.Stderr = &c.tail
	c.in, err = c.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	isolate(c.cmd)
	require.NoError(t, c.cmd.Start())
	go c.read(out)
	t.Cleanup(func() { c.end() })
	return c
}

func (c *child) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r report
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			continue // the test program's own words
		}
		c.mu.Lock()
		known := c.reports[r.Name]
		known.Sent = known.Sent || r.Sent
		known.Stopped = known.Stopped || r.Stopped
		if r.Error != "" {
			known.Error += r.Error + "; "
		}
		if r.Counters != nil {
			known.Counters = r.Counters
		}
		c.reports[r.Name] = known
		c.mu.Unlock()
	}
	c.err = c.cmd.Wait()
	close(c.gone)
}

func (c *child) tell(cmd command) error {
	line, err := json.Marshal(cmd)
	if err != nil {
		return err
	}
	c.write.Lock()
	defer c.write.Unlock()
	_, err = c.in.Write(append(line, '\n'))
	return err
}

func (c *child) report(name string) report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reports[name]
}

func (c *child) isGone() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// end lets the child end by itself and kills it if it does not.
func (c *child) end() {
	_ = c.in.Close()
	timer := time.NewTimer(10 * time.Second)
	defer timer.Stop()
	select {
	case <-c.gone:
	case <-timer.C:
		_ = c.cmd.Process.Kill()
		<-c.gone
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-16<<10):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
