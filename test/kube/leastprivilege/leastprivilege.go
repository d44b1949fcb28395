// SPDX-License-Identifier: Apache-2.0

// Package leastprivilege compares what RBAC manifests grant to a service account with what it asked for in a run, as the
// API server's audit log has it: it must not need more, and must not be granted more. The entry points are [Parse] and
// [Compare].
package leastprivilege

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	rbac "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
)

// Permission is the smallest thing that can be granted: one verb on one resource, of one name or any, in one namespace or
// all.
type Permission struct {
	Verb, Group, Resource string
	// Name is empty for all names, Namespace for all namespaces, and for what has none.
	Name, Namespace string
}

// String returns the permission in words.
func (p Permission) String() string {
	text := p.Verb + " " + p.Resource
	if p.Group != "" {
		text += "." + p.Group
	}
	if p.Name != "" {
		text += " " + p.Name
	}
	if p.Namespace != "" {
		text += " in " + p.Namespace
	}
	return text
}

// allows tells whether the permission suffices for a request.
func (p Permission) allows(request Permission) bool {
	return p.Verb == request.Verb && p.Group == request.Group && p.Resource == request.Resource &&
		(p.Name == "" || p.Name == request.Name) && (p.Namespace == "" || p.Namespace == request.Namespace)
}

// breadth orders the permissions that suffice for a request: the narrowest one is used.
func (p Permission) breadth() int {
	breadth := 0
	if p.Namespace == "" {
		breadth += 2
	}
	if p.Name == "" {
		breadth++
	}
	return breadth
}

// manifests are the objects that count; what else a file has is left alone.
type manifests struct {
	// rules are of a ClusterRole if the namespace is empty.
	rules    map[roleKey][]rbac.PolicyRule
	bindings []binding
}

type roleKey struct{ namespace, name string }

type binding struct {
	namespace string
	role      rbac.RoleRef
	subjects  []rbac.Subject
}

// Parse returns all permissions that the manifests bind to a service account. It returns an error for what nobody could
// hold to account: wildcards, URLs, groups of users, and bindings to a role that the manifests do not have.
func Parse(manifest, namespace, serviceAccount string) ([]Permission, error) {
	m, err := read(manifest)
	if err != nil {
		return nil, err
	}
	var all []Permission
	for _, b := range m.bindings {
		if !slices.ContainsFunc(b.subjects, func(s rbac.Subject) bool {
			return s.Kind == rbac.ServiceAccountKind && s.Namespace == namespace && s.Name == serviceAccount
		}) {
			continue
		}
		key := roleKey{name: b.role.Name}
		if b.role.Kind == "Role" {
			key.namespace = b.namespace
		}
		rules, ok := m.rules[key]
		if !ok {
			return nil, fmt.Errorf("a binding names the %s %s, which the manifests do not have", b.role.Kind, b.role.Name)
		}
		for _, rule := range rules {
			permissions, err := expand(rule, b.namespace)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", b.role.Kind, b.role.Name, err)
			}
			all = append(all, permissions...)
		}
	}
	return all, nil
}

func read(manifest string) (*manifests, error) {
	m := &manifests{rules: map[roleKey][]rbac.PolicyRule{}}
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
	for {
		var object unstructured.Unstructured
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			return m, nil
		}
		if err != nil {
			return nil, err
		}
		if err := m.add(&object); err != nil {
			return nil, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
}

func (m *manifests) add(object *unstructured.Unstructured) error {
	if object.GroupVersionKind().Group != rbac.GroupName {
		return nil
	}
	into := func(typed any) error {
		// A field that does not exist grants nothing, and would not be noticed.
		return runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, typed, true)
	}
	namespace := object.GetNamespace()
	switch object.GetKind() {
	case "ClusterRole", "Role":
		var role rbac.Role
		if err := into(&role); err != nil {
			return err
		}
		m.rules[roleKey{namespace, role.Name}] = role.Rules
	case "ClusterRoleBinding", "RoleBinding":
		var b rbac.RoleBinding
		if err := into(&b); err != nil {
			return err
		}
		for _, s := range b.Subjects {
			if s.Kind != rbac.ServiceAccountKind {
				return fmt.Errorf("the subject %s is a %s, not a ServiceAccount", s.Name, s.Kind)
			}
		}
		m.bindings = append(m.bindings, binding{namespace, b.RoleRef, b.Subjects})
	default:
		return errors.New("is of a kind that is not known here")
	}
	return nil
}

