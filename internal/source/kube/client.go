// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/transport"
)

const (
	defaultQPS   = 20
	defaultBurst = 40

	// pingAfter is how long a connection may be silent before it is asked whether it lives, and pingTimeout how long the
	// answer may take. The answers are the proof that nothing is on its way, see [meter].
	pingAfter   = 5 * time.Second
	pingTimeout = 10 * time.Second

	dialTimeout           = 10 * time.Second
	tlsTimeout            = 10 * time.Second
	idleTimeout           = 30 * time.Second
	responseHeaderTimeout = 30 * time.Second

	protobuf = "application/vnd.kubernetes.protobuf"
)

var errContextAlone = errors.New("a context without a kubeconfig; write both")

// loadConfig makes the client configuration of the settings.
func loadConfig(s *ClientSettings) (*rest.Config, error) {
	switch {
	case s.Config != nil:
		return rest.CopyConfig(s.Config), nil
	case s.Kubeconfig != "":
		rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: s.Kubeconfig}
		overrides := &clientcmd.ConfigOverrides{CurrentContext: s.Context}
		config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
		if err != nil {
			return nil, fmt.Errorf("the kubeconfig %q: %w", s.Kubeconfig, err)
		}
		return config, nil
	case s.Context != "":
		return nil, errContextAlone
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, fmt.Errorf("the pod's service account: %w", err)
	}
	return config, nil
}

// newClient makes the client for all requests. It builds its own transport, since client-go shares one between all
// clients of a process and asks after 30 seconds of silence only whether a connection lives. answers is told what becomes of
// requests.
func newClient(s *ClientSettings, connections *meter, answers *reach) (*rest.RESTClient, func(), error) {
	config, err := loadConfig(s)
	if err != nil {
		return nil, nil, err
	}
	version := s.Version
	if version == "" {
		version = "dev"
	}
	config.UserAgent = "otelcol-mesh/" + version
	config.QPS, config.Burst = s.QPS, s.Burst
	if config.QPS == 0 {
		config.QPS, config.Burst = defaultQPS, max(s.Burst, defaultBurst)
	}
	config.ContentType = protobuf
	// Custom resources have no protobuf form.
	config.AcceptContentTypes = protobuf + ",application/json"
	config.NegotiatedSerializer = newLeanNegotiator(serializer.NewCodecFactory(newScheme()).WithoutConversion())
	config.WarningHandler = rest.NoWarnings{}
	config.WarningHandlerWithContext = nil
	config.Timeout = 0
	config.APIPath, config.GroupVersion = "/", nil

	own, err := newTransport(config, connections)
	if err != nil {
		return nil, nil, err
	}
	authorized, err := takeTokenFile(config, own, connections.now)
	if err != nil {
		return nil, nil, err
	}
	wrapped, err := rest.HTTPWrappersForConfig(config, authorized)
	if err != nil {
		return nil, nil, err
	}
	client, err := rest.UnversionedRESTClientForConfigAndClient(config, &http.Client{Transport: &observer{wrapped, answers}})
	if err != nil {
		return nil, nil, err
	}
	return client, own.CloseIdleConnections, nil
}

func newTransport(config *rest.Config, connections *meter) (*http.Transport, error) {
	settings, err := config.TransportConfig()
	if err != nil {
		return nil, err
	}
	tlsConfig, err := transport.TLSConfigFor(settings)
	if err != nil {
		return nil, err
	}
	dial := (&net.Dialer{Timeout: dialTimeout, KeepAlive: idleTimeout}).DialContext
	if settings.DialHolder != nil {
		dial = settings.DialHolder.Dial
	}
	proxy := http.ProxyFromEnvironment
	if config.Proxy != nil {
		proxy = config.Proxy
	}
	return &http.Transport{
		Proxy:                 proxy,
		DialContext:           connections.dialer(dial),
		TLSClientConfig:       tlsConfig,
		TLSHandshakeTimeout:   tlsTimeout,
		ResponseHeaderTimeout: responseHeaderTimeout,
		IdleConnTimeout:       idleTimeout,
		DisableCompression:    config.DisableCompression,
		ForceAttemptHTTP2:     true,
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}, nil
}
