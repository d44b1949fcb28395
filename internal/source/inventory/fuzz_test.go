// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func header(kind Kind) Header {
	h := Header{Schema: SchemaVersion, Cluster: "west", Epoch: 1, Sequence: 1, Kind: kind, At: noon}
	if kind == KindSnapshot {
		h.Part, h.Parts = 1, 1
	}
	return h
}

// FuzzDecode: no bytes make the decoder panic or hold more objects than its ceilings say.
func FuzzDecode(f *testing.F) {
	for seed := range uint64(5) {
		for m := range NewEncoder("west", "u", 1).Delta(newGenerator(seed).delta(4)) {
			f.Add(m.Body, false)
		}
	}
	for m := range NewEncoder("west", "u", 1).Delta(realistic(20)) {
		f.Add(m.Body, true)
	}
	f.Fuzz(func(t *testing.T, body []byte, snapshot bool) {
		kind := KindDelta
		if snapshot {
			kind = KindSnapshot
		}
		m := &Message{Header: header(kind), Body: body}
		u, _, err := Decode(m)
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
			return
		}
		require.LessOrEqual(t, len(u.Pods)+len(u.GonePods)+len(u.Past)+len(u.Nodes)+len(u.Services), MaxItems)
		// What was understood can be said again.
		c := contentOf(&u.Delta)
		c.past = slices.Values(u.Past)
		e := NewEncoder("west", "", 1)
		var again []Message
		if u.Full {
			again = slices.Collect(e.whole(c, noon, u.Made))
		} else {
			again = slices.Collect(e.Delta(&u.Delta))
		}
		if len(again) != 1 || again[0].Kind != kind || e.Counters() != (EncoderCounters{}) {
			return
		}
		twice, _, err := Decode(&again[0])
		require.NoError(t, err)
		require.Equal(t, normal(u), normal(twice))
	})
}

// FuzzRoundTrip: what any source says arrives as it was.
func FuzzRoundTrip(f *testing.F) {
	f.Add(uint64(1), 3)
	f.Add(uint64(2), 300)
	f.Fuzz(func(t *testing.T, seed uint64, most int) {
		d := newGenerator(seed).delta(min(max(most, 0), 2000))
		messages := slices.Collect(NewEncoder("west", "u", 1).Delta(d))
		want := &Update{Delta: *d}
		if len(messages) == 0 {
			return
		}
		require.Equal(t, normal(want), normal(assemble(t, messages)))
	})
}

// FuzzLoad: no file makes the hub panic.
func FuzzLoad(f *testing.F) {
	var frames []byte
	for m := range NewEncoder("west", "u", 1).Delta(realistic(10)) {
		frames = appendFrame(nil, &Position{Cluster: "west", Epoch: 1, Sequence: 4, At: noon, Complete: true}, &m)
	}
	whole := append(diskHeader(1), frames...)
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Fuzz(func(t *testing.T, file []byte) {
		pods := 0
		a := NewAssembler(AssemblerSettings{})
		report := Load(bytes.NewReader(file), LoadLimits{Clusters: 5, Pods: 1000}, func(s *Saved) {
			pods += len(s.Update.Pods) + len(s.Update.Past)
			a.Restore(s, noon)
		})
		require.LessOrEqual(t, pods, 1000)
		require.Equal(t, pods, report.Pods)
	})
}

// FuzzAssembler: no sequence of headers breaks the assembler's accounts.
func FuzzAssembler(f *testing.F) {
	f.Add([]byte{1, 1, 1, 1, 2, 2, 1, 3, 1, 2, 9, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		a := NewAssembler(AssemblerSettings{MaxClusters: 2, ReorderMessages: 4})
		now := noon
		body := slices.Collect(NewEncoder("west", "u", 1).Delta(realistic(1)))[0].Body
		for len(script) >= 6 {
			b := script[:6]
			script = script[6:]
			m := &Message{Header: Header{
				Schema: SchemaVersion, Cluster: string(rune('a' + b[0]%3)), ClusterUID: string(rune('x' + b[0]/64)),
				Epoch: int64(b[1] % 4), Sequence: uint64(b[2]), Kind: Kind(b[3] % 5), Part: int(b[4] % 4), Parts: int(b[4] / 64), At: now,
			}, Body: body}
			_, _ = a.Accept(m, now)
			now = now.Add(time.Duration(b[5]) * 100 * time.Millisecond)
			a.Tick(now)
			require.GreaterOrEqual(t, a.Waiting(), 0)
		}
		a.Tick(now.Add(48 * time.Hour))
		require.Zero(t, a.Waiting())
		require.Empty(t, a.Positions())
	})
}
