// SPDX-License-Identifier: Apache-2.0

package envoy

import "unicode/utf8"

// isPlain says whether the text is UTF-8 without control characters.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}
