// SPDX-License-Identifier: Apache-2.0

// Package limits attacks the built distribution with its shipped configurations, in a process with a container's memory,
// and reads what leaves it: hostile requests must cost little and be refused soon while others are served, and secrets
// must stay on the node.
package limits

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
