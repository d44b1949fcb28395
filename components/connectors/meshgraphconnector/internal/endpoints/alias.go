// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"slices"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
)

// alias is a service, all pods of which have another canonical service than its name, and its rows.
type alias struct {
	service string
	rows    []failover.Endpoints
	total   int
}

// alias notes the rows of a service for those who answer. Of several services the one with the most endpoints tells most of them.
func (k *counting) alias(answers, service failover.Service, rows []failover.Endpoints) {
	k.renamed[service] = true
	a := alias{service: service.Name, rows: slices.Clone(rows)}
	for i := range rows {
		a.total += rows[i].Total + rows[i].Ending
	}
	other, there := k.aliases[answers]
	if !there || a.total > other.total || a.total == other.total && a.service < other.service {
		k.aliases[answers] = a
	}
}

func (k *counting) forgetAliases() {
	if k.aliases == nil {
		k.aliases, k.renamed = map[failover.Service]alias{}, map[failover.Service]bool{}
	}
	clear(k.aliases)
	clear(k.renamed)
}

// withAliases adds the rows of those who answer under other names, unless a service of their name has rows.
func (k *counting) withAliases(rows []failover.Endpoints) []failover.Endpoints {
	if len(k.aliases) == 0 {
		return rows
	}
	rows = slices.DeleteFunc(rows, func(e failover.Endpoints) bool {
		if _, there := k.aliases[e.Service]; !there {
			return false
		}
		if k.renamed[e.Service] {
			return true // Others have the name that it is called by.
		}
		delete(k.aliases, e.Service)
		return false
	})
	for answers, a := range k.aliases {
		for _, e := range a.rows {
			e.Service = answers
			rows = append(rows, e)
		}
	}
	return rows
}
