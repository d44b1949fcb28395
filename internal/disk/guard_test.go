// SPDX-License-Identifier: Apache-2.0

package disk

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAGuardWaitsForAsLongAsItsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := Guard{Patience: 2 * time.Second}
		require.ErrorIs(t, g.Do(func() error { time.Sleep(time.Second); return io.EOF }), io.EOF, "what came of it")
		begin, done := time.Now(), false
		require.ErrorIs(t, g.Do(func() error { time.Sleep(time.Minute); done = true; return nil }), ErrHangs)
		assert.Equal(t, 2*time.Second, time.Since(begin))
		assert.True(t, g.Busy())
		require.ErrorIs(t, g.Do(func() error { t.Error("two at a time"); return nil }), ErrStillHangs)
		assert.Equal(t, 2*time.Second, time.Since(begin), "nobody waits for what hangs already")
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.True(t, done)
		assert.False(t, g.Busy())
		require.NoError(t, g.Do(func() error { return nil }))

		g = Guard{}
		begin = time.Now()
		require.NoError(t, g.Do(func() error { time.Sleep(time.Hour); return nil }))
		assert.Equal(t, time.Hour, time.Since(begin), "without patience it is waited for")
	})
}
