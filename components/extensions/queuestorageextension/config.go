// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"errors"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/collector/component"
)

const mib = 1 << 20

// Ways to bring what was written from the kernel's memory to the disk.
const (
	fsyncAlways   = "always"
	fsyncInterval = "interval"
	fsyncNever    = "never"
)

// Config is the configuration of the queue_storage extension.
type Config struct {
	// Directory is where the files are, one for each queue. It is made if it is not there, mode 0700, and belongs to one
	// process at a time. A folder of file_storage can be taken over as it is.
	Directory string `mapstructure:"directory"`
	// FSync tells when writes are brought to the disk: always, before a request is acknowledged; interval, at most
	// FSyncInterval later; never, when the kernel likes. A killed process loses nothing in either case: they differ in
	// what a power loss or a crash of the node's kernel costs.
	FSync string `mapstructure:"fsync"`
	// FSyncInterval is the time between two syncs with interval, 10ms to 1m.
	FSyncInterval time.Duration `mapstructure:"fsync_interval"`
	// MinFreeMiB is the free space of the disk, in MiB, below which new requests are refused, 0 to refuse when the disk
	// is full only.
	MinFreeMiB int64 `mapstructure:"min_free_mib"`
	// ReserveMiB is the size of a file, in MiB, that is given up when bookkeeping cannot be written because others filled
	// the disk, 0 for none.
	ReserveMiB int64 `mapstructure:"reserve_mib"`
	// MaxMiB is the size of all waiting values together, in MiB, above which new requests are refused, 0 for no limit
	// other than the queues' own.
	MaxMiB int64 `mapstructure:"max_mib"`
	// MaxDamagedMiB is the size, in MiB, of the folder in which damaged values and files are kept; the oldest go first. 0
	// keeps none of them.
	MaxDamagedMiB int64 `mapstructure:"max_damaged_mib"`
	// CompactAboveMiB is the size of a file, in MiB, above which it is written anew once its backlog is gone, 0 to never
	// give space back to the disk.
	CompactAboveMiB int64 `mapstructure:"compact_above_mib"`
}

func createDefaultConfig() component.Config {
	return &Config{
		FSync:           fsyncInterval,
		FSyncInterval:   500 * time.Millisecond,
		MinFreeMiB:      256,
		ReserveMiB:      16,
		MaxDamagedMiB:   256,
		CompactAboveMiB: 64,
	}
}

// Validate reports every setting that cannot work, by its key.
func (c *Config) Validate() error {
	var errs []error
	if c.Directory == "" {
		errs = append(errs, errors.New("'directory' is empty: write a folder that outlives the process, such as /var/lib/otelcol-mesh"))
	} else if info, err := os.Stat(c.Directory); err == nil && !info.IsDir() {
		errs = append(errs, fmt.Errorf("'directory' is %q, which is a file: write a folder", c.Directory))
	}
	switch c.FSync {
	case fsyncAlways, fsyncNever:
	case fsyncInterval:
		if c.FSyncInterval < 10*time.Millisecond || c.FSyncInterval > time.Minute {
			errs = append(errs, fmt.Errorf("'fsync_interval' is %s: write 10ms to 1m", c.FSyncInterval))
		}
	default:
		errs = append(errs, fmt.Errorf("'fsync' is %q: write always, interval or never", c.FSync))
	}
	const maximum = 1 << 30 // MiB: beyond any disk, and far from an overflow in bytes
	for _, s := range []struct {
		key   string
		value int64
	}{
		{"min_free_mib", c.MinFreeMiB},
		{"reserve_mib", c.ReserveMiB},
		{"max_mib", c.MaxMiB},
		{"max_damaged_mib", c.MaxDamagedMiB},
		{"compact_above_mib", c.CompactAboveMiB},
	} {
		if s.value < 0 || s.value > maximum {
			errs = append(errs, fmt.Errorf("'%s' is %d: write 0 to %d", s.key, s.value, maximum))
		}
	}
	return errors.Join(errs...)
}
