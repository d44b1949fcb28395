// SPDX-License-Identifier: Apache-2.0

// Package price estimates what the bytes of the mesh cost, by a dated table that anybody can replace. Money is exact: a
// price has at most six decimals, a byte has no fraction, and sums are integers. What a table does not price is reported as
// such, never as free.
package price

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Path is the meter that bytes pass.
type Path string

// The paths.
const (
	// InterRegion is traffic between regions over public addresses or the provider's backbone.
	InterRegion Path = "inter_region"
	// GlobalPeering is traffic between peered networks of two regions. Both sides are metered.
	GlobalPeering Path = "global_peering"
	// AvailabilityZone is traffic between zones of a region.
	AvailabilityZone Path = "availability_zone"
	// Internet is traffic to and from outside.
	Internet Path = "internet"
	// Local is traffic within a zone. It has no meter.
	Local Path = "local"
)

var paths = []Path{InterRegion, GlobalPeering, AvailabilityZone, Internet}

// Anywhere matches every region, and Outside is the name of what is not a region: both stand in a price's from and to.
const (
	Anywhere = "*"
	Outside  = "internet"
)

// FormatVersion is the version of the file's format.
const FormatVersion = 1

const (
	maxPrices  = 10_000
	maxRegions = 2_000
)

// Table is the file. It reads JSON; the tags serve a configuration that was read from YAML too.
type Table struct {
	// Version is the version of the format: 1.
	Version int `json:"version" mapstructure:"version"`
	// Name is what reports call the table.
	Name string `json:"name" mapstructure:"name"`
	// Date is the day as of which the prices were true, such as 2025-12-03.
	Date string `json:"date" mapstructure:"date"`
	// Currency is a code of three letters.
	Currency string `json:"currency" mapstructure:"currency"`
	// Source says where the prices are from.
	Source string `json:"source" mapstructure:"source"`
	// Zones are the billing zones. A region is in one at most.
	Zones []Zone `json:"zones" mapstructure:"zones"`
	// Groups are zones that have prices in common. A zone is in one at most.
	Groups []Group `json:"groups" mapstructure:"groups"`
	// CrossRegion is the path between regions: inter_region, or global_peering where the clusters' networks are peered.
	CrossRegion Path `json:"cross_region_path" mapstructure:"cross_region_path"`
	// Links name pairs of regions that have another path.
	Links []Link `json:"links" mapstructure:"links"`
	// Prices are the meters. Of those of a path and side that fit, the one with the most exact names counts.
	Prices []Price `json:"prices" mapstructure:"prices"`
	// LeavesOut says what the estimate does not contain, besides what the code knows.
	LeavesOut []string `json:"leaves_out" mapstructure:"leaves_out"`
}

// Zone is a billing zone.
type Zone struct {
	Name    string   `json:"name" mapstructure:"name"`
	Regions []string `json:"regions" mapstructure:"regions"`
}

// Group is a group of zones.
type Group struct {
	Name  string   `json:"name" mapstructure:"name"`
	Zones []string `json:"zones" mapstructure:"zones"`
}

// Link is the path between two regions, in both directions.
type Link struct {
	Between [2]string `json:"between" mapstructure:"between"`
	Path    Path      `json:"path" mapstructure:"path"`
}

// Price is a meter: what a gigabyte of 10^9 bytes costs on its way from From to To.
type Price struct {
	Path Path `json:"path" mapstructure:"path"`
	// From and To are a region, a zone, a group, "*", or for internet "internet".
	From string `json:"from" mapstructure:"from"`
	To   string `json:"to" mapstructure:"to"`
	// PerGB is a decimal number of at most six decimals.
	PerGB Decimal `json:"per_gb" mapstructure:"per_gb"`
	// Side is which end's meter it is: out (the default) or in. Both apply where both are there.
	Side string `json:"side" mapstructure:"side"`
	Note string `json:"note" mapstructure:"note"`
}

// Decimal is a number as it was written, in quotes or not: [Table.Compile] checks it, for only there the key is known.
type Decimal string

