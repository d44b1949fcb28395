// SPDX-License-Identifier: Apache-2.0

package envoy

import (
	"slices"
	"strings"
)

// ResponseFlags are the reasons, in Envoy's order, why a response is not simply what the upstream sent: short forms
// such as "UH" or "DC" (Envoy documentation, access log operator %RESPONSE_FLAGS%). Flags that this package does not
// know are kept as they came.
type ResponseFlags []string

// ParseResponseFlags splits a comma-separated list of flags. "-" and the empty text mean none and give nil, without
// allocation.
func ParseResponseFlags(s string) ResponseFlags {
	var flags ResponseFlags
	for s != "" {
		var flag string
		flag, s = cutFlag(s)
		if flag == "" {
			continue
		}
		if flags == nil {
			flags = make(ResponseFlags, 0, 1+strings.Count(s, ","))
		}
		flags = append(flags, flag)
	}
	return flags
}

// FirstResponseFlag returns the first flag of a list, "" if there is none. It does not allocate.
func FirstResponseFlag(s string) string {
	for s != "" {
		var flag string
		if flag, s = cutFlag(s); flag != "" {
			return flag
		}
	}
	return ""
}

// Has reports whether flag, in its short form, is among the flags.
func (f ResponseFlags) Has(flag string) bool {
	return slices.Contains(f, flag)
}

// String returns the flags joined by commas, "" for none.
func (f ResponseFlags) String() string {
	return strings.Join(f, ",")
}

// cutFlag returns the flag before the first comma, "" for none, and the text after the comma.
func cutFlag(s string) (flag, rest string) {
	flag, rest, _ = strings.Cut(s, ",")
	flag = strings.TrimSpace(flag)
	if flag == "-" {
		flag = ""
	}
	return flag, rest
}
