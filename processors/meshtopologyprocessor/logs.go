// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"context"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processorhelper"

	"github.com/otelcol-mesh/otelcol-mesh/processors/internal/attrs"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

func (m *meshTopology) processLogs(ctx context.Context, ld plog.Logs) (plog.Logs, error) {
	// Inventories first: if they have to be sent again, nothing of the batch was passed on yet.
	taken, err := m.takeInventories(ctx, ld)
	if err != nil {
		return ld, err
	}
	if taken && ld.ResourceLogs().Len() == 0 {
		return ld, processorhelper.ErrSkipProcessingData
	}
	b := m.newBatch(ctx)
	// Splitting appends resources that are stamped as they are made, so the walk ends at the ones that came.
	came := ld.ResourceLogs().Len()
	var gone map[int]bool
	for i := range came {
		if b.resourceLogs(ld.ResourceLogs(), ld.ResourceLogs().At(i)) {
			if gone == nil {
				gone = map[int]bool{}
			}
			gone[i] = true
		}
	}
	if gone != nil {
		i := -1
		ld.ResourceLogs().RemoveIf(func(plog.ResourceLogs) bool { i++; return gone[i] })
	}
	b.finish(ctx)
	return ld, nil
}

// recordKeyOf tells the proxies apart whose records share a resource, by the labels that users can give Istio's
// OpenTelemetry access log. An application's record that names a pod tells of that pod, and not who wrote it.
//
// seen is the proxy of another record, nil if there is none: a record that names the same pod is read no further, and so
// may be an application's.
func (b *batch) recordKeyOf(record plog.LogRecord, seen *proxyKey) proxyKey {
	var proxy, key proxyKey
	var envoyID string
	for name, value := range record.Attributes().All() {
		switch name {
		case "node_id":
			proxy.nodeID = value.Str()
		case "envoy.node.id":
			envoyID = value.Str()
		case "istio.cluster_id":
			proxy.cluster = value.Str()
		case "k8s.pod.name", "pod_name":
			key.nodeID = value.Str()
		case "k8s.namespace.name", "pod_namespace":
			key.namespace = value.Str()
		case "k8s.cluster.name":
			key.cluster = value.Str()
		}
	}
	if proxy = proxy.named(envoyID, seen); proxy.nodeID != "" {
		return proxy
	}
	if b.podOnResource {
		return proxyKey{}
	}
	if seen != nil && key.nodeID != "" && key == *seen {
		return key
	}
	if key.nodeID == "" && !mayHoldLabels(record.Body()) {
		return proxyKey{}
	}
	if b.read = (reading{}); !b.read.record(record) {
		return proxyKey{}
	}
	if key.nodeID == "" {
		return b.read.labeledProxy()
	}
	return key
}

// resourceLogs stamps the records of one resource, after splitting it if they came from several proxies. It
// reports whether nothing is left of the resource itself.
func (b *batch) resourceLogs(all plog.ResourceLogsSlice, rl plog.ResourceLogs) (gone bool) {
	if onlyInventories(rl) {
		return false
	}
	res := readResource(rl.Resource().Attributes())
	b.podOnResource = res.reporter.Pod != ""
	if res.reporter.NodeID != "" || !b.severalRecordProxies(rl) {
		b.stampRecords(rl, &res)
		return false
	}
	b.tally.splits++
	for _, part := range b.splitRecords(all, rl) {
		b.stampRecords(part, &res)
	}
	if rl.ScopeLogs().Len() == 0 {
		return true
	}
	res.shared = true
	b.stampRecords(rl, &res)
	return false
}

func (b *batch) severalRecordProxies(rl plog.ResourceLogs) bool {
	var seen proxyKey
	for _, sl := range rl.ScopeLogs().All() {
		for _, record := range sl.LogRecords().All() {
			key := b.recordKeyOf(record, &seen)
			switch {
			case key.nodeID == "" || key == seen:
			case seen.nodeID == "":
				seen = key
			default:
				return true
			}
		}
	}
	return false
}

// recordsOfProxy is where the records of one proxy go.
type recordsOfProxy struct {
	resource plog.ResourceLogs
	scope    plog.ScopeLogs
	// from is the scope that scope is a copy of.
	from int
}

