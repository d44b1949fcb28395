// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
)

// identity is a certificate with its key and its authority, as files.
type identity struct{ ca, cert, key string }

// issue writes a certificate into a folder: for a SPIFFE id, empty for none, and for addresses. It outlasts every load.
func issue(t *testing.T, by *pkitest.Authority, dir, id string, addresses ...string) identity {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o700))
	leaf := pkitest.Leaf{NotAfter: time.Now().Add(24 * time.Hour), Addresses: []string{}} // not the addresses that none stands for
	if id != "" {
		leaf.URIs = []string{id}
	}
	for _, address := range addresses {
		if net.ParseIP(address) != nil {
			leaf.Addresses = append(leaf.Addresses, address)
		} else {
			leaf.DNS = append(leaf.DNS, address)
		}
	}
	by.Issue(t, leaf).Rename(t, dir)
	return identity{ca: pkitest.RenameBundle(t, dir, by), cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key")}
}
