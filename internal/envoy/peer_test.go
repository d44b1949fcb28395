// SPDX-License-Identifier: Apache-2.0

package envoy

import (
	"encoding/base64"
	"encoding/binary"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const peerIdentity = "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews"

// field encodes a protobuf field with a length.
func field(tag byte, content string) string {
	return string(binary.AppendUvarint([]byte{tag}, uint64(len(content)))) + content
}

// encodeStruct encodes a google.protobuf.Struct of texts and objects of texts, and raw values.
func encodeStruct(fields map[string]any) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		value := ""
		switch v := fields[key].(type) {
		case string:
			value = field(valueText, v)
		case map[string]any:
			value = field(valueStruct, encodeStruct(v))
		case []byte:
			value = string(v)
		}
		b.WriteString(field(structField, field(entryKey, key)+field(entryValue, value)))
	}
	return b.String()
}

// nodeMetadata is a peer as node metadata, and reviewsPeer what is in it.
var (
	nodeMetadata = map[string]any{
		"NAME": "reviews-v1-abc", "NAMESPACE": "bookinfo", "CLUSTER_ID": "aks-westeurope",
		"WORKLOAD_NAME": "reviews-v1", "IDENTITY": peerIdentity, "REGION": "westeurope", "AVAILABILITY_ZONE": "westeurope-1",
		"OWNER": "kubernetes://apis/apps/v1/namespaces/bookinfo/deployments/reviews-v1",
		"LABELS": map[string]any{
			"app": "reviews", "version": "v1",
			"service.istio.io/canonical-name": "reviews", "service.istio.io/canonical-revision": "v1",
		},
	}
	reviewsPeer = Peer{
		Name: "reviews-v1-abc", Namespace: "bookinfo", Cluster: "aks-westeurope", Workload: "reviews-v1",
		Type: "deployment", Service: "reviews", Revision: "v1", App: "reviews", Version: "v1", Identity: peerIdentity,
		Region: "westeurope", Zone: "westeurope-1",
		Owner: "kubernetes://apis/apps/v1/namespaces/bookinfo/deployments/reviews-v1",
		Labels: []PeerLabel{
			{"app", "reviews"},
			{"service.istio.io/canonical-name", "reviews"},
			{"service.istio.io/canonical-revision", "v1"},
			{"version", "v1"},
		},
	}
)

// objectPeer is a peer as the proxies' filter state has it today.
var objectPeer = map[string]any{
	"type": "deployment", "workload": "reviews-v1", "name": "reviews-v1-abc", "cluster": "aks-westeurope",
	"namespace": "bookinfo", "service": "reviews", "revision": "v1", "app": "reviews", "version": "v1",
	"identity": peerIdentity, "region": "westeurope", "availability_zone": "westeurope-1",
	"labels": map[string]any{"tier": "back"},
}

const objectText = "type=deployment,workload=reviews-v1,name=reviews-v1-abc,cluster=aks-westeurope,namespace=bookinfo," +
	"service=reviews,revision=v1,app=reviews,version=v1,region=westeurope,availability_zone=westeurope-1,labels[]tier=back"

