// SPDX-License-Identifier: Apache-2.0

package leastprivilege

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
)

const manifest = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: agent, namespace: mesh}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: agent}
rules:
- {apiGroups: [""], resources: [pods, nodes], verbs: [list, watch]}
- {apiGroups: [""], resources: [namespaces], resourceNames: [istio-system], verbs: [watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: agent}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: agent}
subjects:
- {kind: ServiceAccount, namespace: mesh, name: agent}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: agent, namespace: mesh}
rules:
- {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [mine], verbs: [get]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: agent, namespace: mesh}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: agent}
subjects:
- {kind: ServiceAccount, namespace: mesh, name: agent}
`

func TestParse(t *testing.T) {
	granted, err := Parse(manifest, "mesh", "agent")
	require.NoError(t, err)
	assert.Equal(t, []Permission{
		{"list", "", "pods", "", ""},
		{"watch", "", "pods", "", ""},
		{"list", "", "nodes", "", ""},
		{"watch", "", "nodes", "", ""},
		{"watch", "", "namespaces", "istio-system", ""},
		{"get", "coordination.k8s.io", "leases", "mine", "mesh"},
		{"create", "coordination.k8s.io", "leases", "", "mesh"},
	}, granted)
	none, err := Parse(manifest, "other", "agent")
	require.NoError(t, err)
	assert.Empty(t, none)
}

func TestParseRefuses(t *testing.T) {
	role := func(rule string) string {
		return `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: r}
rules: [` + rule + `]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: r}
roleRef: {kind: ClusterRole, name: r}
subjects: [{kind: ServiceAccount, namespace: ns, name: sa}]
`
	}
	for _, test := range []struct{ name, manifest, want string }{
		{"any verb", role(`{apiGroups: [""], resources: [pods], verbs: ["*"]}`), "a wildcard is granted: [*]"},
		{"any group", role(`{apiGroups: ["*"], resources: [pods], verbs: [get]}`), "a wildcard is granted: [*]"},
		{"any subresource", role(`{apiGroups: [""], resources: ["nodes/*"], verbs: [get]}`), "a wildcard is granted: [nodes/*]"},
		{"a URL", role(`{nonResourceURLs: [/metrics], verbs: [get]}`), "URLs are granted: [/metrics]"},
		{"a misspelled field", role(`{apiGroups: [""], resources: [pods], verbs: [get], resourceName: [x]}`), "resourceName"},
		{"another's role", `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: r}
roleRef: {kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, namespace: ns, name: sa}]
`, "the ClusterRole view, which the manifests do not have"},
		{"everybody", `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: r}
roleRef: {kind: ClusterRole, name: r}
subjects: [{kind: Group, name: "system:authenticated"}]
`, "the subject system:authenticated is a Group"},
	} {
		_, err := Parse(test.manifest, "ns", "sa")
		require.ErrorContains(t, err, test.want, test.name)
	}
}

func request(decision string, p Permission) kubetest.Request {
	var r kubetest.Request
	r.Verb = p.Verb
	r.Object.APIGroup, r.Object.Resource, r.Object.Name, r.Object.Namespace = p.Group, p.Resource, p.Name, p.Namespace
	r.Annotations = map[string]string{"authorization.k8s.io/decision": decision}
	return r
}

func TestCompare(t *testing.T) {
	listPods := Permission{Verb: "list", Resource: "pods"}
	listIn := Permission{Verb: "list", Resource: "pods", Namespace: "n"}
	listOne := Permission{Verb: "list", Resource: "pods", Namespace: "n", Name: "one"}
	secrets := Permission{Verb: "get", Resource: "secrets", Namespace: "n", Name: "one"}
	create := Permission{Verb: "create", Group: "coordination.k8s.io", Resource: "leases", Namespace: "n"}
	createNamed := create
	createNamed.Name = "lease"
	namespace := Permission{Verb: "get", Resource: "namespaces", Name: "kube-system"}
	namespaceAsLogged := namespace
	namespaceAsLogged.Namespace = "kube-system"
	status := request("allow", listIn)
	status.Object.Subresource = "status"
	unknown := request("", listPods) // 401
	url := kubetest.Request{Verb: "get", RequestURI: "/version", Annotations: map[string]string{"authorization.k8s.io/decision": "allow"}}
	for _, test := range []struct {
		name       string
		granted    []Permission
		requests   []kubetest.Request
		exceptions []Permission
		want       Report
	}{
		{"nothing", nil, nil, nil, Report{}},
		{"exactly", []Permission{listPods}, []kubetest.Request{request("allow", listPods), request("allow", listIn)}, nil, Report{}},
		{"granted and not used", []Permission{listPods, secrets}, []kubetest.Request{request("allow", listPods)}, nil, Report{Unused: []Permission{secrets}}},
		{"refused by an API server that was starting", []Permission{secrets}, []kubetest.Request{request("forbid", secrets), request("allow", secrets)}, nil, Report{}},
		{"needed and not granted", nil, []kubetest.Request{request("forbid", secrets), request("forbid", secrets)}, nil, Report{Denied: []Permission{secrets}}},
		{"optional", nil, []kubetest.Request{request("forbid", secrets)}, []Permission{secrets}, Report{}},
		{"an exception that nothing needs", nil, nil, []Permission{secrets}, Report{Idle: []Permission{secrets}}},
		{
			"the narrowest grant is the one that is used",
			[]Permission{listPods, listIn, listOne},
			[]kubetest.Request{request("allow", listOne)},
			nil,
			Report{Unused: []Permission{listPods, listIn}},
		},
		{
			"of a named grant, another name does not use it",
			[]Permission{listOne},
			[]kubetest.Request{request("allow", listIn)},
			nil,
			Report{Unused: []Permission{listOne}, Foreign: []Permission{listIn}},
		},
		{"a create has no name", []Permission{create}, []kubetest.Request{request("allow", createNamed)}, nil, Report{}},
		{"a namespace is not in itself", []Permission{namespace}, []kubetest.Request{request("allow", namespaceAsLogged)}, nil, Report{}},
		{
			"a subresource is another resource",
			[]Permission{listIn},
			[]kubetest.Request{status},
			nil,
			Report{Unused: []Permission{listIn}, Foreign: []Permission{{"list", "", "pods/status", "", "n"}}},
		},
		{"neither for a resource nor by somebody", nil, []kubetest.Request{url, unknown}, nil, Report{}},
	} {
		report := Compare(test.granted, test.requests, test.exceptions...)
		assert.Equal(t, &test.want, report, test.name)
		assert.Equal(t, test.want.String() == "", report.Empty(), test.name)
	}
	assert.Equal(t, "needs, and may not: get secrets one in n",
		Compare(nil, []kubetest.Request{request("forbid", secrets)}).String())
}
