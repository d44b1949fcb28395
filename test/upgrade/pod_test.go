// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
	"github.com/otelcol-mesh/otelcol-mesh/demo/supervise"
	"github.com/otelcol-mesh/otelcol-mesh/test/collectortest"
)

// release is what an upgrade replaces: the program, and for each role something of its configuration.
type release struct {
	version, binary string
	overlays        map[string]string
}

// template is what the pods of a workload have in common.
type template struct {
	// role is hub, agent, inventory or router.
	role string
	// configs are the shipped files, within distribution.
	configs []string
	// overlay is what the test has to change.
	overlay string
	env     []string
	// grace and preStop are terminationGracePeriodSeconds and lifecycle.preStop.sleep, as the chart renders them.
	grace, preStop time.Duration
}

// pod is one incarnation: a process at an address of its own.
type pod struct {
	name, host, log string
	template        *template
	process         *supervise.Process
	// took is how long it needed from its start until it was ready.
	took time.Duration
	gone bool
}

// fleet starts and ends pods.
type fleet struct {
	t   *testing.T
	dir string
	// net is the second to last part of the addresses.
	net, used int
	authority *pkitest.Authority
	// stops are how long the pods needed to end, by role, and starts until they were ready.
	stops, starts map[string][]time.Duration
}

func newFleet(t *testing.T, net int) *fleet {
	t.Helper()
	return &fleet{t: t, dir: t.TempDir(), net: net, authority: pkitest.New(t, "upgrade"), stops: map[string][]time.Duration{}, starts: map[string][]time.Duration{}}
}

// address returns one that no other pod has; those of the services are below 100.
func (f *fleet) address() string {
	f.used++
	return fmt.Sprintf("127.10.%d.%d", f.net, 100+f.used%150)
}

func (f *fleet) fixed(last int) string { return fmt.Sprintf("127.10.%d.%d", f.net, last) }

// start starts a pod and returns when it is ready. storage is the name of its volume.
func (f *fleet) start(tpl *template, r release, name, storage string, env ...string) *pod {
	t := f.t
	t.Helper()
	p := &pod{name: name, host: f.address(), template: tpl, log: filepath.Join(f.dir, name+".log")}
	volume := filepath.Join(f.dir, "volume-"+storage)
	require.NoError(t, os.MkdirAll(volume, 0o700))
	var args []string
	for _, file := range tpl.configs {
		args = append(args, "--config", filepath.Join("..", "..", "distribution", file))
	}
	for _, overlay := range []string{tpl.overlay, r.overlays[tpl.role]} {
		if overlay != "" {
			args = append(args, "--config", "yaml:"+overlay)
		}
	}
	began := time.Now()
	var err error
	p.process, err = supervise.Start(supervise.Spec{
		Name: name, Path: r.binary, Args: args, LogFile: p.log, Log: slog.New(slog.DiscardHandler),
		Env: append(collectortest.Environment([]string{"PATH=" + os.Getenv("PATH"), "HOSTNAME=" + name}, p.host, volume, tpl.env...), env...),
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = p.process.Stop(ctx) // a test that goes wrong may leave a pod that cannot end
		if t.Failed() && !p.gone {
			t.Log(p.tail())
		}
	})
	if !assert.NoError(t, p.ready(t.Context())) {
		require.Fail(t, "not ready: "+name, p.tail())
	}
	p.took = time.Since(began)
	f.starts[tpl.role] = append(f.starts[tpl.role], p.took)
	return p
}

// stop ends a pod as a kubelet does: it waits as preStop says, sends SIGTERM, and kills what has not ended in time.
func (f *fleet) stop(p *pod) {
	f.t.Helper()
	wait(f.t.Context(), p.template.preStop)
	f.end(p)
}

// end sends SIGTERM, and kills what has not ended within what preStop leaves of the grace period.
func (f *fleet) end(p *pod) {
	t := f.t
	t.Helper()
	assert.Zero(t, p.process.Restarts(), "%s ended by itself", p.name)
	ctx, cancel := context.WithTimeout(context.Background(), p.template.grace-p.template.preStop)
	defer cancel()
	began := time.Now()
	if !assert.NoError(t, p.process.Stop(ctx), "%s did not end in time", p.name) {
		t.Log(p.tail())
	}
	p.gone = true
	f.stops[p.template.role] = append(f.stops[p.template.role], time.Since(began))
}

// ready waits for the probe.
func (p *pod) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return until(ctx, func() bool {
		return p.get(ctx, "13133", "/", nil) == nil || p.process.Restarts() > 2
	})
}

// tail returns the last warnings and errors of the log.
func (p *pod) tail() string {
	return "the last warnings of " + p.name + ":\n" +
		collectortest.Tail(p.log, 8, func(line string) bool { return !strings.Contains(line, `"level":"info"`) })
}

func (p *pod) get(ctx context.Context, port, path string, use func(line string)) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return collectortest.Get(ctx, p.host, port, path, use)
}

// values returns the values of a metric of the collector's own, one for each set of labels.
func (p *pod) values(ctx context.Context, name string) (all []float64) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	samples, _ := collectortest.Samples(ctx, p.host, name) // of a pod that does not answer nothing is known
	for _, sample := range samples {
		all = append(all, sample.Value)
	}
	return all
}
