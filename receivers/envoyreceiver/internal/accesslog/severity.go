// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"net/http"

	"go.opentelemetry.io/collector/pdata/plog"
)

func setSeverity(record plog.LogRecord, severity plog.SeverityNumber) {
	record.SetSeverityNumber(severity)
	switch severity {
	case plog.SeverityNumberError:
		record.SetSeverityText("ERROR")
	case plog.SeverityNumberWarn:
		record.SetSeverityText("WARN")
	default:
		record.SetSeverityText("INFO")
	}
}

// httpSeverity goes by the status code; without one, a failure flag makes it an error.
func httpSeverity(code uint32, flags []string) plog.SeverityNumber {
	switch {
	case code >= http.StatusInternalServerError:
		return plog.SeverityNumberError
	case code >= http.StatusBadRequest:
		return plog.SeverityNumberWarn
	case code == 0 && hasFailure(flags):
		return plog.SeverityNumberError
	default:
		return plog.SeverityNumberInfo
	}
}

// tcpSeverity goes by the flags, as a connection has no status code.
func tcpSeverity(flags []string) plog.SeverityNumber {
	if hasFailure(flags) {
		return plog.SeverityNumberError
	}
	return plog.SeverityNumberInfo
}
