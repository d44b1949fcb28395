// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// The client under the upstream exporter never ends this goroutine: its accept
// loop waits for a throttle manager that nobody stops.
const upstreamLeak = "github.com/microsoft/ApplicationInsights-Go/appinsights.(*throttleManager).Stop"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(upstreamLeak)) }

var testTime = time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC)

func testConfig() Config { return Config{Now: func() time.Time { return testTime }} }

// span makes a request or dependency of one role and region.
func span(base ai.BaseData, role, region, operation, parent string) ai.Envelope {
	switch d := base.(type) {
	case *ai.RequestData:
		d.Properties = map[string]string{RegionProperty: region}
	case *ai.RemoteDependencyData:
		d.Properties = map[string]string{RegionProperty: region}
	}
	return ai.Envelope{
		Ver: 1, Name: ai.EnvelopeName(base.BaseType()), Time: ai.NewTime(testTime), InstrumentationKey: "key",
		Tags: map[string]string{ai.TagCloudRole: role, ai.TagOperationID: operation, ai.TagOperationParentID: parent},
		Data: ai.NewData(base),
	}
}

func request(id string) *ai.RequestData {
	return &ai.RequestData{Ver: ai.DataVersion, ID: id, ResponseCode: "200", Success: true}
}

func dependency(id string) *ai.RemoteDependencyData {
	return &ai.RemoteDependencyData{Ver: ai.DataVersion, ID: id, Name: "GET", ResultCode: "200", Success: true}
}

func event(name string) ai.Envelope {
	return span(&ai.EventData{Ver: ai.DataVersion, Name: name}, "role", "", "", "")
}

func lines(t testing.TB, envelopes ...ai.Envelope) []byte {
	t.Helper()
	var body []byte
	for _, e := range envelopes {
		text, err := json.Marshal(e)
		require.NoError(t, err)
		body = append(append(body, text...), '\n')
	}
	return body
}

func zip(t testing.TB, body []byte) []byte {
	t.Helper()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err := w.Write(body)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return zipped.Bytes()
}

// reply is an answer read whole.
type reply struct {
	status   int
	header   http.Header
	body     string
	response ai.TrackResponse
}

// client keeps no connections, so that leaks show, and follows no redirects.
func client() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func do(ctx context.Context, t testing.TB, method, url string, body []byte, headers ...string) (reply, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	response, err := client().Do(r)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return reply{}, err
	}
	got := reply{status: response.StatusCode, header: response.Header, body: string(text)}
	_ = json.Unmarshal(text, &got.response)
	return got, nil
}

func post(t testing.TB, s *Server, body []byte, headers ...string) reply {
	t.Helper()
	got, err := do(t.Context(), t, http.MethodPost, s.URL()+ai.TrackPath, body, headers...)
	require.NoError(t, err)
	return got
}
