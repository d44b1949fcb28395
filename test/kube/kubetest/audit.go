// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Request is one entry of the API server's audit log (audit.k8s.io/v1, level Metadata). The API does not record sizes:
// see [Cluster.ResponseSizes], and [Proxy.Received] for what a client really got, watches included.
type Request struct {
	AuditID string `json:"auditID"`
	// Stage is ResponseComplete, or ResponseStarted when a watch begins.
	Stage      string `json:"stage"`
	RequestURI string `json:"requestURI"`
	// Verb is that of authorization: get, list, watch, create, update, patch, delete.
	Verb      string `json:"verb"`
	UserAgent string `json:"userAgent"`
	User      struct {
		Username string   `json:"username"`
		Groups   []string `json:"groups"`
	} `json:"user"`
	// Object is empty for requests that are not for a resource, such as /version.
	Object struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
		APIGroup    string `json:"apiGroup"`
		APIVersion  string `json:"apiVersion"`
	} `json:"objectRef"`
	Response struct {
		Code    int    `json:"code"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
	} `json:"responseStatus"`
	Received time.Time `json:"requestReceivedTimestamp"`
	At       time.Time `json:"stageTimestamp"`
	// Annotations has authorization.k8s.io/decision (allow, forbid) and authorization.k8s.io/reason.
	Annotations map[string]string `json:"annotations"`
}

// ServiceAccountUser returns the user name of a service account, as in [Request].
func ServiceAccountUser(namespace, name string) string {
	return "system:serviceaccount:" + namespace + ":" + name
}

// Requests reads the audit log and returns the entries of a user, or of all users if it is empty, oldest first. An answered
// request is in it, and so is a watch that began (stage ResponseStarted; a watch that ended is there twice).
func (c *Cluster) Requests(user string) ([]Request, error) {
	file, err := os.Open(c.file("audit.log"))
	if errors.Is(err, os.ErrNotExist) { // nobody has asked for anything yet
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var requests []Request
	reader := bufio.NewReaderSize(file, 1<<16)
	for {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) { // what is left, if anything, is still being written
			return requests, nil
		}
		if err != nil {
			return nil, err
		}
		var r Request
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("audit log: %w in %q", err, line)
		}
		if user == "" || r.User.Username == user {
			requests = append(requests, r)
		}
	}
}

// Metrics returns the API server's metrics in Prometheus' text format.
func (c *Cluster) Metrics(ctx context.Context) ([]byte, error) {
	return c.Client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
}

// ResponseSize is what the API server has answered to requests of one kind since it started.
type ResponseSize struct {
	Group, Resource, Verb string
	// Requests counts the answers, Bytes their bodies. Watches are not among them.
	Requests uint64
	Bytes    float64
}

// ResponseSizes returns the API server's metric apiserver_response_sizes, of all users together, in no order.
func (c *Cluster) ResponseSizes(ctx context.Context) ([]ResponseSize, error) {
	text, err := c.Metrics(ctx)
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	var sizes []ResponseSize
	for _, metric := range families["apiserver_response_sizes"].GetMetric() {
		size := ResponseSize{Requests: metric.GetHistogram().GetSampleCount(), Bytes: metric.GetHistogram().GetSampleSum()}
		for _, label := range metric.GetLabel() {
			switch label.GetName() {
			case "group":
				size.Group = label.GetValue()
			case "resource":
				size.Resource = label.GetValue()
			case "verb":
				size.Verb = label.GetValue()
			}
		}
		sizes = append(sizes, size)
	}
	return sizes, nil
}
