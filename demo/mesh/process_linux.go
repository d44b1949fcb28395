// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// isolate gives the child its own process group, so that Ctrl-C in a terminal reaches this program alone, and has the
// kernel kill it when this program dies without a chance to clean up.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func killGroup(process *os.Process) error {
	err := syscall.Kill(-process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

func terminate(process *os.Process) error {
	err := process.Signal(syscall.SIGTERM)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}
