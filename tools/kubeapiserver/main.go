// SPDX-License-Identifier: Apache-2.0

// Command kubeapiserver is Kubernetes' own API server, built for the tests: k8s.io/kubernetes is published as a Go module
// but its commands are not released as binaries that a package registry carries.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() { os.Exit(cli.Run(app.NewAPIServerCommand())) }
