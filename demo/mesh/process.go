// SPDX-License-Identifier: Apache-2.0

package mesh

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

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
)

// Restart backoff, as kubelet's but faster: a demo does not wait five minutes.
const (
	firstBackoff = 250 * time.Millisecond
	lastBackoff  = 5 * time.Second
	// stableAfter is how long an Envoy must run before its next crash counts as the first.
	stableAfter = 10 * time.Second
	// stopGrace is how long an Envoy may take to end by itself before it is killed.
	stopGrace = 3 * time.Second
)

// spawner starts every child from one OS thread that lives until the last child is gone: Linux delivers the parent
// death signal when the thread that forked ends, and Go ends threads as it likes.
type spawner struct {
	requests chan spawnRequest
	done     chan struct{}
}

type spawnRequest struct {
	cmd   *exec.Cmd
	reply chan error
}

func newSpawner() *spawner {
	s := &spawner{requests: make(chan spawnRequest), done: make(chan struct{})}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(s.done)
		for request := range s.requests {
			request.reply <- request.cmd.Start()
		}
	}()
	return s
}

func (s *spawner) start(cmd *exec.Cmd) error {
	request := spawnRequest{cmd: cmd, reply: make(chan error, 1)}
	s.requests <- request
	return <-request.reply
}

// stop ends the thread; every child must have been waited for.
func (s *spawner) stop() {
	close(s.requests)
	<-s.done
}

// proxy supervises one pod's Envoy: it runs until stopped or held down, and is started again when it dies.
type proxy struct {
	pod          layout.Pod
	binary       string
	config, logs string
	log          *slog.Logger
	spawner      *spawner

	mu sync.Mutex
	// held is true while the pod is meant to be down.
	held bool
	// stopping is true from Stop on: no process starts any more.
	stopping bool
	// cmd is the running process, nil when there is none; exited is closed when it has ended.
	cmd      *exec.Cmd
	exited   chan struct{}
	restarts int
	// wake tells the supervisor that held or stopping changed.
	wake chan struct{}
}

func newProxy(pod layout.Pod, binary, config, logs string, log *slog.Logger, spawner *spawner) *proxy {
	return &proxy{
		pod: pod, binary: binary, config: config, logs: logs, spawner: spawner, wake: make(chan struct{}, 1),
		log: log.With("pod", pod.Name, "cluster", pod.Cluster.Name),
	}
}

// run supervises until stop is called.
func (p *proxy) run() {
	backoff := firstBackoff
	for {
		started := time.Now()
		exited, err := p.start()
		switch {
		case errors.Is(err, errStopping):
			return
		case errors.Is(err, errHeld):
			<-p.wake
			continue
		case err != nil:
			p.log.Error("Envoy does not start", "error", err)
		default:
			<-exited
			if p.intended() {
				backoff = firstBackoff
				continue
			}
			p.log.Warn("Envoy ended by itself, starting it again", "after", time.Since(started).Round(time.Millisecond), "in", backoff, "log", p.logs)
		}
		if time.Since(started) > stableAfter {
			backoff = firstBackoff
		}
		p.pause(backoff)
		backoff = min(2*backoff, lastBackoff)
		p.countRestart()
	}
}

var (
	errHeld     = errors.New("held down")
	errStopping = errors.New("stopping")
)

// start starts the process and waits for its end in the background, which closes the returned channel.
func (p *proxy) start() (<-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping {
		return nil, errStopping
	}
	if p.held {
		return nil, errHeld
	}
	logs, err := os.OpenFile(p.logs, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(p.binary, "--config-path", p.config, "--disable-hot-restart", "--concurrency", "1",
		"--log-level", "warning", "--drain-time-s", "1")
	cmd.Stdout, cmd.Stderr = logs, logs
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "POD_NAME=" + p.pod.Name, "POD_NAMESPACE=" + p.pod.Namespace,
		"INSTANCE_IP=" + p.pod.IP, "ISTIO_META_CLUSTER_ID=" + p.pod.Cluster.Name,
	}
	isolate(cmd)
	err = p.spawner.start(cmd)
	// The child has its own copy of the file.
	if closed := logs.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.binary, err)
	}
	exited := make(chan struct{})
	p.cmd, p.exited = cmd, exited
	go func() {
		// The exit status of a killed proxy says nothing that the log line does not.
		_ = cmd.Wait()
		p.mu.Lock()
		p.cmd = nil
		p.mu.Unlock()
		close(exited)
	}()
	return exited, nil
}

func (p *proxy) intended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held || p.stopping
}

func (p *proxy) countRestart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.restarts++
}

// pause waits, or less when someone holds, releases or stops the proxy.
func (p *proxy) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.wake:
	}
}

func (p *proxy) signalWake() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// hold kills the Envoy and keeps it down. It returns when the process is gone.
func (p *proxy) hold() error { return p.kill(func() { p.held = true }) }

// crash kills the Envoy and lets the supervisor start it again. It returns when the process is gone.
func (p *proxy) crash() error { return p.kill(func() {}) }

func (p *proxy) kill(mark func()) error {
	p.mu.Lock()
	mark()
	cmd, exited := p.cmd, p.exited
	var err error
	if cmd != nil {
		err = killGroup(cmd.Process)
	}
	p.mu.Unlock()
	p.signalWake()
	if cmd == nil || err != nil {
		return err
	}
	<-exited
	return nil
}

// release lets a held proxy run again.
func (p *proxy) release() {
	p.mu.Lock()
	p.held = false
	p.mu.Unlock()
	p.signalWake()
}

// isHeld tells whether the pod is meant to be down.
func (p *proxy) isHeld() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// stop ends the process, by force after the grace time or when ctx ends.
func (p *proxy) stop(ctx context.Context) error {
	p.mu.Lock()
	p.stopping = true
	cmd, exited := p.cmd, p.exited
	var err error
	if cmd != nil {
		err = terminate(cmd.Process)
	}
	p.mu.Unlock()
	p.signalWake()
	if cmd == nil {
		return nil
	}
	timer := time.NewTimer(stopGrace)
	defer timer.Stop()
	select {
	case <-exited:
		return nil
	case <-ctx.Done():
	case <-timer.C:
		p.log.Warn("Envoy did not end by itself, killing it", "grace", stopGrace)
	}
	err = errors.Join(err, killGroup(cmd.Process))
	<-exited
	return err
}

// pid is the running process's id, or 0.
func (p *proxy) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}
