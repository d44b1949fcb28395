// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Settings is what users write under mapping.
type Settings struct {
	// Role is the template of the role name, the node of the Application Map, for all signals: a text with placeholders
	// such as {service.name}, each a resource attribute, or several of which the first that is there counts:
	// {service.name|k8s.deployment.name}. The words per_cluster (the default) and merged stand for templates, see
	// [RolePerCluster] and [RoleMerged].
	Role string `mapstructure:"role"`

	// RoleInstance is the template of the role instance. The default is [DefaultRoleInstance].
	RoleInstance string `mapstructure:"role_instance"`

	// Attributes are the attributes that become properties, of resources, spans, records and points alike; each is stored
	// and billed with every item. A name, a prefix with * at the end, "*" for all, or the word default for
	// [DefaultAttributes]. Those that are not written here by their name are left out where a field or tag of the item has
	// them, and if they are known to hold credentials. A list without entries leaves all out.
	Attributes []string `mapstructure:"attributes"`

	// Measurements are the attributes that become measurements, numbers to be summed, if their value is a finite number.
	// Entries are as in Attributes; default stands for [DefaultMeasurements].
	Measurements []string `mapstructure:"measurements"`

	// ClientErrorIsFailure makes a request that the server answered with 4xx a failed one. The default is false, as the
	// semantic conventions say that it is the caller's error. Calls that were answered with 4xx have failed in any case.
	ClientErrorIsFailure bool `mapstructure:"client_error_is_failure"`

	// AdditionalSuccessStatusCodes are HTTP status codes, 100 to 599, that are no failure, neither of requests nor of calls.
	AdditionalSuccessStatusCodes []int `mapstructure:"additional_success_status_codes"`

	// AddressTargets lets a dependency have an IP address as its target where nothing else is known of the called end. The
	// default is false: each address would be a node of the Application Map.
	AddressTargets bool `mapstructure:"address_targets"`

	// SpanEvents says which events of spans become items of their own: all (the default), exceptions, or none.
	SpanEvents string `mapstructure:"span_events"`

	// SamplingWeightAttribute is the attribute that says how many spans or records one stands for, at least 1. The default
	// is sampling.weight. What a trace state says by OpenTelemetry's probability sampling holds where it is absent.
	SamplingWeightAttribute string `mapstructure:"sampling_weight_attribute"`

	// Logs is about log records only.
	Logs LogSettings `mapstructure:"logs"`

	// Metrics is about metric points only.
	Metrics MetricSettings `mapstructure:"metrics"`

	// SDKVersion names the sender in every item, such as otelcol-mesh:1.2.3; at most 64 characters.
	SDKVersion string `mapstructure:"-"`
}

// The templates that the words of [Settings.Role] stand for.
const (
	// RolePerCluster keeps the clusters apart: reviews.bookinfo@aks-westeurope.
	RolePerCluster = RoleMerged + "@{k8s.cluster.name}"
	// RoleMerged makes one node of a service in all clusters: reviews.bookinfo.
	RoleMerged = "{service.name|k8s.deployment.name|k8s.statefulset.name|k8s.daemonset.name|k8s.cronjob.name|k8s.job.name}" +
		".{k8s.namespace.name|service.namespace}"
	// DefaultRoleInstance is the pod, or what else names the instance.
	DefaultRoleInstance = "{k8s.pod.name|service.instance.id|host.name}"
)

// UnknownRole is the role of what has no attribute that the template of the role names.
const UnknownRole = "unknown_service"

const (
	rolePerCluster = "per_cluster"
	roleMerged     = "merged"

	eventsAll        = "all"
	eventsExceptions = "exceptions"
	eventsNone       = "none"

	wordDefault = "default"
)

// DefaultAttributes are the attributes that become properties unless Settings say otherwise: what tells the ends of a
// call, where it ran, and why it failed.
var DefaultAttributes = []string{
	"mesh.*",
	"cloud.region", "cloud.availability_zone",
	"k8s.cluster.name", "k8s.namespace.name", "k8s.node.name", "k8s.deployment.name", "k8s.statefulset.name",
	"k8s.daemonset.name", "k8s.cronjob.name", "k8s.job.name", "k8s.container.name",
	"deployment.environment.name",
	"error.type", "exception.type",
	"http.request.method", "http.route", "http.request.resend_count", "url.template",
	"envoy.response.flags", "envoy.request.id", "envoy.route.name", "azure.ref",
	"server.address", "client.address",
	"rpc.service", "rpc.method", "rpc.response.status_code",
	"db.system.name", "db.namespace", "db.collection.name", "db.operation.name",
	"messaging.system", "messaging.destination.name", "messaging.operation.name", "messaging.operation.type",
	"event.name",
}

// DefaultMeasurements are the attributes that become measurements unless Settings say otherwise.
var DefaultMeasurements = []string{
	"http.request.body.size", "http.response.body.size", "http.request.size", "http.response.size", "mesh.via.duration",
	"messaging.batch.message_count", "messaging.message.body.size", "db.response.returned_rows",
	"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens",
}

// DefaultSettings returns the settings of an empty configuration.
func DefaultSettings() Settings {
	return Settings{
		Role:                    rolePerCluster,
		RoleInstance:            DefaultRoleInstance,
		Attributes:              []string{wordDefault},
		Measurements:            []string{wordDefault},
		SpanEvents:              eventsAll,
		SamplingWeightAttribute: "sampling.weight",
		Logs:                    DefaultLogSettings(),
		Metrics:                 DefaultMetricSettings(),
		SDKVersion:              "otelcol-mesh",
	}
}

// Validate returns what is wrong, by the keys that the user wrote.
func (s *Settings) Validate() error {
	var errs []error
	if _, err := parseTemplate(roleTemplate(s.Role)); err != nil {
		errs = append(errs, fmt.Errorf("role: %w; write per_cluster, merged, or a template such as %q", err, "{service.name}.{k8s.namespace.name}"))
	}
	if _, err := parseTemplate(s.RoleInstance); err != nil {
		errs = append(errs, fmt.Errorf("role_instance: %w; write a template such as %q", err, "{k8s.pod.name}"))
	}
	errs = append(errs, validatePatterns("attributes", s.Attributes), validatePatterns("measurements", s.Measurements))
	for _, code := range s.AdditionalSuccessStatusCodes {
		if code < 100 || code > 599 {
			errs = append(errs, fmt.Errorf("additional_success_status_codes: %d is no HTTP status code: write 100 to 599", code))
		}
	}
	if !slices.Contains([]string{eventsAll, eventsExceptions, eventsNone}, s.SpanEvents) {
		errs = append(errs, fmt.Errorf("span_events: %q: write all, exceptions or none", s.SpanEvents))
	}
	errs = append(errs, s.Logs.Validate(), s.Metrics.Validate())
	return errors.Join(errs...)
}

func roleTemplate(role string) string {
	switch role {
	case rolePerCluster:
		return RolePerCluster
	case roleMerged:
		return RoleMerged
	default:
		return role
	}
}

func validatePatterns(key string, patterns []string) error {
	for _, p := range patterns {
		switch {
		case p == "":
			return fmt.Errorf("%s: an entry is empty: write the name of an attribute, a prefix with * at the end, or default", key)
		case strings.Contains(strings.TrimSuffix(p, "*"), "*"):
			return fmt.Errorf("%s: %q: * may stand at the end only", key, p)
		}
	}
	return nil
}
