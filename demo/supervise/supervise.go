// SPDX-License-Identifier: Apache-2.0

// Package supervise runs a child process and starts it again when it dies, as a kubelet does with a container. The demo
// runs its Envoys and its collectors with it. The entry points are [Start], [Process.Kill], [Process.Hold] and
// [Process.Stop]. On Linux a child ends with its parent however that ends, so that a demo killed with SIGKILL leaves
// nothing behind.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// ErrKilled is what [Process.Stop] returns, wrapped, for a child that did not end when asked to.
var ErrKilled = errors.New("was killed")

// Why no child is started now.
var (
	errHeld     = errors.New("held down")
	errStopping = errors.New("stopping")
)

// Spec says what to run.
type Spec struct {
	// Name appears in errors.
	Name string
	// Path is the executable, Args what follows it.
	Path string
	Args []string
	// Env is the whole environment of the child; nil inherits the parent's.
	Env []string
	// LogFile receives standard output and error, over all restarts: it is appended to.
	LogFile string
	// Log is told of each death that neither [Process.Hold] nor [Process.Stop] asked for, and of a restart that fails;
	// what tells the child from others is the caller's to add with [slog.Logger.With]. Nil discards it.
	Log *slog.Logger
}

// Process is a supervised child. It is safe for concurrent use.
type Process struct {
	spec Spec
	// wake holds one token when held or stopping has changed since the last launch; it is sent and drained under mu.
	wake chan struct{}
	// done is closed when the last child is gone and none will follow.
	done chan struct{}

	mu sync.Mutex
	// held is true while the child is meant to be down, stopping from Stop on.
	held, stopping bool
	child          *child // the running one; nil between two
	restarts       int
}

// child is one incarnation.
type child struct {
	cmd   *exec.Cmd
	since time.Time
	// exited is closed when it has been waited for.
	exited chan struct{}
	// wanted is set, under the lock of its Process, when its end has been asked for.
	wanted bool
}

// Start starts the child and returns when it runs. It fails if the child cannot be executed or its log not be opened;
// when that happens at a later start, it is logged and tried again.
func Start(spec Spec) (*Process, error) { return start(spec, kubelet) }

func start(spec Spec, pauses backoff) (*Process, error) {
	if spec.Log == nil {
		spec.Log = slog.New(slog.DiscardHandler)
	}
	p := &Process{spec: spec, wake: make(chan struct{}, 1), done: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(pauses, started)
	if err := <-started; err != nil {
		<-p.done
		return nil, err
	}
	return p, nil
}

// run starts one child after the other and waits for each. Linux delivers the parent death signal when the *thread* that
// forked ends, and Go ends threads as it likes: this goroutine keeps its own for as long as a child may live. That costs
// nothing, as the wait for a child blocks a thread anyway.
func (p *Process) run(pauses backoff, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	c, err := p.launch(false)
	started <- err
	if err != nil {
		return
	}
	for {
		again := false
		switch {
		case errors.Is(err, errStopping):
			return
		case errors.Is(err, errHeld):
			<-p.wake
		case err != nil:
			again = true
			pause := pauses.next(0)
			p.spec.Log.Error("process does not start, trying again", "error", err, "in", pause)
			p.pause(pause)
		case p.await(c):
			pauses.reset()
		default:
			again = true
			ran := time.Since(c.since)
			pause := pauses.next(ran)
			p.spec.Log.Warn("process ended, starting it again", "state", c.cmd.ProcessState.String(),
				"after", ran.Round(time.Millisecond), "in", pause, "log", p.spec.LogFile)
			p.pause(pause)
		}
		c, err = p.launch(again)
	}
}

// launch starts a child unless none is to run now; again counts it as a restart.
func (p *Process) launch(again bool) (*child, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.wake: // what it told of is read below
	default:
	}
	switch {
	case p.stopping:
		return nil, errStopping
	case p.held:
		return nil, errHeld
	}
	cmd, err := p.spec.exec()
	if err != nil {
		return nil, err
	}
	p.child = &child{cmd: cmd, since: time.Now(), exited: make(chan struct{})}
	if again {
		p.restarts++
	}
	return p.child, nil
}

func (s Spec) exec() (*exec.Cmd, error) {
	log, err := os.OpenFile(s.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", s.Name, err)
	}
	defer log.Close() // the child has its own copy of the file
	cmd := exec.Command(s.Path, s.Args...)
	cmd.Env = s.Env
	cmd.Stdout, cmd.Stderr = log, log
	isolate(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", s.Name, err)
	}
	return cmd, nil
}

// await waits for the end of the child and tells whether it was wanted.
func (p *Process) await(c *child) (wanted bool) {
	_ = c.cmd.Wait() // the state is read by run; an exit code is no error of ours
	p.mu.Lock()
	defer p.mu.Unlock()
	p.child = nil
	close(c.exited)
	return c.wanted
}

// pause waits, or less when someone holds, releases or stops the process.
func (p *Process) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.wake:
	}
}

// changed tells run that held or stopping changed. The caller has the lock.
func (p *Process) changed() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Kill kills the child, with the process group it leads, and returns when it is gone; the supervisor starts another
// after a pause. It returns an error if none runs.
func (p *Process) Kill() error {
	p.mu.Lock()
	c := p.child
	if c == nil {
		p.mu.Unlock()
		return fmt.Errorf("%s is not running", p.spec.Name)
	}
	err := killGroup(c.cmd.Process)
	p.mu.Unlock()
	return p.gone(c, err)
}

// Hold kills the child, if one runs, and keeps it down until [Process.Release]. It returns when the child is gone.
func (p *Process) Hold() error {
	p.mu.Lock()
	p.held = true
	p.changed()
	c := p.child
	if c == nil {
		p.mu.Unlock()
		return nil
	}
	c.wanted = true
	err := killGroup(c.cmd.Process)
	p.mu.Unlock()
	return p.gone(c, err)
}

// gone waits for the end of a child that has been killed, unless that failed.
func (p *Process) gone(c *child, err error) error {
	if err != nil {
		return fmt.Errorf("killing %s: %w", p.spec.Name, err)
	}
	<-c.exited
	return nil
}

// Release lets a child that is held down run again, at once. It does nothing to one that is not held.
func (p *Process) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held {
		p.held = false
		p.changed()
	}
}

// Held tells whether the child is meant to be down.
func (p *Process) Held() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// PID returns the process id of the running child, or 0 if none runs at the moment.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.child == nil {
		return 0
	}
	return p.child.cmd.Process.Pid
}

// Restarts returns how often the child was started again after a death that neither [Process.Hold] nor [Process.Stop]
// asked for.
func (p *Process) Restarts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.restarts
}

// Stop asks the child to end with SIGTERM, kills it when ctx ends, and returns when it is gone for good. It may be called
// more than once. It returns an error that wraps [ErrKilled] if the child had to be killed.
func (p *Process) Stop(ctx context.Context) error {
	asked := time.Now()
	var errs []error
	p.mu.Lock()
	p.stopping = true
	p.changed()
	if p.child != nil {
		p.child.wanted = true
		errs = append(errs, terminate(p.child.cmd.Process))
	}
	p.mu.Unlock()
	select {
	case <-p.done:
		return errors.Join(errs...)
	case <-ctx.Done():
	}
	p.mu.Lock()
	if p.child != nil {
		after := time.Since(asked).Round(time.Millisecond)
		errs = append(errs, fmt.Errorf("%s %w: it did not end within %s of SIGTERM", p.spec.Name, ErrKilled, after),
			killGroup(p.child.cmd.Process))
	}
	p.mu.Unlock()
	<-p.done
	return errors.Join(errs...)
}
