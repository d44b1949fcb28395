// SPDX-License-Identifier: Apache-2.0

package collectortest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// CPU is the time that a process, by its number, has run on a processor so far, by the kernel's account of its threads. It does not
// depend on what else runs on the machine. Threads that ended are not in it. The error is that of a process that is not there, or of
// a kernel without /proc/<pid>/task/<tid>/schedstat.
func CPU(pid int) (sum time.Duration, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	if len(files) == 0 {
		return 0, fmt.Errorf("process %d has no threads", pid)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file) //nolint:gosec // of a process that a test started
		if err != nil {
			continue // the thread is gone
		}
		ran, _, _ := bytes.Cut(raw, []byte(" "))
		n, err := strconv.ParseInt(string(ran), 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n)
	}
	return sum, nil
}