// splitRecords moves the records of each proxy to a resource of their own and returns those. Records that nothing
// tells, and those of proxies above the ceiling, stay.
func (b *batch) splitRecords(all plog.ResourceLogsSlice, rl plog.ResourceLogs) []plog.ResourceLogs {
	parts, most := map[proxyKey]*recordsOfProxy{}, mostParts(recordsOriginSize(rl))
	var split []plog.ResourceLogs
	for i, sl := range rl.ScopeLogs().All() {
		sl.LogRecords().RemoveIf(func(record plog.LogRecord) bool {
			key := b.recordKeyOf(record, nil)
			part := parts[key]
			if key.nodeID == "" || (part == nil && len(parts) >= most) {
				return false
			}
			if part == nil {
				part = &recordsOfProxy{resource: all.AppendEmpty(), from: -1}
				rl.Resource().CopyTo(part.resource.Resource())
				part.resource.SetSchemaUrl(rl.SchemaUrl())
				parts[key], split = part, append(split, part.resource)
			}
			if part.from != i {
				part.scope, part.from = part.resource.ScopeLogs().AppendEmpty(), i
				sl.Scope().CopyTo(part.scope.Scope())
				part.scope.SetSchemaUrl(sl.SchemaUrl())
			}
			record.MoveTo(part.scope.LogRecords().AppendEmpty())
			return true
		})
	}
	removeEmptyRecords(rl)
	return split
}

// recordsOriginSize returns how many bytes a copy of all but the records takes.
func recordsOriginSize(rl plog.ResourceLogs) int {
	size := attrs.Size(rl.Resource().Attributes()) + len(rl.SchemaUrl())
	for _, sl := range rl.ScopeLogs().All() {
		size += attrs.ScopeSize(sl.Scope()) + len(sl.SchemaUrl())
	}
	return size
}

func removeEmptyRecords(rl plog.ResourceLogs) {
	rl.ScopeLogs().RemoveIf(func(sl plog.ScopeLogs) bool { return sl.LogRecords().Len() == 0 })
}

// stampRecords stamps a resource whose records are all of one reporter.
func (b *batch) stampRecords(rl plog.ResourceLogs, res *resourceReading) {
	b.resolveRecords(rl, res)
	stampResource(rl.Resource().Attributes(), &b.reported.near)
	for _, sl := range rl.ScopeLogs().All() {
		for _, record := range sl.LogRecords().All() {
			var r reading
			r.record(record)
			if !r.proxy && !res.proxy {
				continue
			}
			r.settle(rules.OtherKind)
			// The access log service tells of TLS whenever there was some, so its silence tells too.
			if res.reporter.PeerMetadata && strings.HasPrefix(record.EventName(), envoyEvent) {
				r.call.PlainText = !r.tls
				r.call.NoHost = r.call.NoHost || (r.call.UpstreamAddress == "" && noHost(record.Attributes()))
			}
			b.judge(record.Attributes(), b.whenRecorded(record), &r)
		}
	}
}

// resolveRecords resolves who wrote the records, as it was at the time of the first record that names its proxy; without
// one, the resource and the connection tell alone.
func (b *batch) resolveRecords(rl plog.ResourceLogs, res *resourceReading) {
	reporter := b.reporter(res)
	record, named := b.firstRecord(rl, !res.shared)
	if named {
		r := &b.read
		*r = reading{}
		r.record(record)
		reporter = r.reporter(reporter)
	}
	b.resolve(reporter, b.whenRecorded(record))
	b.checkLocality(res, "")
}

// firstRecord returns the first record that names its proxy, if one is wanted and there, else the first record.
func (b *batch) firstRecord(rl plog.ResourceLogs, named bool) (first plog.LogRecord, names bool) {
	first = noRecord
	for _, sl := range rl.ScopeLogs().All() {
		for _, record := range sl.LogRecords().All() {
			if named && b.recordKeyOf(record, nil).nodeID != "" {
				return record, true
			}
			if first == noRecord {
				first = record
			}
			if !named {
				return first, false
			}
		}
	}
	return first, false
}

// noRecord stands for the first of none. Nobody may change it.
var noRecord = plog.NewLogRecord()

// whenRecorded returns the time at which the topology is asked about a record: that of the record, which in Envoy's
// access logs is the start of the call, else when somebody first saw it.
func (b *batch) whenRecorded(record plog.LogRecord) pcommon.Timestamp {
	if own := record.Timestamp(); own != 0 {
		return b.when(own)
	}
	return b.when(record.ObservedTimestamp())
}
