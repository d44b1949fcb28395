// SPDX-License-Identifier: Apache-2.0

// Package kubetest runs real Kubernetes API servers for tests: kube-apiserver and etcd, on loopback, with authorization
// by RBAC, an audit log, service account tokens, and faults on demand (kill, restart, compaction, cut or stalled
// connections). There is no scheduler, no controller and no kubelet: [Kubelet] plays the latter for the pods of a test.
//
// The entry points are [Start] and the methods of [Cluster]. Helpers that prepare a cluster take the test and fail it;
// what a driver calls from its own goroutines takes a context and returns an error.
package kubetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	// startWithin bounds a start on a machine that is busy with other tests; it takes about five seconds on one that is not.
	startWithin = 90 * time.Second
	// stopWithin bounds an orderly end, after which the process is killed.
	stopWithin = 10 * time.Second
	loopback   = "127.0.0.1"
)

// Options of a cluster; the zero value is a cluster as most tests want it.
type Options struct {
	// Name of the cluster, in kubeconfigs, logs and errors; "test" if empty.
	Name string
	// APIPort and EtcdPort are the ports to listen on at 127.0.0.1; 0 picks free ones, kept over restarts.
	APIPort, EtcdPort int
	// ProxyPort is the port of the proxy that clients talk to; 0 picks a free one.
	ProxyPort int
	// NoWatchCache makes every list and watch go to etcd, so that a compaction reaches the watches at once. With the cache,
	// which is how clusters run, a watch gets 410 Gone only when the server no longer has the events in memory: after a
	// restart, for instance.
	NoWatchCache bool
	// APIServerFlags are added to the API server's command line, where the last of a name wins.
	APIServerFlags []string
}

// Cluster is a running API server with its etcd. Its methods may be called from any goroutine, except that starts and
// stops of one process must not overlap.
type Cluster struct {
	// Name as in [Options].
	Name string
	// Client and Dynamic are the administrator's (group system:masters: neither RBAC nor flow control applies), directly
	// to the API server and not through the proxy, so that they work while clients are cut off. They have no rate limit.
	Client  kubernetes.Interface
	Dynamic dynamic.Interface
	// Proxy is between the API server and the clients of [Cluster.ServiceAccountConfig] and [Cluster.Kubeconfig].
	Proxy *Proxy

	admin     *http.Transport
	dir       string
	pki       *pki
	apiPort   int
	etcdPort  int
	etcd      *process
	apiserver *process
}

// Start starts etcd and the API server and returns when the latter is ready. The processes end with the test, also when
// the test panics or the test binary is killed. The test fails if the programs are not built (make kube-tools).
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c, err := start(t.Context(), t.TempDir(), o)
	if c != nil {
		t.Cleanup(func() {
			if err := c.close(); err != nil {
				t.Errorf("ending cluster %s: %v", c.Name, err)
			}
			if t.Failed() {
				t.Logf("end of the API server's log of cluster %s:\n%s", c.Name, c.apiserver.logEnd())
			}
		})
	}
	if err != nil {
		t.Fatalf("starting a Kubernetes API server: %v", err)
	}
	return c
}

