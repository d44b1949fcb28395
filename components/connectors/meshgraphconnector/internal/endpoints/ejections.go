// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/feed"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
)

const (
	// maxEjections is the most numbers of ejected hosts that are remembered: one for a proxy and a port or subset of a service.
	maxEjections = 20_000
	// ejectedFor is how long a proxy is believed that has not told again.
	ejectedFor = 3 * time.Minute
)

// Ejections holds what proxies have out of use now. Any number of goroutines may use it at once.
type Ejections struct {
	lock    sync.Mutex
	table   map[ejecting]ejected
	refused uint64
}

type ejecting struct {
	series  feed.ID
	service failover.Service
}

type ejected struct {
	proxy  feed.ID
	region string
	hosts  uint64
	at     time.Time
}

// NewEjections returns an empty table.
func NewEjections() *Ejections { return &Ejections{table: map[ejecting]ejected{}} }

// Add takes what a proxy tells; at is now. Those beyond the ceiling, 20,000, are refused and counted.
func (x *Ejections) Add(e *feed.Ejection, at time.Time) {
	key := ejecting{e.Series, failover.Service{Namespace: e.Namespace, Name: e.Service}}
	x.lock.Lock()
	defer x.lock.Unlock()
	_, known := x.table[key]
	switch {
	case e.Hosts == 0:
		delete(x.table, key)
	case !known && len(x.table) >= maxEjections:
		x.refused++
	case known:
		x.table[key] = ejected{e.Proxy, x.table[key].region, e.Hosts, at}
	default:
		// What is handed over belongs to a request.
		key.service = failover.Service{Namespace: strings.Clone(e.Namespace), Name: strings.Clone(e.Service)}
		x.table[key] = ejected{e.Proxy, strings.Clone(e.Caller.Region), e.Hosts, at}
	}
}

// Refused is how often something was refused.
func (x *Ejections) Refused() uint64 {
	x.lock.Lock()
	defer x.lock.Unlock()
	return x.refused
}

// List returns what is out of use, one for each calling region and service, sorted. Proxies that have not told for three
// minutes are forgotten. Without ejections it is nil.
func (x *Ejections) List(at time.Time) []failover.Ejection {
	x.lock.Lock()
	defer x.lock.Unlock()
	var list []told
	for key, e := range x.table {
		if at.Sub(e.at) > ejectedFor {
			delete(x.table, key)
			continue
		}
		if e.region != "" {
			list = append(list, told{
				failover.Ejection{From: e.region, Service: key.service, Hosts: int(min(e.hosts, 1<<31)), Proxies: 1}, e.proxy,
			})
		}
	}
	slices.SortFunc(list, compare)
	var merged []failover.Ejection
	for i := range list {
		e, n := &list[i].Ejection, len(merged)-1
		if n < 0 || merged[n].From != e.From || merged[n].Service != e.Service {
			merged = append(merged, *e)
			continue
		}
		merged[n].Hosts = max(merged[n].Hosts, e.Hosts)
		if list[i-1].proxy != list[i].proxy {
			merged[n].Proxies++
		}
	}
	return merged
}

// told is what a proxy has out of use of a port or subset.
type told struct {
	failover.Ejection
	proxy feed.ID
}

func compare(a, b told) int {
	return cmp.Or(cmp.Compare(a.Service.Namespace, b.Service.Namespace), cmp.Compare(a.Service.Name, b.Service.Name),
		cmp.Compare(a.From, b.From), bytes.Compare(a.proxy[:], b.proxy[:]))
}
