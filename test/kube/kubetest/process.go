// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/demo/supervise"
)

// process is one program that can be started again.
type process struct {
	name, path string
	args       []string
	log        string

	running *supervise.Process
	crashes int
}

// start starts the program and polls ready until it says yes, at most for startWithin.
func (p *process) start(ctx context.Context, ready func(context.Context) error) error {
	if p.running != nil {
		return fmt.Errorf("%s runs already", p.name)
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	running, err := supervise.Start(supervise.Spec{Name: p.name, Path: p.path, Args: p.args, LogFile: p.log})
	if err != nil {
		return err
	}
	p.running = running
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		// No attempt may hang, whatever state the program is in.
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := ready(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if running.Restarts() > 0 { // it does not even start
			return fmt.Errorf("%s ended while it started; its log ends with:\n%s", p.name, p.logEnd())
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s: %w; its log ends with:\n%s", p.name, startWithin, err, p.logEnd())
		case <-tick.C:
		}
	}
}

// stop ends the program in order, and reports when it has to be killed.
func (p *process) stop() error {
	if p.running == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	return p.ended(p.running.Stop(ctx))
}

// kill ends the program with SIGKILL, if it runs.
func (p *process) kill() error {
	if p.running == nil {
		return nil
	}
	return p.ended(errors.Join(p.running.Hold(), p.running.Stop(context.Background())))
}

func (p *process) ended(err error) error {
	p.crashes += p.running.Restarts()
	p.running = nil
	return err
}

// unexpected reports ends of the program that nobody asked for, which a test would mistake for the fault that it injects.
func (p *process) unexpected() error {
	if p.crashes > 0 {
		return fmt.Errorf("%s ended by itself %d times; its log ends with:\n%s", p.name, p.crashes, p.logEnd())
	}
	return nil
}

func (p *process) logEnd() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// program finds a program that the tests need: where the environment says, or in .tools of the module.
func program(variable, name string) (string, error) {
	path := os.Getenv(variable)
	if path == "" {
		root, err := moduleRoot()
		if err != nil {
			return "", err
		}
		path = filepath.Join(root, ".tools", name)
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not there: run 'make kube-tools', or set %s: %w", name, variable, err)
	}
	return path, nil
}

// moduleRoot is the nearest folder above with the Makefile that builds the tools: a module nested in this one has none.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "builder-config.yaml")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the folder of the project is not above the working folder")
		}
		dir = parent
	}
}

// freePorts finds ports below those that the kernel gives to outgoing connections, so that none of them is taken while a
// process is down and is to come back on it.
func freePorts(n int) ([]int, error) {
	const low, high, tries = 15000, 32000, 1000
	var ports []int
	var config net.ListenConfig
	for range tries {
		port := low + rand.IntN(high-low)
		l, err := config.Listen(context.Background(), "tcp", address(port))
		if err != nil {
			continue
		}
		defer l.Close() // all at the end, so that they differ
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("no %d free ports from %d to %d at %s", n, low, high, loopback)
}
