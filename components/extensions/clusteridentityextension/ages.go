// SPDX-License-Identifier: Apache-2.0

package clusteridentityextension

import (
	"crypto/tls"
	"runtime"
	"sync"
	"time"
	"weak"
)

// ages tells how old HTTP connections are, by the state of their TLS: the server makes one for each connection, and all of
// its requests have it. A connection that is gone is forgotten when its state is collected, so there are as many as the
// server has. The zero value is ready for use. Safe for concurrent use.
type ages struct{ begun sync.Map }

// of returns how long ago the first request of the connection was.
func (a *ages) of(connection *tls.ConnectionState, now time.Time) time.Duration {
	key := weak.Make(connection)
	begun, known := a.begun.LoadOrStore(key, now)
	if !known {
		runtime.AddCleanup(connection, func(key weak.Pointer[tls.ConnectionState]) { a.begun.Delete(key) }, key)
	}
	return now.Sub(begun.(time.Time))
}
