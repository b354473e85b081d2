package keystore

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// How long certificates live, and when they are renewed.
const (
	caLife      = 20 * 365 * 24 * time.Hour
	serverLife  = 397 * 24 * time.Hour
	renewBefore = 30 * 24 * time.Hour
	clockSkew   = time.Hour
)

// Store is a directory with a CA and a server certificate.
type Store struct {
	dir string
	ca  *x509.Certificate
	key *ecdsa.PrivateKey
}

// Open opens the directory, and makes a CA in it if there is none.
func Open(dir string, now time.Time) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keystore: %w", err)
	}
	s := &Store{dir: dir}
	cert, key, err := readPair(s.path("ca"))
	if errors.Is(err, os.ErrNotExist) {
		return s, s.makeCA(now)
	}
	if err != nil {
		return nil, fmt.Errorf("keystore: %w", err)
	}
	s.ca, s.key = cert, key
	return s, nil
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

func readPair(base string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	pair, err := tls.LoadX509KeyPair(base+".crt", base+".key")
	if err != nil {
		return nil, nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("%s.key is no ECDSA key", base)
	}
	return pair.Leaf, key, nil
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		panic(err) // the system has no randomness
	}
	return n.Add(n, big.NewInt(1))
}

func keyID(key *ecdsa.PrivateKey) ([]byte, error) {
	public, err := key.PublicKey.ECDH()
	if err != nil {
		return nil, err
	}
	id := sha1.Sum(public.Bytes()) // RFC 5280 4.2.1.2: an identifier, no protection
	return id[:], nil
}

func (s *Store) makeCA(now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	id, err := keyID(key)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "Milena instance CA", Organization: []string{"Milena"}},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(caLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		SubjectKeyId:          id,
		AuthorityKeyId:        id,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	if s.ca, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	s.key = key
	return s.write("ca", der, key, nil)
}

// write puts a key, then its certificate, so that no certificate is without one.
func (s *Store) write(name string, der []byte, key *ecdsa.PrivateKey, chain []byte) error {
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for _, f := range []struct {
		suffix  string
		content []byte
	}{
		{".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})},
		{".crt", append(cert, chain...)},
	} {
		if err := replace(s.path(name+f.suffix), f.content); err != nil {
			return fmt.Errorf("keystore: %w", err)
		}
	}
	return nil
}

func replace(name string, content []byte) error {
	if err := os.WriteFile(name+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// CA is the root, PEM: what clients know as phy_ca.crt.
func (s *Store) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.ca.Raw})
}

// Server makes sure that there is a server certificate with these names and
// addresses, besides those of this machine's loopback.
func (s *Store) Server(now time.Time, names []string) error {
	dns, ips := split(append([]string{"localhost", "127.0.0.1", "::1"}, names...))
	cert, _, err := readPair(s.path("server"))
	if err == nil && cert.CheckSignatureFrom(s.ca) == nil && now.Add(renewBefore).Before(cert.NotAfter) && covers(cert, dns, ips) {
		return nil
	}
	if err == nil { // names that it had stay: somebody may use them
		dns, ips = split(append(append(slices.Clone(cert.DNSNames), texts(cert.IPAddresses)...), append(dns, texts(ips)...)...))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	id, err := keyID(key)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber:   serial(),
		Subject:        pkix.Name{CommonName: dns[0], Organization: []string{"Milena"}},
		NotBefore:      now.Add(-clockSkew),
		NotAfter:       now.Add(serverLife),
		KeyUsage:       x509.KeyUsageDigitalSignature,
		ExtKeyUsage:    []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:       dns,
		IPAddresses:    ips,
		SubjectKeyId:   id,
		AuthorityKeyId: s.ca.SubjectKeyId,

		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, s.ca, &key.PublicKey, s.key)
	if err != nil {
		return fmt.Errorf("keystore: server certificate for %v %v: %w", dns, ips, err)
	}
	return s.write("server", der, key, s.CA())
}

// split tells names from addresses, each once.
func split(names []string) (dns []string, ips []net.IP) {
	for _, name := range names {
		ip := net.ParseIP(name)
		switch {
		case name == "":
		case ip != nil:
			if !slices.ContainsFunc(ips, ip.Equal) && !ip.IsUnspecified() {
				ips = append(ips, ip)
			}
		case !slices.Contains(dns, name):
			dns = append(dns, name)
		}
	}
	return dns, ips
}

func texts(ips []net.IP) []string {
	var out []string
	for _, ip := range ips {
		out = append(out, ip.String())
	}
	return out
}

func covers(cert *x509.Certificate, dns []string, ips []net.IP) bool {
	for _, name := range dns {
		if !slices.Contains(cert.DNSNames, name) {
			return false
		}
	}
	for _, ip := range ips {
		if !slices.ContainsFunc(cert.IPAddresses, ip.Equal) {
			return false
		}
	}
	return true
}

// ServerFiles are the certificate and the key that a Source loads.
func (s *Store) ServerFiles() (cert, key string) { return s.path("server.crt"), s.path("server.key") }

// ReadCA reads the root from a directory, without opening the store.
func ReadCA(dir string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(b); block == nil || !bytes.Contains([]byte(block.Type), []byte("CERTIFICATE")) {
		return nil, fmt.Errorf("%s: no certificate", filepath.Join(dir, "ca.crt"))
	}
	return b, nil
}