// TestPeerForms reads the same peer in each form; what a form cannot tell is left out of the expectation.
func TestPeerForms(t *testing.T) {
	object := reviewsPeer
	object.Owner = ""
	object.Labels = []PeerLabel{{"tier", "back"}}
	text := object
	text.Identity = ""
	baggage := text
	baggage.Labels, baggage.App, baggage.Version = nil, "", ""
	for name, tt := range map[string]struct {
		in   string
		want Peer
	}{
		"node metadata": {encodeStruct(nodeMetadata), reviewsPeer},
		"object":        {encodeStruct(objectPeer), object},
		"header":        {base64.StdEncoding.EncodeToString([]byte(encodeStruct(nodeMetadata))), reviewsPeer},
		"header without padding": {
			base64.RawStdEncoding.EncodeToString([]byte(encodeStruct(nodeMetadata))), reviewsPeer,
		},
		"text": {objectText, text},
		"JSON": {`{"NAME":"reviews-v1-abc","NAMESPACE":"bookinfo","CLUSTER_ID":"aks-westeurope",` +
			`"WORKLOAD_NAME":"reviews-v1","IDENTITY":"` + peerIdentity + `","REGION":"westeurope",` +
			`"AVAILABILITY_ZONE":"westeurope-1",` +
			`"OWNER":"kubernetes:\/\/apis/apps/v1/namespaces/bookinfo/deployments/reviews-v1","LABELS":{"app":"reviews",` +
			`"version":"v1","service.istio.io/canonical-name":"reviews","service.istio.io/canonical-revision":"v1"}}`, reviewsPeer},
		"JSON of an Any": {`{"@type":"type.googleapis.com/google.protobuf.Struct","value":{"type":"deployment",` +
			`"workload":"reviews-v1","name":"reviews-v1-abc","cluster":"aks-westeurope","namespace":"bookinfo",` +
			`"service":"reviews","revision":"v1","app":"reviews","version":"v1","identity":"` + peerIdentity + `",` +
			`"region":"westeurope","availability_zone":"westeurope-1","labels":{"tier":"back"}}}`, object},
		"baggage": {"k8s.deployment.name=reviews-v1,service.name=reviews,service.version=v1," +
			"k8s.namespace.name=bookinfo,k8s.cluster.name=aks%2Dwesteurope,k8s.instance.name=reviews-v1-abc," +
			"cloud.region=westeurope,cloud.availability_zone=westeurope-1", baggage},
		"FlatBuffer": {flatNode(), flatPeer()},
	} {
		t.Run(name, func(t *testing.T) {
			var got Peer
			require.NoError(t, got.Parse(tt.in))
			assert.Equal(t, tt.want, got)
			assert.Equal(t, "", got.Label("nope"))
		})
	}
}

// TestPeerOfTheFlatBufferLibrary reads a FlatNode that the FlatBuffers library (25.x for Python) encoded.
func TestPeerOfTheFlatBufferLibrary(t *testing.T) {
	text, err := os.ReadFile("testdata/flatnode.b64")
	require.NoError(t, err)
	data, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	require.NoError(t, err)
	var p Peer
	require.NoError(t, p.Parse(string(data)))
	assert.Equal(t, Peer{
		Name: "productpage-v1-7c9d8b6f5-x2x2x", Namespace: "bookinfo", Cluster: "aks-westeurope",
		Workload: "productpage-v1", Type: "deployment", Service: "productpage", Revision: "v1", App: "productpage",
		Version: "v1", Identity: "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-productpage",
		Owner: "kubernetes://apis/apps/v1/namespaces/bookinfo/deployments/productpage-v1",
		Labels: []PeerLabel{
			{"app", "productpage"},
			{"service.istio.io/canonical-name", "productpage"},
			{"service.istio.io/canonical-revision", "v1"},
			{"version", "v1"},
		},
		Unknown: 5, // platform_metadata, istio_version, mesh_id, app_containers, instance_ips
	}, p)
}

func TestPeerParsersDoNotAllocate(t *testing.T) {
	var p Peer
	for name, in := range map[string]string{
		"struct": encodeStruct(nodeMetadata), "text": objectText, "FlatBuffer": flatNode(),
		"baggage": "k8s.deployment.name=reviews-v1,service.name=reviews,k8s.cluster.name=c",
	} {
		require.NoError(t, p.Parse(in))
		assert.Zero(t, testing.AllocsPerRun(100, func() { _ = p.Parse(in) }), name)
	}
}

