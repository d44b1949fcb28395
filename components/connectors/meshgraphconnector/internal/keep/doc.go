// SPDX-License-Identifier: Apache-2.0

// Package keep carries the graph over a restart: a state that is written whole now and then, and a journal of all that
// happened since. A process that is killed at any moment finds each point that it acknowledged, once.
//
//   - [Open] finds what an earlier process left; [Directory.Load] reads the state and [Directory.Replay] the journal.
//   - [Batch] makes the record of the points of a request, [Directory.Append] writes it. Marks stand between them: the end
//     of an interval, a flush, what was handed on.
//   - [Directory.Rotate] begins a new file of the journal at the moment that a state is of, [Directory.Save] writes the
//     state and removes what it covers.
//   - [Seen] remembers points, so that one that is sent twice is counted once.
//
// The journal is a row of files with rising numbers; the state names the first one that it does not cover. A process never
// goes on with a file of another one, whose end may be torn. A file is a magic and frames: the length of the payload, the
// checksum (CRC-32C) of length and payload, both 4 bytes, little-endian, and the payload, which begins with its kind.
package keep
