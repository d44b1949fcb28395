// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

func TestBytesPerPod(t *testing.T) {
	for _, pods := range []int{1_000, 100_000} {
		d := realistic(pods)
		all, onlyPods := 0, 0
		for m := range NewEncoder("aks-westeurope", "u", 1).Delta(d) {
			all += len(m.Body)
		}
		d.Nodes, d.Facts, d.Gateways, d.Failovers = nil, nil, nil, nil
		for m := range NewEncoder("aks-westeurope", "u", 1).Delta(d) {
			onlyPods += len(m.Body)
		}
		t.Logf("%d pods: %d bytes a pod, %d with the rest of the cluster", pods, onlyPods/pods, all/pods)
		require.LessOrEqual(t, all/pods, 200)
		require.LessOrEqual(t, all/pods, 110, "the encoding became worse than it was")
	}
}

func TestSnapshotIsCutAndMerged(t *testing.T) {
	d := realistic(20_000)
	e := NewEncoder("aks-westeurope", "u", 42)
	messages := slices.Collect(e.Delta(d))
	require.Greater(t, len(messages), 2)
	for i, m := range messages {
		require.LessOrEqual(t, len(m.Body), MaxMessageBytes)
		require.Equal(t, Header{
			Schema: SchemaVersion, Cluster: "aks-westeurope", ClusterUID: "u", Epoch: 42, Sequence: uint64(i + 1),
			Kind: KindSnapshot, Part: i + 1, Parts: len(messages), At: d.At,
		}, m.Header)
	}
	require.Equal(t, normal(&Update{Delta: *d}), normal(assemble(t, messages)))
	require.Zero(t, e.Counters())
}

// TestLeftIterator leaves a snapshot in its middle: what follows is numbered on.
func TestLeftIterator(t *testing.T) {
	e := NewEncoder("west", "u", 1)
	for m := range e.Delta(realistic(20_000)) {
		if m.Part == 2 {
			break
		}
	}
	require.Equal(t, uint64(3), e.Heartbeat(noon).Sequence)
	for m := range e.Delta(realistic(10)) {
		require.Equal(t, uint64(4), m.Sequence)
		require.Equal(t, 1, m.Parts)
	}
}

func TestLargeDeltaGoesOn(t *testing.T) {
	d := realistic(10_000)
	d.Full = false
	for i := range 5_000 {
		d.Failovers = append(d.Failovers, topology.FailoverSpec{Namespace: "shop", Name: fmt.Sprintf("rule-%060d", i)})
	}
	messages := slices.Collect(NewEncoder("west", "u", 1).Delta(d))
	require.Greater(t, len(messages), 2)
	for i := range messages {
		_, more, err := Decode(&messages[i])
		require.NoError(t, err)
		require.Equal(t, i < len(messages)-1, more)
		require.LessOrEqual(t, len(messages[i].Body), MaxMessageBytes)
	}
	d.Cluster = "west"
	require.Equal(t, normal(&Update{Delta: *d}), normal(assemble(t, messages)))
}

func TestDeltaOfNothing(t *testing.T) {
	e := NewEncoder("west", "u", 1)
	require.Empty(t, slices.Collect(e.Delta(&topology.Delta{})))
	messages := slices.Collect(e.Delta(&topology.Delta{At: noon}))
	require.Len(t, messages, 1)
	require.Equal(t, KindHeartbeat, messages[0].Kind)
	require.Empty(t, messages[0].Body)
	// An empty list is something.
	messages = slices.Collect(e.Delta(&topology.Delta{Gateways: []topology.GatewaySpec{}}))
	require.Len(t, messages, 1)
	u, _, err := Decode(&messages[0])
	require.NoError(t, err)
	require.NotNil(t, u.Gateways)
	require.Empty(t, u.Gateways)
	require.Nil(t, u.Failovers)
}