// start returns a cluster together with an error when something of it has to be ended.
func start(ctx context.Context, dir string, o Options) (*Cluster, error) {
	if o.Name == "" {
		o.Name = "test"
	}
	etcd, err := program("OTELCOL_MESH_ETCD", "etcd")
	if err != nil {
		return nil, err
	}
	apiserver, err := program("OTELCOL_MESH_KUBE_APISERVER", "kube-apiserver")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	for i, given := range []int{o.APIPort, o.EtcdPort, o.ProxyPort} {
		if given != 0 {
			ports[i] = given
		}
	}
	c := &Cluster{Name: o.Name, dir: dir, apiPort: ports[0], etcdPort: ports[1]}
	if c.pki, err = newPKI(dir); err != nil {
		return nil, err
	}
	if err := os.WriteFile(c.file("audit-policy.yaml"), []byte(auditPolicy), 0o600); err != nil {
		return nil, err
	}
	c.etcd = &process{name: "etcd of " + c.Name, path: etcd, args: etcdFlags(dir, c.etcdPort, ports[3]), log: c.file("etcd.log")}
	c.apiserver = &process{name: "API server of " + c.Name, path: apiserver, args: c.apiServerFlags(o), log: c.file("apiserver.log")}
	config := c.AdminConfig()
	if c.admin, err = adminTransport(config); err != nil {
		return nil, err
	}
	client := &http.Client{Transport: c.admin}
	if c.Client, err = kubernetes.NewForConfigAndClient(config, client); err != nil {
		return nil, err
	}
	if c.Dynamic, err = dynamic.NewForConfigAndClient(config, client); err != nil {
		return nil, err
	}
	if c.Proxy, err = newProxy(address(ports[2]), address(c.apiPort)); err != nil {
		return nil, err
	}
	return c, errors.Join(c.StartEtcd(ctx), c.StartAPIServer(ctx))
}

// close ends everything, the clients' side first.
func (c *Cluster) close() error {
	c.Proxy.Close()
	c.admin.CloseIdleConnections()
	var errs []error
	for _, p := range []*process{c.apiserver, c.etcd} {
		errs = append(errs, p.kill(), p.unexpected())
	}
	return errors.Join(errs...)
}

// AdminConfig returns the configuration of a client that may do everything, not through the proxy, with no rate limit.
func (c *Cluster) AdminConfig() *rest.Config {
	return &rest.Config{
		Host: "https://" + address(c.apiPort),
		QPS:  -1,
		// Not as files, which client-go would watch for as long as the process lives.
		TLSClientConfig: rest.TLSClientConfig{CAData: c.pki.read("ca.crt"), CertData: c.pki.read("admin.crt"), KeyData: c.pki.read("admin.key")},
	}
}

// adminTransport is a transport of the cluster's own: client-go shares its own ones, and keeps them.
func adminTransport(config *rest.Config) (*http.Transport, error) {
	tls, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		TLSClientConfig: tls, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 25,
		// A server that was killed is noticed by its connections' end, one that hangs by this.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}, nil
}

// StartEtcd starts etcd, which must not run, with its data and on its port, and returns when it answers.
func (c *Cluster) StartEtcd(ctx context.Context) error {
	return c.etcd.start(ctx, func(ctx context.Context) error {
		return get(ctx, plain, "http://"+address(c.etcdPort)+"/health")
	})
}

// StopEtcd ends etcd in order.
func (c *Cluster) StopEtcd() error { return c.etcd.stop() }

// KillEtcd ends etcd with SIGKILL.
func (c *Cluster) KillEtcd() error { return c.etcd.kill() }

// StartAPIServer starts the API server, which must not run, on its port, and returns when it is ready.
func (c *Cluster) StartAPIServer(ctx context.Context) error {
	return c.apiserver.start(ctx, func(ctx context.Context) error {
		return get(ctx, c.admin, "https://"+address(c.apiPort)+"/readyz")
	})
}

// StopAPIServer ends the API server in order: it finishes what it serves and ends the watches.
func (c *Cluster) StopAPIServer() error { return c.apiserver.stop() }

// KillAPIServer ends the API server with SIGKILL.
func (c *Cluster) KillAPIServer() error { return c.apiserver.kill() }

// RestartAPIServer ends the API server in order and starts it again.
func (c *Cluster) RestartAPIServer(ctx context.Context) error {
	return errors.Join(c.StopAPIServer(), c.StartAPIServer(ctx))
}

// APIServerLog and EtcdLog return the paths of the processes' logs.
func (c *Cluster) APIServerLog() string { return c.apiserver.log }

// EtcdLog returns the path of etcd's log.
func (c *Cluster) EtcdLog() string { return c.etcd.log }

func (c *Cluster) file(name string) string { return filepath.Join(c.dir, name) }

func address(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

func get(ctx context.Context, transport http.RoundTripper, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body) // what of it there is
		return fmt.Errorf("%s answers %s: %s", url, response.Status, text)
	}
	return nil
}
