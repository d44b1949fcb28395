// SPDX-License-Identifier: Apache-2.0

// Package identity attacks the hub as it is shipped: the built binary with hub.yaml, hub-mtls.yaml and hub-mtls-http.yaml,
// beside agents with agent.yaml. Who claims another cluster gets nothing through, and is counted; certificates and
// authorities are replaced under load without a failed export.
package identity

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
