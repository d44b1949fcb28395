// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package supervise

import (
	"errors"
	"os"
	"os/exec"
)

// isolate does nothing: only Linux has a parent death signal. The package compiles elsewhere so that what imports it
// does; the demo needs Linux for its Envoys anyway.
func isolate(*exec.Cmd) {}

func killGroup(process *os.Process) error {
	if err := process.Kill(); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

func terminate(process *os.Process) error { return killGroup(process) }