// UnmarshalJSON takes any text and any number.
func (d *Decimal) UnmarshalJSON(raw []byte) error {
	var text string
	if len(raw) > 0 && raw[0] == '"' {
		if err := json.Unmarshal(raw, &text); err != nil {
			return err
		}
		*d = Decimal(text)
		return nil
	}
	*d = Decimal(raw)
	return nil
}

//go:embed default.json
var defaultTable []byte

// Default returns the embedded table.
func Default() *Prices {
	p, err := Parse(defaultTable)
	if err != nil {
		panic(fmt.Sprintf("the embedded table: %v", err)) // The tests read it.
	}
	return p
}

// Parse reads a table in JSON. The errors name the keys, and what to write.
func Parse(file []byte) (*Prices, error) {
	d := json.NewDecoder(bytes.NewReader(file))
	d.DisallowUnknownFields()
	var t Table
	if err := d.Decode(&t); err != nil {
		return nil, fmt.Errorf("the price table cannot be read: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the price table has something after its end: write one object")
	}
	return t.Compile()
}

// Normalize writes a region as Azure's API does: "West Europe" is westeurope.
func Normalize(region string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimSpace(region)), " ", "")
}

// Compile checks the table and prepares it for questions.
func (t *Table) Compile() (*Prices, error) {
	c := compiler{t: t, p: &Prices{
		table: *t, zoneOf: map[string]string{}, groupOf: map[string]string{}, links: map[[2]string]Path{},
		meters: map[meterKey]uint64{},
	}}
	c.head()
	c.zones()
	c.links()
	c.prices()
	if err := errors.Join(c.errs...); err != nil {
		return nil, err
	}
	return c.p, nil
}

type compiler struct {
	t    *Table
	p    *Prices
	errs []error
}

func (c *compiler) failed(format string, args ...any) {
	const most = 20
	if len(c.errs) < most {
		c.errs = append(c.errs, fmt.Errorf(format, args...))
	}
}

func (c *compiler) head() {
	t := c.t
	if t.Version != FormatVersion {
		c.failed("version is %d: write %d", t.Version, FormatVersion)
	}
	if t.Name == "" {
		c.failed("name is empty: write what reports shall call the table")
	}
	if t.Source == "" {
		c.failed("source is empty: write where the prices are from")
	}
	date, err := time.Parse(time.DateOnly, t.Date)
	if err != nil {
		c.failed("date is %q: write the day of the prices, such as 2025-12-03", t.Date)
	}
	c.p.date = date
	if len(t.Currency) != 3 || strings.ToUpper(t.Currency) != t.Currency {
		c.failed("currency is %q: write a code of three letters, such as USD", t.Currency)
	}
	if t.CrossRegion != InterRegion && t.CrossRegion != GlobalPeering {
		c.failed("cross_region_path is %q: write inter_region or global_peering", t.CrossRegion)
	}
}

func (c *compiler) zones() {
	regions := 0
	for i, z := range c.t.Zones {
		if !c.name(fmt.Sprintf("zones[%d].name", i), z.Name) {
			continue
		}
		c.p.zoneNames = append(c.p.zoneNames, z.Name)
		for k, region := range z.Regions {
			r := Normalize(region)
			if other, twice := c.p.zoneOf[r]; twice {
				c.failed("zones[%d].regions[%d] is %q, which is in zone %s already: write it once", i, k, region, other)
			}
			if r == "" || r == Anywhere || r == Outside {
				c.failed("zones[%d].regions[%d] is %q: write a region", i, k, region)
			}
			c.p.zoneOf[r] = z.Name
			regions++
		}
	}
	if regions > maxRegions {
		c.failed("zones have %d regions: write at most %d", regions, maxRegions)
	}
	for i, g := range c.t.Groups {
		if !c.name(fmt.Sprintf("groups[%d].name", i), g.Name) {
			continue
		}
		c.p.groupNames = append(c.p.groupNames, g.Name)
		for k, zone := range g.Zones {
			if !slices.Contains(c.p.zoneNames, zone) {
				c.failed("groups[%d].zones[%d] is %q, which is no zone: write one of zones", i, k, zone)
			}
			if other, twice := c.p.groupOf[zone]; twice {
				c.failed("groups[%d].zones[%d] is %q, which is in group %s already: write it once", i, k, zone, other)
			}
			c.p.groupOf[zone] = g.Name
		}
	}
}

