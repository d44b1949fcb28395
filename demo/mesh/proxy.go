// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
	"github.com/otelcol-mesh/otelcol-mesh/demo/supervise"
)

// stopGrace is how long an Envoy may take to end by itself before it is killed.
const stopGrace = 3 * time.Second

// proxy is one pod's Envoy.
type proxy struct {
	*supervise.Process
	pod layout.Pod
}

func (m *Mesh) startProxy(pod layout.Pod) (*proxy, error) {
	process, err := supervise.Start(supervise.Spec{
		Name: "Envoy of " + pod.Name,
		Path: m.options.Envoy,
		Args: []string{
			"--config-path", m.configPath(pod), "--disable-hot-restart", "--concurrency", "1",
			"--log-level", "warning", "--drain-time-s", "1",
		},
		Env: []string{
			"PATH=" + os.Getenv("PATH"), "POD_NAME=" + pod.Name, "POD_NAMESPACE=" + pod.Namespace,
			"INSTANCE_IP=" + pod.IP, "ISTIO_META_CLUSTER_ID=" + pod.Cluster.Name,
		},
		LogFile: m.logPath(pod),
		Log:     m.log.With("pod", pod.Name, "cluster", pod.Cluster.Name),
	})
	if err != nil {
		return nil, err
	}
	return &proxy{Process: process, pod: pod}, nil
}

// stopProxies ends all Envoys at once. One that has to be killed is logged and is no error: on a busy machine an Envoy may
// take longer to drain than is worth waiting for.
func (m *Mesh) stopProxies(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	var (
		mu       sync.Mutex
		errs     []error
		stopping sync.WaitGroup
	)
	for _, p := range m.proxies {
		stopping.Go(func() {
			err := p.Stop(ctx)
			if errors.Is(err, supervise.ErrKilled) {
				m.log.Warn("Envoy did not end by itself", "pod", p.pod.Name, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	stopping.Wait()
	return errors.Join(errs...)
}
