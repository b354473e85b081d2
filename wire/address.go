package wire

import (
	"crypto/tls"
	"net"

	"milena/api"
	"milena/config"
)

// advertised is where a client reaches this broker: the fixed address, else
// the one that it used.
func (c *conn) advertised() api.Address {
	name := ""
	if t, ok := c.net.(*tls.Conn); ok {
		name = t.ConnectionState().ServerName
	}
	return address(c.listener.Advertised, c.listener.Socket.Addr(), name, c.socket.LocalAddr())
}

// address picks: a fixed one wins; else the name that the client's TLS asked
// for, else localhost on this machine's loopback, else the address that the
// connection came in at.
func address(fixed *config.Advertised, bound net.Addr, name string, local net.Addr) api.Address {
	at := api.Address{Host: name}
	if tcp, ok := bound.(*net.TCPAddr); ok {
		at.Port = int32(tcp.Port)
	}
	if fixed != nil {
		at.Host = fixed.Host
		if fixed.Port != 0 {
			at.Port = int32(fixed.Port)
		}
		return at
	}
	if name != "" && net.ParseIP(name) == nil {
		return at
	}
	tcp, ok := local.(*net.TCPAddr)
	if !ok || tcp.IP.IsLoopback() && tcp.IP.To4() != nil {
		at.Host = "localhost" // ::1 stays: localhost is first of all 127.0.0.1
		return at
	}
	at.Host = tcp.IP.String()
	return at
}
