// SPDX-License-Identifier: Apache-2.0

// Package inventory is the inventory stream: what the leader of a cluster tells the hub about it.
//
//   - [Encoder] turns a snapshot, deltas and heartbeats into messages; [Decode] turns a message back.
//   - [Assembler] is the hub's side: it takes the messages of all clusters, in any order and possibly twice, and says
//     what to do with the topology, as a list of [Action].
//   - [Save] and [Load] are the hub's disk copy, in the same encoding. [Assembler.Replay] takes again what came after it.
//
// The bytes are described in inventory.proto, the stream in docs/inventory.md. How messages travel (OTLP log records)
// is the business of the components: the package knows [Header] and bytes.
package inventory

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// SchemaVersion is the version of the wire format that this package writes, and the newest it reads. It changes only
// if a consumer that skips what it does not know would misunderstand the rest.
const SchemaVersion = 1

// ScopeName is the name of the instrumentation scope of inventory log records.
const ScopeName = "github.com/otelcol-mesh/otelcol-mesh/receivers/meshinventoryreceiver"

// The event names of inventory log records.
const (
	EventNameSnapshot  = "mesh.inventory.snapshot"
	EventNameDelta     = "mesh.inventory.delta"
	EventNameHeartbeat = "mesh.inventory.heartbeat"
)

// The attributes of inventory log records, all integers. Part and parts are on snapshots only. Cluster, uid and region are
// k8s.cluster.name, k8s.cluster.uid and cloud.region of the resource.
const (
	AttributeSchemaVersion = "mesh.inventory.schema_version"
	AttributeEpoch         = "mesh.inventory.epoch"
	AttributeSequence      = "mesh.inventory.sequence"
	AttributePart          = "mesh.inventory.part"
	AttributeParts         = "mesh.inventory.parts"
)

// The ceilings of the wire format. The encoder keeps to them and the decoder insists.
const (
	// MaxMessageBytes is how large a body gets before the encoder begins the next message. Only an object that is
	// larger by itself makes a larger one.
	MaxMessageBytes = 256 << 10
	// MaxBodyBytes is the largest body the decoder takes. An object that alone is larger is not sent.
	MaxBodyBytes = 1 << 20
	// MaxItems is the most objects (pods, nodes, services, workloads and so on) in a message: an object takes many
	// times more memory than the few bytes it may be made of.
	MaxItems = 32 << 10
	// MaxStrings is the most entries of the string table.
	MaxStrings = 128 << 10
	// MaxStringBytes is the longest string. Names in Kubernetes have at most 253 bytes.
	MaxStringBytes = 1024
	// MaxParts is the most chunks of a snapshot.
	MaxParts = 4096
)

// Kind says what a message is.
type Kind uint8

const (
	// KindSnapshot is a chunk of a description of the whole cluster.
	KindSnapshot Kind = iota + 1
	// KindDelta is what changed since the message before.
	KindDelta
	// KindHeartbeat says that nothing changed.
	KindHeartbeat
)

var eventNames = [...]string{"", EventNameSnapshot, EventNameDelta, EventNameHeartbeat}

// EventName returns the event name of the kind's log records; empty for an invalid kind.
func (k Kind) EventName() string {
	if int(k) >= len(eventNames) {
		return ""
	}
	return eventNames[k]
}

// KindOf returns the kind of the log records with this event name. ok is false if it is none of the inventory's.
func KindOf(eventName string) (k Kind, ok bool) {
	switch eventName {
	case EventNameSnapshot:
		return KindSnapshot, true
	case EventNameDelta:
		return KindDelta, true
	case EventNameHeartbeat:
		return KindHeartbeat, true
	default:
		return 0, false
	}
}