// TestBoundsStayBounds: rounding to milliseconds may widen what is possible, and never what is certain.
func TestBoundsStayBounds(t *testing.T) {
	odd := noon.Add(-time.Hour)
	d := &topology.Delta{
		At: noon, Made: odd,
		Pods:     []topology.PodState{{PodSpec: topology.PodSpec{Name: "a"}, Since: odd, Seen: odd}},
		GonePods: []topology.PodEnd{{Name: "a", Earliest: odd, Latest: odd}},
	}
	for m := range NewEncoder("west", "u", 1).Delta(d) {
		u, _, err := Decode(&m)
		require.NoError(t, err)
		down, up := odd.Truncate(time.Millisecond), odd.Truncate(time.Millisecond).Add(time.Millisecond)
		require.Equal(t, down, u.Pods[0].Since)
		require.Equal(t, up, u.Pods[0].Seen)
		require.Equal(t, down, u.GonePods[0].Earliest)
		require.Equal(t, up, u.GonePods[0].Latest)
		require.Equal(t, up, u.Made)
	}
}

func TestWhatTheFormatCannotCarry(t *testing.T) {
	e := NewEncoder("west", "u", 1)
	d := &topology.Delta{At: noon, Services: []topology.ServiceSpec{
		{Name: "long", Hosts: []string{strings.Repeat("ä", MaxStringBytes)}},
		{Name: "broken\xff", Addresses: []netip.Addr{{}}},
		{Namespace: "n", Name: "huge", Hosts: slices.Repeat([]string{strings.Repeat("h", 1000)}, 1100)},
		{Namespace: "n", Name: "last"},
		{Name: "large", Hosts: slices.Repeat([]string{strings.Repeat("h", 1000)}, 500)},
	}, Nodes: []topology.NodeSpec{{Name: "n", Addresses: []netip.Addr{netip.MustParseAddr("::ffff:10.0.0.1"), netip.MustParseAddr("fe80::1%eth0")}}}}
	u := assemble(t, slices.Collect(e.Delta(d)))
	require.Equal(t, EncoderCounters{Altered: 3, Oversized: 1}, e.Counters())
	require.Len(t, u.Services, 4)
	require.Equal(t, strings.Repeat("ä", MaxStringBytes/2), u.Services[0].Hosts[0])
	require.Equal(t, "broken\uFFFD", u.Services[1].Name)
	require.Len(t, u.Services[3].Hosts, 500)
	require.Equal(t, topology.ServiceSpec{Namespace: "n", Name: "last"}, u.Services[2], "the tables forget what was left out")
	require.Equal(t, []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fe80::1")}, u.Nodes[0].Addresses)
}

func TestUnknownFieldsAreSkipped(t *testing.T) {
	d := newGenerator(3).delta(5)
	for m := range NewEncoder("west", "u", 1).Delta(d) {
		future := appendBytes(nil, 99, "a list of the next version")
		future = appendUint(future, 100, 7)
		future = protowire.AppendFixed64(protowire.AppendTag(future, 101, protowire.Fixed64Type), 1)
		future = protowire.AppendTag(protowire.AppendTag(future, 102, protowire.StartGroupType), 102, protowire.EndGroupType)
		// A field of another type than it had is an unknown one as well.
		future = appendUint(future, inventoryPods, 7)
		future = appendBytes(future, inventoryMore, "x")
		m.Body = append(future, m.Body...)
		u, more, err := Decode(&m)
		require.NoError(t, err)
		require.False(t, more)
		require.Equal(t, normal(&Update{Delta: *d}), normal(u))
	}
}

func TestDecodeRefuses(t *testing.T) {
	header := Header{Schema: 1, Cluster: "west", Epoch: 5, Sequence: 9, Kind: KindDelta, At: noon}
	pod := func(fields []byte) []byte { return appendBytes(nil, inventoryPods, fields) }
	many := func(n int, num protowire.Number) []byte {
		return slices.Repeat(appendBytes(nil, num, ""), n)
	}
	for name, test := range map[string]struct {
		change func(*Header)
		body   []byte
		want   string
	}{
		"newer schema":   {change: func(h *Header) { h.Schema = 3 }, want: "schema version not supported: cluster \"west\" sends version 3, this hub reads up to version 1; update the hub first"},
		"no schema":      {change: func(h *Header) { h.Schema = 0 }, want: "sends version 0, this hub reads versions 1 to 1"},
		"no cluster":     {change: func(h *Header) { h.Cluster = "" }, want: "no cluster name"},
		"long cluster":   {change: func(h *Header) { h.Cluster = strings.Repeat("c", 2000) }, want: "longer than 1024 bytes"},
		"no epoch":       {change: func(h *Header) { h.Epoch = 0 }, want: "start at 1"},
		"no sequence":    {change: func(h *Header) { h.Sequence = 0 }, want: "start at 1"},
		"no kind":        {change: func(h *Header) { h.Kind = 77 }, want: "77 is no kind of message"},
		"part of none":   {change: func(h *Header) { h.Kind = KindSnapshot }, want: "part 0 of 0"},
		"part too far":   {change: func(h *Header) { h.Kind, h.Part, h.Parts = KindSnapshot, 3, 2 }, want: "part 3 of 2"},
		"too many parts": {change: func(h *Header) { h.Kind, h.Part, h.Parts = KindSnapshot, 1, 5000 }, want: "part 1 of 5000"},
		"early part":     {change: func(h *Header) { h.Kind, h.Part, h.Parts, h.Sequence = KindSnapshot, 4, 5, 3 }, want: "part 4 of 5"},
		"delta in parts": {change: func(h *Header) { h.Part, h.Parts = 1, 2 }, want: "only a snapshot has parts"},
		"future":         {change: func(h *Header) { h.At = time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC) }, want: "timestamp out of range"},
		"large body":     {body: make([]byte, MaxBodyBytes+1), want: "the body has 1048577 bytes"},
		"torn":           {body: []byte{0x0a, 5, 'a'}, want: "unexpected EOF"},
		"many strings":   {body: many(MaxStrings+1, inventoryStrings), want: "131073 strings in the table, more than 131072"},
		"many objects":   {body: many(MaxItems+1, inventoryPods), want: "32769 objects, more than 32768"},
		"many gateways":  {body: appendBytes(nil, inventoryGateways, many(MaxItems+1, listItems)), want: "gateways[0]: more than 32768 objects"},
		"many revisions": {body: appendBytes(nil, inventoryFacts, many(MaxItems+1, factsIstio)), want: "facts[0].istio: more than 32768"},
		"string index":   {body: append(pod(nil), pod(appendUint(nil, podNode, 5))...), want: "of cluster \"west\", epoch 5, sequence 9: pods[1].node: string 5 of a table of 0"},
		"workload index": {body: pod(appendUint(nil, podWorkload, 1)), want: "pods[0].workload: workload 1 of a table of 0"},
		"uid":            {body: pod(appendBytes(nil, podUID, "abc")), want: "pods[0].uid: 3 bytes instead of 16"},
		"address":        {body: pod(appendBytes(nil, podAddresses, "12345")), want: "pods[0].addresses: 5 bytes instead of 4 or 16"},
		"utf-8":          {body: pod(appendBytes(nil, podNameSuffix, "\xff")), want: "pods[0].name_suffix: a text is not UTF-8"},
		"long text":      {body: pod(appendBytes(nil, podNameSuffix, strings.Repeat("x", 1025))), want: "pods[0].name_suffix: a text of 1025 bytes"},
		"long string":    {body: appendBytes(nil, inventoryStrings, strings.Repeat("x", 1025)), want: "strings[0]: a text of 1025 bytes"},
		"time":           {body: pod(appendSint(nil, podSince, maxMilli)), want: "pods[0].since_ms: out of range"},
		"end":            {body: pod(appendSint(nil, podSeen, -maxMilli*2)), want: "pods[0].since_ms: the end is out of range"},
		"port":           {body: appendBytes(nil, inventoryServices, appendUint(nil, servicePorts, 65536)), want: "services[0].ports: 65536 is no port"},
		"gateway's port": {body: appendBytes(nil, inventoryGateways, appendBytes(nil, listItems, appendUint(nil, gatewayPort, 1<<20))), want: "gateways[0].port: 1048576 is no port"},
		"prefix":         {body: appendBytes(nil, inventoryFacts, appendBytes(nil, factsPodCIDRs, []byte{10, 0, 0, 0, 33})), want: "facts[0].pod_cidrs: 0a 00 00 00 21 is no address"},
		"past in delta":  {body: appendBytes(nil, inventoryPastPods, ""), want: "a delta holds past_pods"},
		"gone in snapshot": {
			change: func(h *Header) { h.Kind, h.Part, h.Parts = KindSnapshot, 1, 1 },
			body:   appendBytes(nil, inventoryGoneNodes, "a"), want: "a snapshot holds gone objects",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := &Message{Header: header, Body: test.body}
			if test.change != nil {
				test.change(&m.Header)
			}
			_, _, err := Decode(m)
			require.ErrorContains(t, err, test.want)
			if m.Schema == SchemaVersion {
				require.ErrorIs(t, err, ErrInvalid)
			} else {
				require.ErrorIs(t, err, ErrSchema)
			}
		})
	}
}

