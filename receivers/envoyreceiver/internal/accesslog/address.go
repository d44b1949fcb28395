// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"net"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// addressText renders an address as Envoy's text logs do: "ip:port" with brackets around an IPv6 address, a socket's
// path, or "envoy://listener/endpoint" for a listener within Envoy. It is empty for no address.
func addressText(address *corev3.Address) string {
	switch a := address.GetAddress().(type) {
	case *corev3.Address_SocketAddress:
		return socketText(a.SocketAddress)
	case *corev3.Address_Pipe:
		return a.Pipe.GetPath()
	case *corev3.Address_EnvoyInternalAddress:
		return internalText(a.EnvoyInternalAddress)
	default:
		return ""
	}
}

func socketText(socket *corev3.SocketAddress) string {
	host := socket.GetAddress()
	if port := socket.GetNamedPort(); port != "" {
		return net.JoinHostPort(host, port)
	}
	if _, told := socket.GetPortSpecifier().(*corev3.SocketAddress_PortValue); !told || host == "" {
		return host
	}
	// Port 0 is told too: it marks an address that a header gave, which is no connection's.
	return net.JoinHostPort(host, strconv.FormatUint(uint64(socket.GetPortValue()), 10))
}

func internalText(address *corev3.EnvoyInternalAddress) string {
	text := "envoy://" + address.GetServerListenerName()
	if id := address.GetEndpointId(); id != "" {
		text += "/" + id
	}
	return text
}
