// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	alsdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/attr"
)

func pack(t testing.TB, m proto.Message) *anypb.Any {
	packed, err := anypb.New(m)
	require.NoError(t, err)
	return packed
}

func peerStruct(t testing.TB) *structpb.Struct {
	s, err := structpb.NewStruct(map[string]any{
		"type": "deployment", "workload": "ratings-v1", "name": "ratings-v1-5f8d-xyz", "cluster": "aks-northeurope",
		"namespace": "bookinfo", "service": "ratings", "revision": "v1", "app": "ratings", "version": "v1",
		"region": "northeurope", "availability_zone": "northeurope-2", "labels": map[string]any{"tier": "back"},
	})
	require.NoError(t, err)
	return s
}

const peerAsText = "type=deployment,workload=ratings-v1,name=ratings-v1-5f8d-xyz,cluster=aks-northeurope," +
	"namespace=bookinfo,service=ratings,revision=v1,app=ratings,version=v1,region=northeurope," +
	"availability_zone=northeurope-2,labels[]tier=back"

func record(t testing.TB, c *Converter, objects map[string]*anypb.Any) map[string]any {
	r := plog.NewLogRecord()
	c.TCP(&alsdata.TCPAccessLogEntry{CommonProperties: &alsdata.AccessLogCommon{FilterStateObjects: objects}}, r)
	return r.Attributes().AsRaw()
}

// TestPeerInEachForm reads the same peer under each name and in each form: the attributes are the same.
func TestPeerInEachForm(t *testing.T) {
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(peerStruct(t))
	require.NoError(t, err)
	text, err := json.Marshal(peerStruct(t).AsMap())
	require.NoError(t, err)
	forms := map[string]proto.Message{
		"Struct":             peerStruct(t),
		"Struct in an Any":   pack(t, peerStruct(t)),
		"bytes of a Struct":  wrapperspb.Bytes(encoded),
		"bytes of text":      wrapperspb.Bytes([]byte(peerAsText)),
		"bytes in an Any":    pack(t, wrapperspb.Bytes([]byte(peerAsText))),
		"text":               wrapperspb.String(peerAsText),
		"text of JSON":       wrapperspb.String(string(text)),
		"text of the header": wrapperspb.String(base64.RawStdEncoding.EncodeToString(encoded)),
	}
	for _, side := range []string{"upstream_peer", "downstream_peer"} {
		c := testConverter()
		want := record(t, c, map[string]*anypb.Any{side: pack(t, peerStruct(t))})
		require.Len(t, want, 12)
		for name, form := range forms {
			for _, object := range []string{side, side + "_obj", "wasm." + side} {
				require.Equal(t, want, record(t, c, map[string]*anypb.Any{object: pack(t, form)}), "%s of %s", name, object)
			}
		}
		require.Empty(t, c.Tally.Skipped)
	}
}

func TestPeerObjectsByPreference(t *testing.T) {
	today, twin, old := pack(t, wrapperspb.String("cluster=today")), pack(t, wrapperspb.String("cluster=twin")), pack(t, wrapperspb.String("cluster=old"))
	broken := pack(t, wrapperspb.String("cluster=a,b"))
	for name, tt := range map[string]struct {
		objects map[string]*anypb.Any
		want    map[string]any
		skipped map[string]int64
	}{
		"today's wins": {
			map[string]*anypb.Any{"upstream_peer": today, "upstream_peer_obj": twin, "wasm.upstream_peer": old},
			map[string]any{"envoy.upstream_peer.cluster": "today", "envoy.filter_state.wasm.upstream_peer": "cluster=old"},
			nil,
		},
		"the next one for one that cannot be read": {
			map[string]*anypb.Any{"upstream_peer": broken, "upstream_peer_obj": twin},
			map[string]any{"envoy.upstream_peer.cluster": "twin"},
			map[string]int64{"peer_malformed": 1},
		},
		"the old one": {
			map[string]*anypb.Any{"upstream_peer": pack(t, &structpb.Struct{}), "wasm.upstream_peer": old},
			map[string]any{"envoy.upstream_peer.cluster": "old"},
			nil,
		},
		"another type": {
			map[string]*anypb.Any{"downstream_peer": pack(t, durationpb.New(1))},
			map[string]any{},
			map[string]int64{attr.SkipFilterState: 1},
		},
		"no field that is known": {
			map[string]*anypb.Any{"downstream_peer": pack(t, wrapperspb.String("labels[]=,type="))},
			map[string]any{},
			map[string]int64{"peer_empty": 1},
		},
		"a field that is not known": {
			map[string]*anypb.Any{"downstream_peer": pack(t, wrapperspb.String("type=pod,color=red"))},
			map[string]any{"envoy.downstream_peer.type": "pod"},
			map[string]int64{attr.SkipPeerField: 1},
		},
		"nothing": {map[string]*anypb.Any{"downstream_peer": nil, "upstream_peer": {}}, map[string]any{}, map[string]int64{attr.SkipFilterState: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			c := testConverter()
			require.Equal(t, tt.want, record(t, c, tt.objects))
			require.Equal(t, tt.skipped, c.Tally.Skipped)
		})
	}
}

// FuzzPeerStruct compares the reader of peers, which knows no protobuf, with protobuf's own decoder: what it takes, that
// decodes to the same.
func FuzzPeerStruct(f *testing.F) {
	for _, m := range []*structpb.Struct{peerStruct(f), {}} {
		data, err := proto.Marshal(m)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var peer, again envoy.Peer
		if peer.ParseStruct(string(data)) != nil {
			return
		}
		var decoded structpb.Struct
		if err := proto.Unmarshal(data, &decoded); err != nil {
			if peer.Unknown == 0 { // What is not taken is not looked into.
				t.Fatalf("%x does not decode: %v", data, err)
			}
			return
		}
		canonical, err := proto.MarshalOptions{Deterministic: true}.Marshal(&decoded)
		if err != nil {
			t.Fatal(err)
		}
		if len(canonical) != len(data) {
			return // A field stands twice, or a length is longer than it need be.
		}
		if err := again.ParseStruct(string(canonical)); err != nil {
			t.Fatalf("%x: %v", canonical, err)
		}
		require.Equal(t, peer, again)
		for name, value := range map[string]string{"name": peer.Name, "cluster": peer.Cluster, "namespace": peer.Namespace} {
			if text := decoded.GetFields()[name].GetStringValue(); text != "" && text != value {
				t.Fatalf("%s is %q, read as %q", name, text, value)
			}
		}
	})
}
