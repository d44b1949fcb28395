// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Names of the metrics. All are gauges with the attribute k8s.cluster.name.
const (
	MetricIstiods     = "mesh.control_plane.istiods"             // {istiod}; version, revision
	MetricProxies     = "mesh.control_plane.proxies"             // {proxy}; version
	MetricBehind      = "mesh.control_plane.proxies.behind"      // {proxy}
	MetricSkew        = "mesh.control_plane.version.behind"      // {version}
	MetricErrors      = "mesh.control_plane.push.errors"         // {error}, of the window; type
	MetricRejects     = "mesh.control_plane.push.rejects"        // {reject}, of the window; type
	MetricConvergence = "mesh.control_plane.convergence"         // s, of the window; quantile
	MetricExpiry      = "mesh.control_plane.certificate.expires" // s from now; certificate
	MetricRemotes     = "mesh.control_plane.remote_clusters"     // {cluster}; status
	MetricFindings    = "mesh.control_plane.findings"            // {finding}; kind, severity
)

// emitter appends gauges, each name one metric.
type emitter struct {
	slice   pmetric.MetricSlice
	metrics map[string]pmetric.NumberDataPointSlice
	at      pcommon.Timestamp
}

func (e *emitter) point(name, unit, description, cluster string) pmetric.NumberDataPoint {
	points, ok := e.metrics[name]
	if !ok {
		m := e.slice.AppendEmpty()
		m.SetName(name)
		m.SetUnit(unit)
		m.SetDescription(description)
		points = m.SetEmptyGauge().DataPoints()
		e.metrics[name] = points
	}
	p := points.AppendEmpty()
	p.SetTimestamp(e.at)
	p.Attributes().PutStr("k8s.cluster.name", cluster)
	return p
}

// AppendMetrics appends the records as gauges of the given time: they are what is, so one that is not sent is not missed.
func (s *Store) AppendMetrics(slice pmetric.MetricSlice, at time.Time) {
	e := emitter{slice: slice, metrics: map[string]pmetric.NumberDataPointSlice{}, at: pcommon.NewTimestampFromTime(at)}
	for i := range s.Document().ControlPlanes {
		r := &s.Document().ControlPlanes[i]
		if r.State != ProxiesOnly && r.State != Waiting {
			e.istiods(r)
		}
		e.findings(r)
		if r.State == Reporting {
			e.proxies(r)
			e.pushes(r)
			e.health(r, at)
		}
	}
}

func (e *emitter) istiods(r *Record) {
	type key struct{ version, revision string }
	counts := map[key]int64{}
	var order []key
	if r.State == Reporting {
		for _, i := range r.Istiods {
			k := key{i.Version, i.Revision}
			if counts[k] == 0 {
				order = append(order, k)
			}
			counts[k]++
		}
	} else {
		// What is known not to report is 0, so that an alert finds a value.
		order = append(order, key{})
	}
	for _, k := range order {
		p := e.point(MetricIstiods, "{istiod}", "Istiods of the cluster that report.", r.Cluster)
		p.SetIntValue(counts[k])
		label(p, "version", k.version)
		label(p, "revision", k.revision)
	}
}

func label(p pmetric.NumberDataPoint, key, value string) {
	if value != "" {
		p.Attributes().PutStr(key, value)
	}
}

func (e *emitter) proxies(r *Record) {
	if len(r.Proxies.ByVersion) == 0 {
		e.point(MetricProxies, "{proxy}", "Proxies connected to the cluster's istiods.", r.Cluster).SetIntValue(0)
	}
	for _, v := range r.Proxies.ByVersion {
		p := e.point(MetricProxies, "{proxy}", "Proxies connected to the cluster's istiods.", r.Cluster)
		p.SetIntValue(v.Proxies)
		label(p, "version", v.Version)
	}
	e.point(MetricBehind, "{proxy}", "Proxies whose version is not their istiod's.", r.Cluster).SetIntValue(r.Proxies.OtherVersion)
	e.point(MetricSkew, "{version}", "Minor versions that the cluster's oldest istiod is behind the newest of the mesh.", r.Cluster).
		SetIntValue(int64(r.Skew.MinorsBehind))
}

func (e *emitter) pushes(r *Record) {
	e.counts(MetricErrors, "{error}", "Configurations that could not be built or sent.", r.Cluster, r.Pushes.Errors, map[string]int64{
		"write_timeout": r.Pushes.WriteTimeouts, "internal": r.Pushes.InternalErrors, "context": r.Pushes.ContextErrors,
		"certificate": r.Pushes.CertificateErrors, "sign": r.Pushes.SignErrors,
	})
	e.counts(MetricRejects, "{reject}", "Configurations that proxies refused.", r.Cluster, r.Pushes.Rejects, nil)
	if c := r.Convergence; c != nil {
		for _, q := range []struct {
			name string
			at   Percentile
		}{{"0.5", c.P50}, {"0.9", c.P90}, {"0.99", c.P99}} {
			p := e.point(MetricConvergence, "s", "Time until a proxy was sent a change of configuration.", r.Cluster)
			p.SetDoubleValue(q.at.Seconds)
			label(p, "quantile", q.name)
		}
	}
}

// counts writes a point for each type, and one of 0 if there is nothing, so that alerts and charts find a series.
func (e *emitter) counts(name, unit, description, cluster string, lists ...map[string]int64) {
	some := false
	for _, list := range lists {
		for _, kind := range sortedKeys(list) {
			if list[kind] == 0 {
				continue
			}
			some = true
			p := e.point(name, unit, description, cluster)
			p.SetIntValue(list[kind])
			label(p, "type", kind)
		}
	}
	if !some {
		e.point(name, unit, description, cluster).SetIntValue(0)
	}
}

func (e *emitter) health(r *Record, at time.Time) {
	for _, c := range []struct {
		name string
		at   time.Time
	}{{"root", r.Certificates.RootExpires}, {"signing", r.Certificates.ChainExpires}} {
		if !c.at.IsZero() {
			p := e.point(MetricExpiry, "s", "Time until the certificate expires; negative when it did.", r.Cluster)
			p.SetDoubleValue(c.at.Sub(at).Seconds())
			label(p, "certificate", c.name)
		}
	}
	if !r.Remotes.Told {
		return
	}
	states := map[string]int64{}
	for _, c := range r.Remotes.Clusters {
		states[c.Status]++
	}
	for _, status := range []string{"synced", "syncing", "closed", "timeout"} {
		p := e.point(MetricRemotes, "{cluster}", "Remote clusters of the cluster's istiods, by the worst state.", r.Cluster)
		p.SetIntValue(states[status])
		label(p, "status", status)
	}
}

func (e *emitter) findings(r *Record) {
	type key struct {
		kind     string
		severity Severity
	}
	counts := map[key]int64{}
	var order []key
	for _, f := range r.Findings {
		k := key{f.Kind, f.Severity}
		if counts[k] == 0 {
			order = append(order, k)
		}
		counts[k]++
	}
	for _, k := range order {
		p := e.point(MetricFindings, "{finding}", "What is wrong with the control plane, see the document.", r.Cluster)
		p.SetIntValue(counts[k])
		label(p, "kind", k.kind)
		label(p, "severity", string(k.severity))
	}
}
