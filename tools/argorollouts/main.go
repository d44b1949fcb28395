// SPDX-License-Identifier: Apache-2.0

// Command argorollouts takes a measurement as the controller of Argo Rollouts does, with its own code: it reads an
// AnalysisTemplate strictly, validates its metrics, fills in the arguments, asks the web provider and evaluates the
// conditions. The controller itself needs a cluster; this does not.
//
//	argorollouts template.yaml name=value ...
//
// It prints a JSON object of the metrics' measurements by name.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/argoproj/argo-rollouts/metricproviders/webmetric"
	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	analysisutil "github.com/argoproj/argo-rollouts/utils/analysis"
	log "github.com/sirupsen/logrus"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("write the path of a template, and name=value for each of its arguments")
	}
	raw, err := os.ReadFile(arguments[0])
	if err != nil {
		return err
	}
	var template v1alpha1.AnalysisTemplate
	if err := yaml.UnmarshalStrict(raw, &template); err != nil {
		return err
	}
	if err := analysisutil.ValidateMetrics(template.Spec.Metrics); err != nil {
		return err
	}
	args, err := fill(template.Spec.Args, arguments[1:])
	if err != nil {
		return err
	}
	measurements := map[string]v1alpha1.Measurement{}
	for _, metric := range template.Spec.Metrics {
		m, err := measure(metric, args)
		if err != nil {
			return fmt.Errorf("metric %s: %w", metric.Name, err)
		}
		measurements[metric.Name] = m
	}
	return json.NewEncoder(os.Stdout).Encode(measurements)
}

// fill gives values to the template's arguments, as a Rollout does.
func fill(args []v1alpha1.Argument, values []string) ([]v1alpha1.Argument, error) {
	for _, v := range values {
		name, value, _ := strings.Cut(v, "=")
		found := false
		for i := range args {
			if args[i].Name == name {
				args[i].Value, args[i].ValueFrom, found = &value, nil, true
			}
		}
		if !found {
			return nil, fmt.Errorf("the template has no argument %s", name)
		}
	}
	return args, analysisutil.ResolveArgs(args)
}

func measure(metric v1alpha1.Metric, args []v1alpha1.Argument) (v1alpha1.Measurement, error) {
	resolved, err := analysisutil.ResolveMetricArgs(metric, args)
	if err != nil {
		return v1alpha1.Measurement{}, err
	}
	client, err := webmetric.NewWebMetricHttpClient(*resolved)
	if err != nil {
		return v1alpha1.Measurement{}, err
	}
	parser, err := webmetric.NewWebMetricJsonParser(*resolved)
	if err != nil {
		return v1alpha1.Measurement{}, err
	}
	logger := log.New()
	logger.SetOutput(io.Discard)
	return webmetric.NewWebMetricProvider(*log.NewEntry(logger), client, parser).Run(nil, *resolved), nil
}
