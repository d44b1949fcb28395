// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// ActionKind says what is to be done with the topology.
type ActionKind uint8

const (
	// ActionApply: apply Update: each pod of its Past with [topology.Writer.ApplyPast], and then the delta.
	ActionApply ActionKind = iota + 1
	// ActionStale: mark Cluster stale since Since, or fresh if Since is zero.
	ActionStale
	// ActionRemove: forget Cluster with its history.
	ActionRemove
	// ActionFinding: report Finding.
	ActionFinding
)

// Action is one thing to do with the topology, in the order of the list it is in. All are done on a [topology.Writer]
// by the goroutine that owns it.
type Action struct {
	Kind ActionKind
	// Cluster is set for all kinds; for a finding it may be empty.
	Cluster string
	Update  *Update
	Since   time.Time
	Finding topology.Finding
}

// KindClockSkew is the kind of the finding about a spoke whose clock is far off the hub's.
const KindClockSkew = "clock_skew"

// AssemblerSettings configures an [Assembler]. A zero field stands for its default.
type AssemblerSettings struct {
	// MaxClusters is the most clusters; messages of others are refused. Default 1000.
	MaxClusters int
	// MaxPods is the most pods, running and past together, of one snapshot, and also the most of all other objects in it
	// together. Default 200 000.
	MaxPods int
	// What is said of bytes that wait below counts each message as 256 bytes more than its body.
	//
	// ReorderMessages and ReorderBytes bound what waits, for each cluster, for a message before it. When more waits, the
	// message counts as lost. Defaults 64 messages, 16 MiB.
	ReorderMessages, ReorderBytes int
	// ReorderTime is how long messages wait for one before them. Default 10 s.
	ReorderTime time.Duration
	// SnapshotBytes is the most bytes of the chunks of an incomplete snapshot or delta. Default 32 MiB.
	SnapshotBytes int
	// SnapshotTime is how long an incomplete snapshot or delta waits for the next part of it. Default 1 min.
	SnapshotTime time.Duration
	// MaxBytes is the most bytes that wait, of all clusters together. Default 256 MiB.
	MaxBytes int
	// StaleAfter is how long a cluster may say nothing, and how old its last confirmation may be by its own clock and by
	// the hub's, before it is stale.
	// Default 1 min; several times the heartbeat interval.
	StaleAfter time.Duration
	// ExpireAfter is how long a cluster may say nothing before it is forgotten. Default 24 h.
	ExpireAfter time.Duration
	// ClockSkew is how far a spoke's clock may be off the hub's. Default 1 min.
	ClockSkew time.Duration
}

func (s *AssemblerSettings) setDefaults() {
	number(&s.MaxClusters, 1000)
	number(&s.MaxPods, 200_000)
	number(&s.ReorderMessages, 64)
	number(&s.ReorderBytes, 16<<20)
	number(&s.ReorderTime, 10*time.Second)
	number(&s.SnapshotBytes, 32<<20)
	number(&s.SnapshotTime, time.Minute)
	number(&s.MaxBytes, 256<<20)
	number(&s.StaleAfter, time.Minute)
	number(&s.ExpireAfter, 24*time.Hour)
	number(&s.ClockSkew, time.Minute)
}

func number[T int | time.Duration](to *T, value T) {
	if *to == 0 {
		*to = value
	}
}

// AssemblerCounters are totals of messages, unless they say otherwise.
type AssemblerCounters struct {
	// Taken counts messages that took effect, each chunk of a complete snapshot included.
	Taken uint64
	// Repeated counts messages whose sequence was dealt with before: delivered twice, or after they counted as lost.
	Repeated uint64
	// OldEpoch counts messages of leaders that have a successor.
	OldEpoch uint64
	// Rejected counts messages that are invalid or of a newer schema.
	Rejected uint64
	// RefusedUID counts messages of a second cluster of one name.
	RefusedUID uint64
	// RefusedLimit counts messages refused because of MaxClusters, and those of snapshots above a ceiling.
	RefusedLimit uint64
	// Lost counts messages that did not arrive in time, as far as sequences tell.
	Lost uint64
	// Incomplete counts chunks, and parts of cut deltas, that arrived for nothing as others of the same did not.
	Incomplete uint64
	// Snapshots counts complete snapshots.
	Snapshots uint64
	// Epochs counts changes of leader.
	Epochs uint64
	// Expired counts clusters that were forgotten after their silence.
	Expired uint64
}

// Position is how far into a cluster's stream the applied updates go.
type Position struct {
	Cluster, ClusterUID string
	Epoch               int64
	// Sequence is the last message of the epoch whose content was applied; 0 if none was.
	Sequence uint64
	// At is up to when the applied content is confirmed; zero if it is not.
	At time.Time
	// Complete says that the content is all there was to know: a complete snapshot and every message since.
	Complete bool
}
