// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// GzipMode says what native OTLP ingestion makes of compressed bodies, which is
// documented nowhere.
type GzipMode string

const (
	// GzipTake takes plain and compressed bodies. It is the default.
	GzipTake GzipMode = "take"
	// GzipRefuse answers 415 to a compressed body.
	GzipRefuse GzipMode = "refuse"
)

// OTLP configures the paths of native OTLP ingestion. The zero value is ready.
type OTLP struct {
	Gzip GzipMode
	// MaxBodyBytes limits a request body, as sent and decompressed; a larger one
	// gets 413. The service publishes no limit; zero means 1 MiB, that of the
	// neighboring logs ingestion API.
	MaxBodyBytes int64
	// Rules are the immutable ids of the data collection rules there are, and
	// Streams the names of their streams; others get 404. Empty means any.
	Rules, Streams []string
}

func (o OTLP) validate() error {
	if o.Gzip != "" && o.Gzip != GzipTake && o.Gzip != GzipRefuse {
		return fmt.Errorf("gzip mode %q: write take or refuse", o.Gzip)
	}
	return nil
}

// Signals of native OTLP ingestion.
const (
	SignalTraces  = "traces"
	SignalLogs    = "logs"
	SignalMetrics = "metrics"
)

const protobufType = "application/x-protobuf"

// otlpPath are the parts of
// /datacollectionRules/<rule>/streams/<stream>/otlp/v1/<signal>.
type otlpPath struct{ rule, stream, signal string }

func otlpSignal(path string) (otlpPath, bool) {
	parts := strings.Split(strings.TrimLeft(path, "/"), "/")
	if len(parts) != 7 || !strings.EqualFold(parts[0], "datacollectionRules") || parts[2] != "streams" ||
		parts[4] != "otlp" || parts[5] != "v1" || parts[1] == "" || parts[3] == "" {
		return otlpPath{}, false
	}
	switch parts[6] {
	case SignalTraces, SignalLogs, SignalMetrics:
		return otlpPath{rule: parts[1], stream: parts[3], signal: parts[6]}, true
	default:
		return otlpPath{}, false
	}
}

// OTLPRequest is what is remembered of one accepted request of native OTLP
// ingestion; its data is that of one signal.
type OTLPRequest struct {
	Rule, Stream, Signal string
	Encoding             string // Content-Encoding
	Authorized           bool
	Items                int
	Traces               ptrace.Traces
	Logs                 plog.Logs
	Metrics              pmetric.Metrics
}

// OTLPSummary tells what arrived by native OTLP ingestion.
type OTLPSummary struct {
	// Requests counts requests by their answer's status; "0" is none.
	Requests map[string]uint64 `json:"requests"`
	// Items are the accepted spans, records and points by signal, and Duplicates
	// those of the spans that had come before, by trace and span id.
	Items      map[string]uint64 `json:"items"`
	Duplicates uint64            `json:"duplicates"`
	// NotDelta counts the accepted points of sums and histograms that are not
	// deltas, and NotExponential those of histograms with explicit buckets: the
	// views of the service expect delta temporality and exponential histograms.
	NotDelta       uint64 `json:"notDelta"`
	NotExponential uint64 `json:"notExponential"`
	// Evicted counts requests that made room for newer ones.
	Evicted uint64 `json:"evicted"`
}

// otlpStore keeps accepted requests, up to Config.MaxRequests.
type otlpStore struct {
	mu       sync.Mutex
	requests []OTLPRequest
	summary  OTLPSummary
	spans    map[[24]byte]struct{}
}

func newOTLPStore() *otlpStore {
	return &otlpStore{
		summary: OTLPSummary{Requests: map[string]uint64{}, Items: map[string]uint64{}},
		spans:   map[[24]byte]struct{}{},
	}
}

// OTLPRequests returns the accepted requests of native OTLP ingestion, oldest
// first, up to [Config.MaxRequests] of them. Treat their data as read-only.
func (e *Endpoint) OTLPRequests() []OTLPRequest {
	e.otlp.mu.Lock()
	defer e.otlp.mu.Unlock()
	return slices.Clone(e.otlp.requests)
}

// OTLPSummary returns the counts of native OTLP ingestion as of now.
func (e *Endpoint) OTLPSummary() OTLPSummary {
	e.otlp.mu.Lock()
	defer e.otlp.mu.Unlock()
	sum := e.otlp.summary
	sum.Requests, sum.Items = maps.Clone(sum.Requests), maps.Clone(sum.Items)
	return sum
}

// ingestOTLP serves one request. Of the faults, those that speak of items by
// their place do not fit: OTLP answers for a request as a whole.
func (e *Endpoint) ingestOTLP(w http.ResponseWriter, r *http.Request, path otlpPath) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "use POST", http.StatusMethodNotAllowed)
		return
	}
	fault := e.take(time.Now())
	if fault != nil && !e.pause(r.Context(), fault.Delay) {
		e.countOTLP(0)
		panic(http.ErrAbortHandler)
	}
	request, status, err := e.readOTLP(w, r, path)
	if err != nil {
		e.countOTLP(status)
		http.Error(w, err.Error(), status)
		return
	}
	status = http.StatusOK
	if fault != nil && fault.replaces() {
		if status = fault.replacement(); fault.Store {
			e.keepOTLP(request)
		}
		e.countOTLP(status)
		e.misbehaveOTLP(w, r, fault, status)
		return
	}
	e.keepOTLP(request)
	e.countOTLP(status)
	w.Header().Set("Content-Type", protobufType)
	w.WriteHeader(status) // an empty response says that all was taken
}

