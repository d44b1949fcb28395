// SPDX-License-Identifier: Apache-2.0

package api

import "encoding/json"

// Replica says that what is served is a part: routers give this replica of the hub some of the mesh, and others the rest.
type Replica struct {
	// Name tells it from the others: its pod's.
	Name string
}

// What a replica has of each document, as its answers say it.
const (
	hasEdges     = "the edges to the called services that routers give to this replica; the other replicas have the others"
	hasFailovers = "the shifts of the called services that routers give to this replica; the other replicas have the others"
	hasCost      = "the calls to the services that routers give to this replica; add up those of all replicas"
	hasPosture   = "the edges to the called services that routers give to this replica; the other replicas have the others. An identity " +
		"whose clusters call services of different replicas is not among the identities of several clusters of any; a cluster " +
		"where it does not belong is a finding at whichever replica sees it there"
	hasPlanes = "all control planes of the mesh where receiving is true; else ask the other replicas, of which routers give them to one"
)

// mark adds to a document, a JSON object, of which replica it is and what part it has. A nil replica, the only one, adds nothing.
func (r *Replica) mark(document []byte, has string) ([]byte, error) {
	if r == nil || len(document) < 2 || document[0] != '{' {
		return document, nil
	}
	head, err := json.Marshal(map[string]any{"replica": map[string]any{"name": r.Name, "of_several": true, "has": has}})
	if err != nil {
		return nil, err
	}
	if document[1] == '}' {
		return head, nil
	}
	out := make([]byte, 0, len(head)+len(document))
	out = append(append(out, head[:len(head)-1]...), ',')
	return append(out, document[1:]...), nil
}

// part is a value that is served as a part.
type part struct {
	of      any
	has     string
	replica *Replica
}

// MarshalJSON implements [json.Marshaler].
func (p part) MarshalJSON() ([]byte, error) {
	document, err := json.Marshal(p.of)
	if err != nil {
		return nil, err
	}
	return p.replica.mark(document, p.has)
}
