// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"path/filepath"
	"strconv"
)

const (
	issuer   = "https://kubernetes.default.svc"
	audience = issuer
)

// auditPolicy records who asked for what, and how it ended: no bodies, and one event per request (two for a watch, whose
// start and end differ).
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: Metadata
`

func etcdFlags(dir string, client, peer int) []string {
	clientURL, peerURL := "http://"+address(client), "http://"+address(peer)
	return []string{
		"--name=test", "--data-dir=" + filepath.Join(dir, "etcd"),
		"--listen-client-urls=" + clientURL, "--advertise-client-urls=" + clientURL,
		"--listen-peer-urls=" + peerURL, "--initial-advertise-peer-urls=" + peerURL, "--initial-cluster=test=" + peerURL,
		// The data need not survive a crash of the machine, only one of the process.
		"--unsafe-no-fsync",
		"--log-level=error",
	}
}

// apiServerFlags leaves out what a control plane of one server without nodes does not need, and nothing that clients could
// notice.
func (c *Cluster) apiServerFlags(o Options) []string {
	flags := []string{
		"--etcd-servers=http://" + address(c.etcdPort),
		"--bind-address=" + loopback, "--advertise-address=" + loopback, "--secure-port=" + strconv.Itoa(c.apiPort),
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.0.0.0/16",
		"--cert-dir=" + c.dir,
		"--tls-cert-file=" + c.pki.file("server.crt"), "--tls-private-key-file=" + c.pki.file("server.key"),
		"--client-ca-file=" + c.pki.file("ca.crt"),
		"--anonymous-auth=false",
		"--authorization-mode=RBAC",
		"--service-account-issuer=" + issuer, "--api-audiences=" + audience,
		"--service-account-key-file=" + c.pki.file("sa.pub"), "--service-account-signing-key-file=" + c.pki.file("sa.key"),
		"--audit-policy-file=" + c.file("audit-policy.yaml"), "--audit-log-path=" + c.file("audit.log"),
		// A request is in the log when its client has the answer.
		"--audit-log-mode=blocking", "--audit-log-maxsize=10000",
		"--allow-privileged=true",
		// Only a test compacts, so that it knows when.
		"--etcd-compaction-interval=0",
		"--max-requests-inflight=800", "--max-mutating-requests-inflight=400",
		"--shutdown-delay-duration=0", "--shutdown-watch-termination-grace-period=0",
		"--profiling=false",
		// Nobody clears the taint of a new node that is not ready.
		"--disable-admission-plugins=TaintNodesByCondition",
	}
	if o.NoWatchCache {
		flags = append(flags, "--watch-cache=false")
	}
	return append(flags, o.APIServerFlags...)
}
