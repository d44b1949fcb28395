// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestFailure(t *testing.T) {
	type pairs = []string
	for name, tt := range map[string]struct {
		kind Kind
		in   pairs
		want string // error.type, empty for success
	}{
		"server 200":                   {KindServer, pairs{"http.status_code", "200", "response_flags", "-"}, ""},
		"server 499":                   {KindServer, pairs{"http.status_code", "499", "response_flags", "DC"}, ""},
		"server 500":                   {KindServer, pairs{"http.status_code", "500"}, "500"},
		"client 399":                   {KindClient, pairs{"http.status_code", "399"}, ""},
		"client 400":                   {KindClient, pairs{"http.status_code", "400"}, "400"},
		"other kind 400":               {KindOther, pairs{"http.status_code", "400"}, ""},
		"flags without code":           {KindServer, pairs{"http.status_code", "0", "response_flags", "UF,URX"}, "UF"},
		"code absent":                  {KindServer, pairs{"response_flags", "NR"}, "NR"},
		"nothing":                      {KindServer, pairs{"response_flags", "-"}, ""},
		"no code, nothing else":        {KindServer, pairs{"http.status_code", "0"}, "_OTHER"},
		"no code, the new name":        {KindServer, pairs{"http.response.status_code", "0"}, "_OTHER"},
		"no code, the legacy knows":    {KindServer, pairs{"http.response.status_code", "0", "http.status_code", "200"}, ""},
		"no code, the new one knows":   {KindServer, pairs{"http.response.status_code", "200", "http.status_code", "0"}, ""},
		"no such code":                 {KindServer, pairs{"http.status_code", "1000"}, ""},
		"error tag":                    {KindServer, pairs{"http.status_code", "0", "error", "true"}, "_OTHER"},
		"new code wins over no code":   {KindServer, pairs{"http.response.status_code", "502"}, "502"},
		"new code wins over old":       {KindServer, pairs{"http.response.status_code", "200", "http.status_code", "502"}, ""},
		"new code that is none":        {KindServer, pairs{"http.response.status_code", "x", "http.status_code", "502"}, "502"},
		"gRPC OK":                      {KindClient, pairs{"http.status_code", "200", "grpc.status_code", "0"}, ""},
		"gRPC OK beside the error tag": {KindClient, pairs{"grpc.status_code", "0", "error", "true"}, ""},
		"gRPC answer":                  {KindServer, pairs{"grpc.status_code", "5", "error", "true"}, ""},
		"gRPC answer at the client":    {KindClient, pairs{"grpc.status_code", "5"}, "NOT_FOUND"},
		"gRPC failure":                 {KindServer, pairs{"grpc.status_code", "14", "http.status_code", "200"}, "UNAVAILABLE"},
		"gRPC code of the future":      {KindServer, pairs{"grpc.status_code", "17"}, "17"},
		"gRPC OK but 503":              {KindServer, pairs{"grpc.status_code", "0", "http.status_code", "503"}, "503"},
		"gRPC limit, error tag":        {KindServer, pairs{"grpc.status_code", "8", "http.status_code", "200", "error", "true"}, ""},
		"gRPC limit at the client":     {KindClient, pairs{"grpc.status_code", "8", "http.status_code", "200"}, "RESOURCE_EXHAUSTED"},
		"gRPC canceled":                {KindServer, pairs{"grpc.status_code", "1", "response_flags", "DC"}, ""},
		"no healthy upstream":          {KindClient, pairs{"http.status_code", "0", "response_flags", "UH"}, "UH"},
		"overflow":                     {KindServer, pairs{"http.status_code", "0", "response_flags", "UO"}, "UO"},
		"timeout without code":         {KindClient, pairs{"http.status_code", "0", "response_flags", "UT", "error", "true"}, "UT"},
		"timeout with code":            {KindClient, pairs{"http.status_code", "504", "response_flags", "UT"}, "504"},
		"caller went away, no code":    {KindServer, pairs{"http.status_code", "0", "response_flags", "DC", "error", "true"}, "DC"},
		"caller went away, halfway":    {KindServer, pairs{"http.status_code", "200", "response_flags", "DC"}, "DC"},
		"upstream broke off":           {KindClient, pairs{"http.status_code", "206", "response_flags", "RL,UC"}, "UC"},
		"broke off, in long form":      {KindClient, pairs{"http.status_code", "200", "response_flags", "DownstreamConnectionTermination"}, "DC"},
		"rate limited but 200":         {KindClient, pairs{"http.status_code", "200", "response_flags", "RL"}, ""},
		"broke off after gRPC's OK":    {KindClient, pairs{"http.status_code", "200", "grpc.status_code", "0", "response_flags", "UR"}, ""},
		"WebSocket":                    {KindClient, pairs{"http.status_code", "101", "response_flags", "DC"}, ""},
		"tunnel":                       {KindServer, pairs{"http.method", "CONNECT", "http.status_code", "200", "response_flags", "UC"}, ""},
		"tunnel, new name":             {KindServer, pairs{"http.request.method", "CONNECT", "http.status_code", "200", "response_flags", "UC"}, ""},
		"tunnel refused":               {KindServer, pairs{"http.method", "CONNECT", "http.status_code", "503", "response_flags", "UF"}, "503"},
		"answer 404, error tag":        {KindServer, pairs{"http.status_code", "404", "error", "true"}, ""},
		"200, error tag":               {KindServer, pairs{"http.status_code", "200", "error", "true"}, "_OTHER"},
		"503, error tag says no":       {KindServer, pairs{"http.status_code", "503", "error", "false"}, "503"},
	} {
		t.Run(name, func(t *testing.T) {
			got, out := written(call(tt.kind, false, tt.in...))
			assert.Equal(t, tt.want, got["error.type"])
			assert.Equal(t, tt.want != "", out.Failed)
		})
	}
}

// Envoy's tracer sets the status also where it is told not to write the tags that it set it by.
func TestFailureThatOnlyTheStatusTells(t *testing.T) {
	type pairs = []string
	for name, tt := range map[string]struct {
		kind Kind
		in   pairs
		want string
	}{
		"nothing else":        {KindServer, pairs{"http.response.status_code", "200"}, "_OTHER"},
		"HTTP":                {KindClient, pairs{"http.response.status_code", "404"}, "404"},
		"HTTP, by the user":   {KindServer, pairs{"http.response.status_code", "404"}, "404"},
		"gRPC, by the user":   {KindServer, pairs{"grpc.status_code", "5"}, ""},
		"gRPC at the client":  {KindClient, pairs{"grpc.status_code", "5"}, "NOT_FOUND"},
		"broken off":          {KindServer, pairs{"http.status_code", "200", "response_flags", "UC"}, "UC"},
		"a flag alone":        {KindServer, pairs{"response_flags", "NR"}, "NR"},
		"a tunnel that ended": {KindServer, pairs{"http.status_code", "101", "response_flags", "DC"}, "_OTHER"},
	} {
		t.Run(name, func(t *testing.T) {
			c := call(tt.kind, false, tt.in...)
			c.StatusError = true
			got, out := written(c)
			assert.Equal(t, tt.want, got["error.type"])
			assert.Equal(t, tt.want != "", out.Failed)
		})
	}
}
