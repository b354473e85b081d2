package keystore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
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

// Open opens the directory, and makes a CA in it if there is none. What is
// there is never replaced: clients trust it.
func Open(dir string, now time.Time) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keystore: %w", err)
	}
	s := &Store{dir: dir}
	if err := s.open(now); err != nil {
		return nil, fmt.Errorf("keystore: %w", err)
	}
	return s, nil
}

func (s *Store) open(now time.Time) error {
	cert, certErr := readCertificate(s.path("ca.crt"))
	key, keyErr := readKey(s.path("ca.key"))
	noCert, noKey := errors.Is(certErr, os.ErrNotExist), errors.Is(keyErr, os.ErrNotExist)
	switch {
	case noCert && noKey:
		if _, err := os.Stat(s.path("server.crt")); err == nil {
			return fmt.Errorf("%s is there but ca.crt and ca.key are not: put them back, or move the whole directory away to have a new CA made, which every client must then load", s.path("server.crt"))
		}
		if key, keyErr = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); keyErr != nil {
			return keyErr
		}
		return s.makeCA(now, key)
	case noCert && keyErr == nil: // a crash came between the two, or the file was lost: who trusted this key still does
		return s.makeCA(now, key)
	case noKey && certErr == nil:
		return fmt.Errorf("%s is missing: put it back, or move the whole directory away to have a new CA made, which every client must then load", s.path("ca.key"))
	case certErr != nil:
		return certErr
	case keyErr != nil:
		return keyErr
	case !cert.IsCA:
		return fmt.Errorf("%s is no CA's certificate (CA:TRUE is missing)", s.path("ca.crt"))
	case !key.PublicKey.Equal(cert.PublicKey):
		return fmt.Errorf("%s is not the key of %s: put the right one back", s.path("ca.key"), s.path("ca.crt"))
	}
	s.ca, s.key = cert, key
	return nil
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

func readCertificate(name string) (*x509.Certificate, error) {
	block, err := readPEM(name, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(block)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return cert, nil
}

func readKey(name string) (*ecdsa.PrivateKey, error) {
	block, err := readPEM(name, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: it is no ECDSA key", name)
	}
	return key, nil
}

// readPEM gives what the first block of a file holds.
func readPEM(name, kind string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s holds no PEM block %q: the file is damaged or something else", name, kind)
	}
	return block.Bytes, nil
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

func (s *Store) makeCA(now time.Time, key *ecdsa.PrivateKey) error {
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

// replace puts content under a name so that a crash leaves the old or the new, whole.
func replace(name string, content []byte) error {
	beside := name + ".new"
	if err := os.Remove(beside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(beside, name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// CA is the root, PEM: what clients know as phy_ca.crt.
func (s *Store) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.ca.Raw})
}

// Secret is a key for one purpose, the same for as long as the CA is.
func (s *Store) Secret(purpose string) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		return nil, err
	}
	return hkdf.Key(sha256.New, der, nil, purpose, sha256.Size)
}

// Server makes sure that there is a server certificate with these names and
// addresses, besides those of this machine's loopback. Somebody else's
// certificate is not replaced.
func (s *Store) Server(now time.Time, names []string) error {
	dns, ips := split(append([]string{"localhost", "127.0.0.1", "::1"}, names...))
	cert, err := readCertificate(s.path("server.crt"))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return s.makeServer(now, dns, ips)
	case err != nil:
		return fmt.Errorf("keystore: %w; remove it to have a new one made", err)
	case cert.CheckSignatureFrom(s.ca) != nil:
		return fmt.Errorf("keystore: %s is not signed by %s: a certificate of your own belongs elsewhere, named by ssl.keystore.location; remove this one to have a new one made", s.path("server.crt"), s.path("ca.crt"))
	}
	key, err := readKey(s.path("server.key"))
	if err == nil && key.PublicKey.Equal(cert.PublicKey) && now.Add(renewBefore).Before(cert.NotAfter) && covers(cert, dns, ips) {
		return nil
	}
	// names that it had stay: somebody may use them
	dns, ips = split(append(append(slices.Clone(cert.DNSNames), texts(cert.IPAddresses)...), append(dns, texts(ips)...)...))
	return s.makeServer(now, dns, ips)
}

func (s *Store) makeServer(now time.Time, dns []string, ips []net.IP) error {
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
	name := filepath.Join(dir, "ca.crt")
	cert, err := readCertificate(name)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), nil
}
