// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"context"
	"time"
)

// poll calls do until it returns true or an error, or the context or startWithin ends.
func poll(ctx context.Context, do func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := do(ctx)
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
