// SPDX-License-Identifier: Apache-2.0

// Package events tells people of shifts: as log records for whoever keeps them, as a gauge while a shift lasts, and as a line
// in the collector's own log.
package events
