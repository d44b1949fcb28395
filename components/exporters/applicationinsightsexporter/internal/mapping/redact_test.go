// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

func redactedText(s string) string {
	var got strings.Builder
	redact(s, func(part string) { got.WriteString(part) })
	return got.String()
}

// TestRedactTakesTimeInProportion: a text of a megabyte that is made to be searched again and again takes milliseconds.
// Searching it anew at each mark would take minutes.
func TestRedactTakesTimeInProportion(t *testing.T) {
	const n = 2 << 20
	for name, text := range map[string]string{
		"equals":           "?" + strings.Repeat("=", n),
		"parameters":       "?" + strings.Repeat("a=", n/2),
		"authorities":      strings.Repeat("://a:b/", n/7),
		"authorities, end": strings.Repeat("://a:b/", n/7) + "@",
		"signatures":       strings.Repeat("&sig=", n/5),
	} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			redactedText(text)
			assert.Less(t, time.Since(begun), 5*time.Second)
		})
	}
}

// TestRedactNames: what programs and Azure's services call a credential in a query.
func TestRedactNames(t *testing.T) {
	for _, name := range []string{
		"sig", "code", "token", "key", "api_key", "apikey", "api-key", "subscription-key", "password", "secret", "id_token",
		"refresh_token", "client_assertion", "X-Goog-Signature", "Sig",
	} {
		assert.Equal(t, "/p?a=1&"+name+"=REDACTED&b=2", redactedText("/p?a=1&"+name+"=x%20y&b=2"), name)
	}
	for _, name := range []string{"keys", "tokens", "monkey", "sort", "q", "se", "sv"} {
		text := "/p?a=1&" + name + "=x&b=2"
		assert.Equal(t, text, redactedText(text), name)
	}
	assert.Equal(t, "/p?sig=REDACTED", redactedText("/p?sig=a://b"), "a value that looks like a URL")
}

// TestStatementsAndStacksHideCredentials: databases load from URLs, and the first line of a stack is the message.
func TestStatementsAndStacksHideCredentials(t *testing.T) {
	const secret = "https://u:hush@a.example/c?sv=1&sig=hush"
	got := mapOne(t, DefaultSettings(), ptrace.SpanKindClient, map[string]any{
		"db.system.name": "microsoft.sql_server", "db.query.text": "BACKUP DATABASE d TO URL = '" + secret + "' WITH FORMAT",
	}, unset)
	assert.Equal(t, "BACKUP DATABASE d TO URL = 'https://REDACTED:REDACTED@a.example/c?sv=1&sig=REDACTED' WITH FORMAT", got.Data)

	td, span := oneSpan()
	event := span.Events().AppendEmpty()
	event.SetName("exception")
	event.Attributes().PutStr("exception.type", "E")
	event.Attributes().PutStr("exception.message", secret)
	event.Attributes().PutStr("exception.stacktrace", "E: "+secret+"\n\tat a.B.c(D.java:1)")
	m, _ := newTestMapper(t, DefaultSettings())
	batch := &items.Batch{}
	m.Traces(td, batch)
	text := string(batch.Item(1).JSON)
	assert.NotContains(t, text, "hush")
	assert.Contains(t, text, "at a.B.c(D.java:1)")

	log := data[*ai.ExceptionData](t, oneLog(t, m, func(r plog.LogRecord) {
		event.Attributes().CopyTo(r.Attributes())
	})).Exceptions[0]
	assert.NotContains(t, log.Message+log.Stack, "hush")
	assert.Contains(t, log.Stack, "at a.B.c(D.java:1)")
}
