// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"os/exec"
	"syscall"
)

// isolate has the kernel end the child when the test dies without a chance to clean up.
func isolate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
