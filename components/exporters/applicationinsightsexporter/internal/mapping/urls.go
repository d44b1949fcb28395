// SPDX-License-Identifier: Apache-2.0

package mapping

import "strings"

// writeURL appends the URL of an HTTP call without credentials: as it is if the span has it, else put together from its
// parts; from the path on if scheme or host are not known. It returns what it used.
func (w *walk) writeURL() (used usage) {
	a := &w.attributes
	if url := a.text(fieldURL); url != "" {
		redact(url, w.enc.Write)
		return usedURL | usedServer
	}
	if w.writeOrigin() {
		used = usedServer
	}
	path, query := a.text(fieldPath), a.text(fieldQuery)
	if path == "" && query == "" {
		redact(a.text(fieldHTTPTarget), w.enc.Write)
		return used | usedURL
	}
	w.enc.Write(path)
	if query != "" {
		w.enc.Write("?")
		redactQuery(query, true, w.enc.Write)
	}
	return used | usedURL
}

// writeOrigin appends scheme, host and port of the server, if they are known.
func (w *walk) writeOrigin() bool {
	a := &w.attributes
	scheme := a.text(fieldScheme)
	host := a.first(fieldServerAddress, fieldHTTPHost, fieldNetHostName, fieldNetPeerName)
	if scheme == "" || host == "" {
		return false
	}
	name, port := splitPort(host)
	for _, f := range [...]field{fieldServerPort, fieldNetHostPort, fieldNetPeerPort} {
		if n, ok := a.whole(f); ok && port == 0 {
			port = n
		}
	}
	w.enc.Write(scheme)
	w.enc.Write("://")
	if v6 := strings.IndexByte(name, ':') >= 0; v6 {
		w.enc.Write("[")
		w.enc.Write(name)
		w.enc.Write("]")
	} else {
		w.enc.Write(name)
	}
	if usual := (scheme == "http" && port == 80) || (scheme == "https" && port == 443); port > 0 && !usual {
		w.enc.Write(":")
		w.enc.WriteInt(port)
	}
	return true
}

// writeData appends the command of a dependency: the statement, the method, the queue, or the URL. It returns what it used.
func (w *walk) writeData(s shape) usage {
	a := &w.attributes
	switch s {
	case shapeDatabase:
		if text := a.text(fieldDBText); text != "" {
			writeSafe(&w.enc, text)
			return usedText
		}
		if w.writeText(a.text(fieldDBSummary)) {
			return 0
		}
	case shapeRPC:
		service, method := a.text(fieldRPCService), a.text(fieldRPCMethod)
		if method != "" {
			w.enc.Write("/")
			if service != "" && strings.IndexByte(method, '/') < 0 {
				w.enc.Write(service)
				w.enc.Write("/")
			}
			w.enc.Write(strings.TrimPrefix(method, "/"))
			return usedMethod
		}
	case shapeMessaging:
		w.enc.Write(a.text(fieldMessagingDestination))
		return usedQueue
	}
	return w.writeURL()
}
