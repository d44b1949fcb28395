// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package requestlimitsextension

import "net"

// whenReady is of no use on this system: gRPC reads all connections there into buffers that it keeps.
func (g *guardedConn) whenReady() net.Conn { return g }
