// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// The values of 'istio_labels'.
const (
	keepLabels = "keep"
	dropLabels = "drop"
)

func checkIstioLabels(value string) error {
	if value != keepLabels && value != dropLabels {
		return fmt.Errorf("'istio_labels' is %q: write keep, or drop to remove the labels that mesh.* attributes repeat", value)
	}
	return nil
}

// saidLabel is a label of an end that an attribute repeats.
type saidLabel struct {
	label, attribute string
	// nothing is the value for which there is no attribute.
	nothing string
}

const saidLabelCount = 6

// saidLabels are the labels of each end that may be dropped. The others are no end's (reporter, protocol, codes, flags,
// policy), or say what no attribute says: the called service, app and version, and ztunnel's localities, which stand on
// some points of a metric and not on others, so that their absence tells points apart.
func saidLabels(end string) [saidLabelCount]saidLabel {
	label := func(name, field, nothing string) saidLabel {
		return saidLabel{end + "_" + name, "mesh." + end + "." + field, nothing}
	}
	return [saidLabelCount]saidLabel{
		label("cluster", "cluster", "unknown"), label("workload", "workload", "unknown"),
		label("workload_namespace", "namespace", "unknown"), label("canonical_service", "service", "unknown"),
		label("canonical_revision", "version", "latest"), label("principal", "principal", "unknown"),
	}
}

var saidOfEnds = [endCount][saidLabelCount]saidLabel{saidLabels("source"), saidLabels("destination")}

// dropSaidLabels removes the labels of an end if all six are there and each can be read back from the attributes on the
// point: it has the value of its attribute, or the value for nothing and there is no attribute. Then no two points become
// one: from what is left the labels follow, because an end keeps either all six or none, and none of its attributes is
// there without a label. So at least one attribute has to be there, too: else a point of an unknown end would become that
// of an end without labels. A value that was repaired or normalized is not repeated, so the labels of such an end stay.
func dropSaidLabels(attrs pcommon.Map) {
	var drop [endCount]bool
	for end := range saidOfEnds {
		drop[end] = allSaid(attrs, &saidOfEnds[end])
	}
	if drop == ([endCount]bool{}) {
		return
	}
	attrs.RemoveIf(func(key string, _ pcommon.Value) bool {
		for end, name := range endNames {
			if rest, ok := strings.CutPrefix(key, name); ok && drop[end] && strings.HasPrefix(rest, "_") {
				return isSaid(key, &saidOfEnds[end])
			}
		}
		return false
	})
}

// allSaid reads the map once for the labels and the attributes of an end.
func allSaid(attrs pcommon.Map, said *[saidLabelCount]saidLabel) bool {
	var labels, values [saidLabelCount]string
	for key, value := range attrs.All() {
		for i := range said {
			switch key {
			case said[i].label:
				labels[i] = value.Str()
			case said[i].attribute:
				values[i] = value.Str()
			}
		}
	}
	some := false
	for i := range said {
		value := values[i]
		switch value {
		case "":
			value = said[i].nothing
		case said[i].nothing:
			return false
		default:
			some = true
		}
		if labels[i] != value {
			return false
		}
	}
	return some
}

func isSaid(key string, said *[saidLabelCount]saidLabel) bool {
	for i := range said {
		if said[i].label == key {
			return true
		}
	}
	return false
}
