// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/static"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// diskCopyMagic begins a hub's disk copy, see internal/source/inventory.
var diskCopyMagic = []byte("OCMTOPO\n")

// history is how long pods that ended are answerable: always, as the copy may be old.
const history = 20 * 365 * 24 * time.Hour

// loadTopology reads the YAML file of the mesh_topology extension, or a hub's disk copy. warning says what is missing from
// a copy that is damaged; it is as good as it can be.
func loadTopology(path string, now time.Time) (s *topology.Snapshot, warning string, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, "", errors.Unwrap(err)
	}
	if bytes.HasPrefix(data, diskCopyMagic) {
		return loadCopy(data, now)
	}
	s, err = static.Parse(data, topology.Limits{}, now)
	return s, "", err
}

func loadCopy(data []byte, now time.Time) (*topology.Snapshot, string, error) {
	w := topology.NewWriter(topology.WriterSettings{History: history, Now: func() time.Time { return now }})
	report := inventory.Load(bytes.NewReader(data), inventory.LoadLimits{}, func(saved *inventory.Saved) {
		for i := range saved.Update.Past {
			p := &saved.Update.Past[i]
			w.ApplyPast(saved.Cluster, &p.PodState, p.Earliest, p.Latest, p.Gap)
		}
		w.Apply(&saved.Update.Delta)
	})
	if report.Clusters == 0 {
		if report.Err != nil {
			return nil, "", fmt.Errorf("nothing of the disk copy can be read: %w", report.Err)
		}
		return nil, "", errors.New("the disk copy holds no cluster")
	}
	warning := ""
	if report.Err != nil {
		warning = fmt.Sprintf("the disk copy is damaged (%v): %d clusters were read, %d are missing or not whole", report.Err, report.Clusters, report.LostClusters)
	}
	return w.Publish(), warning, nil
}