func expand(rule rbac.PolicyRule, namespace string) ([]Permission, error) {
	if len(rule.NonResourceURLs) > 0 {
		return nil, fmt.Errorf("URLs are granted: %v", rule.NonResourceURLs)
	}
	for _, list := range [][]string{rule.Verbs, rule.APIGroups, rule.Resources, rule.ResourceNames} {
		if slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, "*") }) {
			return nil, fmt.Errorf("a wildcard is granted: %v", list)
		}
	}
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	var all []Permission
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				for _, name := range names {
					all = append(all, Permission{verb, group, resource, name, namespace})
				}
			}
		}
	}
	return all, nil
}

// Report is what [Compare] finds. All lists are sorted and without repetition; all empty is as it should be.
type Report struct {
	// Denied was asked for and not allowed.
	Denied []Permission
	// Unused was granted and never asked for.
	Unused []Permission
	// Foreign was allowed although the manifests do not grant it: somebody else does.
	Foreign []Permission
	// Idle are exceptions that were not needed.
	Idle []Permission
}

// Empty tells whether there is nothing to complain about.
func (r *Report) Empty() bool {
	return len(r.Denied)+len(r.Unused)+len(r.Foreign)+len(r.Idle) == 0
}

// String lists all complaints, one a line.
func (r *Report) String() string {
	var lines []string
	for _, list := range []struct {
		title       string
		permissions []Permission
	}{
		{"needs, and may not", r.Denied},
		{"may, and does not need", r.Unused},
		{"may by something else than the manifests", r.Foreign},
		{"is excepted, and need not be", r.Idle},
	} {
		for _, p := range list.permissions {
			lines = append(lines, list.title+": "+p.String())
		}
	}
	return strings.Join(lines, "\n")
}

// Compare holds what was granted against the requests of the service account. The denied requests that match an exception
// are in order. Requests for anything but resources are left out: everybody who is known may read versions and discovery.
func Compare(granted []Permission, requests []kubetest.Request, exceptions ...Permission) *Report {
	report := &Report{}
	used, allowed := map[Permission]bool{}, map[Permission]bool{}
	for i := range requests {
		request, ok := asked(&requests[i])
		if !ok {
			continue
		}
		if requests[i].Annotations["authorization.k8s.io/decision"] != "allow" {
			if p, ok := narrowest(exceptions, request); ok {
				used[p] = true
			} else {
				report.Denied = append(report.Denied, request)
			}
			continue
		}
		allowed[request] = true
		if p, ok := narrowest(granted, request); ok {
			used[p] = true
		} else {
			report.Foreign = append(report.Foreign, request)
		}
	}
	// An API server that has just started refuses everything until it has read its roles. What it allowed at another time
	// is no right that is missing.
	report.Denied = without(report.Denied, allowed)
	report.Unused = without(granted, used)
	report.Idle = without(exceptions, used)
	report.Denied, report.Foreign = tidy(report.Denied), tidy(report.Foreign)
	return report
}

// asked returns what a request needs; false for one that is not for a resource, or that nobody was known for.
func asked(r *kubetest.Request) (Permission, bool) {
	if r.Object.Resource == "" || r.Annotations["authorization.k8s.io/decision"] == "" {
		return Permission{}, false
	}
	p := Permission{Verb: r.Verb, Group: r.Object.APIGroup, Resource: r.Object.Resource, Name: r.Object.Name, Namespace: r.Object.Namespace}
	if r.Object.Subresource != "" {
		p.Resource += "/" + r.Object.Subresource
	}
	switch {
	case p.Resource == "namespaces" && p.Group == "":
		// The audit log says of a namespace that it is in itself; so do grants by a RoleBinding there. Here it is in none.
		p.Namespace = ""
	case p.Verb == "create":
		// Authorization comes before the body is read, which has the name.
		p.Name = ""
	}
	return p, true
}

func narrowest(permissions []Permission, request Permission) (Permission, bool) {
	var best Permission
	found := false
	for _, p := range permissions {
		if p.allows(request) && (!found || p.breadth() < best.breadth()) {
			best, found = p, true
		}
	}
	return best, found
}

func without(all []Permission, used map[Permission]bool) []Permission {
	var rest []Permission
	for _, p := range all {
		if !used[p] {
			rest = append(rest, p)
		}
	}
	return tidy(rest)
}

func tidy(all []Permission) []Permission {
	slices.SortFunc(all, func(a, b Permission) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(all)
}
