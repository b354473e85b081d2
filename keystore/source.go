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
// change or when it is told to. A bad new one is told once, and the old one stays.
type Source struct {
	files []string
	load  func() (*tls.Certificate, error)
	log   *slog.Logger

	loading sync.Mutex
	stamp   string // of the files that were tried last; guarded by loading

	mu     sync.Mutex
	cert   *tls.Certificate
	looked time.Time
}

// NewSource loads a certificate: from the files of a listener's configuration
// if it names any, else from the store's.
func NewSource(t config.TLS, certFile, keyFile string, log *slog.Logger) (*Source, error) {
	s := &Source{log: log, looked: time.Now()}
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
	s.stamp = s.now() // before loading: a change meanwhile is seen
	cert, err := s.load()
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", s.files[0], err)
	}
	if err := ended(cert, time.Now()); err != nil {
		log.Error("clients will refuse the certificate", "file", s.files[0], "err", err)
	}
	s.cert = cert
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

// Config is a TLS configuration that asks this source. A newest version of 0
// is the newest there is.
func (s *Source) Config(oldest, newest uint16) *tls.Config {
	return &tls.Config{
		MinVersion:     max(oldest, tls.VersionTLS12),
		MaxVersion:     newest,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.Certificate(), nil },
	}
}

// Certificate is the one to show now. One handshake a second looks at the
// files; the others have what there is.
func (s *Source) Certificate() *tls.Certificate {
	if s.due(time.Now()) {
		s.refresh(false)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cert
}

// Reload loads the certificate now, changed or not. Connections that are open
// go on with theirs.
func (s *Source) Reload() { s.refresh(true) }

func (s *Source) due(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.looked) < lookEvery {
		return false
	}
	s.looked = now
	return true
}

func (s *Source) refresh(always bool) {
	s.loading.Lock()
	defer s.loading.Unlock()
	stamp := s.now()
	if stamp == s.stamp && !always {
		return
	}
	s.stamp = stamp
	cert, err := s.load()
	if err == nil {
		err = ended(cert, time.Now())
	}
	if err != nil {
		s.log.Error("the new certificate can't be used; the old one stays", "file", s.files[0], "err", err)
		return
	}
	s.mu.Lock()
	s.cert = cert
	s.mu.Unlock()
	s.log.Info("certificate loaded anew", "file", s.files[0], "ends", cert.Leaf.NotAfter.Format(time.DateOnly))
}

func ended(cert *tls.Certificate, now time.Time) error {
	if now.After(cert.Leaf.NotAfter) {
		return fmt.Errorf("it ended on %s", cert.Leaf.NotAfter.Format(time.DateOnly))
	}
	return nil
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
