// SPDX-License-Identifier: Apache-2.0

package fakeapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
)

// serveDiscovery answers which version the server has and which resources there are.
func (s *Server) serveDiscovery(w http.ResponseWriter, q *http.Request, parts []string) {
	var answer any
	switch {
	case q.URL.Path == "/version":
		answer = &version.Info{Major: "1", Minor: "35", GitVersion: "v1.35.4", Platform: "linux/amd64"}
	case len(parts) == 1 && parts[0] == "api":
		answer = &metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions", APIVersion: "v1"}, Versions: []string{"v1"}}
	case len(parts) == 1 && parts[0] == "apis":
		answer = s.groups()
	case len(parts) == 2 && parts[0] == "apis":
		for _, g := range s.groups().Groups {
			if g.Name == parts[1] {
				g.TypeMeta = metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}
				answer = &g
			}
		}
	case len(parts) == 2 && parts[0] == "api":
		answer = s.resourcesOf("", parts[1])
	case len(parts) == 3 && parts[0] == "apis":
		answer = s.resourcesOf(parts[1], parts[2])
	}
	if list, ok := answer.(*metav1.APIResourceList); answer == nil || ok && list == nil {
		s.refuse(w, q, http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
		return
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(answer); err != nil {
		s.refuse(w, q, http.StatusInternalServerError, metav1.StatusReasonInternalError, err.Error())
		return
	}
	request := "GET /" + strings.Join(parts, "/")
	s.counters.add(request, 1, 0, 0)
	w.Header().Set("Content-Type", typeJSON)
	s.write(&counted{w: w, counters: &s.counters, request: request}, b.Bytes())
}

func (s *Server) groups() *metav1.APIGroupList {
	list := &metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	for _, r := range s.cluster.resources {
		known := func(g metav1.APIGroup) bool { return g.Name == r.group }
		if r.group == "" || slices.ContainsFunc(list.Groups, known) {
			continue
		}
		v := metav1.GroupVersionForDiscovery{GroupVersion: r.apiVersion(), Version: r.version}
		list.Groups = append(list.Groups, metav1.APIGroup{Name: r.group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v})
	}
	return list
}

func (s *Server) resourcesOf(group, version string) *metav1.APIResourceList {
	var list *metav1.APIResourceList
	for _, r := range s.cluster.resources {
		if r.group != group || r.version != version {
			continue
		}
		if list == nil {
			list = &metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: r.apiVersion()}
		}
		list.APIResources = append(list.APIResources, metav1.APIResource{
			Name: r.plural, SingularName: strings.ToLower(r.kind), Namespaced: r.namespaced, Kind: r.kind, Verbs: metav1.Verbs{"get", "list", "watch"},
		})
	}
	return list
}
