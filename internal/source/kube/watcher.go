// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

const (
	pageSize = 500
	// watchLife is how long a watch is asked to last; the server ends it between one and two of them.
	watchLife = 5 * time.Minute
	// initialSilence is how long a stream may say nothing before it has said all that there is. An API server on an old
	// etcd takes streams and never finishes them.
	initialSilence = 20 * time.Second
	// steady is how long a watch must last to count as a success.
	steady = 5 * time.Second
	// poisonLimit is how often one event may fail to decode before everything is listed again.
	poisonLimit = 3
	// failureLimit is how many answers in a row may fail before the full delta goes without an optional resource.
	failureLimit = 5

	metadataAccept = "application/vnd.kubernetes.protobuf;as=%[1]s;g=meta.k8s.io;v=v1,application/json;as=%[1]s;g=meta.k8s.io;v=v1"
)

var (
	errAbsent  = errors.New("the cluster does not have it")
	errSilent  = errors.New("the stream of initial objects fell silent")
	errShort   = errors.New("the watch ended at once")
	errDecode  = errors.New("an event could not be decoded")
	errRelist  = errors.New("everything is listed again")
	errUnknown = errors.New("the server sent an unknown event")
)

// watcher follows one resource. All but the atomic fields belong to its goroutine.
type watcher struct {
	resource resource
	source   *Source
	out      chan<- message

	version   int    // index of the served version in use
	rv        string // where to resume; empty to list
	listedRV  string // the newest known, for a list from the server's cache
	listing   uint32
	streaming bool
	poison    int
	backoff   backoff
	refused   bool // a finding says so
	synced    bool // a listing ended
	absent    int  // how often in a row the cluster did not have it
	failures  int  // how many attempts in a row failed
	refusal   backoff
	doubted   int // how many refusals were not believed
	outages   int // the outages that ended, as far as the backoff knows

	// live is since when the watch is established, in Unix nanoseconds; 0 while it is not.
	live atomic.Int64
	// relist asks for a new listing.
	relist chan struct{}
}

func newWatcher(s *Source, r resource, out chan<- message) *watcher {
	return &watcher{
		resource: r, source: s, out: out, streaming: !r.paged, backoff: newBackoff(s.settings.Scope),
		refusal: newRefusal(&r, s.settings.Scope), relist: make(chan struct{}, 1),
	}
}

// run follows the resource until the context ends.
func (w *watcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		leave, ok := w.source.reach.enter(ctx)
		if !ok {
			return
		}
		err := w.once(ctx)
		if w.live.Swap(0) != 0 {
			w.source.reach.lives(-1)
		}
		leave()
		if ctx.Err() != nil || !w.rest(ctx, err) {
			return
		}
	}
}

// rest waits before the next attempt, at most until an outage ends. It is false if the context ended.
func (w *watcher) rest(ctx context.Context, err error) bool {
	ended, back := w.source.reach.outage()
	if ended != w.outages {
		w.outages, w.doubted = ended, 0
		w.backoff.again()
		w.refusal.reset()
	}
	next := w.judge(ctx, err)
	w.source.settings.Logger.Debug("asking again", "resource", w.resource.title(), "in", next, "reason", err)
	switch pause(ctx, next, back) {
	case paused:
		return true
	case cameBack:
		return w.source.reach.follow(ctx)
	default:
		return false
	}
}

// once lists if it must, then follows one watch to its end.
func (w *watcher) once(ctx context.Context) error {
	version, err := w.servedVersion(ctx)
	if err != nil {
		return err
	}
	path := w.resource.path(version)
	began := w.source.settings.Now()
	options := metav1.ListOptions{AllowWatchBookmarks: true}
	initial := false
	switch {
	case w.rv != "":
	case w.streaming:
		initial = true
		w.listing++
		options.SendInitialEvents = &initial
		options.ResourceVersionMatch = metav1.ResourceVersionMatchNotOlderThan
		w.source.counters.lists.Add(1)
	default:
		w.listing++
		if err := w.list(ctx, path); err != nil {
			return err
		}
	}
	options.ResourceVersion = w.rv
	err = w.follow(ctx, path, options, initial)
	if lasted := w.source.settings.Now().Sub(began); lasted >= steady {
		w.backoff.reset()
	} else if err == nil {
		err = errShort
	}
	return err
}

