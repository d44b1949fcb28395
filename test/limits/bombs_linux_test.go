// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "go.opentelemetry.io/collector/config/configgrpc" // registers zstd and snappy
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	parallel = 16
	// perRequest is how much memory one request of 4 MiB may take: ten times its size.
	perRequest = 10 * 4 * mib
	// untilRefused is how long it may take until a bomb is refused. It is the processor's time that is held to it, as the
	// time that passes depends on what else the machine does.
	untilRefused = 20 * time.Millisecond
)

// refusedForGood says whether an answer over gRPC is one that no sender repeats.
func refusedForGood(err error) bool {
	s := status.Convert(err)
	return s.Code() == codes.InvalidArgument || s.Code() == codes.ResourceExhausted && len(s.Details()) == 0 || s.Code() == codes.Internal
}

func url(r *role, port, path string) string { return "http://" + r.host + ":" + port + path }

// TestBombsOneByOne measures what each bomb costs an agent that does nothing else.
func TestBombsOneByOne(t *testing.T) {
	s := startSink(t, "127.14.0.3:14317", false)
	r := startAgent(t, "127.14.0.2", s.endpoint)
	conn := dialGRPC(t, "127.14.0.4", r.host+":4317")
	client := httpClient(t, "127.14.0.4")
	require.NoError(t, export(t.Context(), conn, tracesMethod, largest(t, 1000)))
	idle := r.memory("VmRSS")
	t.Logf("at rest: %d MiB", idle/mib)
	const times = 5
	var all []time.Duration
	var worst time.Duration
	check := func(name string, do func()) {
		var took, used []time.Duration
		before := r.memory("VmRSS")
		peak := r.peak(func() {
			for range times {
				cpu, began := r.cpu(), time.Now()
				do()
				took = append(took, time.Since(began))
				used = append(used, r.cpu()-cpu)
			}
		})
		// The least is the request's own: what the agent does beside it falls into some of them.
		own := slices.Min(used)
		all, worst = append(all, took...), max(worst, own)
		t.Logf("%-42s refused in %8v at best, %8v of a processor; peak +%.1f MiB", name, slices.Min(took).Round(10*time.Microsecond),
			own.Round(10*time.Microsecond), float64(peak-before)/mib)
		assert.Less(t, peak-before, int64(perRequest), name)
		assert.Less(t, own, untilRefused, name)
	}
	for _, b := range protoBombs(4 * mib) {
		check(b.name, func() {
			err := export(t.Context(), conn, b.method, b.body)
			require.True(t, refusedForGood(err), "%s: %v", b.name, err)
			require.NotEmpty(t, status.Convert(err).Message())
		})
		check("http: "+b.name, func() {
			code, text, err := post(client, url(r, "4318", b.path), "application/x-protobuf", "", b.body)
			require.NoError(t, err, b.name)
			require.Contains(t, []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge}, code, "%s: %s", b.name, text)
			require.NotEmpty(t, text)
		})
	}
	for _, b := range jsonBombs(4 * mib) {
		check(b.name, func() {
			code, text, err := post(client, url(r, "4318", b.path), "application/json", "", b.body)
			require.NoError(t, err, b.name)
			require.Contains(t, []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge}, code, "%s: %s", b.name, text)
			require.NotEmpty(t, text)
		})
	}
	median, p99, slowest := spread(all)
	t.Logf("until the error: median %v, p99 %v, at most %v; at most %v of a processor", median, p99, slowest, worst.Round(10*time.Microsecond))
}

// largest is an honest request of n spans.
func largest(t testing.TB, n int) []byte {
	t.Helper()
	td := ptrace.NewTraces()
	list := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range n {
		s := list.AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1, byte(i), byte(i >> 8)}) //nolint:gosec // cut
		s.SetName("GET /reviews")
		s.Attributes().PutStr("http.request.method", "GET")
		s.Attributes().PutStr("url.path", "/reviews/0")
	}
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	require.NoError(t, err)
	return body
}

// shot is one request of an attack; fire returns whether it was taken.
type shot struct {
	name string
	fire func(*attacker) (taken bool)
}

// attacker is a client that sends what is compressed already, so that its own work is not what is measured.
type attacker struct {
	grpc map[string]*grpc.ClientConn
	http *http.Client
}

func newAttacker(t *testing.T, from string, r *role) *attacker {
	t.Helper()
	a := &attacker{http: httpClient(t, from), grpc: make(map[string]*grpc.ClientConn)}
	for _, encoding := range grpcEncodings {
		var options []grpc.DialOption
		if encoding != "" {
			options = append(options, grpc.WithCompressor(packed(encoding))) //nolint:staticcheck // nothing else takes what is packed
		}
		a.grpc[encoding] = dialGRPC(t, from, r.host+":4317", options...)
	}
	return a
}

