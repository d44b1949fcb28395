// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
)

// probeInterval is how often a probe that failed is repeated.
const probeInterval = 50 * time.Millisecond

var errNotRunning = errors.New("mesh: not running")

// Ready waits until every Envoy that is not held down says it is live, and one request through each ingress gateway
// succeeds. It returns the last failure, with the pod's name, when ctx ends first.
func (m *Mesh) Ready(ctx context.Context) error {
	proxies, err := m.find(func(layout.Pod) bool { return true })
	if err != nil {
		return err
	}
	if err := m.live(ctx, proxies); err != nil {
		return err
	}
	client := m.client(layout.Cluster{})
	defer client.CloseIdleConnections()
	for _, c := range layout.Clusters() {
		ingress := c.PodsOf("istio-ingressgateway")[0]
		if p, err := m.byName(ingress.Name); err != nil || p.Held() {
			continue
		}
		url := IngressURL(c.Name) + "/productpage"
		if err := eventually(ctx, func() error { return get(ctx, client, url) }); err != nil {
			return fmt.Errorf("%s does not serve: %w", c.Name, err)
		}
	}
	return nil
}

// live waits until each proxy that is not held answers on its admin port.
func (m *Mesh) live(ctx context.Context, proxies []*proxy) error {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, p := range proxies {
		if p.Held() {
			continue
		}
		url := "http://" + net.JoinHostPort(p.pod.IP, strconv.Itoa(layout.PortAdmin)) + "/ready"
		if err := eventually(ctx, func() error { return get(ctx, client, url) }); err != nil {
			return fmt.Errorf("%s is not ready, see %s: %w", p.pod.Name, m.logPath(p.pod), err)
		}
	}
	return nil
}

// eventually repeats until probe succeeds or ctx ends, and then returns probe's last error.
func eventually(ctx context.Context, probe func() error) error {
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	for {
		err := probe()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-ticker.C:
		}
	}
}

func get(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	err = errors.Join(err, response.Body.Close())
	if response.StatusCode != http.StatusOK {
		return errors.Join(err, fmt.Errorf("%s answered %s", url, response.Status))
	}
	return err
}

// Fail kills the Envoys of all pods of a service in one cluster and keeps them down, as if the pods were gone: callers'
// connections are refused and their sidecars go to the other region. Services are bookinfo's four, or a gateway's name.
func (m *Mesh) Fail(cluster, service string) error {
	proxies, err := m.service(cluster, service)
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range proxies {
		m.log.Info("taking pod down", "pod", p.pod.Name, "cluster", cluster)
		errs = append(errs, p.Hold())
	}
	return errors.Join(errs...)
}

// Heal starts the pods that Fail took down and waits until they are live. Traffic comes home when the callers' outlier
// detection lets the pods back in: within about five seconds.
func (m *Mesh) Heal(ctx context.Context, cluster, service string) error {
	proxies, err := m.service(cluster, service)
	if err != nil {
		return err
	}
	for _, p := range proxies {
		m.log.Info("bringing pod back", "pod", p.pod.Name, "cluster", cluster)
		p.Release()
	}
	return m.live(ctx, proxies)
}

// KillEnvoy kills one pod's Envoy (SIGKILL), named by pod or by address. The supervisor notices, logs and starts it
// again after a short pause. It returns when the old process is gone, and an error if none runs.
func (m *Mesh) KillEnvoy(pod string) error {
	p, err := m.byName(pod)
	if err != nil {
		return err
	}
	return p.Kill()
}

// Restarts returns how often the supervisor started a pod's Envoy again, by pod name.
func (m *Mesh) Restarts() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]int{}
	for name, p := range m.proxies {
		out[name] = p.Restarts()
	}
	return out
}

// PIDs returns the process id of each running Envoy, by pod name.
func (m *Mesh) PIDs() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]int{}
	for name, p := range m.proxies {
		if pid := p.PID(); pid != 0 {
			out[name] = pid
		}
	}
	return out
}

func (m *Mesh) service(cluster, service string) ([]*proxy, error) {
	if _, ok := layout.ClusterByName(cluster); !ok {
		return nil, fmt.Errorf("mesh: no cluster %q: there are aks-westeurope and aks-northeurope", cluster)
	}
	proxies, err := m.find(func(p layout.Pod) bool { return p.Cluster.Name == cluster && p.Service == service })
	if err == nil && len(proxies) == 0 {
		err = fmt.Errorf("mesh: no service %q in %s: there are productpage, details, reviews, ratings and the gateways", service, cluster)
	}
	return proxies, err
}

func (m *Mesh) byName(pod string) (*proxy, error) {
	proxies, err := m.find(func(p layout.Pod) bool { return p.Name == pod || p.IP == pod })
	if err != nil {
		return nil, err
	}
	if len(proxies) == 0 {
		return nil, fmt.Errorf("mesh: no pod %q", pod)
	}
	return proxies[0], nil
}

// find returns the matching proxies, in the layout's order.
func (m *Mesh) find(match func(layout.Pod) bool) ([]*proxy, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.running {
		return nil, errNotRunning
	}
	pods := slices.DeleteFunc(layout.Pods(), func(p layout.Pod) bool { return !match(p) })
	proxies := make([]*proxy, 0, len(pods))
	for _, pod := range pods {
		proxies = append(proxies, m.proxies[pod.Name])
	}
	return proxies, nil
}