func (w *watcher) servedVersion(ctx context.Context) (string, error) {
	versions := w.resource.versions
	if w.resource.custom {
		var err error
		if versions, err = w.source.discovery.served(ctx, w.resource.group, versions); err != nil {
			return "", err
		}
	}
	if w.version >= len(versions) {
		w.version = 0
		return "", errAbsent
	}
	return versions[w.version], nil
}

func (w *watcher) request(path string, options *metav1.ListOptions) *rest.Request {
	options.FieldSelector, options.LabelSelector = w.resource.fields, w.resource.labels
	request := w.source.client.Get().AbsPath(path).VersionedParams(options, metav1.ParameterCodec).MaxRetries(0)
	if w.resource.metadataOnly {
		kind := "PartialObjectMetadata"
		if !options.Watch {
			kind = "PartialObjectMetadataList"
		}
		request.SetHeader("Accept", acceptMetadata(kind))
	}
	w.source.counters.requests.Add(1)
	return request
}

// follow takes the events of one watch until it ends.
func (w *watcher) follow(ctx context.Context, path string, options metav1.ListOptions, initial bool) error {
	options.Watch = true
	seconds := int64(jitter(2*watchLife) / time.Second)
	options.TimeoutSeconds = &seconds
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := w.request(path, &options).Watch(ctx)
	if err != nil {
		return err
	}
	defer stream.Stop()
	w.source.reached()
	w.source.counters.watches.Add(1)
	silence := time.NewTimer(initialSilence)
	defer silence.Stop()
	if !initial {
		silence.Stop()
		w.established()
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.relist:
			return errRelist
		case <-silence.C:
			return errSilent
		case event, open := <-stream.ResultChan():
			if !open {
				if initial {
					return errShort
				}
				return nil
			}
			done, err := w.event(ctx, event, initial)
			if err != nil {
				return err
			}
			if done {
				initial = false
				w.established()
			}
			if initial {
				silence.Reset(initialSilence)
			} else {
				silence.Stop()
			}
		}
	}
}

func (w *watcher) established() {
	w.refused, w.synced, w.absent, w.failures, w.doubted = false, true, 0, 0, 0
	w.refusal.reset()
	w.source.allowed(w.resource.title())
	if w.live.Swap(w.source.settings.Now().UnixNano()) == 0 {
		w.source.reach.lives(1)
	}
}

// event takes one event. It is true for the one that ends the initial objects.
func (w *watcher) event(ctx context.Context, event watch.Event, initial bool) (bool, error) {
	if event.Type == watch.Error {
		return false, eventError(event.Object)
	}
	object, err := meta.Accessor(event.Object)
	if err != nil {
		return false, errUnknown
	}
	observed := w.source.settings.Now()
	w.source.counters.events.Add(1)
	w.poison = 0
	switch event.Type {
	case watch.Added, watch.Modified:
		err = w.item(ctx, event.Object, observed, initial)
	case watch.Deleted:
		err = w.gone(ctx, event.Object, observed)
	case watch.Bookmark:
	default:
		return false, errUnknown
	}
	if err != nil {
		return false, err
	}
	end := event.Type == watch.Bookmark && object.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true"
	if initial && !end {
		return false, nil
	}
	if rv := object.GetResourceVersion(); rv != "" {
		w.rv, w.listedRV = rv, rv
	}
	if initial {
		err = w.send(ctx, message{kind: messageSynced, observed: observed})
	}
	return initial, err
}

func (w *watcher) item(ctx context.Context, obj runtime.Object, observed time.Time, listed bool) error {
	object, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	m := message{kind: messageItem, name: nameOf(object), value: w.resource.trim(obj, observed), observed: observed, listed: listed}
	if m.name.Name == "" {
		w.source.counters.invalid.Add(1)
		return nil
	}
	if m.value == nil {
		m.kind = messageGone
	}
	return w.send(ctx, m)
}

func (w *watcher) gone(ctx context.Context, obj runtime.Object, observed time.Time) error {
	object, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	m := message{kind: messageGone, name: nameOf(object), observed: observed}
	if gone, ok := trimGone(obj, observed); ok {
		m.value = gone
	}
	return w.send(ctx, m)
}

func nameOf(object metav1.Object) topology.ObjectName {
	return topology.ObjectName{Namespace: object.GetNamespace(), Name: object.GetName()}
}

func (w *watcher) send(ctx context.Context, m message) error {
	m.watcher, m.listing = w, w.listing
	select {
	case w.out <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
