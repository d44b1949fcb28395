// SPDX-License-Identifier: Apache-2.0

package envoyreceiver

import (
	"errors"
	"io"
	"strings"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/wire"
)

// A stream that is to end takes what has arrived first: until it has been quiet for a moment, and not for long, as a
// busy sender never is.
const (
	quiet     = 100 * time.Millisecond
	drainMost = time.Second
)

// service is one of Envoy's push APIs.
type service struct {
	signal   signal
	name     string
	method   string
	response proto.Message
}

// handler takes the messages of one stream.
type handler interface {
	// identified reports whether the stream has introduced itself.
	identified() bool
	// handle takes one encoded message. An error is a status that ends the stream.
	handle(data []byte) error
	// close frees what the stream holds.
	close()
}

// newHandler makes the handler of a stream.
type newHandler func(*envoyReceiver, *delivery) handler

// description registers a service whose messages stay encoded until they have been weighed.
func (r *envoyReceiver) description(s service, newHandler newHandler) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: s.name,
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName:    s.method,
			ClientStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error {
				return r.admit(s, stream, newHandler)
			},
		}},
	}
}

// admit serves a stream if there is room for it.
func (r *envoyReceiver) admit(s service, stream grpc.ServerStream, newHandler newHandler) error {
	defer r.streams.Add(-1)
	if r.streams.Add(1) > int64(r.cfg.MaxStreams) {
		r.telemetry.streamRejected(s.signal, reasonMaxStreams)
		return status.Errorf(codes.ResourceExhausted, "%d streams are open, which is 'max_streams' of the collector's envoy receiver",
			r.cfg.MaxStreams)
	}
	select {
	case <-r.stopping:
		r.telemetry.streamRejected(s.signal, reasonShuttingDown)
		return errShuttingDown
	default:
	}
	r.telemetry.streamsActive(s.signal, 1)
	defer r.telemetry.streamsActive(s.signal, -1)

	d := newDelivery(r, s.signal, stream.Context())
	defer d.close()
	h := newHandler(r, d)
	defer h.close()
	return r.serve(s, stream, h)
}

var errShuttingDown = status.Error(codes.Unavailable, "the collector is shutting down")

// received is a message, or why there are no more.
type received struct {
	frame *wire.Frame
	err   error
}

// serve takes messages until the sender ends the stream, a message ends it, or it must end: at shutdown, or for its
// age. Then it takes what has arrived first.
func (r *envoyReceiver) serve(s service, stream grpc.ServerStream, h handler) error {
	messages := make(chan received)
	ended := make(chan struct{})
	defer close(ended)
	r.readers.Go(func() { r.read(s, stream, messages, ended) })

	identify := time.NewTimer(r.cfg.IdentifyTimeout)
	defer identify.Stop()
	stopping, tooOld := r.stopping, r.maxAge()
	var drained, enough <-chan time.Time
	var last error
	for {
		select {
		case m := <-messages:
			if m.err != nil {
				return r.finish(s, stream, m.err)
			}
			err := h.handle(m.frame.Bytes())
			m.frame.Free()
			if err != nil {
				return err
			}
			if drained != nil {
				drained = time.After(quiet)
			}
		case <-identify.C:
			if !h.identified() && drained == nil {
				return r.reject(s.signal, reasonTimeout,
					status.Errorf(codes.DeadlineExceeded, "no message with an identifier within %v", r.cfg.IdentifyTimeout))
			}
		case <-stopping:
			stopping, last = nil, errShuttingDown
			drained, enough = time.After(quiet), time.After(drainMost)
		case <-tooOld:
			tooOld = nil
			drained, enough = time.After(quiet), time.After(drainMost)
		case <-drained:
			return end(s, stream, last)
		case <-enough:
			return end(s, stream, last)
		case <-r.deadline.Done():
			return errShuttingDown
		}
	}
}

// end ends a stream with a status, or in order if there is none.
func end(s service, stream grpc.ServerStream, last error) error {
	if last != nil {
		return last
	}
	return stream.SendMsg(s.response)
}

// read hands over messages one by one: the next is read only when the last was taken, which holds back the sender.
func (r *envoyReceiver) read(s service, stream grpc.ServerStream, messages chan<- received, ended <-chan struct{}) {
	for {
		frame := &wire.Frame{}
		err := stream.RecvMsg(frame)
		select {
		case messages <- received{frame: frame, err: err}:
		case <-ended:
			frame.Free()
			if err == nil {
				r.telemetry.messageRejected(s.signal, reasonStreamEnded)
			}
			return
		}
		if err != nil {
			return
		}
	}
}

// finish turns why there are no more messages into the stream's end.
func (r *envoyReceiver) finish(s service, stream grpc.ServerStream, err error) error {
	if errors.Is(err, io.EOF) {
		return stream.SendMsg(s.response)
	}
	switch status.Code(err) {
	case codes.Canceled, codes.DeadlineExceeded, codes.Unavailable:
		return err // The sender is gone.
	case codes.ResourceExhausted:
		// gRPC has told the sender already, so the key to change can only be told here.
		return r.reject(s.signal, reasonMessageTooLong, err, zap.Int("max_recv_msg_size_mib", r.cfg.ServerConfig.MaxRecvMsgSizeMiB))
	default:
		return r.reject(s.signal, reasonMalformed, err)
	}
}

// reject counts and logs a message that is not decoded, and returns the status that ends its stream.
func (r *envoyReceiver) reject(s signal, why reason, err error, fields ...zap.Field) error {
	r.telemetry.messageRejected(s, why)
	fields = append(fields, zap.String("signal", string(s)), zap.String("reason", string(why)), zap.Error(err))
	r.set.Logger.Warn("Rejected a message", fields...)
	return err
}

// maxAge fires when a stream is as old as a connection may get: to end it here lets it end in order, where gRPC would
// cut it off. It is nil, and never fires, if connections may get any age.
func (r *envoyReceiver) maxAge() <-chan time.Time {
	if !r.cfg.ServerConfig.Keepalive.HasValue() {
		return nil
	}
	parameters := r.cfg.ServerConfig.Keepalive.Get().ServerParameters
	if !parameters.HasValue() || parameters.Get().MaxConnectionAge <= 0 {
		return nil
	}
	return time.After(parameters.Get().MaxConnectionAge)
}

// refuseUnknown answers a call to a service that is not served with what to do about it.
func (r *envoyReceiver) refuseUnknown(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	switch {
	case strings.HasPrefix(method, "/"+logsService.name+"/"):
		r.telemetry.streamRejected(signalLogs, reasonNotServed)
		return status.Error(codes.Unimplemented, "the collector's envoy receiver is in no logs pipeline, so it takes no access logs")
	case strings.HasPrefix(method, "/"+metricsService.name+"/"):
		r.telemetry.streamRejected(signalMetrics, reasonNotServed)
		return status.Error(codes.Unimplemented, "the collector's envoy receiver is in no metrics pipeline, so it takes no metrics")
	default:
		r.telemetry.streamRejected(signalUnknown, reasonNotServed)
		return status.Errorf(codes.Unimplemented, "the collector's envoy receiver does not serve %s: it serves %s and %s, "+
			"so Envoy's sink needs 'transport_api_version: V3'", method, logsService.name, metricsService.name)
	}
}