// name checks a name of a zone or group.
func (c *compiler) name(key, name string) bool {
	if _, region := c.p.zoneOf[name]; region || name == "" || name == Anywhere || name == Outside ||
		slices.Contains(c.p.zoneNames, name) || slices.Contains(c.p.groupNames, name) {
		c.failed("%s is %q: write a name of its own", key, name)
		return false
	}
	return true
}

func (c *compiler) links() {
	for i, l := range c.t.Links {
		a, b := Normalize(l.Between[0]), Normalize(l.Between[1])
		if a == "" || b == "" || a == b {
			c.failed("links[%d].between is %q: write two regions", i, l.Between)
		}
		if l.Path != InterRegion && l.Path != GlobalPeering {
			c.failed("links[%d].path is %q: write inter_region or global_peering", i, l.Path)
		}
		if _, twice := c.p.links[[2]string{a, b}]; twice {
			c.failed("links[%d].between is %q, which is there already: write it once", i, l.Between)
		}
		c.p.links[[2]string{a, b}], c.p.links[[2]string{b, a}] = l.Path, l.Path
	}
}

func (c *compiler) prices() {
	if len(c.t.Prices) == 0 {
		c.failed("prices is empty: write at least one")
	}
	if len(c.t.Prices) > maxPrices {
		c.failed("prices has %d entries: write at most %d", len(c.t.Prices), maxPrices)
		return
	}
	for i := range c.t.Prices {
		p := &c.t.Prices[i]
		if !slices.Contains(paths, p.Path) {
			c.failed("prices[%d].path is %q: write one of %q", i, p.Path, paths)
		}
		side := p.Side
		if side == "" {
			side = sideOut
		}
		if side != sideOut && side != sideIn {
			c.failed("prices[%d].side is %q: write out or in", i, p.Side)
		}
		from, to := c.end(i, "from", p.From, p.Path), c.end(i, "to", p.To, p.Path)
		micro, err := parseMicro(string(p.PerGB))
		if err != nil {
			c.failed("prices[%d].per_gb is %q: %w", i, p.PerGB, err)
		}
		k := meterKey{p.Path, side, from, to}
		if _, twice := c.p.meters[k]; twice {
			c.failed("prices[%d] has path %s, side %s, from %q and to %q, as one before: write it once", i, p.Path, side, p.From, p.To)
		}
		c.p.meters[k] = micro
	}
}

func (c *compiler) end(i int, key, name string, path Path) string {
	switch {
	case name == Anywhere, name == Outside && path == Internet,
		slices.Contains(c.p.zoneNames, name), slices.Contains(c.p.groupNames, name):
		return name
	}
	region := Normalize(name)
	if _, known := c.p.zoneOf[region]; known {
		return region
	}
	c.failed("prices[%d].%s is %q: write a region of zones, a zone, a group or %q, or for the path internet %q", i, key, name, Anywhere, Outside)
	return region
}

// parseMicro reads a decimal number of at most six decimals as millionths.
func parseMicro(s string) (uint64, error) {
	wrong := errors.New("write a number from 0 to 1000000 of at most six decimals, such as 0.02")
	whole, fraction, _ := strings.Cut(s, ".")
	if whole == "" || len(whole) > 7 || len(fraction) > 6 || strings.HasSuffix(s, ".") {
		return 0, wrong
	}
	var micro uint64
	for _, d := range whole + fraction + strings.Repeat("0", 6-len(fraction)) {
		if d < '0' || d > '9' {
			return 0, wrong
		}
		micro = micro*10 + uint64(d-'0')
	}
	if micro > 1_000_000_000_000 {
		return 0, wrong
	}
	return micro, nil
}
