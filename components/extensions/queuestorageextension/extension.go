// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/queuestorageextension/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/internal/disk"
)

// upkeepInterval is the time between two rounds of upkeep, if none of the settings asks for a shorter one.
const upkeepInterval = time.Second

// maxFileName is what most file systems take.
const maxFileName = 255

type queueStorage struct {
	config    *Config
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	now       func() time.Time
	space     *space
	aside     *setAside

	lock    *disk.Held
	stop    chan struct{}
	stopped sync.WaitGroup

	mu sync.Mutex
	// clients by the name of their file, nil while it is being opened.
	clients map[string]*client
	total   atomic.Int64 // bytes of all values
}

var _ storage.Extension = (*queueStorage)(nil)

func newQueueStorage(set extension.Settings, config *Config) (*queueStorage, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	s := &queueStorage{config: config, logger: set.Logger, telemetry: telemetry, now: time.Now, clients: map[string]*client{}}
	s.space = &space{dir: config.Directory, size: config.ReserveMiB * mib, statfs: freeBytes, now: s.clock}
	if config.ReserveMiB > 0 {
		s.space.reserve = filepath.Join(config.Directory, "queue_storage.reserve")
	}
	s.aside = &setAside{dir: filepath.Join(config.Directory, damagedFolder), limit: config.MaxDamagedMiB * mib, now: s.clock, dropped: func(files int) {
		telemetry.ExtensionQueueStorageSetAsideDropped.Add(context.Background(), int64(files))
	}}
	return s, nil
}

func (s *queueStorage) clock() time.Time { return s.now() }

// Start takes the folder for this process. It fails if another one has it.
func (s *queueStorage) Start(context.Context, component.Host) (err error) {
	if s.lock, err = lockDirectory(s.config.Directory); err != nil {
		return err
	}
	if err := s.space.hold(s.config.MinFreeMiB * mib); err != nil {
		s.logger.Warn("The reserve could not be made", zap.Error(err))
	}
	if err := s.observe(); err != nil {
		return err
	}
	s.stop = make(chan struct{})
	interval := upkeepInterval
	if s.config.FSync == fsyncInterval {
		interval = min(interval, s.config.FSyncInterval)
	}
	s.stopped.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-s.stop:
				return
			case <-ticker.C:
				s.upkeep()
			}
		}
	})
	return nil
}

// upkeep is what is done now and then: sync, what failed before, compaction, the reserve.
func (s *queueStorage) upkeep() {
	for _, c := range s.open() {
		c.upkeep()
	}
	if err := s.space.hold(s.config.MinFreeMiB * mib); err != nil {
		s.logger.Debug("The reserve could not be made", zap.Error(err))
	}
}

// Shutdown closes what components left open and gives the folder free.
func (s *queueStorage) Shutdown(ctx context.Context) error {
	if s.stop != nil {
		close(s.stop)
		s.stopped.Wait()
		s.stop = nil
	}
	var errs []error
	for _, c := range s.open() {
		errs = append(errs, c.Close(ctx))
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Release())
		s.lock = nil
	}
	s.telemetry.Shutdown()
	return errors.Join(errs...)
}

// open returns the open clients.
func (s *queueStorage) open() []*client {
	s.mu.Lock()
	defer s.mu.Unlock()
	clients := make([]*client, 0, len(s.clients))
	for _, c := range s.clients {
		if c != nil {
			clients = append(clients, c)
		}
	}
	return clients
}

// GetClient opens the storage of a component. Each may be open once.
func (s *queueStorage) GetClient(_ context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	if s.lock == nil {
		return nil, errors.New("queue_storage is not started")
	}
	file := fileName(kind, id, name)
	if !s.claim(file) {
		return nil, fmt.Errorf("the storage %q of %s is open already", name, id)
	}
	c := &client{
		ext:    s,
		path:   filepath.Join(s.config.Directory, file),
		file:   file,
		queue:  isQueue(kind, name),
		logger: s.logger.With(zap.Stringer("component", id), zap.String("signal", name)),
		count:  newCounters(s.telemetry, id.String(), name),
	}
	// Outside of the lock: a damaged file takes its time, and metrics are read meanwhile.
	err := c.open()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		delete(s.clients, file)
		return nil, err
	}
	s.clients[file] = c
	return c, nil
}

// claim notes that a file is about to be opened, unless it is.
func (s *queueStorage) claim(file string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.clients[file]; taken {
		return false
	}
	s.clients[file] = nil
	return true
}

// fileName is the name that file_storage gives to the file of a component.
func fileName(kind component.Kind, id component.ID, name string) string {
	parts := []string{strings.ToLower(kind.String()), id.Type().String(), id.Name()}
	if name != "" {
		parts = append(parts, name)
	}
	var file strings.Builder
	for _, r := range strings.Join(parts, "_") {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			file.WriteRune(r)
		default:
			fmt.Fprintf(&file, "~%04X", r)
		}
	}
	if file.Len() > maxFileName {
		sum := sha256.Sum256([]byte(file.String()))
		return hex.EncodeToString(sum[:])
	}
	return file.String()
}
