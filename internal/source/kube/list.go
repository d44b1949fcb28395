// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/flowcontrol"
)

var unthrottled = flowcontrol.NewFakeAlwaysRateLimiter()

// list reads the whole collection, a page at a time.
func (w *watcher) list(ctx context.Context, path string) error {
	w.source.counters.lists.Add(1)
	options := metav1.ListOptions{Limit: pageSize}
	if w.source.settings.Scope == ScopeNode {
		// Anything else than a known version reads all pods of the cluster from etcd, for each agent. What the server's
		// cache lacks, the watch brings.
		options = metav1.ListOptions{ResourceVersion: "0", ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}
		if w.listedRV != "" {
			options.ResourceVersion = w.listedRV
		}
	}
	for {
		request := w.request(path, &options)
		if options.Continue != "" {
			// The bucket of the client is for requests that begin something. The pages of a listing come one after the
			// other, so the server itself sets the pace: it never has more than one of them to answer, and its priority
			// and fairness counts each as it counts others.
			request.Throttle(unthrottled)
		}
		page, err := request.Do(ctx).Get()
		if err != nil {
			return err
		}
		observed := w.source.settings.Now()
		if err := meta.EachListItem(page, func(obj runtime.Object) error { return w.item(ctx, obj, observed, true) }); err != nil {
			return err
		}
		list, err := meta.ListAccessor(page)
		if err != nil {
			return err
		}
		if list.GetContinue() == "" {
			w.rv, w.listedRV = list.GetResourceVersion(), list.GetResourceVersion()
			return w.send(ctx, message{kind: messageSynced, observed: observed})
		}
		options.Continue = list.GetContinue()
	}
}
