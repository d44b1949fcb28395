// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/json"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
)

// uidNamespace is the namespace whose uid stands for the cluster's: it is as old as the cluster.
const uidNamespace = "kube-system"

// identityItem is who the cluster is.
type identityItem struct{ uid, version string }

// versionAgain is how often the version is asked for: upgrades are rare.
const versionAgain = 30 * time.Minute

// identify asks for the cluster's uid once, and in the cluster scope for its version now and then.
func (s *Source) identify(ctx context.Context, out chan<- message) {
	var item identityItem
	retry, doubted := newBackoff(s.settings.Scope), 0
	for ctx.Err() == nil {
		leave, ok := s.reach.enter(ctx)
		if !ok {
			return
		}
		wait, err := s.askIdentity(ctx, &item, &doubted)
		leave()
		if err != nil {
			if !s.identifyAgain(ctx, &retry) {
				return
			}
			continue
		}
		retry.reset()
		select {
		case out <- message{kind: messageCluster, value: item, observed: s.settings.Now()}:
		case <-ctx.Done():
			return
		}
		if wait == 0 || !sleep(ctx, jitter(wait)) {
			return
		}
	}
}

// identifyAgain waits after a failure. It is false if the context ended.
func (s *Source) identifyAgain(ctx context.Context, retry *backoff) bool {
	if s.reach.gone() {
		return true
	}
	_, back := s.reach.outage()
	retry.start = refusalStart
	switch pause(ctx, retry.next(), back) {
	case paused:
		return true
	case cameBack:
		retry.reset()
		return s.reach.follow(ctx)
	default:
		return false
	}
}

// askIdentity fills the item. It returns when to ask again; 0 for never. A refusal that is doubted is an error; doubted counts
// them.
func (s *Source) askIdentity(ctx context.Context, item *identityItem, doubted *int) (time.Duration, error) {
	var wait time.Duration
	if item.uid == "" {
		path := "/api/v1/namespaces/" + uidNamespace
		result, err := s.client.Get().AbsPath(path).SetHeader("Accept", acceptMetadata("PartialObjectMetadata")).MaxRetries(0).Do(ctx).Get()
		switch namespace, ok := result.(metav1.Object); {
		case apierrors.IsForbidden(err) && !s.reach.doubts(doubted):
			s.reportForbidden("namespaces "+uidNamespace, "get", err)
			wait = versionAgain
		case err != nil:
			return 0, err
		case ok:
			s.allowed("namespaces " + uidNamespace)
			item.uid = string(namespace.GetUID())
		}
	}
	if s.settings.Scope == ScopeNode {
		return wait, nil
	}
	body, err := s.client.Get().AbsPath("/version").SetHeader("Accept", "application/json").MaxRetries(0).DoRaw(ctx)
	switch {
	case apierrors.IsForbidden(err) && !s.reach.doubts(doubted):
		s.reportForbidden("/version", "get", err)
	case err != nil:
		return 0, err
	default:
		s.allowed("/version")
		var info version.Info
		if json.Unmarshal(body, &info) == nil {
			item.version = info.GitVersion
		}
	}
	return versionAgain, nil
}
