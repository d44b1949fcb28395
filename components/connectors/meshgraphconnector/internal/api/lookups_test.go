// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFewGoThroughTheHourAtOnce: the others wait for their turn, and nothing is done for who has gone.
func TestFewGoThroughTheHourAtOnce(t *testing.T) {
	h := newHandler(Sources{Window: store(t, edge("v1", "west", 100, 0, 0))})
	for range maxLookups {
		h.lookups <- struct{}{}
	}
	for path, answer := range map[string]answer{"/api/v1/analysis": h.analysis, "/api/v1/versions": h.versions} {
		ctx, leave := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, path+"?namespace=shop&service=reviews", nil)
		answered := make(chan int)
		go func() {
			w := httptest.NewRecorder()
			h.serve(w, r, false, answer)
			answered <- w.Code
		}()
		require.Eventually(t, func() bool { return len(h.slots) == 1 }, 10*time.Second, time.Millisecond)
		leave()
		assert.Equal(t, http.StatusServiceUnavailable, <-answered)
	}
	go func() { <-h.lookups }()
	w := httptest.NewRecorder()
	h.serve(w, httptest.NewRequest(http.MethodGet, "/api/v1/versions?namespace=shop&service=reviews", nil), false, h.versions)
	assert.Equal(t, http.StatusOK, w.Code, w.Body)
	assert.Len(t, h.lookups, maxLookups-1)
}
