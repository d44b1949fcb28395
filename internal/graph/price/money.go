// SPDX-License-Identifier: Apache-2.0

package price

import (
	"cmp"
	"encoding/json"
	"math"
	"math/big"
	"math/bits"
	"strings"
	"time"
)

// Amount is money, exact to 10^-15 of the currency's unit: a byte at a millionth for a gigabyte. The zero value is nothing.
// Sums stay at the greatest amount, about 3.4·10^23, instead of beginning at 0 again.
type Amount struct{ hi, lo uint64 }

const (
	perUnit = 1_000_000_000_000_000
	perCent = perUnit / 100
)

func amountOf(count, micro uint64) Amount {
	hi, lo := bits.Mul64(count, micro)
	return Amount{hi, lo}
}

// Plus returns the sum.
func (a Amount) Plus(b Amount) Amount {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, over := bits.Add64(a.hi, b.hi, carry)
	if over != 0 {
		return Amount{math.MaxUint64, math.MaxUint64}
	}
	return Amount{hi, lo}
}

// Times returns the amount n times.
func (a Amount) Times(n uint64) Amount {
	over, high := bits.Mul64(a.hi, n)
	carried, lo := bits.Mul64(a.lo, n)
	hi, carry := bits.Add64(high, carried, 0)
	if over != 0 || carry != 0 {
		return Amount{math.MaxUint64, math.MaxUint64}
	}
	return Amount{hi, lo}
}

// Bits returns the amount as 128 bits, for a state that outlives the process; [AmountOfBits] is the way back.
func (a Amount) Bits() (hi, lo uint64) { return a.hi, a.lo }

// AmountOfBits returns the amount that [Amount.Bits] gave.
func AmountOfBits(hi, lo uint64) Amount { return Amount{hi, lo} }

// Compare returns -1, 0 or 1 as the amount is less than another one, the same, or more.
func (a Amount) Compare(b Amount) int {
	return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo))
}

// IsZero says whether it is nothing.
func (a Amount) IsZero() bool { return a == Amount{} }

func (a Amount) big() *big.Int {
	n := new(big.Int).SetUint64(a.hi)
	return n.Add(n.Lsh(n, 64), new(big.Int).SetUint64(a.lo))
}

func amountFrom(n *big.Int) Amount {
	if n.BitLen() > 128 {
		return Amount{math.MaxUint64, math.MaxUint64}
	}
	var b [16]byte
	n.FillBytes(b[:])
	var a Amount
	for i := range 8 {
		a.hi, a.lo = a.hi<<8|uint64(b[i]), a.lo<<8|uint64(b[8+i])
	}
	return a
}

// scale returns a·by/in, rounded to the nearest.
func (a Amount) scale(by, in uint64) Amount {
	n := a.big()
	n.Mul(n, new(big.Int).SetUint64(by))
	n.Add(n, new(big.Int).SetUint64(in/2))
	return amountFrom(n.Div(n, new(big.Int).SetUint64(in)))
}

// Cents returns whole cents, rounded half up.
func (a Amount) Cents() uint64 {
	n := a.big()
	n.Add(n, big.NewInt(perCent/2))
	n.Div(n, big.NewInt(perCent))
	if !n.IsUint64() {
		return math.MaxUint64
	}
	return n.Uint64()
}

// Float returns units of the currency, for gauges.
func (a Amount) Float() float64 {
	f, _ := new(big.Rat).SetFrac(a.big(), big.NewInt(perUnit)).Float64()
	return f
}

// String returns units with six decimals, rounded half up: "12.345679".
func (a Amount) String() string {
	const perMicro = perUnit / 1_000_000
	n := a.big()
	n.Add(n, big.NewInt(perMicro/2))
	n.Div(n, big.NewInt(perMicro))
	s := n.String()
	if len(s) < 7 {
		s = strings.Repeat("0", 7-len(s)) + s
	}
	return s[:len(s)-6] + "." + s[len(s)-6:]
}

// MarshalJSON writes the amount as [Amount.String] does, as a number.
func (a Amount) MarshalJSON() ([]byte, error) { return []byte(a.String()), nil }

// Hourly projects what an interval cost to an hour, Monthly to 730 hours. An interval that is not positive projects to
// nothing.
func (a Amount) Hourly(interval time.Duration) Amount {
	if interval <= 0 {
		return Amount{}
	}
	return a.scale(uint64(time.Hour), uint64(interval))
}

// hoursPerMonth is what Azure's calculators take for a month.
const hoursPerMonth = 730

// Monthly is 730 times [Amount.Hourly], rounded once.
func (a Amount) Monthly(interval time.Duration) Amount {
	if interval <= 0 {
		return Amount{}
	}
	n := a.big()
	n.Mul(n, big.NewInt(int64(time.Hour)))
	n.Mul(n, big.NewInt(hoursPerMonth))
	n.Add(n, big.NewInt(int64(interval)/2))
	return amountFrom(n.Div(n, big.NewInt(int64(interval))))
}

var _ json.Marshaler = Amount{}
