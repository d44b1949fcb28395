// SPDX-License-Identifier: Apache-2.0

// Package crashtest holds what happens to the queues of real processes: killed at any moment, on a disk that is full. The
// tests start their own binary again as the process to kill, see [child].
package crashtest
