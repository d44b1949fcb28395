// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"cmp"
	"strconv"
	"strings"
)

// release is the number of an Istio version: 1.27.1 of 1.27.1, 1.27.1-distroless or 1.27.1-solo.
type release struct{ major, minor, patch int }

// releaseOf reads it; ok is false for what is no release, as "unknown" or a branch of a build.
func releaseOf(version string) (r release, ok bool) {
	number, _, _ := strings.Cut(version, "-")
	parts := strings.Split(number, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return release{}, false
	}
	for i, into := range []*int{&r.major, &r.minor, &r.patch}[:len(parts)] {
		n, err := strconv.ParseUint(parts[i], 10, 16)
		if err != nil {
			return release{}, false
		}
		*into = int(n)
	}
	return r, true
}

func (r release) compare(other release) int {
	return cmp.Or(cmp.Compare(r.major, other.major), cmp.Compare(r.minor, other.minor), cmp.Compare(r.patch, other.patch))
}

// behind is how many minor versions a release is older than another; 0 if it is as new or newer, and if the two have not
// the same major version.
func (r release) behind(newest release) int {
	if r.major != newest.major {
		return 0
	}
	return max(newest.minor-r.minor, 0)
}

// versionOfInfo takes the version out of pilot_info's label, which is <version>-<revision of git>-<status of the build>.
func versionOfInfo(label string) string {
	version := label
	for range 2 {
		i := strings.LastIndexByte(version, '-')
		if i <= 0 {
			return label
		}
		version = version[:i]
	}
	return version
}

// revisionOf takes the revision out of the name of istiod's deployment: Istio's charts name it istiod, or
// istiod-<revision>. Empty if it has another name.
func revisionOf(workload string) string {
	if workload == "istiod" {
		return defaultRevision
	}
	revision, ok := strings.CutPrefix(workload, "istiod-")
	if !ok {
		return ""
	}
	return revision
}

// defaultRevision is how the inventory, too, calls an istiod without the label istio.io/rev.
const defaultRevision = "default"