func TestKinds(t *testing.T) {
	for _, kind := range []Kind{KindSnapshot, KindDelta, KindHeartbeat} {
		got, ok := KindOf(kind.EventName())
		require.True(t, ok)
		require.Equal(t, kind, got)
	}
	_, ok := KindOf("mesh.inventory.other")
	require.False(t, ok)
	require.Empty(t, Kind(200).EventName())
}

// without returns an encoded message without some fields of one of its messages: the path leads there by field numbers.
func without(b []byte, path []protowire.Number, drop protowire.Number) []byte {
	var out []byte
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		size := protowire.ConsumeFieldValue(num, typ, b[n:])
		value := b[n : n+size]
		switch {
		case len(path) == 0 && num == drop:
		case len(path) > 0 && num == path[0] && typ == protowire.BytesType:
			inner, _ := protowire.ConsumeBytes(value)
			out = protowire.AppendBytes(protowire.AppendTag(out, num, typ), without(inner, path[1:], drop))
		default:
			out = append(out, b[:n+size]...)
		}
		b = b[n+size:]
	}
	return out
}

// An inventory that knows neither revisions nor canonical services says the rest.
func TestAnInventoryWithoutRevisions(t *testing.T) {
	d := &topology.Delta{
		Cluster: "west", At: noon,
		Services: []topology.ServiceSpec{{Namespace: "shop", Name: "cart", Canonical: "basket"}},
		Pods: []topology.PodState{{
			PodSpec: topology.PodSpec{Name: "basket-0"}, Namespace: "shop", Workload: "basket", Kind: "statefulset", Service: "basket", Revision: "basket-5d8f",
		}},
	}
	for m := range NewEncoder("west", "u", 1).Delta(d) {
		update, _, err := Decode(&m)
		require.NoError(t, err)
		require.Equal(t, d.Services, update.Services)
		require.Equal(t, d.Pods, update.Pods)
		m.Body = without(m.Body, []protowire.Number{inventoryServices}, serviceCanonical)
		m.Body = without(m.Body, []protowire.Number{inventoryWorkloads}, workloadRevision)
		update, _, err = Decode(&m)
		require.NoError(t, err)
		service, pod := d.Services[0], d.Pods[0]
		service.Canonical, pod.Revision = "", ""
		require.Equal(t, []topology.ServiceSpec{service}, update.Services)
		require.Equal(t, []topology.PodState{pod}, update.Pods)
	}
}

