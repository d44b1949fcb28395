// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"encoding/hex"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// TestTheExampleIsTrue holds the example of docs/inventory.md to what the encoder writes.
func TestTheExampleIsTrue(t *testing.T) {
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	d := &topology.Delta{
		At: at,
		Pods: []topology.PodState{{
			PodSpec: topology.PodSpec{
				Name: "reviews-v1-6d5f7c9b8-abcde", Node: "aks-pool-0", Addresses: []netip.Addr{netip.MustParseAddr("10.244.1.7")},
			},
			UID:       topology.UID{0x6f, 0x3a, 0x1c, 0x2e, 0x7b, 0x1d, 0x4b, 0x7e, 0x9a, 0x55, 0x0d, 0x2f, 0x3c, 0x4b, 0x5a, 0x69},
			Namespace: "bookinfo", Workload: "reviews-v1", Kind: "deployment", Service: "reviews", Version: "v1",
			ServiceAccount: "reviews", Since: at.Add(-3 * time.Second), Seen: at.Add(-2 * time.Second),
		}},
		GonePods: []topology.PodEnd{{
			Namespace: "bookinfo", Name: "reviews-v1-6d5f7c9b8-xyz12", Earliest: at.Add(-8 * time.Second), Latest: at.Add(-7500 * time.Millisecond),
		}},
	}
	body := slices.Collect(NewEncoder("aks-westeurope", "", 1).Delta(d))[0].Body
	message := dynamicpb.NewMessage(schema(t).ByName("Inventory"))
	require.NoError(t, proto.Unmarshal(body, message))
	decoded, err := protojson.MarshalOptions{UseProtoNames: true, Multiline: true}.Marshal(message)
	require.NoError(t, err)
	text, err := os.ReadFile("../../../docs/inventory.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```(json|hex)\n(.*?)```").FindAllSubmatch(text, -1)
	require.Len(t, blocks, 2, "write the example as a block of hex and one of json:\n%s\n%s", hex.EncodeToString(body), decoded)
	require.Equal(t, hex.EncodeToString(body), strings.Join(strings.Fields(string(blocks[0][2])), ""))
	require.JSONEq(t, string(decoded), string(blocks[1][2]))
}
