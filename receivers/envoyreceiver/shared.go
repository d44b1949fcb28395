// SPDX-License-Identifier: Apache-2.0

package envoyreceiver

import (
	"sync"

	"go.opentelemetry.io/collector/receiver"
)

// receivers holds the receiver of each configuration, so that its logs and its metrics share one server: the collector
// asks for them one by one.
type receivers struct {
	mu       sync.Mutex
	byConfig map[*Config]*envoyReceiver
}

var shared = &receivers{byConfig: make(map[*Config]*envoyReceiver)}

// get returns the receiver of a configuration, a new one if there is none.
func (s *receivers) get(cfg *Config, set receiver.Settings) (*envoyReceiver, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.byConfig[cfg]; ok {
		return r, nil
	}
	r, err := newReceiver(cfg, set)
	if err != nil {
		return nil, err
	}
	s.byConfig[cfg] = r
	return r, nil
}

// forget lets the same configuration be started again.
func (s *receivers) forget(r *envoyReceiver) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byConfig[r.cfg] == r {
		delete(s.byConfig, r.cfg)
	}
}
