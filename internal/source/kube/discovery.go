// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// discovery knows which versions of a group the server has. One request a group and minute answers for all resources of
// the group: the full discovery document of a cluster with many CRDs is hundreds of kilobytes.
type discovery struct {
	client rest.Interface
	reach  *reach
	now    func() time.Time

	mu     sync.Mutex
	groups map[string]servedGroup
}

type servedGroup struct {
	versions map[string]bool
	asked    time.Time
}

const (
	discoveryLife = time.Minute
	// discoveryDoubt is for a group that a server does not have which has just come back.
	discoveryDoubt = refusalStart / 2
)

// served returns those of the versions that the server has, in their order; none if it does not have the group.
func (d *discovery) served(ctx context.Context, group string, versions []string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	known, ok := d.groups[group]
	life := discoveryLife
	if len(known.versions) == 0 && d.reach.fresh() {
		// It has not read its custom resources yet, perhaps.
		life = discoveryDoubt
	}
	if !ok || d.now().Sub(known.asked) >= life {
		var err error
		if known, err = d.ask(ctx, group); err != nil {
			return nil, err
		}
		d.groups[group] = known
	}
	var served []string
	for _, version := range versions {
		if known.versions[version] {
			served = append(served, version)
		}
	}
	return served, nil
}

func (d *discovery) ask(ctx context.Context, group string) (servedGroup, error) {
	known := servedGroup{versions: map[string]bool{}, asked: d.now()}
	// Discovery has JSON alone in every version of Kubernetes.
	body, err := d.client.Get().AbsPath("/apis/"+group).SetHeader("Accept", "application/json").MaxRetries(0).DoRaw(ctx)
	if apierrors.IsNotFound(err) {
		return known, nil
	}
	if err != nil {
		return known, err
	}
	var document metav1.APIGroup
	if err := json.Unmarshal(body, &document); err != nil {
		return known, err
	}
	for _, v := range document.Versions {
		known.versions[v.Version] = true
	}
	return known, nil
}
