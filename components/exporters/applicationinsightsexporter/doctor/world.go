// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"
)

// world is what a check sees of the machine and the network, for tests to replace.
type world struct {
	getenv func(string) string
	now    func() time.Time
	wait   func(context.Context, time.Duration) error // nil for the real one
	// lookup returns the name that a name stands for in the end, and its addresses.
	lookup func(ctx context.Context, host string) (canonical string, addresses []netip.Addr, err error)
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	// proxy is what the environment chooses.
	proxy func(*http.Request) (*url.URL, error)
	// entra carries requests for tokens; nil for the real way.
	entra http.RoundTripper
	// issuers are those of the certificates of Azure's endpoints.
	issuers []string
	// id names a test item.
	id func() string
}

func realWorld() *world {
	return &world{
		getenv:  os.Getenv,
		now:     time.Now,
		lookup:  lookup,
		dial:    new(net.Dialer).DialContext,
		proxy:   http.ProxyFromEnvironment,
		issuers: issuers,
		id: func() string {
			var id [8]byte
			_, _ = rand.Read(id[:]) // never fails
			return hex.EncodeToString(id[:])
		},
	}
}

func lookup(ctx context.Context, host string) (string, []netip.Addr, error) {
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return "", nil, err
	}
	for i := range addresses {
		addresses[i] = addresses[i].Unmap()
	}
	// Only for words: some resolvers cannot tell.
	canonical, err := net.DefaultResolver.LookupCNAME(ctx, host)
	if err != nil {
		canonical = host
	}
	return strings.TrimSuffix(canonical, "."), addresses, nil
}
