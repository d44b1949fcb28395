// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package disk

// syncDirectory does nothing where directories cannot be written to the disk by themselves.
func syncDirectory(string) error { return nil }
