// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// setResource computes what all items of a resource have in common: tags and properties.
func (w *walk) setResource(resource pcommon.Resource) {
	w.tellFragment(&w.resource)
	w.resource.Reset()
	attributes := resource.Attributes()
	w.resourceTags(attributes)
	instance := w.m.instance.sole(attributes)
	attributes.Range(func(key string, value pcommon.Value) bool {
		if key == instance && w.m.rules.of(key).property != byName {
			return true // the tag has it
		}
		w.sharedProperty(&w.resource, key, value)
		return true
	})
}

// setScope does the same for the instrumentation scope. Its name and version are the attributes otel.scope.name and
// otel.scope.version, as the OpenTelemetry specification names them for formats without scopes.
func (w *walk) setScope(scope pcommon.InstrumentationScope) {
	w.tellFragment(&w.scope)
	w.scope.Reset()
	w.scopeText("otel.scope.name", scope.Name())
	w.scopeText("otel.scope.version", scope.Version())
	scope.Attributes().Range(func(key string, value pcommon.Value) bool {
		w.sharedProperty(&w.scope, key, value)
		return true
	})
}

func (w *walk) scopeText(key, text string) {
	if text != "" && w.m.rules.of(key).property != notProperty {
		w.scope.Property(key, func(e *items.Encoder) { e.Write(text) })
	}
}

func (w *walk) sharedProperty(f *items.Fragment, key string, value pcommon.Value) {
	switch r := w.m.rules.of(key); {
	case r.property == notProperty:
		w.counts.attributesDropped++
	case r.property == byPattern && r.use&(usedTag|usedSecret) != 0:
	default:
		f.Property(key, func(e *items.Encoder) { writeValue(e, value) })
	}
}

// tellFragment takes over what a fragment counted.
func (w *walk) tellFragment(f *items.Fragment) {
	w.counts.textsTrimmed += f.Trimmed()
	w.counts.attributesDropped += f.Dropped()
}

// resourceTags writes the tags that name who sent an item.
func (w *walk) resourceTags(attributes pcommon.Map) {
	w.text = w.m.role.appendResource(w.text[:0], attributes)
	if len(w.text) == 0 {
		w.text = append(w.text, UnknownRole...)
	}
	f := &w.resource
	w.role = string(w.text)
	f.Tag(ai.TagCloudRole, w.role)
	w.text = w.m.instance.appendResource(w.text[:0], attributes)
	f.Tag(ai.TagCloudRoleInstance, string(w.text))
	f.Tag(ai.TagApplicationVersion, firstText(attributes, "service.version"))
	f.Tag(ai.TagCloudLocation, firstText(attributes, "cloud.region"))
	f.Tag(ai.TagDeviceID, firstText(attributes, "device.id"))
	f.Tag(ai.TagDeviceModel, firstText(attributes, "device.model.name", "device.model.identifier"))
	f.Tag(ai.TagDeviceOSVersion, firstText(attributes, "os.description", "os.version"))
	f.Tag(ai.TagInternalSDKVersion, w.m.settings.SDKVersion)
}
