// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// isolate gives the child its own process group, so that Ctrl-C in a terminal reaches this program alone, which then
// stops its children in order, and has the kernel kill the child when this program dies without a chance to clean up.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func killGroup(process *os.Process) error {
	err := syscall.Kill(-process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) { // it ended this instant
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
