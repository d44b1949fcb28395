// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package disk

// SyncDirectory does nothing where directories cannot be written to the disk by themselves.
func SyncDirectory(string) error { return nil }
