// SPDX-License-Identifier: Apache-2.0

// Package supervise runs a child process and starts it again when it dies, as a kubelet does with a container. The entry
// points are [Start], [Process.Kill] and [Process.Stop]. It is Linux only: a child ends with its parent through the
// parent death signal, so that a demo killed with SIGKILL leaves nothing behind.
package supervise

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	firstBackoff = 200 * time.Millisecond
	maxBackoff   = 5 * time.Second
	// steady is how long a child must have run for its next death to count as the first one.
	steady = 10 * time.Second
)

// Spec says what to run.
type Spec struct {
	// Name appears in errors and is given to OnExit.
	Name string
	// Path is the executable, Args what follows it.
	Path string
	Args []string
	// Env is the whole environment of the child; nil inherits the parent's.
	Env []string
	// LogFile receives standard output and error, over all restarts.
	LogFile string
	// OnExit, if not nil, is told of each death that was not asked for by [Process.Stop]. It is called from the
	// supervising goroutine and must not block.
	OnExit func(name string, state *os.ProcessState)
}

// Process is a supervised child.
type Process struct {
	spec Spec
	log  *os.File
	stop chan struct{}
	done chan struct{}

	mu       sync.Mutex
	cmd      *exec.Cmd // the running child; nil between two incarnations
	restarts int
	stopping bool
}

// Start starts the child and returns when it runs. It fails if the child cannot be executed or its log not be opened.
func Start(spec Spec) (*Process, error) {
	log, err := os.OpenFile(spec.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", spec.Name, err)
	}
	p := &Process{spec: spec, log: log, stop: make(chan struct{}), done: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		<-p.done
		return nil, err
	}
	return p, nil
}

// run owns the child. The parent death signal is sent when the *thread* that forked ends, so the goroutine keeps its
// thread for as long as the child may live.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer close(p.done)
	defer p.log.Close()
	backoff := firstBackoff
	for first := true; ; first = false {
		cmd, err := p.launch()
		if first {
			started <- err
			if err != nil {
				return
			}
		}
		if err == nil {
			if cmd == nil { // stopped meanwhile
				return
			}
			since := time.Now()
			_ = cmd.Wait() // the state is read below; an exit code is no error of ours
			if time.Since(since) > steady {
				backoff = firstBackoff
			}
			if p.ended(cmd) {
				return
			}
		}
		select {
		case <-p.stop:
			return
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

func (p *Process) launch() (*exec.Cmd, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping {
		return nil, nil
	}
	cmd := exec.Command(p.spec.Path, p.spec.Args...)
	cmd.Env = p.spec.Env
	cmd.Stdout, cmd.Stderr = p.log, p.log
	// A group of its own keeps Ctrl-C of the terminal from reaching the child before we stop it in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.spec.Name, err)
	}
	p.cmd = cmd
	return cmd, nil
}

// ended notes a death and says whether it is the last.
func (p *Process) ended(cmd *exec.Cmd) bool {
	p.mu.Lock()
	p.cmd = nil
	stopping := p.stopping
	if !stopping {
		p.restarts++
	}
	p.mu.Unlock()
	if !stopping && p.spec.OnExit != nil {
		p.spec.OnExit(p.spec.Name, cmd.ProcessState)
	}
	return stopping
}

// Kill sends SIGKILL to the running child; the supervisor starts another. It returns an error if none runs.
func (p *Process) Kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return fmt.Errorf("%s is not running", p.spec.Name)
	}
	return p.cmd.Process.Kill()
}

// PID returns the process id of the running child, or 0 if none runs at the moment.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Restarts returns how often the child died without being stopped.
func (p *Process) Restarts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.restarts
}

// Stop asks the child to end with SIGTERM, sends SIGKILL after grace, and returns when it is gone. It may be called more
// than once. It returns an error if the child had to be killed.
func (p *Process) Stop(grace time.Duration) error {
	p.mu.Lock()
	if !p.stopping {
		p.stopping = true
		close(p.stop)
	}
	cmd := p.cmd
	p.mu.Unlock()
	if cmd != nil {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stopping %s: %w", p.spec.Name, err)
		}
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(grace):
	}
	if cmd != nil {
		_ = cmd.Process.Kill() // it may have ended this instant
	}
	<-p.done
	return fmt.Errorf("%s did not end within %s of SIGTERM and was killed", p.spec.Name, grace)
}