func TestPeerErrors(t *testing.T) {
	var many strings.Builder
	labels := make(map[string]any)
	for i := range maxPeerLabels + 1 {
		labels[strconv.Itoa(i)] = "x"
		many.WriteString(",labels[]" + strconv.Itoa(i) + "=x")
	}
	ok := encodeStruct(objectPeer)
	header := base64.StdEncoding.EncodeToString([]byte(ok))
	name := field(entryKey, "name") + field(entryValue, field(valueText, "a"))
	for name, tt := range map[string]struct {
		in  string
		err error
	}{
		"empty":                     {"", ErrPeerEmpty},
		"dash":                      {"-", ErrPeerMalformed},
		"word":                      {"unknown", ErrPeerMalformed},
		"too large":                 {strings.Repeat("x", maxPeerSize+1), ErrPeerTooLarge},
		"struct, cut":               {ok[:len(ok)-1], ErrPeerMalformed},
		"struct, trailing":          {ok + "\x0a", ErrPeerMalformed},
		"struct, unknown field":     {ok + "\x12\x00", ErrPeerMalformed},
		"struct, entry alone":       {"\x0a\x00", ErrPeerMalformed},
		"struct, nothing told":      {encodeStruct(map[string]any{"name": ""}), ErrPeerEmpty},
		"struct, entry with more":   {field(structField, name+field(entryValue, "")), ErrPeerMalformed},
		"struct, long tag":          {"\x8a\x00" + field(structField, name)[1:], ErrPeerMalformed},
		"struct, told twice":        {ok + encodeStruct(map[string]any{"cluster": "other"}), ErrPeerConflict},
		"struct, in both ways":      {ok + encodeStruct(map[string]any{"CLUSTER_ID": "other"}), ErrPeerConflict},
		"struct, no UTF-8":          {encodeStruct(map[string]any{"name": "a\xff"}), ErrPeerMalformed},
		"struct, labels conflict":   {encodeStruct(map[string]any{"labels": map[string]any{"a": "b"}, "LABELS": map[string]any{"a": "c"}}), ErrPeerConflict},
		"struct, too many labels":   {encodeStruct(map[string]any{"labels": labels}), ErrPeerTooLarge},
		"struct, only numbers":      {encodeStruct(map[string]any{"name": []byte("\x11\x00\x00\x00\x00\x00\x00\xf0\x3f")}), ErrPeerEmpty},
		"struct, value cut":         {encodeStruct(map[string]any{"name": []byte("\x11\x00")}), ErrPeerMalformed},
		"struct, length too long":   {"\x0a\xff\xff\xff\xff\xff\x01", ErrPeerMalformed},
		"text, comma in a value":    {"type=pod,cluster=a,b", ErrPeerMalformed},
		"text, sign in a value":     {"type=pod,cluster=a=b", ErrPeerMalformed},
		"text, told twice":          {"cluster=a,cluster=b", ErrPeerConflict},
		"text, too many labels":     {"type=pod" + many.String(), ErrPeerTooLarge},
		"text, nothing told":        {"cluster=", ErrPeerEmpty},
		"text, no key":              {"type=pod,=x", ErrPeerMalformed},
		"JSON, cut":                 {`{"name":"a"`, ErrPeerMalformed},
		"JSON, trailing":            {`{"name":"a"} x`, ErrPeerMalformed},
		"JSON, two objects":         {`{"name":"a"}{}`, ErrPeerMalformed},
		"JSON, another type":        {`{"@type":"type.googleapis.com/x.Struct","value":{"name":"a"}}`, ErrPeerMalformed},
		"JSON, type after value":    {`{"value":{"name":"a"},"@type":"type.googleapis.com/google.protobuf.Struct"}`, ErrPeerEmpty},
		"JSON, told twice":          {`{"name":"a","name":"b"}`, ErrPeerConflict},
		"JSON, labels no object":    {`{"labels":[]}`, ErrPeerMalformed},
		"JSON, no text":             {`{"name":1}`, ErrPeerEmpty},
		"header, bad base64":        {"CgoKBG5hbWUSAho*", ErrPeerMalformed},
		"header, no struct":         {"AAAA", ErrPeerMalformed},
		"header, line break":        {header[:8] + "\n" + header[8:], ErrPeerMalformed},
		"baggage of others":         {"userId=alice,serverNode=DF%2028", ErrPeerEmpty},
		"baggage, told twice":       {"k8s.cluster.name=a,k8s.cluster.name=b", ErrPeerConflict},
		"baggage, two workloads":    {"k8s.deployment.name=a,k8s.job.name=b", ErrPeerConflict},
		"baggage, one name, two":    {"k8s.deployment.name=a,k8s.job.name=a", ErrPeerConflict},
		"baggage, bad escape":       {"k8s.cluster.name=a%zz", ErrPeerMalformed},
		"baggage, no UTF-8":         {"k8s.cluster.name=a%ff", ErrPeerMalformed},
		"baggage, line break":       {"k8s.cluster.name=a%0ab", ErrPeerMalformed},
		"baggage, no sign":          {"k8s.cluster.name=a,b", ErrPeerMalformed},
		"baggage, too large":        {"k8s.cluster.name=" + strings.Repeat("x", maxBaggageSize), ErrPeerTooLarge},
		"baggage, too many":         {"k8s.cluster.name=a" + strings.Repeat(",x=y", maxBaggageMembers), ErrPeerTooLarge},
		"FlatBuffer, text too long": {flatNode()[:len(flatNode())-8] + "\x05\x00\x00\x00v1\x00\x00", ErrPeerMalformed},
		"FlatBuffer, table cut":     {flatNode()[:6] + "\x04\x00" + flatNode()[8:], ErrPeerMalformed},
		"FlatBuffer, odd offset":    {"\x07\x00\x00\x00\x04\x00\x04\x00\x04\x00\x00\x00", ErrPeerMalformed},
		"FlatBuffer, cut":           {flatNode()[:len(flatNode())-8], ErrPeerMalformed},
		"FlatBuffer, nothing told":  {"\x08\x00\x00\x00\x04\x00\x04\x00\x04\x00\x00\x00", ErrPeerEmpty},
	} {
		t.Run(name, func(t *testing.T) {
			got := Peer{Name: "before", Labels: []PeerLabel{{"before", "x"}}}
			err := got.Parse(tt.in)
			assert.Equal(t, tt.err, err)
			assert.ErrorIs(t, err, ErrPeer)
			assert.Empty(t, got.Labels)
			got.Labels = nil
			assert.Equal(t, Peer{}, got)
		})
	}
}

