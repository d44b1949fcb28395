// SPDX-License-Identifier: Apache-2.0

//go:build purego

package attrs

import "go.opentelemetry.io/collector/pdata/pcommon"

func appendDirectly(pcommon.Map, []string, []string) bool { return false }

func mayShare() bool { return false }

func appendShared(pcommon.Map, pcommon.Map) {}
