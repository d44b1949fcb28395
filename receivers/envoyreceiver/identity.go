// SPDX-License-Identifier: Apache-2.0

package envoyreceiver

import (
	"errors"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/attr"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/node"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/wire"
)

// identity is who sends a stream. Envoy tells with the first message only.
type identity struct {
	receiver *envoyReceiver
	signal   signal

	current  proto.Message
	changes  int
	resource pcommon.Map
}

// accept takes the identifier of a message, nil if it has none. It reports whether the identity is new, or a status if
// the stream cannot go on.
func (i *identity) accept(identifier proto.Message, present bool, n *corev3.Node) (isNew bool, err error) {
	if !present {
		if i.current == nil {
			return false, i.receiver.reject(i.signal, reasonNoIdentifier, status.Error(codes.InvalidArgument,
				"the first message of the stream has no 'identifier', so nobody knows who sends it"))
		}
		return false, nil
	}
	if i.current != nil {
		if proto.Equal(i.current, identifier) {
			return false, nil
		}
		if i.changes++; i.changes >= i.receiver.cfg.MaxIdentitiesPerStream {
			return false, i.receiver.reject(i.signal, reasonIdentities, status.Errorf(codes.ResourceExhausted,
				"the stream changed its identifier %d times; 'max_identities_per_stream' of the collector's envoy receiver is %d",
				i.changes, i.receiver.cfg.MaxIdentitiesPerStream))
		}
		i.receiver.telemetry.identityChanged(i.signal)
	}
	if err := node.Check(n); err != nil {
		return false, i.receiver.reject(i.signal, reasonIdentity, status.Error(codes.InvalidArgument, err.Error()))
	}
	i.current = identifier
	i.resource = pcommon.NewMap()
	var tally attr.Tally
	node.Fill(n, i.resource, i.receiver.limits(), &tally)
	i.receiver.telemetry.tally(i.signal, tally)
	return true, nil
}

// weigh rejects a message that would take more memory than allowed, or that is not one, before it is decoded.
func (r *envoyReceiver) weigh(s signal, scale wire.Scale, data []byte) error {
	_, err := scale.Weigh(data, r.cfg.MaxObjectsPerMessage)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, wire.ErrTooManyObjects):
		return r.reject(s, reasonObjects, status.Errorf(codes.ResourceExhausted,
			"%v; 'max_objects_per_message' of the collector's envoy receiver is %d", err, r.cfg.MaxObjectsPerMessage))
	case errors.Is(err, wire.ErrTooDeep):
		return r.reject(s, reasonDepth, status.Error(codes.InvalidArgument, err.Error()))
	default:
		return r.malformed(s, err)
	}
}

func (r *envoyReceiver) malformed(s signal, err error) error {
	return r.reject(s, reasonMalformed, status.Errorf(codes.InvalidArgument, "cannot decode the message: %v", err))
}

func (r *envoyReceiver) tooManyEntries(s signal, n int) error {
	return r.reject(s, reasonEntries, status.Errorf(codes.ResourceExhausted,
		"the message holds %d entries; 'max_entries_per_message' of the collector's envoy receiver is %d",
		n, r.cfg.MaxEntriesPerMessage))
}

func (r *envoyReceiver) limits() attr.Limits {
	return attr.Limits{MaxValueLength: r.cfg.MaxAttributeLength, MaxMapEntries: r.cfg.MaxMapEntries}
}
