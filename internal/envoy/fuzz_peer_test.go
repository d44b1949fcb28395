// SPDX-License-Identifier: Apache-2.0

package envoy

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// checkPeer checks what holds whatever the form: a value or an error, never both, and errors of this package. It returns
// whether there is a value.
func checkPeer(t *testing.T, in string, p *Peer, err error) bool {
	if err != nil {
		if !errors.Is(err, ErrPeer) || ErrorReason(err) == "" {
			t.Errorf("%q: error %v", in, err)
		}
		if len(p.Labels) != 0 || p.Unknown != 0 || !p.tellsNothing() {
			t.Errorf("%q: value %+v beside an error", in, *p)
		}
		return false
	}
	if p.tellsNothing() || len(p.Labels) > maxPeerLabels {
		t.Errorf("%q: %+v", in, *p)
	}
	for i := 1; i < len(p.Labels); i++ {
		if p.Labels[i-1].Key >= p.Labels[i].Key {
			t.Errorf("%q: labels out of order: %v", in, p.Labels)
		}
	}
	return true
}

// fields returns a peer as the fields of a Struct.
func (p *Peer) fields() map[string]any {
	labels := make(map[string]any)
	for _, l := range p.Labels {
		labels[l.Key] = l.Value
	}
	return map[string]any{
		"name": p.Name, "namespace": p.Namespace, "cluster": p.Cluster, "workload": p.Workload, "type": p.Type,
		"service": p.Service, "revision": p.Revision, "app": p.App, "version": p.Version, "identity": p.Identity,
		"region": p.Region, "availability_zone": p.Zone, "owner": p.Owner, "labels": labels,
	}
}

// requireSame checks that a peer is the same after it was written and read again, but for the count of what was not taken.
func requireSame(t *testing.T, in string, p, again Peer, err error) {
	p.Unknown, again.Unknown = 0, 0
	same := slices.Equal(p.Labels, again.Labels)
	p.Labels, again.Labels = nil, nil
	if err != nil || !same || !reflect.DeepEqual(p, again) {
		t.Errorf("%q: %+v became %+v (%v)", in, p, again, err)
	}
}

func FuzzParsePeerStruct(f *testing.F) {
	f.Add(encodeStruct(nodeMetadata))
	f.Add(encodeStruct(objectPeer))
	f.Fuzz(func(t *testing.T, s string) {
		var p, again Peer
		if checkPeer(t, s, &p, p.ParseStruct(s)) && len(s) < maxPeerSize/2 {
			err := again.ParseStruct(encodeStruct(p.fields()))
			requireSame(t, s, p, again, err)
		}
	})
}

func FuzzParsePeerText(f *testing.F) {
	f.Add(objectText)
	f.Add("cluster=a,labels[]a=b,,x=y")
	f.Fuzz(func(t *testing.T, s string) {
		var p, again Peer
		if !checkPeer(t, s, &p, p.ParseText(s)) || len(s) >= maxPeerSize/2 {
			return
		}
		var b strings.Builder
		for name, value := range p.fields() {
			if text, ok := value.(string); ok {
				b.WriteString(name + "=" + text + ",")
			}
		}
		for _, l := range p.Labels {
			b.WriteString(textLabel + l.Key + "=" + l.Value + ",")
		}
		err := again.ParseText(b.String())
		requireSame(t, s, p, again, err)
	})
}

func FuzzParsePeerHeader(f *testing.F) {
	f.Add(base64.StdEncoding.EncodeToString([]byte(encodeStruct(nodeMetadata))))
	f.Add("CgoKBG5hbWUSAhoA")
	f.Fuzz(func(t *testing.T, s string) {
		var p, again Peer
		if checkPeer(t, s, &p, p.ParseHeader(s)) {
			decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
			if err != nil {
				t.Fatalf("%q: %v", s, err)
			}
			err = again.ParseStruct(string(decoded))
			requireSame(t, s, p, again, err)
		}
	})
}