func TestPeerDetails(t *testing.T) {
	parse := func(in string) Peer {
		var p Peer
		require.NoError(t, p.Parse(in), in)
		return p
	}
	t.Run("pod as workload", func(t *testing.T) {
		p := parse("k8s.pod.name=p,k8s.namespace.name=ns")
		assert.Equal(t, Peer{Workload: "p", Type: "pod", Namespace: "ns"}, p)
	})
	t.Run("pod beside a workload", func(t *testing.T) {
		p := parse("k8s.pod.name=p,k8s.deployment.name=d")
		assert.Equal(t, Peer{Workload: "d", Type: "deployment", Name: "p"}, p)
	})
	t.Run("properties and spaces", func(t *testing.T) {
		p := parse(" k8s.deployment.name = d ;ttl=1 , userId=alice;x,k8s.cluster.name=a%2Cb%20c,")
		assert.Equal(t, Peer{Workload: "d", Type: "deployment", Cluster: "a,b c"}, p)
	})
	t.Run("application for the service", func(t *testing.T) {
		p := parse("app.name=foo-app,app.version=latest")
		assert.Equal(t, Peer{App: "foo-app", Service: "foo-app", Version: "latest", Revision: "latest"}, p)
	})
	t.Run("fields without a place", func(t *testing.T) {
		p := parse(encodeStruct(map[string]any{
			"NAME": "a", "MESH_ID": "m", "PLATFORM_METADATA": map[string]any{"x": "y"}, "OK": []byte{0x20, 1},
			"LABELS": map[string]any{"n": []byte{8, 0}, "l": "v"},
		}))
		assert.Equal(t, Peer{Name: "a", Unknown: 4, Labels: []PeerLabel{{"l", "v"}}}, p)
	})
	t.Run("a field wins over its label", func(t *testing.T) {
		p := parse(`{"service":"a","labels":{"service.istio.io/canonical-name":"b","app.kubernetes.io/name":"k","app":"l"}}`)
		assert.Equal(t, "a", p.Service)
		assert.Equal(t, "k", p.App)
	})
	for owner, want := range map[string]string{
		"kubernetes://apis/apps/v1/namespaces/a/deployments/b":  "deployment",
		"kubernetes://apis/apps/v1/namespaces/a/statefulsets/b": "statefulset",
		"kubernetes://apis/apps/v1/namespaces/a/daemonsets/b":   "daemonset",
		"kubernetes://apis/apps/v1/namespaces/a/replicasets/b":  "replicaset",
		"kubernetes://apis/batch/v1/namespaces/a/jobs/b":        "job",
		"kubernetes://apis/batch/v1/namespaces/a/cronjobs/b":    "cronjob",
		"kubernetes://apis/v1/namespaces/a/pods/b":              "pod",
		"kubernetes://apis/x/v1/namespaces/a/rollouts/b":        "",
		"kubernetes://apis/": "", "kubernetes://apis/b": "", "deployments/b": "", "": "",
	} {
		assert.Equal(t, want, ownerKind(owner), owner)
	}
}
