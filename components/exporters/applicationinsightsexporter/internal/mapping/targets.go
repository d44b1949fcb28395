// SPDX-License-Identifier: Apache-2.0

package mapping

import "strings"

// writeTarget appends the logical name of the called end: what the mesh says of it in the form of the role that it gives
// itself, else the name in the call. Never an address, unless settings allow it: the Application Map would have a node
// for each pod. Nothing is written if nothing is known. It returns what it used.
func (w *walk) writeTarget(s shape) (used usage) {
	a := &w.attributes
	if destination := a.destination(); destination.known() && w.writeEnd(&destination) {
		return 0
	}
	if host := upstreamHost(a.text(fieldUpstreamCluster)); host != "" && w.writeHost(host, 0, nil) {
		return 0
	}
	switch s {
	case shapeDatabase:
		used = w.writeDatabase()
	case shapeMessaging:
		used = w.writeQueue()
	default:
		used = w.writeCallee(s)
	}
	if w.enc.Empty() && w.m.settings.AddressTargets {
		w.enc.Write(a.first(fieldServerAddress, fieldNetPeerName, fieldPeerAddress))
	}
	return used
}

// writeCallee appends what is called by HTTP, RPC or something else: the function, as all functions of a region have one
// server, else the server, the service, and the provider of a model.
func (w *walk) writeCallee(s shape) usage {
	a := &w.attributes
	if w.writeText(a.text(fieldFunction)) {
		return 0
	}
	if w.writeServer() {
		return usedServer
	}
	if w.writeText(a.text(fieldPeerService)) || (s == shapeRPC && w.writeText(a.text(fieldRPCService))) {
		return 0
	}
	w.writeText(a.text(fieldGenAI))
	return 0
}

// writeSource appends the calling end of a request: what the mesh says of it in the form of a role, for messages where they
// lay, else the address of the client. It returns what it used.
func (w *walk) writeSource(s shape) usage {
	a := &w.attributes
	if source := a.source(); source.known() && !w.isCaller(&source) && w.writeEnd(&source) {
		return 0
	}
	if s == shapeMessaging {
		return w.writeQueue()
	}
	if w.writeText(a.text(fieldClientAddress)) {
		return usedClient
	}
	w.enc.Write(a.first(fieldPeerAddress, fieldNetPeerName))
	return 0
}

// isCaller says that the calling end is the one that reports, and the called end another one: so it is on the spans of
// gateways, whose ends are those of the call that they pass on. Whoever called the gateway is not told by that.
func (w *walk) isCaller(source *end) bool {
	if w.text = w.m.role.appendEnd(w.text[:0], source); string(w.text) != w.role {
		return false
	}
	destination := w.attributes.destination()
	w.text = w.m.role.appendEnd(w.text[:0], &destination)
	return string(w.text) != w.role
}

func (w *walk) writeText(s string) bool {
	w.enc.Write(s)
	return s != ""
}

// writeEnd appends an end of a call in the form of a role.
func (w *walk) writeEnd(e *end) bool {
	w.text = w.m.role.appendEnd(w.text[:0], e)
	w.enc.WriteBytes(w.text)
	return len(w.text) > 0
}

// writeDatabase appends server and database, as "host | name".
func (w *walk) writeDatabase() usage {
	a := &w.attributes
	used, server := w.writeBroker()
	if name := a.text(fieldDBNamespace); name != "" {
		if server {
			w.enc.Write(" | ")
		}
		w.enc.Write(name)
		used |= usedDatabase
	} else if !server && !w.m.settings.AddressTargets {
		w.enc.Write(a.text(fieldDBSystem))
	}
	return used
}

// writeQueue appends broker and queue or topic, as "host/name". The template of a name stands for it, as the name may have
// an id in it.
func (w *walk) writeQueue() usage {
	a := &w.attributes
	used, server := w.writeBroker()
	if name := a.first(fieldMessagingTemplate, fieldMessagingDestination); name != "" {
		if server {
			w.enc.Write("/")
		}
		w.enc.Write(name)
		if name == a.text(fieldMessagingDestination) {
			used |= usedQueue
		}
	} else if !server && !w.m.settings.AddressTargets {
		w.enc.Write(a.text(fieldMessagingSystem))
	}
	return used
}

// writeBroker appends the server, else the service that the application calls it.
func (w *walk) writeBroker() (used usage, written bool) {
	if w.writeServer() {
		return usedServer, true
	}
	return 0, w.writeText(w.attributes.text(fieldPeerService))
}

// writeServer appends the server's name, and its port unless it is the usual one.
func (w *walk) writeServer() bool {
	a := &w.attributes
	host, port := a.server()
	return host != "" && w.writeHost(host, port, a)
}

