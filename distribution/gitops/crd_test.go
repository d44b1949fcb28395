// SPDX-License-Identifier: Apache-2.0

package gitops_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// module is a Go module that has CRDs in it. All of these are published as modules; none is a dependency.
type module struct {
	path, version, sum string
	// files are the CRDs, in the module's folder.
	files []string
}

var modules = []module{
	{
		"github.com/argoproj/argo-cd/v3", "v3.4.0", "h1:yZwfaOIzE/aQTA52mOfeZQbribmyxKYvMgirQja4eX0=",
		[]string{"manifests/crds/application-crd.yaml", "manifests/crds/applicationset-crd.yaml"},
	},
	{
		"github.com/argoproj/argo-rollouts", "v1.8.3", "h1:blbtQva4IK9r6gFh+dWkCrLnFdPOWiv9ubQYu36qeaA=",
		[]string{"manifests/crds/analysis-template-crd.yaml"},
	},
	{
		"github.com/fluxcd/helm-controller", "v1.4.0", "h1:rkm8rmB6Na7eNc4pJOnvtXEaJ19iKluRtayHKjBxcUM=",
		[]string{"config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml"},
	},
	{
		"github.com/fluxcd/source-controller", "v1.7.0", "h1:/fBgS4CSmT5Jj/fjQDF92y+pC3gst1GJjgNSzY8Ff9I=",
		[]string{"config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml", "config/crd/bases/source.toolkit.fluxcd.io_ocirepositories.yaml"},
	},
	{
		"github.com/fluxcd/kustomize-controller", "v1.7.3", "h1:SzNnGn/4ObAPEHHleM5U7y/AKxKXph3Vj6ZhteeXw8M=",
		[]string{"config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml"},
	},
	{
		"github.com/cert-manager/cert-manager", "v1.19.1", "h1:Txh8L/nLWTDcb7ZnXuXbTe15BxQnLbLirXmbNk0fGgY=",
		[]string{"deploy/crds/cert-manager.io_certificates.yaml", "deploy/crds/cert-manager.io_issuers.yaml"},
	},
	{
		"github.com/external-secrets/external-secrets", "v1.3.2", "h1:u2J8RjlHIeF0oZCqtl92adI/uZWUwOesJIDkfql6LqQ=",
		[]string{
			"config/crds/bases/external-secrets.io_externalsecrets.yaml", "config/crds/bases/external-secrets.io_pushsecrets.yaml",
			"config/crds/bases/external-secrets.io_secretstores.yaml",
		},
	},
}

// schema is the part of OpenAPI v3 that CRDs use and that finds a wrong key or value here.
type schema struct {
	Type                 string            `json:"type"`
	Properties           map[string]schema `json:"properties"`
	AdditionalProperties *json.RawMessage  `json:"additionalProperties"`
	Items                *schema           `json:"items"`
	Required             []string          `json:"required"`
	Enum                 []any             `json:"enum"`
	Pattern              string            `json:"pattern"`
	IntOrString          bool              `json:"x-kubernetes-int-or-string"`
	Open                 bool              `json:"x-kubernetes-preserve-unknown-fields"`
}

var (
	once   sync.Once
	loaded map[string]schema
)

// schemas returns the schemas by "group/version kind".
func schemas(t *testing.T) map[string]schema {
	t.Helper()
	once.Do(func() { loaded = load(t) })
	require.NotEmpty(t, loaded, "the CRDs could not be loaded, see the first test")
	return loaded
}

func load(t *testing.T) map[string]schema {
	found := map[string]schema{}
	for _, m := range modules {
		cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", m.path+"@"+m.version)
		cmd.Dir = t.TempDir() // outside of this module, whose go.mod it would look at
		out, err := cmd.Output()
		require.NoError(t, err, string(out))
		var got struct{ Dir, Sum string }
		require.NoError(t, json.Unmarshal(out, &got))
		require.Equal(t, m.sum, got.Sum, m.path)
		for _, file := range m.files {
			raw, err := os.ReadFile(filepath.Join(got.Dir, file))
			require.NoError(t, err)
			var crd struct {
				Spec struct {
					Group    string
					Names    struct{ Kind string }
					Versions []struct {
						Name   string
						Schema struct {
							OpenAPIV3Schema schema `json:"openAPIV3Schema"`
						}
					}
				}
			}
			require.NoError(t, yaml.Unmarshal(raw, &crd), file)
			for _, v := range crd.Spec.Versions {
				found[crd.Spec.Group+"/"+v.Name+" "+crd.Spec.Names.Kind] = v.Schema.OpenAPIV3Schema
			}
		}
	}
	return found
}

// check returns what the schema does not allow. The API server would drop an unknown key in silence.
func (s schema) check(at string, v any) []string {
	if s.IntOrString || s.Type == "" && s.Open {
		return nil // any value
	}
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, at+": "+fmt.Sprintf(format, args...)) }
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		say("%v is none of %v", v, s.Enum)
	}
	switch v := v.(type) {
	case map[string]any:
		if s.Type != "object" {
			say("an object, wanted %s", s.Type)
			return wrong
		}
		for _, key := range s.Required {
			if _, ok := v[key]; !ok {
				say("%s is missing", key)
			}
		}
		for key, value := range v {
			switch p, known := s.Properties[key]; {
			case known:
				wrong = append(wrong, p.check(at+"."+key, value)...)
			case !s.Open && s.AdditionalProperties == nil && (len(s.Properties) > 0 || at != ".metadata"):
				say("%s is not known", key)
			}
		}
	case []any:
		if s.Type != "array" || s.Items == nil {
			say("a list, wanted %s", s.Type)
			return wrong
		}
		for i, item := range v {
			wrong = append(wrong, s.Items.check(fmt.Sprintf("%s[%d]", at, i), item)...)
		}
	case string:
		if s.Type != "string" {
			say("a text, wanted %s", s.Type)
		} else if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			say("%q does not match %s", v, s.Pattern)
		}
	case bool:
		if s.Type != "boolean" {
			say("a truth value, wanted %s", s.Type)
		}
	case float64:
		if !strings.Contains("integer number", s.Type) {
			say("a number, wanted %s", s.Type)
		}
	}
	return wrong
}