func FuzzParsePeerJSON(f *testing.F) {
	f.Add(`{"NAME":"a","LABELS":{"app":"reviews"},"x":[1]}`)
	f.Add(`{"@type":"type.googleapis.com/google.protobuf.Struct","value":{"cluster":"a\u0041"}}`)
	f.Fuzz(func(t *testing.T, s string) {
		var p, again Peer
		if !checkPeer(t, s, &p, p.ParseJSON(s)) || len(s) >= maxPeerSize/8 {
			return
		}
		if !json.Valid([]byte(s)) {
			t.Errorf("%q is not JSON", s)
		}
		text, err := json.Marshal(p.fields())
		if err != nil {
			t.Fatal(err)
		}
		err = again.ParseJSON(string(text))
		requireSame(t, s, p, again, err)
	})
}

func FuzzParsePeerFlatBuffer(f *testing.F) {
	f.Add(flatNode())
	f.Add("\x08\x00\x00\x00\x04\x00\x04\x00\x04\x00\x00\x00")
	f.Fuzz(func(t *testing.T, s string) {
		var p Peer
		if !checkPeer(t, s, &p, p.ParseFlatBuffer(s)) {
			return
		}
		for _, value := range p.fields() {
			if text, ok := value.(string); ok && text != p.Type && !strings.Contains(s, text) {
				t.Errorf("%q is not in %q", text, s)
			}
		}
	})
}

func FuzzParseBaggage(f *testing.F) {
	f.Add("k8s.deployment.name=reviews-v1,service.name=reviews,k8s.cluster.name=aks%2Dwesteurope;ttl=1, userId=alice")
	f.Add("k8s.pod.name=p,k8s.cronjob.name=c,app.version=v1,app.name=a")
	f.Fuzz(func(t *testing.T, s string) {
		var p, again Peer
		if !checkPeer(t, s, &p, p.ParseBaggage(s)) || len(s) >= maxBaggageSize/4 {
			return
		}
		if p.Unknown != 0 || len(p.Labels) != 0 || p.Identity != "" || p.Owner != "" {
			t.Errorf("%q: %+v", s, p)
		}
		members := []string{
			"k8s.namespace.name=" + p.Namespace, "k8s.cluster.name=" + p.Cluster, "k8s.instance.name=" + p.Name,
			"service.name=" + p.Service, "service.version=" + p.Revision, "app.name=" + p.App, "app.version=" + p.Version,
			"cloud.region=" + p.Region, "cloud.availability_zone=" + p.Zone,
		}
		if p.Type != "" {
			members = append(members, "k8s."+p.Type+".name="+p.Workload)
		}
		for i, member := range members {
			key, value, _ := strings.Cut(member, "=")
			members[i] = key + "=" + url.PathEscape(value)
		}
		err := again.ParseBaggage(strings.Join(members, ","))
		requireSame(t, s, p, again, err)
	})
}

// FuzzParsePeer checks that a text is of one form: what is binary is not text, and one kind of binary is not the other.
func FuzzParsePeer(f *testing.F) {
	for _, seed := range []string{
		encodeStruct(nodeMetadata), flatNode(), objectText, `{"name":"a"}`, "CgoKBG5hbWUSAhoA", "k8s.pod.name=p", "-",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var p Peer
		if !checkPeer(t, s, &p, p.Parse(s)) {
			return
		}
		forms := 0
		for _, parse := range []func(*Peer, string) error{
			(*Peer).ParseStruct, (*Peer).ParseFlatBuffer, (*Peer).ParseJSON, (*Peer).ParseHeader, either,
		} {
			var q Peer
			if parse(&q, s) == nil {
				forms++
			}
		}
		if forms != 1 {
			t.Errorf("%q is of %d forms", s, forms)
		}
	})
}

// either reads one of the two forms that are lists of keys and values.
func either(p *Peer, s string) error {
	if err := p.ParseText(s); err == nil {
		return nil
	}
	return p.ParseBaggage(s)
}