// What the receivers of an agent unpack; over HTTP neither zstd nor snappy in one block, which is refused.
var (
	grpcEncodings = []string{"", "gzip", "zstd", "snappy"}
	httpEncodings = []string{"", "gzip", "zlib", "deflate", "x-snappy-framed", "snappy", "zstd"}
)

// attack makes all bombs in all encodings, and bombs of size.
func attack(t *testing.T, r *role) (shots []shot) {
	t.Helper()
	overGRPC := func(name, method, encoding string, body []byte) {
		shots = append(shots, shot{name + " over gRPC, " + encoding, func(a *attacker) bool {
			ctx, cancel := context.WithTimeout(context.Background(), within)
			defer cancel()
			return export(ctx, a.grpc[encoding], method, body) == nil
		}})
	}
	overHTTP := func(name, path, kind, encoding string, body []byte) {
		shots = append(shots, shot{name + " over HTTP, " + encoding, func(a *attacker) bool {
			code, _, err := post(a.http, url(r, "4318", path), kind, encoding, body)
			return err == nil && code == http.StatusOK
		}})
	}
	for i, b := range protoBombs(4 * mib) {
		encoding := grpcEncodings[i%len(grpcEncodings)]
		overGRPC(b.name, b.method, encoding, packGRPC(t, encoding, b.body))
		encoding = httpEncodings[i%len(httpEncodings)]
		overHTTP(b.name, b.path, "application/x-protobuf", encoding, pack(t, encoding, b.body))
	}
	for i, b := range jsonBombs(4 * mib) {
		encoding := httpEncodings[i%len(httpEncodings)]
		overHTTP(b.name, b.path, "application/json", encoding, pack(t, encoding, b.body))
	}
	zeros := make([]byte, 64*mib)
	for _, encoding := range grpcEncodings[1:] {
		overGRPC("64 MiB of zeros", tracesMethod, encoding, packGRPC(t, encoding, zeros))
	}
	for _, encoding := range httpEncodings[1:] {
		overHTTP("64 MiB of zeros", "/v1/traces", "application/x-protobuf", encoding, pack(t, encoding, zeros))
	}
	// Announces 4 GiB in six bytes.
	overHTTP("a false length", "/v1/logs", "application/x-protobuf", "snappy", []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0x00})
	return shots
}

// TestBombsInParallel fires all bombs 16 at a time, first from one peer, then from four, and largest honest requests among
// them, while honest senders go on.
func TestBombsInParallel(t *testing.T) {
	s := startSink(t, "127.14.0.13:14317", false)
	r := startAgent(t, "127.14.0.12", s.endpoint)
	shots := attack(t, r)
	each := 4 // of the bombs each attacker fires one in so many; together they fire each four times
	if os.Getenv("LIMITS_LONG") != "" {
		each = 1
	}
	large := largest(t, 43_000)
	require.Greater(t, len(large), 3*mib)
	require.Less(t, len(large), 4*mib)
	large = pack(t, "gzip", large)
	beside(t, s, []*honest{overGRPC(t, "127.14.0.14", r.host+":4317"), overHTTP(t, "127.14.0.15", r.host+":4318")}, func() {
		for _, peers := range []int{1, 4} {
			start := r.memory("VmRSS")
			var fired sync.WaitGroup
			began := time.Now()
			peak := r.peak(func() {
				for i := range parallel {
					own := newAttacker(t, fmt.Sprintf("127.14.2.%d", 1+i%peers), r)
					fired.Go(func() {
						for j := 0; j < len(shots); j += each {
							one := shots[(j+i*7)%len(shots)]
							assert.False(t, one.fire(own), "%s was taken", one.name)
						}
						if err := export(context.Background(), own.grpc["gzip"], tracesMethod, large); err != nil {
							assert.False(t, refusedForGood(err), "an honest request: %v", err)
						}
					})
				}
				fired.Wait()
			})
			t.Logf("%d bombs, 16 at a time from %d peers, in %v: memory %d MiB before, %d MiB at the peak", parallel*len(shots)/each,
				peers, time.Since(began).Round(time.Millisecond), start/mib, peak/mib)
			require.Less(t, peak, int64(agentContainer*mib))
		}
	})
	refused := r.metric(refusedMetric, "reason")
	var kinds []string
	for kind, n := range refused {
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, n))
	}
	slices.Sort(kinds)
	t.Log("refused: " + strings.Join(kinds, ", "))
	for _, kind := range []string{
		"records", "resources", "scopes", "links", "events", "attributes_per_object", "values", "exemplars", "buckets", "depth",
		"value_bytes", "key_bytes", "malformed", "request_bytes",
	} {
		require.Positive(t, refused[kind], kind)
	}
	require.Zero(t, r.process.Restarts())
}
