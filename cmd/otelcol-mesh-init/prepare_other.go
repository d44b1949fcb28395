// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

import "errors"

func prepare(request) (string, error) {
	return "", errors.New("runs on Linux only")
}
