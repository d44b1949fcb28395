// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func sortedNames[V any](m map[topology.ObjectName]V) []topology.ObjectName {
	return slices.SortedFunc(maps.Keys(m), compareNames)
}

func compareNames(a, b topology.ObjectName) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}
