// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"strings"
	"time"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// RegionProperty is the custom dimension that tells the region of an item.
const RegionProperty = "cloud.region"

// Item is one accepted telemetry item. Treat it as read-only: copies share the
// envelope's maps.
type Item struct {
	// Sequence numbers the accepted items from 1, in the order of acceptance.
	Sequence uint64 `json:"sequence"`
	// Request is [Request.Number] of the request that brought the item, and
	// Index its position there.
	Request uint64 `json:"request"`
	Index   int    `json:"index"`
	// Received is when the item was accepted.
	Received time.Time `json:"received"`

	// Type is the short type name: Request, Dependency, Message, Exception,
	// Event, Metric or Availability.
	Type string `json:"type"`
	// Role, RoleInstance, OperationID and ParentID are tags of the envelope.
	Role         string `json:"role,omitempty"`
	RoleInstance string `json:"roleInstance,omitempty"`
	OperationID  string `json:"operation_Id,omitempty"`
	ParentID     string `json:"operation_ParentId,omitempty"`
	// Region is the custom dimension [RegionProperty].
	Region string `json:"region,omitempty"`
	// ID is the id of a request, dependency or availability result.
	ID string `json:"id,omitempty"`
	// Name is the name of the item; the text of a message.
	Name string `json:"name,omitempty"`
	// ResultCode is the responseCode of a request or resultCode of a dependency.
	ResultCode string `json:"resultCode,omitempty"`
	// Success is nil for items that have none.
	Success *bool `json:"success,omitempty"`
	// ItemCount is the number of events the item stands for: 100/sampleRate.
	ItemCount float64 `json:"itemCount"`
	// Duplicate says that an item of the same type, OperationID and ID was in
	// store when this one came.
	Duplicate bool `json:"duplicate,omitempty"`
	// Envelope is the whole item as stored, with long texts cut.
	Envelope ai.Envelope `json:"envelope"`

	size int // bytes as JSON
}

func newItem(env ai.Envelope, size int) Item {
	item := Item{
		Type:         ai.TypeName(env.Data.BaseType),
		Role:         env.Tags[ai.TagCloudRole],
		RoleInstance: env.Tags[ai.TagCloudRoleInstance],
		OperationID:  env.Tags[ai.TagOperationID],
		ParentID:     env.Tags[ai.TagOperationParentID],
		ItemCount:    1,
		Envelope:     env,
		size:         size,
	}
	if env.SampleRate > 0 {
		item.ItemCount = 100 / env.SampleRate
	}
	item.Region = item.Properties()[RegionProperty]
	switch d := env.Data.BaseData.(type) {
	case *ai.RequestData:
		item.ID, item.Name, item.ResultCode, item.Success = d.ID, d.Name, d.ResponseCode, &d.Success
	case *ai.RemoteDependencyData:
		item.ID, item.Name, item.ResultCode, item.Success = d.ID, d.Name, d.ResultCode, &d.Success
	case *ai.AvailabilityData:
		item.ID, item.Name, item.Success = d.ID, d.Name, &d.Success
	case *ai.MessageData:
		item.Name = d.Message
	case *ai.EventData:
		item.Name = d.Name
	case *ai.ExceptionData:
		// Validation saw an element, but the decoder takes keys in any case, so
		// that a second "EXCEPTIONS" may have emptied the list.
		if len(d.Exceptions) > 0 {
			item.Name = d.Exceptions[0].Message
		}
	case *ai.MetricData:
		if len(d.Metrics) > 0 {
			item.Name = d.Metrics[0].Name
		}
	}
	return item
}

// Properties returns the custom dimensions of the item, or nil.
func (i Item) Properties() map[string]string {
	switch d := i.Envelope.Data.BaseData.(type) {
	case *ai.RequestData:
		return d.Properties
	case *ai.RemoteDependencyData:
		return d.Properties
	case *ai.AvailabilityData:
		return d.Properties
	case *ai.MessageData:
		return d.Properties
	case *ai.EventData:
		return d.Properties
	case *ai.ExceptionData:
		return d.Properties
	case *ai.MetricData:
		return d.Properties
	default:
		return nil
	}
}

// Filter selects items. An empty field selects all; the others must all match.
type Filter struct {
	// Type is a short type name or a base type, in any case.
	Type string
	// Role, Region, OperationID, ParentID, ID, Name and ResultCode must be equal.
	Role, Region, OperationID, ParentID, ID, Name, ResultCode string
	// InstrumentationKey must be equal.
	InstrumentationKey string
	// Match, when not nil, must return true. It must not call the Endpoint.
	Match func(Item) bool
	// Limit keeps the newest so many items. Zero means all.
	Limit int
}

func (f Filter) matches(i *Item) bool {
	return matchesType(f.Type, i.Type) &&
		matchesText(f.Role, i.Role) && matchesText(f.Region, i.Region) &&
		matchesText(f.OperationID, i.OperationID) && matchesText(f.ParentID, i.ParentID) &&
		matchesText(f.ID, i.ID) && matchesText(f.Name, i.Name) &&
		matchesText(f.ResultCode, i.ResultCode) &&
		matchesText(f.InstrumentationKey, i.Envelope.InstrumentationKey) &&
		(f.Match == nil || f.Match(*i))
}

func matchesText(want, have string) bool { return want == "" || want == have }

func matchesType(want, have string) bool {
	if want == "" || strings.EqualFold(want, have) {
		return true
	}
	return strings.EqualFold(strings.TrimPrefix(strings.TrimSuffix(want, "Data"), "Remote"), have)
}
