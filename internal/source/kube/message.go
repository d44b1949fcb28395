// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// message is what a watcher tells the engine.
type message struct {
	watcher *watcher
	kind    messageKind
	name    topology.ObjectName
	value   any
	// listing counts the listings: what the last one did not bring is gone.
	listing  uint32
	observed time.Time
	// listed says that an item comes from a listing: what was there before it, nobody saw.
	listed bool
}

type messageKind uint8

const (
	messageItem messageKind = iota
	messageGone
	// messageSynced ends a listing.
	messageSynced
	// messageAbsent says that the cluster does not have the resource, messageRefused that it may not be read.
	messageAbsent
	messageRefused
	// messageCluster brings the uid and the version of the cluster.
	messageCluster
)
