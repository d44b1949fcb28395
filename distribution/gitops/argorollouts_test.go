// SPDX-License-Identifier: Apache-2.0

package gitops_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// The connector's tests run the template by the code of Argo Rollouts. Here it is held against what the API server would take.
func TestAnalysisTemplate(t *testing.T) {
	raw, err := os.ReadFile("../examples/argo-rollouts/analysis-template.yaml")
	require.NoError(t, err)
	known, ok := schemas(t)["argoproj.io/v1alpha1 AnalysisTemplate"]
	require.True(t, ok)
	problems := func(text string) []string {
		var template map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(text), &template))
		assert.Equal(t, "argoproj.io/v1alpha1", template["apiVersion"])
		assert.Equal(t, "AnalysisTemplate", template["kind"])
		return known.check("", template)
	}
	assert.Empty(t, problems(string(raw)))
	assert.NotEmpty(t, problems(strings.Replace(string(raw), "jsonPath:", "jsonpath:", 1)))
	assert.NotEmpty(t, problems(strings.Replace(string(raw), "timeoutSeconds: 10", `timeoutSeconds: "10"`, 1)))
}
