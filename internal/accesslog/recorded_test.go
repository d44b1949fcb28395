// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRecordedLines reads what real Envoys sent over OTLP: the line in Istio's default format, and the same operators as
// labels. Both say the same.
func TestRecordedLines(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "test", "recordings", "testdata", "access-logs", "otlp-*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		type value struct{ StringValue string }
		var logs struct {
			ResourceLogs []struct {
				ScopeLogs []struct {
					LogRecords []struct {
						Body       value
						Attributes []struct {
							Key   string
							Value value
						}
					}
				}
			}
		}
		require.NoError(t, json.Unmarshal(data, &logs))
		record := logs.ResourceLogs[0].ScopeLogs[0].LogRecords[0]
		var e Entry
		format, err := Parse(record.Body.StringValue, &e)
		require.NoError(t, err, file)
		require.Equal(t, Text, format, file)
		compared := 0
		for _, label := range record.Attributes {
			f := FieldOf(label.Key)
			if f == FieldNone || !e.Envoy.Has(f) {
				continue
			}
			compared++
			if want := label.Value.StringValue; want != "-" {
				assert.Equal(t, want, e.Envoy.Get(f), "%s of %s", f, file)
			} else {
				assert.Empty(t, e.Envoy.Get(f), "%s of %s", f, file)
			}
		}
		assert.GreaterOrEqual(t, compared, 20, file)
	}
}
