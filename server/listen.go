package server

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"milena/config"
	"milena/wire"
	"milena/wire/sasl"
)

// bindError says what to do about a port that can't be had.
func bindError(name, address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return &Error{exitConflict, fmt.Errorf("listener %s: %s is taken by another program: stop it, or choose another port with -c listeners=%s://HOST:PORT (0: any free one)", name, address, name)}
	}
	return fmt.Errorf("listener %s: %w", name, err)
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
		s.listeners = append(s.listeners, bound{Name: l.Name, Protocol: l.Protocol, Address: socket.Addr().String(), Mechanisms: mechanismsOf(l)})
	}
	host, port, err := net.SplitHostPort(s.o.Config.String("admin.listener"))
	if err != nil {
		return &Error{exitUsage, fmt.Errorf("admin.listener: %w", err)}
	}
	address := net.JoinHostPort(host, port)
	if s.adminSocket, err = net.Listen("tcp", address); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return &Error{exitConflict, fmt.Errorf("admin.listener: %s is taken by another program: stop it, or choose another with -c admin.listener=HOST:PORT (port 0: any free one)", address)}
		}
		return fmt.Errorf("admin.listener: %w", err)
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