// server returns the name of the called end and its port, or 0: the first that is known of server.address, net.peer.name,
// the Host header, and the URL, which is no address.
func (a *attributes) server() (host string, port int64) {
	for _, pair := range [...][2]field{{fieldServerAddress, fieldServerPort}, {fieldNetPeerName, fieldNetPeerPort}} {
		name := a.text(pair[0])
		if name == "" || isAddress(name) {
			continue
		}
		host, port = splitPort(name)
		if n, ok := a.whole(pair[1]); ok {
			port = n
		}
		return host, port
	}
	_, ofURL := authority(a.text(fieldURL))
	for _, name := range [...]string{a.text(fieldHTTPHost), ofURL} {
		if host, port = splitPort(name); host != "" && !isAddress(host) {
			return host, port
		}
	}
	return "", 0
}

// writeHost appends a host's name with its port, unless a says that it is the usual one. The name of a service of Kubernetes
// is written in the form of a role, without a port. Addresses are not written.
func (w *walk) writeHost(host string, port int64, a *attributes) bool {
	host = strings.TrimSuffix(host, ".")
	if host == "" || isAddress(host) {
		return false
	}
	if service, namespace, ok := kubernetesService(host); ok {
		if w.writeEnd(&end{partService: service, partNamespace: namespace}) {
			return true
		}
	}
	w.enc.Write(host)
	if port > 0 && a != nil && !usualPort(port, a) {
		w.enc.Write(":")
		w.enc.WriteInt(port)
	}
	return true
}

// upstreamHost returns the host in Istio's name of an upstream cluster: outbound|9080|v1|host. Inbound ones and those that
// are no service, such as PassthroughCluster, have none.
func upstreamHost(cluster string) string {
	rest, ok := strings.CutPrefix(cluster, "outbound|")
	if !ok {
		return ""
	}
	return rest[strings.LastIndexByte(rest, '|')+1:]
}

// kubernetesService takes the name of a service apart: service.namespace.svc, with or without the domain of the cluster
// or of the cluster set. The name of a pod in front is left out.
func kubernetesService(host string) (service, namespace string, ok bool) {
	for _, domain := range [...]string{".cluster.local", ".clusterset.local"} {
		if name, found := strings.CutSuffix(host, domain); found {
			host = name
			break
		}
	}
	host, ok = strings.CutSuffix(host, ".svc")
	if !ok {
		return "", "", false
	}
	dot := strings.LastIndexByte(host, '.')
	if dot <= 0 || dot == len(host)-1 {
		return "", "", false
	}
	service, namespace = host[:dot], host[dot+1:]
	return service[strings.LastIndexByte(service, '.')+1:], namespace, true
}

// usualPort says that everybody expects that port.
func usualPort(port int64, a *attributes) bool {
	if usual, ok := usualPorts[a.first(fieldDBSystem, fieldMessagingSystem)]; ok {
		return port == usual
	}
	switch a.text(fieldScheme) {
	case "http":
		return port == 80
	case "https":
		return port == 443
	default:
		return port == 80 || port == 443
	}
}

var usualPorts = map[string]int64{
	"microsoft.sql_server": 1433, "mssql": 1433, "mysql": 3306, "mariadb": 3306, "postgresql": 5432, "redis": 6379,
	"mongodb": 27017, "cassandra": 9042, "oracle.db": 1521, "oracle": 1521, "elasticsearch": 9200, "opensearch": 9200,
	"memcached": 11211, "ibm.db2": 50000, "db2": 50000, "couchbase": 8091, "couchdb": 5984, "neo4j": 7687,
	"clickhouse": 8123, "cockroachdb": 26257, "azure.cosmosdb": 443, "cosmosdb": 443,
	"kafka": 9092, "rabbitmq": 5672, "activemq": 61616, "pulsar": 6650, "nats": 4222, "servicebus": 5671, "eventhubs": 5671,
}

// splitPort takes an authority apart. The port is 0 if there is none; the brackets of an address are left out.
func splitPort(authority string) (host string, port int64) {
	if inside, ok := strings.CutPrefix(authority, "["); ok {
		host, rest, _ := strings.Cut(inside, "]")
		return host, portNumber(strings.TrimPrefix(rest, ":"))
	}
	colon := strings.LastIndexByte(authority, ':')
	if colon < 0 || strings.IndexByte(authority, ':') != colon {
		return authority, 0 // no port, or an address of version 6
	}
	return authority[:colon], portNumber(authority[colon+1:])
}

func portNumber(s string) (n int64) {
	if len(s) > 5 {
		return 0
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n
}

// authority takes scheme and authority, without user and password, from a URL; both are empty if it is none.
func authority(url string) (scheme, host string) {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return "", ""
	}
	var w word
	rest = rest[w.userInfo(rest, 0):]
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return scheme, rest
}
