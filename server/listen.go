package server

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"

	"milena/config"
	"milena/wire"
	"milena/wire/sasl"
)

// bindError says what to do about an address that can't be had: another one
// is chosen by the option.
func bindError(what, address, option string, err error) error {
	var unknown *net.DNSError
	choose := func(code int, why string) error {
		return &Error{code, fmt.Errorf("%s: %s %s, or choose another address with -c %s (port 0: any free one)", what, address, why, option)}
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return choose(exitConflict, "is taken by another program: stop it")
	case errors.Is(err, syscall.EACCES):
		return choose(exitUsage, "is not yours to open, as ports below 1024 are not: let somebody allow it (cap_net_bind_service)")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return choose(exitUsage, "is no address of this machine: name one that is, or none for every address")
	case errors.As(err, &unknown):
		return choose(exitUsage, "is a name that is unknown here: name an address of this machine")
	}
	return fmt.Errorf("%s: %w", what, err)
}

// bindAll takes the listeners' addresses and the admin's, and accepts nothing yet.
func (s *Server) bindAll(listeners []config.Listener) error {
	for _, l := range listeners {
		socket, err := listen(l.Name, l.Host, l.Port)
		if err != nil {
			return err
		}
		s.later(func() error { return ignoreClosed(socket.Close()) })
		s.sockets = append(s.sockets, wire.Listener{Listener: l, Socket: socket})
		s.listeners = append(s.listeners, bound{
			Name: l.Name, Protocol: l.Protocol, Address: socket.Addr().String(), Advertised: advertisedOf(l),
			Mechanisms: mechanismsOf(l), Exposed: l.Exposed(),
		})
	}
	host, port, err := net.SplitHostPort(s.o.Config.String("admin.listener"))
	if err != nil {
		return &Error{exitUsage, fmt.Errorf("admin.listener: %w; it is HOST:PORT", err)}
	}
	address := net.JoinHostPort(host, port)
	if s.adminSocket, err = net.Listen("tcp", address); err != nil {
		return bindError("admin.listener", address, "admin.listener=HOST:PORT", err)
	}
	s.later(func() error { return ignoreClosed(s.adminSocket.Close()) })
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func advertisedOf(l config.Listener) string {
	if l.Advertised == nil {
		return ""
	}
	return net.JoinHostPort(l.Advertised.Host, strconv.Itoa(l.Advertised.Port))
}

func mechanismsOf(l config.Listener) []string {
	if strings.HasPrefix(l.Protocol, "SASL") {
		return l.Mechanisms
	}
	return nil
}

// open serves on the listeners that were bound.
func (s *Server) open() error {
	key, err := s.madeUpKey()
	if err != nil {
		return err
	}
	s.wire = wire.NewServer(wire.Options{
		API:         s.api,
		Users:       s.cluster.User,
		MadeUp:      sasl.MadeUp{Key: key, Iterations: int(s.o.Config.Int("scram.iterations"))},
		FrameMax:    int(s.o.Config.Int("socket.request.max.bytes")),
		IdleMax:     s.o.Config.Millis("connections.max.idle.ms"),
		Connections: int(s.o.Config.Int("max.connections")),
		PerIP:       int(s.o.Config.Int("max.connections.per.ip")),
		Now:         s.now,
		Log:         s.o.Log,
	})
	s.later(s.drain)
	for _, l := range s.sockets {
		s.wire.Serve(l)
	}
	s.admin = openAdmin(s.adminSocket, s.readiness, &metrics{s})
	s.later(s.admin.close)
	return nil
}

// allAddresses is what stands in the addresses file.
func (s *Server) allAddresses() []bound {
	return append(append([]bound(nil), s.listeners...), bound{Name: "admin", Protocol: "HTTP", Address: s.adminSocket.Addr().String()})
}
