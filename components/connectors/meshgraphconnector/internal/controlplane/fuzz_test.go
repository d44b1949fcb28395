// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"encoding/json"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

// FuzzMetrics feeds what a sender may send: nothing of it panics, and the document stays one that can be written.
func FuzzMetrics(f *testing.F) {
	marshaler := pmetric.ProtoMarshaler{}
	for _, name := range []string{"1-started.prom", "2-connected.prom", "3-restarted.prom"} {
		raw, err := marshaler.MarshalMetrics(scrape(page(f, name), "a", pod, "westeurope", noon, noon))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	known := scrape(page(f, "1-started.prom"), "a", pod, "westeurope", noon, noon)
	config := DefaultConfig()
	config.MaxClusters, config.MaxIstiods = 3, 3
	f.Fuzz(func(t *testing.T, raw []byte) {
		md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(raw)
		if err != nil {
			return
		}
		s := New(config)
		s.Metrics(known, noon)
		for n := range 3 {
			now := after(time.Duration(n) * time.Minute)
			s.Metrics(md, now)
			doc := s.Roll(now, nil)
			if _, err := json.Marshal(doc); err != nil {
				t.Fatal(err)
			}
			s.AppendMetrics(pmetric.NewMetricSlice(), now)
		}
	})
}
