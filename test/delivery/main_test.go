// SPDX-License-Identifier: Apache-2.0

// Package delivery holds the exporter for Application Insights to its promise: that each item which went in ends up
// accepted at the endpoint or, with a reason, in the dead letters, whatever the endpoint does meanwhile. The same faults
// are put to the upstream exporter in the same run.
package delivery

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

// TestMain turns into a child when asked to: see child_test.go.
func TestMain(m *testing.M) {
	installResolver()
	if os.Getenv(childVariable) != "" {
		if err := runChild(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// The cases wait more than they work. More of them at a time would be each other's load where processors are scarce.
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		if err := flag.Set("test.parallel", "12"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}
