// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"errors"
	"fmt"
)

// The defaults of [Settings].
const (
	DefaultMaxMiB     = 256
	DefaultMaxFileMiB = 16
)

// Settings are the `dead_letter` part of the exporter's configuration.
type Settings struct {
	// Directory is where the files go; it is made if it is missing, readable by its owner alone. Several exporters,
	// collectors and replicas may share one. Empty means that no letters are kept.
	Directory string `mapstructure:"directory"`
	// MaxMiB is how much all files of the directory may take together, in MiB; the oldest file makes room. At least
	// twice MaxFileMiB.
	MaxMiB int `mapstructure:"max_mib"`
	// MaxFileMiB is the size at which a new file is begun, in MiB, 1 or more. It is also what goes at once when room is
	// needed.
	MaxFileMiB int `mapstructure:"max_file_mib"`
	// Fsync writes letters to the disk itself before they count as kept, so that they survive a power cut and not only the
	// end of the process.
	Fsync bool `mapstructure:"fsync"`
}

// DefaultSettings keeps no letters until a directory is given.
func DefaultSettings() Settings {
	return Settings{MaxMiB: DefaultMaxMiB, MaxFileMiB: DefaultMaxFileMiB, Fsync: true}
}

// Enabled says whether letters are kept.
func (s Settings) Enabled() bool { return s.Directory != "" }

// Validate returns errors that name the key and what to write.
func (s Settings) Validate() error {
	var errs []error
	if s.MaxFileMiB < 1 {
		errs = append(errs, fmt.Errorf("'max_file_mib' is %d: write 1 or more", s.MaxFileMiB))
	}
	if s.MaxMiB < 2*s.MaxFileMiB || s.MaxMiB < 2 {
		errs = append(errs, fmt.Errorf("'max_mib' is %d: write at least twice 'max_file_mib', so %d or more; the oldest file makes room for the newest",
			s.MaxMiB, max(2, 2*s.MaxFileMiB)))
	}
	return errors.Join(errs...)
}

func (s Settings) maxBytes() int64     { return int64(s.MaxMiB) << 20 }
func (s Settings) maxFileBytes() int64 { return int64(s.MaxFileMiB) << 20 }
