// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"strconv"
	"strings"
)

// Severity says how bad what a record tells was.
type Severity uint8

// The severities.
const (
	Info Severity = iota
	Warn
	Error
)

// String returns the severity as it is written on a log record.
func (s Severity) String() string {
	switch s {
	case Error:
		return "ERROR"
	case Warn:
		return "WARN"
	}
	return "INFO"
}

// IsFailureFlag says whether a response flag, in its short form, means that the mesh and not the client failed the request.
// DC and DR are the client's doing; DI, RFCF and the like say how a request was served, not that it failed; RL, UAEX and
// IH come with a status code that tells.
func IsFailureFlag(flag string) bool {
	switch flag {
	case "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "RLSE", "URX", "DPE", "UMSDR", "NFCF", "DT", "UPE", "NC",
		"OM", "DF":
		return true
	}
	return false
}

// SeverityOf goes by the status code, from 500 on an error and from 400 on a warning; without one (0) a failure among the
// flags, joined by commas, makes it an error. It does not allocate.
func SeverityOf(status int64, flags string) Severity {
	switch {
	case status >= 500:
		return Error
	case status >= 400:
		return Warn
	case status != 0:
		return Info
	}
	for flags != "" {
		var flag string
		if flag, flags, _ = strings.Cut(flags, ","); IsFailureFlag(flag) {
			return Error
		}
	}
	return Info
}

// Severity returns how bad the entry was.
func (r *Record) Severity() Severity {
	status, err := strconv.ParseInt(r.values[ResponseCode], 10, 64)
	if err != nil {
		status = 0
	}
	return SeverityOf(status, r.values[ResponseFlags])
}

// Severity returns the level of the line: ztunnel says "error" for a connection that failed and "warn" for one that it
// refused at once.
func (z *Ztunnel) Severity() Severity {
	switch {
	case z.values[ZtunnelLevel] == "warn":
		return Warn
	case z.values[ZtunnelLevel] == "error", z.values[ZtunnelError] != "":
		return Error
	}
	return Info
}
