// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAWrongAnswerIsFound prevents a judge that finds nothing: it spoils each attribute of right answers.
func TestAWrongAnswerIsFound(t *testing.T) {
	all := families()
	spoiled := 0
	for i := range all {
		m := &all[i]
		truth := &m.Calls[0]
		right := rightAnswer(truth)
		require.Empty(t, wrong(right, truth, nil), m.path)
		require.Empty(t, missesOf(right, truth), m.path)
		for key := range right.Mesh {
			a := right
			a.Mesh = maps.Clone(right.Mesh)
			a.Mesh[key] = "another"
			assert.NotEmpty(t, wrong(a, truth, nil), "%s: %s", m.path, key)
			spoiled++
		}
		for _, key := range []string{"mesh.source.cluster", "mesh.destination.cluster"} {
			if _, ok := right.Mesh[key]; ok {
				continue
			}
			a := right
			a.Mesh = maps.Clone(right.Mesh)
			a.Mesh[key] = "aks-westeurope"
			assert.NotEmpty(t, wrong(a, truth, nil), "%s: who is outside of the mesh has no cluster", m.path)
			spoiled++
		}
	}
	assert.Greater(t, spoiled, 1000)
}

// rightAnswer says all of the truth.
func rightAnswer(truth *call) answer {
	said := map[string]string{"mesh.tls": truth.TLS}
	put := func(key, value string) {
		if value != "" {
			said[key] = value
		}
	}
	for side, e := range map[string]*end{"source": &truth.Source, "destination": &truth.Destination} {
		for field, value := range fields(e) {
			put("mesh."+side+"."+field, value)
		}
	}
	put("mesh.via", truth.Via)
	put("mesh.traffic.locality", localityOf(truth))
	put("mesh.traffic.cross_cluster", crossCluster(truth))
	a := answer{Mesh: said}
	for side, e := range map[string]*end{"source": &truth.Source, "destination": &truth.Destination} {
		// What told an end is not part of the truth, but known and unknown ones have words of their own.
		a.Mesh["mesh.resolution."+side] = map[bool]string{true: "ip", false: "unknown:no_upstream"}[e.Cluster != ""]
	}
	return a
}
