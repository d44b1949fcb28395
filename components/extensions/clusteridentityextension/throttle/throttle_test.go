// SPDX-License-Identifier: Apache-2.0

package throttle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestAllow(t *testing.T) {
	now := time.Unix(1000, 0)
	th := New(time.Minute, 2)
	assert.True(t, th.Allow("a", now))
	assert.False(t, th.Allow("a", now.Add(59*time.Second)))
	assert.True(t, th.Allow("b", now.Add(59*time.Second)))
	assert.False(t, th.Allow("c", now.Add(59*time.Second)), "no room")
	assert.True(t, th.Allow("c", now.Add(70*time.Second)), "a is forgotten")
	assert.False(t, th.Allow("d", now.Add(71*time.Second)), "b and c are told")
	assert.Len(t, th.told, 2)
}
