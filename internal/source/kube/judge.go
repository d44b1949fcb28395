// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// judge decides what an ended attempt means, and how long to wait before the next.
func (w *watcher) judge(ctx context.Context, err error) time.Duration {
	log := w.source.settings.Logger.With("resource", w.resource.title())
	switch {
	case err == nil:
		return jitter(backoffStart)
	case errors.Is(err, errRelist), apierrors.IsResourceExpired(err), apierrors.IsGone(err):
		log.Info("listing again", "reason", err)
		w.rv = ""
		return w.backoff.next()
	case apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge):
		// The server has forgotten, as after a restore.
		w.rv, w.listedRV = "", ""
		return w.backoff.next()
	case w.rv == "" && w.streaming && (errors.Is(err, errSilent) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)):
		log.Info("the server does not stream lists; listing in pages", "reason", err)
		w.streaming = false
		return 0
	case errors.Is(err, errAbsent):
		return w.missing(ctx)
	case apierrors.IsNotFound(err) && w.resource.custom:
		// The group has the version, the resource may be in another.
		w.version++
		w.rv = ""
		return 0
	case apierrors.IsForbidden(err):
		return w.forbidden(ctx, err)
	case errors.Is(err, errDecode):
		if w.poison++; w.poison >= poisonLimit {
			w.poison, w.rv = 0, ""
			w.source.counters.invalid.Add(1)
		}
	}
	w.source.failed(err)
	var answered apierrors.APIStatus
	if w.failures++; w.failures >= failureLimit && !w.synced && !w.resource.required && errors.As(err, &answered) {
		// A broken resource must not hold up the others.
		_ = w.send(ctx, message{kind: messageRefused, observed: w.source.settings.Now()})
	}
	if w.source.reach.gone() {
		return 0 // until it is this one's turn
	}
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok && seconds > 0 {
		return min(jitter(2*time.Duration(seconds)*time.Second), backoffLimit)
	}
	return w.backoff.next()
}

// missing tells that the cluster does not have the resource. What it had is dropped only when it is missing again
// later: a proxy in front of a restarting API server may say so too.
func (w *watcher) missing(ctx context.Context) time.Duration {
	w.refused = false
	w.source.allowed(w.resource.title())
	kind, wait := messageRefused, jitter(rarely)
	if w.source.reach.doubts(&w.doubted) {
		wait = w.refusal.next()
	} else if w.absent++; w.absent > 1 {
		kind = messageAbsent
	}
	_ = w.send(ctx, message{kind: kind, observed: w.source.settings.Now()})
	return wait
}

// forbidden waits longer and longer, from a second on: who grants a right is not to wait for long, and a server that has
// just started refuses everything until it has read who may what.
func (w *watcher) forbidden(ctx context.Context, err error) time.Duration {
	w.source.reached()
	wait := w.refusal.next()
	if w.source.reach.doubts(&w.doubted) {
		return wait
	}
	if !w.refused {
		w.refused = true
		w.source.reportForbidden(w.resource.title(), "list and watch", err)
	}
	if !w.resource.required {
		_ = w.send(ctx, message{kind: messageRefused, observed: w.source.settings.Now()})
	}
	return wait
}
