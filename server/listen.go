package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"milena/config"
	"milena/keystore"
	"milena/wire"
)

const tlsDir = "tls"

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

// certify makes sure that there is a certificate for every name and address
// that clients use, and gives each TLS listener its source of certificates.
func (s *Server) certify() error {
	var needed bool
	names := s.certificateNames()
	for i := range s.sockets {
		l := &s.sockets[i]
		if l.Protocol != "SSL" && l.Protocol != "SASL_SSL" {
			continue
		}
		needed = needed || l.Listener.TLS.KeystoreLocation == ""
	}
	if !needed && !s.instance.Secure {
		return s.sources(nil)
	}
	store, err := keystore.Open(filepath.Join(s.place.dir, tlsDir), s.now())
	if err != nil {
		return err
	}
	if err := store.Server(s.now(), names); err != nil {
		return err
	}
	return s.sources(store)
}

func (s *Server) sources(store *keystore.Store) error {
	for i := range s.sockets {
		l := &s.sockets[i]
		if l.Protocol != "SSL" && l.Protocol != "SASL_SSL" {
			continue
		}
		var cert, key string
		if store != nil {
			cert, key = store.ServerFiles()
		}
		source, err := keystore.NewSource(l.Listener.TLS, cert, key, s.o.Log)
		if err != nil {
			return fmt.Errorf("listener %s: %w", l.Name, err)
		}
		l.TLS = source.Config(l.Listener.TLS.MinVersion)
	}
	return nil
}

// certificateNames are the names and addresses that clients may use: those
// advertised, those bound, this machine's.
func (s *Server) certificateNames() []string {
	var names []string
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	for _, l := range s.sockets {
		if l.Advertised != nil {
			names = append(names, l.Advertised.Host)
		}
		host, _, err := net.SplitHostPort(l.Socket.Addr().String())
		if err == nil && !net.ParseIP(host).IsUnspecified() {
			names = append(names, host)
			continue
		}
		addresses, err := net.InterfaceAddrs()
		if err != nil {
			continue
		}
		for _, a := range addresses {
			if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLinkLocalUnicast() {
				names = append(names, ip.IP.String())
			}
		}
	}
	return names
}

// open serves on the listeners that were bound.
func (s *Server) open() error {
	s.wire = wire.NewServer(wire.Options{
		API:         s.api,
		Users:       s.cluster.User,
		FrameMax:    int(s.o.Config.Int("socket.request.max.bytes")),
		IdleMax:     s.o.Config.Millis("connections.max.idle.ms"),
		Connections: int(s.o.Config.Int("max.connections")),
		PerIP:       int(s.o.Config.Int("max.connections.per.ip")),
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
