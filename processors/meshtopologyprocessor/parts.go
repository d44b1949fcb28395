// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

const (
	// maxProxies is the most parts a resource is split into. Each part is a copy of the resource, so a sender that makes up
	// proxies must not choose how many there are.
	maxProxies = 64
	// maxCopied is how many bytes the copies may take. A resource of Envoy's takes a few hundred.
	maxCopied = 8 << 20
)

// mostParts returns into how many parts a resource may be split that takes so many bytes with its scopes.
func mostParts(size int) int {
	return min(maxProxies, maxCopied/max(size, 1))
}
