// SPDX-License-Identifier: Apache-2.0

//go:build !race

package requestlimitsextension

// raceFactor is what the race detector multiplies memory and time by, at most.
const raceFactor = 1
