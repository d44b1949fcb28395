// SPDX-License-Identifier: Apache-2.0

// Command etcd is etcd itself, built for the tests: the store behind their API servers.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
