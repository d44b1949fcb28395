// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// causeDecoding marks a client's own failure to decode an event.
const causeDecoding metav1.CauseType = "ClientWatchDecoding"

// eventError returns the error that an ERROR event of a watch holds.
func eventError(obj runtime.Object) error {
	err := apierrors.FromObject(obj)
	if status, ok := obj.(*metav1.Status); ok && status.Details != nil {
		for _, cause := range status.Details.Causes {
			if cause.Type == causeDecoding {
				return fmt.Errorf("%w: %w", errDecode, err)
			}
		}
	}
	return err
}

func acceptMetadata(kind string) string { return fmt.Sprintf(metadataAccept, kind) }

// trimGone returns when a deleted pod gave up its addresses. It is false for other objects.
func trimGone(obj runtime.Object, observed time.Time) (podGone, bool) {
	pod := podOf(obj)
	if pod == nil {
		return podGone{}, false
	}
	gone := podGone{uid: uidOf(string(pod.UID))}
	gone.earliest, gone.latest = deletedBetween(&pod.ObjectMeta, observed)
	if finished(&pod.Status) {
		if earliest, _ := finishedBetween(&pod.Status, observed); !earliest.IsZero() {
			gone.earliest = earliest
		}
	}
	return gone, true
}
