// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package bench

import (
	"testing"
	"time"
)

var began = time.Now()

func threadTime(*testing.B) time.Duration { return time.Since(began) }

func processTime(*testing.B) time.Duration { return time.Since(began) }
