// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// uidOf packs a uid. The uids of static pods are hashes in hex and fit as well; any other text is hashed, for a uid need
// only be told from others.
func uidOf(text string) (uid topology.UID) {
	if text == "" {
		return uid
	}
	digits := strings.ReplaceAll(text, "-", "")
	if len(digits) == hex.EncodedLen(len(uid)) {
		if _, err := hex.Decode(uid[:], []byte(digits)); err == nil {
			return uid
		}
	}
	sum := sha256.Sum256([]byte(text))
	copy(uid[:], sum[:])
	return uid
}
