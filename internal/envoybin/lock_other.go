// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package envoybin

import (
	"context"
	"errors"
)

// lock is never reached: Path serves linux/amd64 alone.
func lock(context.Context, string) (func() error, error) {
	return nil, errors.ErrUnsupported
}
