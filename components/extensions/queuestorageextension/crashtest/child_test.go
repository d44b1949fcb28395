// SPDX-License-Identifier: Apache-2.0

package crashtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/queuestorageextension"
)

// Orders to a child come in the environment.
const (
	envMode    = "CRASHTEST_MODE"    // feed, drain or full
	envDir     = "CRASHTEST_DIR"     // folder of the storage
	envStorage = "CRASHTEST_STORAGE" // queue_storage or file_storage
	envFirst   = "CRASHTEST_FIRST"   // number of the first request
	envBackend = "CRASHTEST_BACKEND" // up, down or flaky
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(envMode); mode != "" {
		if err := child(mode); err != nil {
			report("error %v", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

var storageID = component.MustNewID("storage")

type host struct{ storage component.Component }

func (h host) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{storageID: h.storage}
}

// report tells the parent one line, in one write: a kill cuts none in two.
func report(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stdout, format+"\n", args...)
}

// newStorage makes the storage under test, with the settings that the distribution ships.
func newStorage(name, dir string) (extension.Extension, error) {
	factory := queuestorageextension.NewFactory()
	if name == "file_storage" {
		factory = filestorage.NewFactory()
	}
	cfg := factory.CreateDefaultConfig()
	switch c := cfg.(type) {
	case *queuestorageextension.Config:
		c.Directory, c.MinFreeMiB, c.ReserveMiB = dir, 2, 1
	case *filestorage.Config:
		c.Directory, c.CreateDirectory, c.Recreate = dir, true, true
	}
	set := extensiontest.NewNopSettings(factory.Type())
	set.Logger = zap.NewNop()
	return factory.Create(context.Background(), set, cfg)
}

// process is a collector in small: one exporter with a queue in a storage.
type process struct {
	storage  extension.Extension
	exporter interface {
		component.Component
		ConsumeTraces(context.Context, ptrace.Traces) error
	}
	// backend is up, down or flaky.
	backend   atomic.Value
	delivered atomic.Int64
	// newest is the highest number of a request that was delivered.
	newest atomic.Int64
}

func start() (p *process, err error) {
	p = &process{}
	p.backend.Store(os.Getenv(envBackend))
	if p.storage, err = newStorage(os.Getenv(envStorage), os.Getenv(envDir)); err != nil {
		return nil, err
	}
	if err := p.storage.Start(context.Background(), nil); err != nil {
		return nil, err
	}
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.StorageID, queue.NumConsumers, queue.QueueSize = &storageID, consumers, 1_000_000
	queue.Batch = configoptional.None[exporterhelper.BatchConfig]()
	retry := configretry.NewDefaultBackOffConfig()
	retry.InitialInterval, retry.MaxInterval, retry.MaxElapsedTime = 10*time.Millisecond, 50*time.Millisecond, 0
	set := exportertest.NewNopSettings(component.MustNewType("crash"))
	set.ID, set.Logger = component.MustNewIDWithName("crash", "test"), zap.NewNop()
	p.exporter, err = exporterhelper.NewTraces(context.Background(), set, &struct{}{}, p.push,
		exporterhelper.WithRetry(retry), exporterhelper.WithQueue(configoptional.Some(queue)))
	if err != nil {
		return nil, err
	}
	return p, p.exporter.Start(context.Background(), host{p.storage})
}

// consumers is how many requests are being sent at a time.
const consumers = 4

func (p *process) push(_ context.Context, td ptrace.Traces) error {
	if td.ResourceSpans().Len() == 0 {
		return nil
	}
	name := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Name()
	switch p.backend.Load() {
	case "down":
		return errors.New("down")
	case "flaky":
		if time.Now().UnixNano()/1000%3 != 0 {
			return errors.New("flaky")
		}
	}
	report("delivered %s", name)
	p.delivered.Add(1)
	number, err := strconv.ParseInt(name, 10, 64)
	if err != nil {
		return err
	}
	for newest := p.newest.Load(); newest < number && !p.newest.CompareAndSwap(newest, number); {
		newest = p.newest.Load()
	}
	return nil
}

func (p *process) shutdown() error {
	return errors.Join(p.exporter.Shutdown(context.Background()), p.storage.Shutdown(context.Background()))
}

func request(number, size int) ptrace.Traces {
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetName(strconv.Itoa(number))
	span.Attributes().PutStr("filling", strings.Repeat("x", size))
	return td
}

// child is what a process that the tests start does.
func child(mode string) error {
	if mode == "full" {
		if err := smallDisk(os.Getenv(envDir)); err != nil {
			return err
		}
		return fullDisk()
	}
	p, err := start()
	if err != nil {
		return err
	}
	report("started")
	first, err := strconv.Atoi(os.Getenv(envFirst))
	if err != nil {
		return err
	}
	if mode == "feed" {
		for number := first; ; number++ {
			if err := p.exporter.ConsumeTraces(context.Background(), request(number, number*7919%20000)); err == nil {
				report("acked %d", number)
			}
		}
	}
	// The queue is in order: behind the marker there is nothing, but what is being sent beside it.
	if err := p.exporter.ConsumeTraces(context.Background(), request(first, 1)); err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	in.Scan() // the parent saw the marker
	return p.shutdown()
}

// smallDisk gives the process, which has a mount namespace of its own, a small disk.
func smallDisk(dir string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		return fmt.Errorf("small disk: %w", err)
	}
	return nil
}

// fullDisk fills the disk under a queue while nothing can be delivered, first with requests, then with the file of
// somebody else, to the last byte; and then lets the backend work again.
func fullDisk() error {
	p, err := start()
	if err != nil {
		return err
	}
	f := &feeder{p: p}
	f.feed(1200)
	other := filepath.Join(os.Getenv(envDir), "other")
	if err := fillUp(other); err != nil {
		return err
	}
	f.feed(20)
	p.backend.Store("up")
	// On a full disk the queue goes on; it gives room only to those that it has.
	delivered := int64(-1)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if now := p.delivered.Load(); now == delivered {
			break
		} else {
			delivered = now
		}
		<-time.After(time.Second)
	}
	report("refusals %d", f.refused)
	if err := p.shutdown(); err != nil {
		report("shutdown %v", err)
	}
	// A restart on the full disk: what was given free meanwhile is taken by somebody else again.
	if err := fillUp(other + "2"); err != nil {
		return err
	}
	if p, err = start(); err != nil {
		return err
	}
	p.backend.Store("up")
	f.p = p
	f.feed(5)
	if err := errors.Join(os.Remove(other), os.Remove(other+"2")); err != nil {
		return err
	}
	return errors.Join(f.goesOn(), p.shutdown())
}

