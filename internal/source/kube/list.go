// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

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
		page, err := w.request(path, &options).Do(ctx).Get()
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

// announce asks how many objects there are, which a stream does not tell. It may fail: it saves memory, no more.
func (w *watcher) announce(ctx context.Context, path string) {
	options := metav1.ListOptions{Limit: 1}
	page, err := w.request(path, &options).Do(ctx).Get()
	if err != nil {
		return
	}
	if list, err := meta.ListAccessor(page); err == nil && list.GetRemainingItemCount() != nil {
		_ = w.send(ctx, message{kind: messageExpect, value: *list.GetRemainingItemCount() + 1})
	}
}
