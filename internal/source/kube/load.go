// SPDX-License-Identifier: Apache-2.0

package kube

import "k8s.io/client-go/rest"

// Load makes the client configuration that the settings describe, for clients of other objects of the same API server.
// It reads files and makes no request.
func (s *ClientSettings) Load() (*rest.Config, error) { return loadConfig(s) }
