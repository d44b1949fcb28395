// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
)

// maxFaultBytes limits the body of POST /faults.
const maxFaultBytes = 1 << 20

// defaultLimit is the number of items GET /items returns when not told.
const defaultLimit = 100

// newAPI serves what was recorded, and takes faults. It is for programs of the
// same machine: any page that a browser there shows could reach the port too,
// so requests from other hosts, under other names and from other origins are
// refused.
func newAPI(e *Endpoint) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /items", e.getItems)
	mux.HandleFunc("DELETE /items", func(w http.ResponseWriter, _ *http.Request) {
		e.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /summary", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, e.Summary()) })
	mux.HandleFunc("GET /otlp", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, e.OTLPSummary()) })
	mux.HandleFunc("GET /duplicates", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, e.Duplicates()) })
	mux.HandleFunc("GET /requests", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, e.Requests()) })
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, e.Faults()) })
	mux.HandleFunc("POST /faults", e.postFaults)
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, _ *http.Request) {
		e.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	})
	return loopbackOnly(http.NewCrossOriginProtection().Handler(mux))
}

func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !peer.Addr().Unmap().IsLoopback() || !loopbackName(r.Host) {
			http.Error(w, "the API is for loopback clients", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// loopbackName says whether the Host header names this machine; another name
// that resolves to it is a page that rebinds its own name.
func loopbackName(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func (e *Endpoint) getItems(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	f := Filter{Limit: defaultLimit}
	for key := range query {
		value := query.Get(key)
		switch key {
		case "type":
			f.Type = value
		case "role":
			f.Role = value
		case "region":
			f.Region = value
		case "operation_Id":
			f.OperationID = value
		case "operation_ParentId":
			f.ParentID = value
		case "id":
			f.ID = value
		case "name":
			f.Name = value
		case "resultCode":
			f.ResultCode = value
		case "iKey":
			f.InstrumentationKey = value
		case "limit":
			limit, err := strconv.Atoi(value)
			if err != nil || limit < 1 {
				http.Error(w, fmt.Sprintf("limit %q: write a positive number", value), http.StatusBadRequest)
				return
			}
			f.Limit = limit
		default:
			http.Error(w, fmt.Sprintf("parameter %q: write type, role, region, operation_Id, operation_ParentId, id, name, resultCode, iKey or limit", key), http.StatusBadRequest)
			return
		}
	}
	writeJSON(w, e.Items(f))
}

func (e *Endpoint) postFaults(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFaultBytes))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	faults, err := parseFaults(body)
	if err == nil {
		err = e.Fault(faults...)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeJSON(w, e.Faults())
}

// parseFaults reads one fault or an array of them.
func parseFaults(body []byte) ([]Fault, error) {
	if body = bytes.TrimSpace(body); len(body) > 0 && body[0] != '[' {
		body = append(append([]byte{'['}, body...), ']')
	}
	var faults []Fault
	if err := json.Unmarshal(body, &faults); err != nil {
		return nil, fmt.Errorf("reading faults: %w", err)
	}
	return faults, nil
}

func writeJSON(w http.ResponseWriter, value any) {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(append(text, '\n'))
}
