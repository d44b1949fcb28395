// SPDX-License-Identifier: Apache-2.0

// Package accesslog reads the access logs of a mesh's proxies from the texts that carry them, with the standard library
// alone:
//
//   - [Parse]: any body, into an [Entry]
//   - [ParseText]: Istio's default line, of today and of older versions, and Envoy's own
//   - [ParseTail]: the end of that line, which tells the two ends of the call
//   - [ParseJSON]: Istio's default JSON, and ztunnel's with LOG_FORMAT=json
//   - [ParseZtunnel]: ztunnel's line
//   - [FieldOf], [ZtunnelFieldOf]: the names under which attributes and maps carry the same
//   - [SeverityOf], [IsFailureFlag]: how bad it was
//
// Values stay as they were written, except for "-", "" and JSON's null, by which proxies say that there is nothing: those
// are empty, and present. Texts are the caller's to choose: what a quote in one of them could shift is left out, and the
// entry says so, see [Entry.Ambiguous].
package accesslog
