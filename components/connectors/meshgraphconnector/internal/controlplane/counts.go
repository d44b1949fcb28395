// SPDX-License-Identifier: Apache-2.0

package controlplane

// Counts says what became of the points of control planes' metrics. Points of other metrics are in none.
type Counts struct {
	// Taken points are in the record.
	Taken int
	// Late points are older than what is known, or than the window.
	Late int
	// Duplicate points came before.
	Duplicate int
	// Future points are more than five minutes ahead of our clock.
	Future int
	// NoCluster and NoInstance points are of resources without k8s.cluster.name, without service.instance.id and
	// k8s.pod.name.
	NoCluster, NoInstance int
	// Unreadable points have no value, one that cannot be, or another type than the metric has in Istio.
	Unreadable int
	// Full points had no room: see Config, and the ceilings in the documentation.
	Full int
}

func (c *Counts) add(o Counts) {
	c.Taken += o.Taken
	c.Late += o.Late
	c.Duplicate += o.Duplicate
	c.Future += o.Future
	c.NoCluster += o.NoCluster
	c.NoInstance += o.NoInstance
	c.Unreadable += o.Unreadable
	c.Full += o.Full
}

func (c *Counts) count(o outcome) {
	switch o {
	case taken:
		c.Taken++
	case late:
		c.Late++
	case duplicate:
		c.Duplicate++
	case full:
		c.Full++
	}
}
