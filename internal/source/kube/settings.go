// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"errors"
	"log/slog"
	"time"

	"k8s.io/client-go/rest"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// Scope is how much of a cluster a [Source] reads.
type Scope int

const (
	// ScopeNode is one node, its pods and the few objects that name the cluster's network and trust domain.
	ScopeNode Scope = iota
	// ScopeCluster is the whole cluster.
	ScopeCluster
)

// DefaultSystemNamespace is where Istio's control plane lives unless it was installed elsewhere.
const DefaultSystemNamespace = "istio-system"

// ClientSettings say how to reach the API server and as whom. The zero value is the pod's own service account.
type ClientSettings struct {
	// Config is a ready client configuration; nil to make one of the fields below. It is copied.
	Config *rest.Config
	// Kubeconfig is the path of a kubeconfig file; empty for the pod's own service account.
	Kubeconfig string
	// Context is a context of the kubeconfig; empty for its current one. It needs Kubeconfig.
	Context string
	// QPS and Burst bound the requests a second that are not watches; 0 stands for 20 and 40.
	QPS   float32
	Burst int
	// Version is the collector's version, for the user agent otelcol-mesh/<version>; empty stands for dev.
	Version string
}

// Settings are what a [Source] needs.
type Settings struct {
	// Cluster is the cluster's name, as in Istio's cluster id. Required.
	Cluster string
	// Client says how to reach the API server.
	Client ClientSettings
	// Scope is how much to read.
	Scope Scope
	// NodeName is the node of [ScopeNode]. Required there, else ignored.
	NodeName string
	// SystemNamespace is Istio's; empty stands for [DefaultSystemNamespace].
	SystemNamespace string
	// IstioRevision is that of the istiod whose mesh configuration [ScopeNode] reads, see [ValidRevision]; empty and
	// default stand for the one without a revision. Ignored by [ScopeCluster], which reads those of all control planes.
	IstioRevision string
	// Logger takes what happens; nil drops it.
	Logger *slog.Logger
	// Report takes findings, from several goroutines; nil drops them.
	Report func(topology.Finding)
	// Resolve says that what a finding of this kind and subject was about is over, from several goroutines; nil drops it.
	// Findings about what is forbidden or out of reach are reported again every five minutes for as long as they are true.
	Resolve func(kind, subject string)
	// Now is the clock; nil stands for [time.Now].
	Now func() time.Time
}

var (
	errNoCluster  = errors.New("the cluster has no name; write the cluster id that Istio uses (global.multiCluster.clusterName)")
	errNoNodeName = errors.New("the node has no name; pass spec.nodeName of the agent's pod, usually as the environment variable K8S_NODE_NAME")
	errScope      = errors.New("no such scope")
	errRevision   = errors.New("the Istio revision is none; write the label istio.io/rev of istiod's pods, such as 1-27")
)

func (s *Settings) check() error {
	switch {
	case s.Cluster == "":
		return errNoCluster
	case s.Scope != ScopeNode && s.Scope != ScopeCluster:
		return errScope
	case s.Scope == ScopeNode && s.NodeName == "":
		return errNoNodeName
	case s.IstioRevision != "" && !ValidRevision(s.IstioRevision):
		return errRevision
	}
	if s.SystemNamespace == "" {
		s.SystemNamespace = DefaultSystemNamespace
	}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	if s.Report == nil {
		s.Report = func(topology.Finding) {}
	}
	if s.Resolve == nil {
		s.Resolve = func(string, string) {}
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	return nil
}