// An inventory that does not know which endpoints are being deleted says the rest, and that it does not know that.
func TestAnInventoryWithoutEndingEndpoints(t *testing.T) {
	d := &topology.Delta{Cluster: "west", At: noon, Services: []topology.ServiceSpec{{
		Namespace: "shop", Name: "cart", EndingKnown: true,
		Endpoints: []topology.ZoneEndpoints{{Zone: "westeurope-1", Ready: 2, Total: 5, Ending: 3}, {Zone: "westeurope-2", Ready: 1, Total: 1}},
	}}}
	for m := range NewEncoder("west", "u", 1).Delta(d) {
		update, _, err := Decode(&m)
		require.NoError(t, err)
		require.Equal(t, d.Services, update.Services)
		m.Body = without(m.Body, []protowire.Number{inventoryServices, serviceEndpoints}, endpointsEnding)
		m.Body = without(m.Body, []protowire.Number{inventoryServices}, serviceEndingKnown)
		update, _, err = Decode(&m)
		require.NoError(t, err)
		want := d.Services[0]
		want.EndingKnown = false
		want.Endpoints = []topology.ZoneEndpoints{{Zone: "westeurope-1", Ready: 2, Total: 5}, {Zone: "westeurope-2", Ready: 1, Total: 1}}
		require.Equal(t, []topology.ServiceSpec{want}, update.Services)
	}
}
