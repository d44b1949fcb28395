// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// severityOf returns the level of a record: that of its severity number, by the ranges of the OpenTelemetry log data model;
// without one, that of its severity text; without a word that is known, fallback.
func severityOf(number plog.SeverityNumber, text string, fallback ai.SeverityLevel) ai.SeverityLevel {
	switch {
	case number >= plog.SeverityNumberFatal && number <= plog.SeverityNumberFatal4:
		return ai.Critical
	case number >= plog.SeverityNumberError && number < plog.SeverityNumberFatal:
		return ai.Error
	case number >= plog.SeverityNumberWarn && number < plog.SeverityNumberError:
		return ai.Warning
	case number >= plog.SeverityNumberInfo && number < plog.SeverityNumberWarn:
		return ai.Information
	case number >= plog.SeverityNumberTrace && number < plog.SeverityNumberInfo:
		return ai.Verbose
	}
	if level, ok := severityWord(text); ok {
		return level
	}
	return fallback
}

// severityWords are the names that logging libraries, syslog and Windows have for their levels, in lower case.
var severityWords = map[string]ai.SeverityLevel{
	"trace": ai.Verbose, "debug": ai.Verbose, "verbose": ai.Verbose, "fine": ai.Verbose, "finer": ai.Verbose,
	"finest": ai.Verbose, "config": ai.Verbose, "dbug": ai.Verbose, "trce": ai.Verbose, "silly": ai.Verbose,
	"info": ai.Information, "information": ai.Information, "informational": ai.Information, "notice": ai.Information,
	"audit": ai.Information,
	"warn":  ai.Warning, "warning": ai.Warning,
	"error": ai.Error, "err": ai.Error, "fail": ai.Error, "failure": ai.Error, "severe": ai.Error,
	"fatal": ai.Critical, "critical": ai.Critical, "crit": ai.Critical, "alert": ai.Critical, "emerg": ai.Critical,
	"emergency": ai.Critical, "panic": ai.Critical, "dpanic": ai.Critical,
}

// severityWord reads a level by its name, in any case, also with a number behind it as in "WARN2".
func severityWord(text string) (ai.SeverityLevel, bool) {
	text = strings.TrimRight(strings.TrimSpace(text), "0123456789")
	if text == "" || len(text) > len("informational") {
		return 0, false
	}
	level, ok := severityWords[strings.ToLower(text)]
	return level, ok
}