func (e *Endpoint) misbehaveOTLP(w http.ResponseWriter, r *http.Request, fault *Fault, status int) {
	switch fault.Kind {
	case FaultHang:
		e.hang(w, r, fault.Drip)
		panic(http.ErrAbortHandler)
	case FaultClose:
		panic(http.ErrAbortHandler)
	default:
		fault.setHeaders(w, e.now())
		http.Error(w, statusText(status), status)
	}
}

func (e *Endpoint) readOTLP(w http.ResponseWriter, r *http.Request, path otlpPath) (OTLPRequest, int, error) {
	limit := orDefault(e.cfg.OTLP.MaxBodyBytes, 1<<20)
	body, status, err := readBody(w, r, limit)
	request := OTLPRequest{
		Rule: path.rule, Stream: path.stream, Signal: path.signal,
		Encoding: r.Header.Get("Content-Encoding"), Authorized: r.Header.Get("Authorization") != "",
	}
	contentType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch {
	case err != nil:
		return request, status, err
	case contentType != protobufType:
		return request, http.StatusUnsupportedMediaType, fmt.Errorf("content type %q: send %s", contentType, protobufType)
	case e.cfg.OTLP.Gzip == GzipRefuse && request.Encoding != "":
		return request, http.StatusUnsupportedMediaType, errors.New("compressed bodies are not supported")
	}
	if status := e.cfg.Auth.check(w, r); status != 0 {
		return request, status, errors.New(http.StatusText(status))
	}
	if !known(e.cfg.OTLP.Rules, path.rule) || !known(e.cfg.OTLP.Streams, path.stream) {
		return request, http.StatusNotFound, fmt.Errorf("no data collection rule %q with a stream %q", path.rule, path.stream)
	}
	if err := request.decode(body); err != nil {
		return request, http.StatusBadRequest, fmt.Errorf("reading %s: %w", path.signal, err)
	}
	return request, 0, nil
}

func known(names []string, name string) bool { return len(names) == 0 || slices.Contains(names, name) }

func (r *OTLPRequest) decode(body []byte) error {
	switch r.Signal {
	case SignalTraces:
		request := ptraceotlp.NewExportRequest()
		if err := request.UnmarshalProto(body); err != nil {
			return err
		}
		r.Traces = request.Traces()
		r.Items = r.Traces.SpanCount()
	case SignalLogs:
		request := plogotlp.NewExportRequest()
		if err := request.UnmarshalProto(body); err != nil {
			return err
		}
		r.Logs = request.Logs()
		r.Items = r.Logs.LogRecordCount()
	default:
		request := pmetricotlp.NewExportRequest()
		if err := request.UnmarshalProto(body); err != nil {
			return err
		}
		r.Metrics = request.Metrics()
		r.Items = r.Metrics.DataPointCount()
	}
	return nil
}

// countOTLP counts a request and tells those who wait.
func (e *Endpoint) countOTLP(status int) {
	e.otlp.mu.Lock()
	e.otlp.summary.Requests[strconv.Itoa(status)]++
	e.otlp.mu.Unlock()
	e.announce()
}

func (e *Endpoint) keepOTLP(request OTLPRequest) {
	s := e.otlp
	s.mu.Lock()
	defer s.mu.Unlock()
	s.summary.Items[request.Signal] += uint64(request.Items)
	switch request.Signal {
	case SignalTraces:
		s.countSpans(request.Traces)
	case SignalMetrics:
		s.countShapes(request.Metrics)
	}
	s.requests = append(s.requests, request)
	if over := len(s.requests) - e.cfg.MaxRequests; over > 0 {
		clear(s.requests[:over])
		s.requests = s.requests[over:]
		s.summary.Evicted += uint64(over)
	}
}

func (s *otlpStore) countSpans(traces ptrace.Traces) {
	for _, rs := range traces.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				var key [24]byte
				trace, id := span.TraceID(), span.SpanID()
				copy(key[:], trace[:])
				copy(key[16:], id[:])
				if _, seen := s.spans[key]; seen {
					s.summary.Duplicates++
				}
				s.spans[key] = struct{}{}
			}
		}
	}
}

func (s *otlpStore) countShapes(metrics pmetric.Metrics) {
	delta := func(temporality pmetric.AggregationTemporality, points int) {
		if temporality != pmetric.AggregationTemporalityDelta {
			s.summary.NotDelta += uint64(points)
		}
	}
	for _, rm := range metrics.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, metric := range sm.Metrics().All() {
				switch metric.Type() {
				case pmetric.MetricTypeSum:
					delta(metric.Sum().AggregationTemporality(), metric.Sum().DataPoints().Len())
				case pmetric.MetricTypeHistogram:
					points := metric.Histogram().DataPoints().Len()
					s.summary.NotExponential += uint64(points)
					delta(metric.Histogram().AggregationTemporality(), points)
				case pmetric.MetricTypeExponentialHistogram:
					delta(metric.ExponentialHistogram().AggregationTemporality(), metric.ExponentialHistogram().DataPoints().Len())
				}
			}
		}
	}
}
