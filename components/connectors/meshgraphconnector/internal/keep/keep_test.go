// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelcol-mesh/otelcol-mesh/internal/disk/journal"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var begin = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// fill sets every field of a value, so that one that a later version adds is missed here if the journal lacks it.
func fill(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for _, f := range v.Fields() {
			fill(r, f)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("t%d", r.IntN(9)))
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(r.Int64N(1000) + 1)
	case reflect.Uint64:
		v.SetUint(r.Uint64N(1<<40) + 1)
	case reflect.Uint8:
		v.SetUint(r.Uint64N(2) + 1)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(r.Float64() + 1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range v.Len() {
			fill(r, v.Index(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(r, v.Elem())
	default:
		panic("a point has a field of a kind that nobody thought of: " + v.Kind().String())
	}
}

func pointOf(n int) (ID, graph.Point) {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	var p graph.Point
	fill(r, reflect.ValueOf(&p).Elem())
	if n%3 == 1 {
		p = graph.Point{Key: p.Key, GRPC: -1, Requests: 7}
	}
	return ID{byte(n), byte(n >> 8), 7}, p
}

// record is what a journal hands out, as text.
type record struct{ lines []string }

func (r *record) add(format string, args ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func describe(id *ID, p *graph.Point) string {
	latency := ""
	if p.Latency != nil {
		latency = fmt.Sprintf("%+v", *p.Latency)
	}
	copied := *p
	copied.Latency = nil
	return fmt.Sprintf("point %x %+v %s", *id, copied, latency)
}

func (r *record) Point(id *ID, p *graph.Point) { r.add("%s", describe(id, p)) }
func (r *record) Roll(at time.Time)            { r.add("roll %s", at) }
func (r *record) Hold(at time.Time)            { r.add("hold %s", at) }
func (r *record) Flush(n uint64)               { r.add("flush %d", n) }
func (r *record) Sent(n uint64, edges int)     { r.add("sent %d %d", n, edges) }
func (r *record) Events(raw []byte)            { r.add("events %s", raw) }
func (r *record) EventsSent(n int)             { r.add("events sent %d", n) }

func open(t *testing.T, path string) *Directory {
	t.Helper()
	d, err := Open(path, Options{Most: 64 << 20})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, d.Close()) })
	return d
}

func rotate(t *testing.T, d *Directory) uint64 {
	t.Helper()
	number, err := d.Rotate()
	require.NoError(t, err)
	return number
}

func appendPoints(t *testing.T, d *Directory, numbers ...int) (want []string) {
	t.Helper()
	var b Batch
	b.Reset()
	for _, n := range numbers {
		id, p := pointOf(n)
		b.Add(&id, &p)
		want = append(want, describe(&id, &p))
	}
	require.Equal(t, len(numbers), b.Len())
	require.NoError(t, d.Append(&b))
	return want
}

func replayed(t *testing.T, path string, from uint64) ([]string, Report) {
	t.Helper()
	d, err := Open(path, Options{Most: 64 << 20})
	require.NoError(t, err)
	var r record
	report := d.Replay(from, &r)
	require.NoError(t, d.Close())
	return r.lines, report
}

func TestEveryFieldOfAPointSurvives(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	var numbers []int
	for n := range 60 {
		numbers = append(numbers, n)
	}
	want := appendPoints(t, d, numbers...)
	got, report := replayed(t, path, 0)
	assert.Equal(t, want, got)
	assert.Equal(t, Report{Points: 60, Files: 1}, report)
}

func TestMarksKeepTheirOrder(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	want := appendPoints(t, d, 0, 1)
	require.NoError(t, d.Roll(begin))
	require.NoError(t, d.Hold(begin))
	require.NoError(t, d.Flush(7))
	want = append(want, "roll "+begin.String(), "hold "+begin.String(), "flush 7")
	old := rotate(t, d)
	require.NoError(t, d.Sent(7, 3))
	want = append(want, "sent 7 3")
	want = append(want, appendPoints(t, d, 2)...)
	require.NoError(t, d.Roll(begin))
	require.NoError(t, d.Events([]byte("[1]")))
	require.NoError(t, d.EventsSent(1))
	want = append(want, "roll "+begin.String(), "events [1]", "events sent 1")
	got, report := replayed(t, path, 0)
	assert.Equal(t, want, got)
	assert.Equal(t, 2, report.Files)

	got, _ = replayed(t, path, old)
	assert.Equal(t, want[5:], got, "what a state covers is left out")
	require.NoError(t, d.Remove(old))
	got, _ = replayed(t, path, 0)
	assert.Equal(t, want[5:], got)
}

// TestEventsThatAStateHasAreLeftOut has an interval with events, for which a state was begun: nobody knew yet whether it gets to the disk.
func TestEventsThatAStateHasAreLeftOut(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	require.NoError(t, d.Roll(begin))
	state := rotate(t, d)
	appendPoints(t, d, 0)
	require.NoError(t, d.Events([]byte("of the state")))
	require.NoError(t, d.Roll(begin))
	require.NoError(t, d.Events([]byte("later")))
	next := rotate(t, d)
	require.NoError(t, d.Events([]byte("of the next state")))

	events := func(from uint64) (list []string) {
		lines, _ := replayed(t, path, from)
		for _, line := range lines {
			if strings.HasPrefix(line, "events") {
				list = append(list, line)
			}
		}
		return list
	}
	assert.Equal(t, []string{"events of the state", "events later", "events of the next state"}, events(0), "no state has them")
	assert.Equal(t, []string{"events later", "events of the next state"}, events(state))
	assert.Empty(t, events(next))
}

func TestALargeRequestIsSeveralFrames(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	var b Batch
	b.Reset()
	var want []string
	for n := range 6000 {
		id, p := pointOf(n)
		p.Flags = strings.Repeat(strconv.Itoa(n), 60)
		b.Add(&id, &p)
		want = append(want, describe(&id, &p))
	}
	require.NoError(t, d.Append(&b))
	require.Greater(t, d.Size(), int64(cutBatch))
	got, report := replayed(t, path, 0)
	assert.Equal(t, want, got)
	assert.Zero(t, report.DamagedBytes+report.TornBytes)
}

// TestATornEndIsCutAtEveryByte prevents that a crash in the middle of a request costs what was acknowledged before it.
func TestATornEndIsCutAtEveryByte(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	want := appendPoints(t, d, 0, 1, 2)
	before := d.Size()
	appendPoints(t, d, 3, 4)
	file := filepath.Join(path, "journal.00000000000000000001")
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	for n := int(before); n < len(whole); n++ {
		require.NoError(t, os.WriteFile(file, whole[:n], 0o600))
		got, report := replayed(t, path, 0)
		require.Equal(t, want, got, n)
		require.Equal(t, Report{Points: 3, Files: 1, TornBytes: int64(n) - before}, report)
	}
	// What a file system leaves of bytes that were not written before the power was lost.
	require.NoError(t, os.WriteFile(file, append(whole[:before:before], make([]byte, 300)...), 0o600))
	got, report := replayed(t, path, 0)
	assert.Equal(t, want, got)
	assert.Zero(t, report.DamagedBytes)
}

func TestADamagedFrameCostsItself(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	want := appendPoints(t, d, 0)
	at := d.Size()
	appendPoints(t, d, 1)
	end := d.Size()
	want = append(want, appendPoints(t, d, 2)...)
	file := filepath.Join(path, "journal.00000000000000000001")
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	whole[int(at)+frames.HeadBytes()+5] ^= 1
	require.NoError(t, os.WriteFile(file, whole, 0o600))
	got, report := replayed(t, path, 0)
	assert.Equal(t, want, got)
	assert.Equal(t, Report{Points: 2, Files: 1, DamagedFiles: 1, DamagedBytes: end - at}, report)

	second := open(t, path)
	second.Replay(0, &record{})
	require.NoError(t, second.Remove(rotate(t, second)))
	assert.FileExists(t, filepath.Join(path, "journal.damaged"))
}

func TestTheJournalHasACeiling(t *testing.T) {
	path := t.TempDir()
	d, err := Open(path, Options{Most: 1500})
	require.NoError(t, err)
	defer func() { assert.NoError(t, d.Close()) }()
	n := 0
	for ; err == nil; n++ {
		id, p := pointOf(n)
		var b Batch
		b.Reset()
		b.Add(&id, &p)
		err = d.Append(&b)
	}
	require.ErrorIs(t, err, ErrFull)
	assert.Greater(t, n, 2)
	assert.LessOrEqual(t, d.Size(), int64(1500))
	require.NoError(t, d.Remove(rotate(t, d)))
	assert.Zero(t, d.Size())
	appendPoints(t, d, 1)
}

func TestANewProcessNeverAppendsToAnOldFile(t *testing.T) {
	path := t.TempDir()
	first := open(t, path)
	appendPoints(t, first, 0)
	second := open(t, path)
	appendPoints(t, second, 1)
	require.NoError(t, os.Mkdir(filepath.Join(path, "journal.00000000000000000003"), 0o700))
	rotate(t, second)
	appendPoints(t, second, 2)
	got, report := replayed(t, path, 0)
	assert.Len(t, got, 3)
	assert.Equal(t, 3, report.Files, "a name that something else has is passed over")
}

// TestNumbersGoOnAfterTheState prevents that a journal begins again at 1, where the state says that it is covered.
func TestNumbersGoOnAfterTheState(t *testing.T) {
	path := t.TempDir()
	first := open(t, path)
	appendPoints(t, first, 0)
	covered := rotate(t, first)
	_, err := first.Save(Main, &State{At: begin, Begin: covered})
	require.NoError(t, err)
	require.NoError(t, first.Remove(covered))

	second := open(t, path)
	state, err := second.Load(Main)
	require.NoError(t, err)
	want := appendPoints(t, second, 1)
	got, _ := replayed(t, path, state.Begin)
	assert.Equal(t, want, got)
}

func TestTheStateIsWholeOrTheOneBefore(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	empty, err := d.Load(Main)
	require.NoError(t, err)
	assert.Zero(t, *empty)
	assert.True(t, d.Empty())
	state := &State{At: begin, Begin: 9, Parts: map[string][]byte{"a": []byte("x"), "b": {}, "c": make([]byte, 5000)}}
	size, err := d.Save(Main, state)
	require.NoError(t, err)
	assert.Greater(t, size, int64(5000))
	got, err := d.Load(Main)
	require.NoError(t, err)
	assert.Equal(t, state, got)
	assert.False(t, d.Empty())

	require.NoError(t, os.Mkdir(filepath.Join(path, "state.tmp"), 0o700))
	_, err = d.Save(Main, &State{At: begin.Add(1)})
	require.Error(t, err)
	got, err = d.Load(Main)
	require.NoError(t, err)
	assert.Equal(t, state, got)

	raw, err := os.ReadFile(d.in(Main))
	require.NoError(t, err)
	raw[len(raw)/2] ^= 1
	require.NoError(t, os.WriteFile(d.in(Main), raw, 0o600))
	got, err = d.Load(Main)
	require.ErrorIs(t, err, ErrState)
	assert.Zero(t, *got)
	assert.FileExists(t, d.in(Main)+".damaged")
}

func FuzzJournal(f *testing.F) {
	path := f.TempDir()
	d, err := Open(path, Options{Most: 1 << 20})
	if err != nil {
		f.Fatal(err)
	}
	var b Batch
	b.Reset()
	for n := range 4 {
		id, p := pointOf(n)
		b.Add(&id, &p)
	}
	for _, err := range []error{d.Append(&b), d.Roll(begin), d.Hold(begin), d.Sent(1, 2), d.Flush(3), d.Events([]byte("[]")), d.EventsSent(2), d.Close()} {
		if err != nil {
			f.Fatal(err)
		}
	}
	raw, err := os.ReadFile(filepath.Join(path, "journal.00000000000000000001"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		// As if the checksums were right: what is behind them must not be trusted either.
		var points points
		var r record
		head := frames.HeadBytes()
		for rest := raw; len(rest) > head; rest = rest[1:] {
			state, _, length := frames.Read(rest)
			if state == journal.Torn || length <= head {
				continue
			}
			before := len(r.lines)
			if n, err := hand(&points, rest[head:length], &r); err != nil && (n != 0 || len(r.lines) != before) {
				t.Fatal("a frame that cannot be read was handed out in part")
			}
			if len(rest) > 4096 {
				break
			}
		}
		var report Report
		damage := read(raw, &report, &record{})
		if damage < 0 || damage+report.TornBytes > int64(len(raw)) {
			t.Fatalf("%d of %d bytes, %+v", damage, len(raw), report)
		}
	})
}

func FuzzState(f *testing.F) {
	d, err := Open(f.TempDir(), Options{Most: 1 << 20})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := d.Save(Main, &State{At: begin, Begin: 3, Parts: map[string][]byte{"graph": []byte("abc"), "seen": NewSeen(time.Minute, 10, begin).Encode()}}); err != nil {
		f.Fatal(err)
	}
	raw, err := os.ReadFile(d.in(Main))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := decodeState(raw); err != nil && !errors.Is(err, ErrState) {
			t.Fatal(err)
		}
		_ = NewSeen(time.Minute, 10, begin).Restore(raw, begin)
	})
}

func BenchmarkAppend(b *testing.B) {
	d, err := Open(b.TempDir(), Options{Most: 1 << 40, Patience: time.Minute})
	require.NoError(b, err)
	var batch Batch
	points := make([]graph.Point, 1000)
	ids := make([]ID, 1000)
	for i := range points {
		points[i] = graph.Point{GRPC: -1, Status: 200, Requests: uint64(i), Key: graph.Key{
			Caller: graph.Caller{Cluster: "aks-westeurope", Region: "westeurope", Namespace: "shop", Workload: fmt.Sprintf("web-%d", i/4), Version: "v1"},
			Callee: graph.Callee{Cluster: "aks-westeurope", Region: "westeurope", Namespace: "shop", Service: "api", Workload: "api", Version: "v2"},
		}}
		ids[i] = ID{byte(i), byte(i >> 8)}
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		batch.Reset()
		for i := range points {
			batch.Add(&ids[i], &points[i])
		}
		if err := d.Append(&batch); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(d.Size())/float64(n*len(points)), "B/point")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*len(points)), "ns/point")
	require.NoError(b, d.Close())
}