// Header is what is known of a message without reading its body. It travels as attributes of the log record.
type Header struct {
	// Schema is the sender's [SchemaVersion].
	Schema int
	// Cluster is the cluster's name; required. ClusterUID is the uid of its namespace kube-system; empty if not known.
	Cluster, ClusterUID string
	// Epoch is when the sender became leader, in Unix nanoseconds. A later leader has a greater one. At least 1.
	Epoch int64
	// Sequence numbers the messages of an epoch, from 1, without holes.
	Sequence uint64
	Kind     Kind
	// Part of Parts is which chunk of a snapshot the message is, from 1. Chunks of a snapshot have consecutive sequences.
	// Both are 0 or 1 for other kinds.
	Part, Parts int
	// At is up to when the sender had seen everything, by its own clock; zero confirms nothing. It is the log record's
	// Timestamp, and the base of the times in the body.
	At time.Time
}

// Message is one record of the stream.
type Message struct {
	Header
	Body []byte
}

// ErrSchema is wrapped by the error about a message whose schema version is not supported.
var ErrSchema = errors.New("schema version not supported")

// ErrInvalid is wrapped by the error about a message that breaks the format.
var ErrInvalid = errors.New("invalid inventory message")

// ErrRefused is wrapped by the error about a valid message of a cluster that the [Assembler] does not take.
var ErrRefused = errors.New("inventory refused")

// newest and oldest bound the times that can be in a message: what fits into Unix nanoseconds.
var (
	oldest = time.Unix(0, 0)
	newest = time.Unix(0, math.MaxInt64)
)

// check returns what is wrong with the header.
func (h *Header) check() error {
	switch {
	case h.Schema > SchemaVersion:
		return fmt.Errorf("%w: cluster %q sends version %d, this hub reads up to version %d; update the hub first",
			ErrSchema, clip(h.Cluster), h.Schema, SchemaVersion)
	case h.Schema < 1:
		return fmt.Errorf("%w: cluster %q sends version %d, this hub reads versions 1 to %d",
			ErrSchema, clip(h.Cluster), h.Schema, SchemaVersion)
	case h.Cluster == "":
		return fmt.Errorf("%w: the record has no cluster name (resource attribute k8s.cluster.name)", ErrInvalid)
	case len(h.Cluster) > MaxStringBytes || len(h.ClusterUID) > MaxStringBytes:
		return h.invalid("the cluster's name or uid is longer than %d bytes", MaxStringBytes)
	case h.Kind.EventName() == "":
		return h.invalid("%d is no kind of message", h.Kind)
	case h.Epoch < 1 || h.Sequence < 1:
		return h.invalid("epoch and sequence (%s, %s) start at 1", AttributeEpoch, AttributeSequence)
	case h.Kind == KindSnapshot && (h.Part < 1 || h.Part > h.Parts || h.Parts > MaxParts || uint64(h.Part) > h.Sequence):
		return h.invalid("a snapshot is in 1 to %d parts, this says part %d of %d", MaxParts, h.Part, h.Parts)
	case h.Kind != KindSnapshot && (h.Part < 0 || h.Part > 1 || h.Parts < 0 || h.Parts > 1):
		return h.invalid("only a snapshot has parts, this says part %d of %d", h.Part, h.Parts)
	case !h.At.IsZero() && (h.At.Before(oldest) || h.At.After(newest)):
		return h.invalid("timestamp out of range")
	}
	return nil
}

// invalid makes an error about the message.
func (h *Header) invalid(format string, args ...any) error {
	return fmt.Errorf("%w of cluster %q, epoch %d, sequence %d: %s",
		ErrInvalid, clip(h.Cluster), h.Epoch, h.Sequence, fmt.Sprintf(format, args...))
}

// clip keeps foreign text in errors short.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// Update is what a message, or all chunks of a snapshot together, say.
type Update struct {
	topology.Delta
	// Past holds pods whose tenancy is over. Snapshots only.
	Past []PastPod
}

// PastPod is a pod that gave up its addresses some time ago.
type PastPod struct {
	topology.PodState
	// Earliest and Latest bound the moment at which it gave them up. A zero Earliest stands for not known.
	Earliest, Latest time.Time
	// Gap says that between the two others may have held the addresses without being seen.
	Gap bool
}
