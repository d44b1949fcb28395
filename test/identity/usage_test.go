// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/stretchr/testify/require"
)

// usage is what must not grow. live is what is left of the heap after a collection, resident what the system counts, which goes
// up and down with what is not collected yet; both in bytes.
type usage struct {
	descriptors, goroutines int
	live, resident          int64
}

// leastOf measures all roles for some seconds and returns the least that each had: connections overlap while one takes over
// from another.
func leastOf(roles []*role) []usage {
	least := make([]usage, len(roles))
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for round := range 10 {
		<-ticker.C
		for i, o := range roles {
			now := o.usage()
			if round == 0 {
				least[i] = now
				least[i].live = o.live()
				continue
			}
			least[i].descriptors, least[i].goroutines = min(least[i].descriptors, now.descriptors), min(least[i].goroutines, now.goroutines)
			least[i].resident = min(least[i].resident, now.resident)
		}
	}
	for i, o := range roles {
		least[i].live = min(least[i].live, o.live())
	}
	return least
}

// usage has zeros where the system does not tell.
func (o *role) usage() (u usage) {
	pid := o.process.PID()
	if descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err == nil {
		u.descriptors = len(descriptors)
	}
	if statm, err := os.Open(fmt.Sprintf("/proc/%d/statm", pid)); err == nil {
		var all, pages int64
		_, _ = fmt.Fscan(statm, &all, &pages)
		statm.Close()
		u.resident = pages * int64(os.Getpagesize())
	}
	require.NoError(o.t, o.get("1777", "/debug/pprof/goroutine?debug=1", func(body io.Reader) error {
		_, err := fmt.Fscanf(bufio.NewReader(body), "goroutine profile: total %d", &u.goroutines)
		return err
	}))
	return u
}

// live collects garbage, and returns what is left.
func (o *role) live() (bytes int64) {
	require.NoError(o.t, o.get("1777", "/debug/pprof/heap?gc=1&debug=1", func(body io.Reader) error {
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			_, _ = fmt.Sscanf(lines.Text(), "# HeapAlloc = %d", &bytes)
		}
		return lines.Err()
	}))
	return bytes
}
