// SPDX-License-Identifier: Apache-2.0

// Package series holds what mesh_metrics knows of the series of proxies and of those that it writes: which part of a
// cumulative value is new, and what has been added up and not been taken yet. It knows nothing of pdata.
package series

import "math"

// Exact is a sum of floats that keeps what rounding takes away: Hi is the sum, and Lo what Hi lacks. After
// error-free addition by Knuth. The zero value is 0. Values have to be finite.
type Exact struct{ Hi, Lo float64 }

// Add adds x.
func (e *Exact) Add(x float64) {
	s, r := twoSum(e.Hi, x)
	e.Hi, e.Lo = twoSum(s, r+e.Lo)
}

// AddDifference adds a-b, of which nothing is rounded away either.
func (e *Exact) AddDifference(a, b float64) {
	d, r := twoSum(a, -b)
	e.Add(d)
	e.Add(r)
}

// Take returns the sum, rounded once, and keeps what rounding left.
func (e *Exact) Take() float64 {
	taken := e.Hi
	e.Hi, e.Lo = e.Lo, 0
	return taken
}

func twoSum(a, b float64) (sum, rest float64) {
	sum = a + b
	back := sum - a
	return sum, (a - (sum - back)) + (b - back)
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
