// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"strings"
	"unicode"
)

// claimKeys are the keys of a resource that name clusters.
var claimKeys = [...]string{clusterKey, uidKey, istioKey, "mesh.source.cluster", "mesh.destination.cluster"}

// disguised says whether a key looks like one that names a cluster and is none: by case, space, or letters of other
// alphabets that look the same. Our own readers pass over it, and people and other tools do not.
func disguised(key string) bool {
	if key == "" || len(key) > 256 {
		return false
	}
	// Nearly all keys begin with another letter; what shows nothing may stand before the first.
	if c := key[0] | 0x20; c >= '0' && c <= 'z' && key[0] >= '0' && c != 'k' && c != 'i' && c != 'm' {
		return false
	}
	i := 0
	for i < len(key) && usual[key[i]] {
		i++
	}
	if i == len(key) {
		return false
	}
	plain := skeleton(key)
	for _, claim := range claimKeys {
		if plain == claim && key != claim {
			return true
		}
	}
	return false
}

// usual are the letters that stand in keys.
var usual = func() (all [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyz0123456789._") {
		all[c] = true
	}
	return all
}()

// skeleton writes a key in small ASCII letters where it looks like them, and leaves out what shows nothing.
func skeleton(key string) string {
	var b strings.Builder
	for _, c := range key {
		if c >= 0xFF01 && c <= 0xFF5E {
			// The full-width forms.
			c -= 0xFEE0
		}
		c = unicode.ToLower(c)
		switch {
		case unicode.IsSpace(c), unicode.IsControl(c), unicode.In(c, unicode.Cf, unicode.Mn, unicode.Me), strings.ContainsRune(blanks, c):
		default:
			if plain, ok := lookalikes[c]; ok {
				c = plain
			}
			b.WriteRune(c)
		}
	}
	return b.String()
}

// blanks are the letters and signs that are drawn as nothing: Hangul's fillers and the empty pattern of Braille.
const blanks = "\u115f\u1160\u3164\uffa0\u2800"

// lookalikes are small Cyrillic, Greek and other letters and signs that are drawn like those of the keys (Unicode
// Technical Standard 39, confusables).
var lookalikes = map[rune]rune{
	'а': 'a', 'с': 'c', 'ԁ': 'd', 'е': 'e', 'һ': 'h', 'і': 'i', 'ӏ': 'l', 'к': 'k', 'м': 'm', 'ո': 'n', 'о': 'o', 'г': 'r', 'ѕ': 's', 'т': 't', 'υ': 'u', 'ս': 'u',
	'α': 'a', 'ϲ': 'c', 'ε': 'e', 'ι': 'i', 'κ': 'k', 'ν': 'v', 'ο': 'o', 'τ': 't', 'ı': 'i', 'ſ': 's', 'ƨ': 's', 'ɑ': 'a', 'ɩ': 'i', 'ᴄ': 'c', 'ᴍ': 'm', 'ᴏ': 'o',
	'ꜱ': 's', 'ʟ': 'l', 'ⅼ': 'l', 'ⅽ': 'c', 'ⅾ': 'd', 'ⅿ': 'm', 'ⅰ': 'i', '․': '.', '。': '.', '·': '.', '‐': '-', '‿': '_', '８': '8',
}