// feeder numbers requests and hands them over.
type feeder struct {
	p               *process
	number, refused int
	// why is the last refusal.
	why error
}

func (f *feeder) feed(n int) {
	for range n {
		if err := f.p.exporter.ConsumeTraces(context.Background(), request(f.number, 30000)); err == nil {
			report("acked %d", f.number)
		} else {
			if f.refused++; f.refused == 1 {
				report("refused %v", err)
			}
			f.why = err
		}
		f.number++
	}
}

// goesOn waits until requests are taken again, and until what was taken is delivered.
func (f *feeder) goesOn() error {
	deadline := time.Now().Add(time.Minute)
	// An answer about the free space holds for a while; then all that comes is taken.
	for before := f.refused; ; before = f.refused {
		if f.feed(1); f.refused == before {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("nothing is taken although there is room again, %d delivered: %w", f.p.delivered.Load(), f.why)
		}
		<-time.After(10 * time.Millisecond)
	}
	before := f.refused
	f.feed(10)
	if f.refused != before {
		return fmt.Errorf("some is refused although there is room again: %w", f.why)
	}
	// The queue is in order: behind the last one there is nothing, but what is being sent beside it.
	for f.p.newest.Load() < int64(f.number-1) {
		if time.Now().After(deadline) {
			return errors.New("what was taken is not delivered")
		}
		<-time.After(10 * time.Millisecond)
	}
	return nil
}

// fillUp takes all the space that the disk has.
func fillUp(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	for size := 1 << 20; size > 0; {
		n, err := file.Write(make([]byte, size))
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			return err
		}
		if n < size {
			size /= 2
		}
	}
	return file.Close()
}
