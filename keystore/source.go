package keystore

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"

	"milena/config"
)

// lookEvery is how often, at most, a handshake looks whether the files changed.
const lookEvery = time.Second

// Source gives a certificate to handshakes, and loads it anew when its files
// change. A bad new one is told once, and the old one stays.
type Source struct {
	files []string
	load  func() (*tls.Certificate, error)
	log   *slog.Logger

	mu     sync.Mutex
	cert   *tls.Certificate
	stamp  string
	looked time.Time
}

// NewSource loads a certificate: from the files of a listener's configuration
// if it names any, else from the store's.
func NewSource(t config.TLS, certFile, keyFile string, log *slog.Logger) (*Source, error) {
	s := &Source{log: log}
	switch {
	case t.KeystoreLocation == "":
		s.files = []string{certFile, keyFile}
		s.load = func() (*tls.Certificate, error) { return pair(certFile, keyFile) }
	case t.KeystoreType == "PEM":
		s.files = []string{t.KeystoreLocation}
		s.load = func() (*tls.Certificate, error) { return pair(t.KeystoreLocation, t.KeystoreLocation) }
	case t.KeystoreType == "PKCS12":
		s.files = []string{t.KeystoreLocation}
		s.load = func() (*tls.Certificate, error) { return fromP12(t) }
	default:
		s.files = []string{t.KeystoreLocation}
		s.load = func() (*tls.Certificate, error) { return fromJKS(t) }
	}
	cert, err := s.load()
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", s.files[0], err)
	}
	s.cert, s.stamp = cert, s.now()
	return s, nil
}

func pair(cert, key string) (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(cert, key)
	return &c, err
}

func fromP12(t config.TLS) (*tls.Certificate, error) {
	b, err := os.ReadFile(t.KeystoreLocation)
	if err != nil {
		return nil, err
	}
	key, leaf, chain, err := pkcs12.DecodeChain(b, t.KeystorePassword)
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{PrivateKey: key, Leaf: leaf, Certificate: [][]byte{leaf.Raw}}
	for _, above := range chain {
		c.Certificate = append(c.Certificate, above.Raw)
	}
	return c, nil
}

func fromJKS(t config.TLS) (*tls.Certificate, error) {
	f, err := os.Open(t.KeystoreLocation)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	store := keystore.New()
	if err := store.Load(f, []byte(t.KeystorePassword)); err != nil {
		return nil, err
	}
	password := t.KeyPassword
	if password == "" {
		password = t.KeystorePassword
	}
	for _, alias := range store.Aliases() {
		if !store.IsPrivateKeyEntry(alias) {
			continue
		}
		entry, err := store.GetPrivateKeyEntry(alias, []byte(password))
		if err != nil {
			return nil, err
		}
		return fromEntry(entry)
	}
	return nil, errors.New("it holds no private key")
}

// Config is a TLS configuration that asks this source.
func (s *Source) Config(minVersion uint16) *tls.Config {
	return &tls.Config{
		MinVersion:     max(minVersion, tls.VersionTLS12),
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.Certificate(), nil },
	}
}

// Certificate is the one to show now.
func (s *Source) Certificate() *tls.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Sub(s.looked) < lookEvery {
		return s.cert
	}
	s.looked = now
	if stamp := s.now(); stamp != s.stamp {
		s.stamp = stamp
		if cert, err := s.load(); err != nil {
			s.log.Error("the new certificate can't be used; the old one stays", "file", s.files[0], "err", err)
		} else {
			s.cert = cert
			s.log.Info("certificate loaded anew", "file", s.files[0])
		}
	}
	return s.cert
}

// now is what the files look like: their times and sizes.
func (s *Source) now() string {
	var stamp string
	for _, f := range s.files {
		if info, err := os.Stat(f); err == nil {
			stamp += fmt.Sprint(info.ModTime().UnixNano(), "/", info.Size(), " ")
		}
	}
	return stamp
}
