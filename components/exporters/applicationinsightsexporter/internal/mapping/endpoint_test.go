// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// acceptAll posts the items to the local stand-in of the service, in the mode that refuses every text that is too long,
// and holds that it takes them all. It returns what it stored.
func acceptAll(t testing.TB, batch *items.Batch) []ingestiontest.Item {
	t.Helper()
	endpoint, err := ingestiontest.New(ingestiontest.Config{
		Lengths: ingestiontest.RejectLong,
		Now:     func() time.Time { return time.Unix(0, 0) }, // age is not what is tested
	})
	require.NoError(t, err)
	var body bytes.Buffer
	sent := 0
	for i := range batch.Len() {
		if item := batch.Item(i); item.Reject == items.RejectNone {
			body.WriteString(`{"iKey":"` + ingestiontest.DefaultInstrumentationKey + `",`)
			body.Write(item.JSON[1:])
			body.WriteByte('\n')
			sent++
		}
	}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, ai.TrackPath, &body)
	request.Header.Set("Content-Type", ai.ContentTypeLines)
	answer := httptest.NewRecorder()
	endpoint.ServeHTTP(answer, request)
	if sent > 0 {
		require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
	}
	stored := endpoint.Items(ingestiontest.Filter{})
	require.Len(t, stored, sent)
	return stored
}
