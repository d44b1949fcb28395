// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
)

// Apply creates or changes the objects of a manifest, which may hold several documents, with their status if they have
// one. A namespace must exist before what is in it.
func (c *Cluster) Apply(t testing.TB, manifest string) {
	t.Helper()
	if err := c.apply(t.Context(), manifest); err != nil {
		t.Fatal(err)
	}
}

// ApplyFile is [Cluster.Apply] of a file.
func (c *Cluster) ApplyFile(t testing.TB, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c.Apply(t, string(text))
}

func (c *Cluster) apply(ctx context.Context, manifest string) error {
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.Client.Discovery()))
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
	for {
		var object unstructured.Unstructured
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(object.Object) == 0 { // nothing but comments
			continue
		}
		if err := c.applyOne(ctx, mapper, &object); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
}

func (c *Cluster) applyOne(ctx context.Context, mapper meta.RESTMapper, object *unstructured.Unstructured) error {
	kind := object.GroupVersionKind()
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	var resources dynamic.ResourceInterface = c.Dynamic.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		namespace := object.GetNamespace()
		if namespace == "" {
			return errors.New("metadata.namespace is missing")
		}
		resources = c.Dynamic.Resource(mapping.Resource).Namespace(namespace)
	}
	options := metav1.ApplyOptions{FieldManager: "kubetest", Force: true}
	if _, err := resources.Apply(ctx, object.GetName(), object, options); err != nil {
		return err
	}
	if _, ok := object.Object["status"]; !ok {
		return nil
	}
	_, err = resources.ApplyStatus(ctx, object.GetName(), object, options)
	return err
}

// customResources are those of Istio and of the Gateway API that a topology is read from, by what tells them apart.
var customResources = []struct{ group, plural, kind, versions string }{
	{"networking.istio.io", "workloadentries", "WorkloadEntry", "v1 v1beta1 v1alpha3"},
	{"networking.istio.io", "serviceentries", "ServiceEntry", "v1 v1beta1 v1alpha3"},
	{"networking.istio.io", "destinationrules", "DestinationRule", "v1 v1beta1 v1alpha3"},
	{"gateway.networking.k8s.io", "gateways", "Gateway", "v1 v1beta1"},
}

// CRDs adds the kinds of Istio and of the Gateway API that a topology is read from (WorkloadEntry, ServiceEntry,
// DestinationRule, Gateway), which accept any spec, and returns when they can be used.
func (c *Cluster) CRDs(t testing.TB) {
	t.Helper()
	definitions := c.Dynamic.Resource(schema.GroupVersionResource{
		Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
	})
	for _, r := range customResources {
		definition := customResourceDefinition(r.group, r.plural, r.kind, strings.Fields(r.versions))
		if _, err := definitions.Create(t.Context(), definition, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range customResources {
		resource := c.Dynamic.Resource(schema.GroupVersionResource{Group: r.group, Version: strings.Fields(r.versions)[0], Resource: r.plural})
		err := poll(t.Context(), func(ctx context.Context) (bool, error) {
			_, err := resource.List(ctx, metav1.ListOptions{Limit: 1})
			if apierrors.IsNotFound(err) {
				return false, nil
			}
			return err == nil, err
		})
		if err != nil {
			t.Fatalf("%s cannot be used: %v", r.plural, err)
		}
	}
}

func customResourceDefinition(group, plural, kind string, versions []string) *unstructured.Unstructured {
	var served []any
	for i, version := range versions {
		served = append(served, map[string]any{
			"name": version, "served": true, "storage": i == 0,
			"schema": map[string]any{"openAPIV3Schema": map[string]any{
				"type": "object", "x-kubernetes-preserve-unknown-fields": true,
			}},
			"subresources": map[string]any{"status": map[string]any{}},
		})
	}
	definition := map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": plural + "." + group},
		"spec": map[string]any{
			"group": group, "scope": "Namespaced", "versions": served,
			"names": map[string]any{"plural": plural, "singular": strings.ToLower(kind), "kind": kind, "listKind": kind + "List"},
		},
	}
	if strings.HasSuffix(group, ".k8s.io") {
		// The API server refuses a group of its project without the place where it was approved.
		definition["metadata"].(map[string]any)["annotations"] = map[string]any{
			"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/2466",
		}
	}
	return &unstructured.Unstructured{Object: definition}
}
