package server

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"milena/config"
	"milena/keystore"
)

const (
	tlsDir     = "tls"
	renewEvery = 12 * time.Hour // is looked whether the certificate must be renewed
)

func hasTLS(l config.Listener) bool { return strings.HasSuffix(l.Protocol, "SSL") }

// certify makes sure that there is a certificate for every name and address
// that clients use, and gives each TLS listener its source of certificates.
func (s *Server) certify() error {
	needed := s.instance.Secure
	for _, l := range s.sockets {
		needed = needed || hasTLS(l.Listener) && l.Listener.TLS.KeystoreLocation == ""
	}
	if needed {
		store, err := keystore.Open(filepath.Join(s.place.dir, tlsDir), s.now())
		if err != nil {
			return err
		}
		s.certificates = store
		if err := s.renew(); err != nil {
			return err
		}
	}
	s.sources = make(map[string]*keystore.Source)
	for i := range s.sockets {
		l := &s.sockets[i]
		if !hasTLS(l.Listener) {
			continue
		}
		var cert, key string
		if s.certificates != nil {
			cert, key = s.certificates.ServerFiles()
		}
		source, err := keystore.NewSource(l.Listener.TLS, cert, key, s.o.Log)
		if err != nil {
			return fmt.Errorf("listener %s: %w", l.Name, err)
		}
		s.sources[l.Name] = source
		l.TLS = source.Config(l.Listener.TLS.MinVersion, l.Listener.TLS.MaxVersion)
	}
	return nil
}

// renew makes the instance's own certificate anew when it ends soon or lacks a
// name. Handshakes see the new one; connections that are open go on.
func (s *Server) renew() error {
	if s.certificates == nil {
		return nil
	}
	s.renewing.Lock()
	defer s.renewing.Unlock()
	return s.certificates.Server(s.now(), s.certificateNames())
}

// keepRenewed renews for as long as the instance runs.
func (s *Server) keepRenewed(ctx context.Context) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.renewOrSay()
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) renewOrSay() {
	if err := s.renew(); err != nil {
		s.o.Log.Error("the certificate can't be renewed; the old one stays", "err", err)
	}
}

// Reload renews the certificate if it must be, and loads every listener's from
// its files. The old one stays where the new one can't be used.
func (s *Server) Reload() {
	s.renewOrSay()
	for _, source := range s.sources {
		source.Reload()
	}
}

// madeUpKey is what the salts of users who are not there are made from. It
// lives as long as those of users who are, else a restart would tell them apart.
func (s *Server) madeUpKey() ([]byte, error) {
	if s.certificates == nil {
		return nil, nil // no place for a secret: one of this process
	}
	return s.certificates.Secret("milena: salts of users who are not there")
}

// certificateNames are the names and addresses that clients may use: those
// advertised, those to be bound and those that are, this machine's.
func (s *Server) certificateNames() []string {
	var names []string
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	for _, l := range s.configured {
		if l.Advertised != nil {
			names = append(names, l.Advertised.Host)
		}
		if ip := net.ParseIP(l.Host); l.Host == "" || ip != nil && ip.IsUnspecified() {
			names = append(names, machineAddresses()...)
		} else {
			names = append(names, l.Host)
		}
	}
	for _, l := range s.sockets { // a name may have become an address
		if host, _, err := net.SplitHostPort(l.Socket.Addr().String()); err == nil && !net.ParseIP(host).IsUnspecified() {
			names = append(names, host)
		}
	}
	return names
}

func machineAddresses() []string {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var names []string
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLinkLocalUnicast() {
			names = append(names, ip.IP.String())
		}
	}
	return names
}
