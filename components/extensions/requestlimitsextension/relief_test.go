// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"context"
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/requestlimitsextension/internal/metadata"
)

func TestReliefEndsHalfOfTheIdleStreams(t *testing.T) {
	r := newRelief(&Config{MaxProcessBytes: 1000})
	bytes, collections := uint64(1000), uint64(1)
	r.used = func() (uint64, uint64) { return bytes, collections }
	now := time.Now()
	open := func(peer string, n int, idle time.Duration) {
		for range n {
			c := &call{peer: peer}
			c.heard.Store(now.Add(-idle).UnixNano())
			r.add(c)
		}
	}
	count := func(chosen []*call) map[string]int {
		peers := make(map[string]int)
		for _, c := range chosen {
			peers[c.peer]++
		}
		return peers
	}
	require.Empty(t, r.choose(now), "there is none")
	open("many", 8, time.Second)
	open("few", 2, time.Second)
	open("busy", 20, 0)
	require.Empty(t, r.choose(now), "within the limit")
	bytes++
	require.Equal(t, map[string]int{"many": 5}, count(r.choose(now)))
	require.Empty(t, r.choose(now), "what they took is not yet free")
	collections++
	require.Equal(t, map[string]int{"many": 3}, count(r.choose(now)))
	collections++
	require.Equal(t, map[string]int{"few": 1}, count(r.choose(now)))
	collections++
	require.Equal(t, map[string]int{"few": 1}, count(r.choose(now)))
	collections++
	require.Empty(t, r.choose(now))
	require.Equal(t, map[string]int{"busy": 10}, count(r.choose(now.Add(time.Second))))
	require.Len(t, r.streams, 10)
}

func TestReliefFollowsGOMEMLIMIT(t *testing.T) {
	before := debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetMemoryLimit(before)
	require.Zero(t, newRelief(&Config{}).limit)
	debug.SetMemoryLimit(1 << 40)
	require.EqualValues(t, 1<<40, newRelief(&Config{}).limit)
	require.EqualValues(t, 7, newRelief(&Config{MaxProcessBytes: 7}).limit)
	bytes, _ := processMemory()
	require.Greater(t, bytes, uint64(1<<20))
}

// echo is a service with a stream.
type echo struct{ taken atomic.Int64 }

func (e *echo) serve(stream grpc.ServerStream) error {
	for {
		var message []byte
		if err := stream.RecvMsg(&message); err != nil {
			return err
		}
		e.taken.Add(1)
	}
}

// TestStreamsEndWhenMemoryDoes has streams over a real server, an idle one and one that goes on.
func TestStreamsEndWhenMemoryDoes(t *testing.T) {
	own := componenttest.NewTelemetry()
	defer func() { require.NoError(t, own.Shutdown(context.Background())) }()
	set := extensiontest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = own.NewTelemetrySettings()
	set.ID = component.NewID(metadata.Type)
	cfg := createDefaultConfig().(*Config)
	cfg.MaxProcessBytes = 1
	l, err := newRequestLimits(set, cfg)
	require.NoError(t, err)
	var mu sync.Mutex
	var bytes, collections uint64
	l.relief.used = func() (uint64, uint64) {
		mu.Lock()
		defer mu.Unlock()
		collections++
		return bytes, collections
	}
	require.NoError(t, l.Start(t.Context(), componenttest.NewNopHost()))
	defer func() { require.NoError(t, l.Shutdown(context.Background())) }()
	options, err := l.GetGRPCServerOptions(t.Context())
	require.NoError(t, err)
	server := grpc.NewServer(append(options, grpc.ForceServerCodecV2(rawCodec{}))...)
	defer server.Stop()
	e := &echo{}
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "a.B", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{{
		StreamName: "C", ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error { return e.serve(stream) },
	}}}, e)
	f := &fixture{requestLimits: l, own: own, grpc: listen(t, server)}
	conn := f.dial(t, "127.0.0.7")
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, "/a.B/C", grpc.ForceCodecV2(rawCodec{}))
	require.NoError(t, err)
	require.NoError(t, stream.SendMsg([]byte("x")))
	require.Eventually(t, func() bool { return e.taken.Load() == 1 }, 10*time.Second, time.Millisecond)
	mu.Lock()
	bytes = 2
	mu.Unlock()
	var answer []byte
	err = stream.RecvMsg(&answer)
	require.Equal(t, codes.Canceled, status.Code(err), "%v", err)
	f.idle(t)
	require.Eventually(t, func() bool {
		byReason, _ := f.refused(t)
		return byReason["memory"] == 1 && len(byReason) == 1
	}, 10*time.Second, 10*time.Millisecond)
}
