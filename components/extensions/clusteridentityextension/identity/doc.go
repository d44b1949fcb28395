// SPDX-License-Identifier: Apache-2.0

// Package identity says which clusters the holder of a verified certificate may speak for.
//
//   - [Compile] reads the rules of the configuration.
//   - [Rules.Identify] maps the chains that TLS verified to an [Identity], or says with a [Refusal] why it cannot.
//   - [ParseSPIFFE] reads a SPIFFE id as strictly as the specification writes it.
//
// Nothing here looks at headers, or at a certificate that nobody verified. The package knows neither gRPC, HTTP nor the
// collector.
package identity
