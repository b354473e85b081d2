package keystore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	midnight = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	names    = []string{"kafka.example.org", "192.0.2.7", "2001:db8::7", "kafka.example.org", "", "0.0.0.0", "::"}
)

// made opens a store in a directory and makes its server certificate.
func made(t *testing.T, dir string, now time.Time) *Store {
	t.Helper()
	s, err := Open(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Server(now, names); err != nil {
		t.Fatal(err)
	}
	return s
}

func certificate(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	cert, err := readCertificate(file)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// What RFC 5280 asks of a CA, and strict verifiers look for.
func TestTheRootIsACA(t *testing.T) {
	s := made(t, t.TempDir(), midnight)
	ca := certificate(t, s.path("ca.crt"))
	switch {
	case !ca.BasicConstraintsValid || !ca.IsCA:
		t.Error("it is not CA:TRUE")
	case ca.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign|x509.KeyUsageDigitalSignature:
		t.Errorf("key usage %b", ca.KeyUsage)
	case len(ca.SubjectKeyId) != 20 || !slices.Equal(ca.SubjectKeyId, ca.AuthorityKeyId):
		t.Errorf("subject key id %x, authority key id %x", ca.SubjectKeyId, ca.AuthorityKeyId)
	case ca.CheckSignatureFrom(ca) != nil:
		t.Error("it is not signed by itself")
	case ca.Version != 3 || ca.SerialNumber.Sign() <= 0 || len(ca.SerialNumber.Bytes()) > 20:
		t.Errorf("version %d, serial %s", ca.Version, ca.SerialNumber)
	case !ca.NotBefore.Equal(midnight.Add(-clockSkew)) || !ca.NotAfter.Equal(midnight.Add(caLife)):
		t.Errorf("valid from %s to %s", ca.NotBefore, ca.NotAfter)
	}
	for oid, critical := range map[string]bool{"2.5.29.19": true, "2.5.29.15": true, "2.5.29.14": false, "2.5.29.35": false} {
		checkExtension(t, ca, oid, critical)
	}
}

// checkExtension looks for basic constraints, key usage (critical both), or a
// key's id (never critical).
func checkExtension(t *testing.T, cert *x509.Certificate, oid string, critical bool) {
	t.Helper()
	for _, e := range cert.Extensions {
		if e.Id.String() == oid {
			if e.Critical != critical {
				t.Errorf("extension %s: critical %t, want %t", oid, e.Critical, critical)
			}
			return
		}
	}
	t.Errorf("extension %s is missing", oid)
}

func TestTheServerCertificateHasEveryName(t *testing.T) {
	s := made(t, t.TempDir(), midnight)
	cert, ca := certificate(t, s.path("server.crt")), certificate(t, s.path("ca.crt"))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.CA())
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "kafka.example.org", "192.0.2.7", "2001:db8::7"} {
		if _, err := cert.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: midnight}); err != nil {
			t.Errorf("as %s: %v", name, err)
		}
	}
	if _, err := cert.Verify(x509.VerifyOptions{DNSName: "other.example.org", Roots: roots, CurrentTime: midnight}); err == nil {
		t.Error("it passes for a name that it has not")
	}
	if len(cert.DNSNames) != 2 || len(cert.IPAddresses) != 4 {
		t.Errorf("names %v %v: one stands there twice, or is none", cert.DNSNames, cert.IPAddresses)
	}
	switch {
	case cert.IsCA || !cert.BasicConstraintsValid:
		t.Error("it may sign others")
	case cert.KeyUsage != x509.KeyUsageDigitalSignature || !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}):
		t.Errorf("key usage %b %v", cert.KeyUsage, cert.ExtKeyUsage)
	case !slices.Equal(cert.AuthorityKeyId, ca.SubjectKeyId) || len(cert.SubjectKeyId) != 20:
		t.Errorf("key ids %x %x, of the CA %x", cert.SubjectKeyId, cert.AuthorityKeyId, ca.SubjectKeyId)
	case cert.NotAfter.Sub(cert.NotBefore) > 398*24*time.Hour:
		t.Error("it lives longer than some clients allow")
	}
	for oid, critical := range map[string]bool{"2.5.29.19": true, "2.5.29.15": true, "2.5.29.14": false, "2.5.29.35": false, "2.5.29.17": false} {
		checkExtension(t, cert, oid, critical)
	}
}

func TestKeysAreForTheirOwnerAlone(t *testing.T) {
	s := made(t, t.TempDir(), midnight)
	for _, name := range []string{"ca.crt", "ca.key", "server.crt", "server.key"} {
		info, err := os.Stat(s.path(name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if left, _ := filepath.Glob(s.path("*.new")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAStoreIsTheSameWhenOpenedAgain(t *testing.T) {
	dir := t.TempDir()
	first := made(t, dir, midnight)
	ca, server := first.CA(), certificate(t, first.path("server.crt"))
	second := made(t, dir, midnight.AddDate(0, 1, 0))
	if string(second.CA()) != string(ca) {
		t.Error("there is another CA")
	}
	if !certificate(t, second.path("server.crt")).Equal(server) {
		t.Error("the certificate was made anew with nothing to change")
	}
	a, errA := first.Secret("x")
	b, errB := second.Secret("x")
	c, _ := second.Secret("y")
	if errA != nil || errB != nil || string(a) != string(b) || string(a) == string(c) || len(a) != 32 {
		t.Errorf("secrets %x %x %x: %v %v", a, b, c, errA, errB)
	}
}

func TestACertificateIsRenewed(t *testing.T) {
	for name, tt := range map[string]struct {
		after time.Duration
		more  []string
		renew bool
	}{
		"in time":                {after: serverLife - renewBefore, renew: true},
		"not before":             {after: serverLife - renewBefore - time.Hour},
		"when it is over":        {after: 2 * serverLife, renew: true},
		"when a name is missing": {more: []string{"new.example.org"}, renew: true},
		"when an address is":     {more: []string{"2001:db8::8"}, renew: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := made(t, t.TempDir(), midnight)
			old := certificate(t, s.path("server.crt"))
			now := midnight.Add(tt.after)
			if err := s.Server(now, tt.more); err != nil {
				t.Fatal(err)
			}
			cert := certificate(t, s.path("server.crt"))
			if renewed := !cert.Equal(old); renewed != tt.renew {
				t.Fatalf("renewed: %t, want %t", renewed, tt.renew)
			}
			for _, want := range append([]string{"kafka.example.org", "2001:db8::7"}, tt.more...) {
				if err := cert.VerifyHostname(want); err != nil {
					t.Errorf("a name is gone: %v", err)
				}
			}
			if tt.renew && !cert.NotAfter.Equal(now.Add(serverLife)) {
				t.Errorf("it ends on %s", cert.NotAfter)
			}
			if _, err := pair(s.path("server.crt"), s.path("server.key")); err != nil {
				t.Error(err)
			}
		})
	}
}

// Each file of a store is spoilt in turn. Nothing that somebody trusts is
// replaced without a word.
func TestASpoiltStoreSaysWhatIsWrong(t *testing.T) {
	other := made(t, t.TempDir(), midnight)
	copied := func(name string) func(string) error {
		return func(file string) error {
			b, err := os.ReadFile(other.path(name))
			if err != nil {
				return err
			}
			return os.WriteFile(file, b, 0o600)
		}
	}
	text := func(s string) func(string) error {
		return func(file string) error { return os.WriteFile(file, []byte(s), 0o600) }
	}
	for _, tt := range []struct {
		name, file string
		spoil      func(string) error
		want       string // in the error; empty: it mends itself
	}{
		{"the root is empty", "ca.crt", text(""), "ca.crt holds no PEM block"},
		{"the root is something else", "ca.crt", text("hello"), "ca.crt holds no PEM block"},
		{"the root is a key", "ca.crt", copied("ca.key"), "ca.crt holds no PEM block"},
		{"the root is cut off", "ca.crt", text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"), "ca.crt: "},
		{"another root", "ca.crt", copied("ca.crt"), "ca.key is not the key of"},
		{"the root is no CA", "ca.crt", copied("server.crt"), "CA:TRUE"},
		{"the root's key is missing", "ca.key", os.Remove, "ca.key is missing: put it back"},
		{"the root's key is empty", "ca.key", text(""), "ca.key holds no PEM block"},
		{"the root's key is another's", "ca.key", copied("ca.key"), "ca.key is not the key of"},
		{"the root is missing", "ca.crt", os.Remove, ""},
		{"the certificate is empty", "server.crt", text(""), "server.crt holds no PEM block"},
		{"somebody else's certificate", "server.crt", copied("server.crt"), "ssl.keystore.location"},
		{"the certificate is missing", "server.crt", os.Remove, ""},
		{"the certificate's key is missing", "server.key", os.Remove, ""},
		{"the certificate's key is empty", "server.key", text(""), ""},
		{"the certificate's key is another's", "server.key", copied("server.key"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			old := made(t, dir, midnight)
			before := everything(t, dir)
			if err := tt.spoil(filepath.Join(dir, tt.file)); err != nil {
				t.Fatal(err)
			}
			spoilt := everything(t, dir)
			s, err := Open(dir, midnight)
			if err == nil {
				err = s.Server(midnight, nil)
			}
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("%v, want %q", err, tt.want)
				}
				if after := everything(t, dir); after != spoilt {
					t.Error("it was changed all the same")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := pair(s.path("server.crt"), s.path("server.key")); err != nil {
				t.Errorf("it is not mended: %v", err)
			}
			roots := x509.NewCertPool() // as clients have it from before
			roots.AppendCertsFromPEM(old.CA())
			if _, err := certificate(t, s.path("server.crt")).Verify(x509.VerifyOptions{Roots: roots, CurrentTime: midnight}); err != nil {
				t.Errorf("clients do not trust it any more: %v", err)
			}
			if tt.file == "server.key" && everything(t, dir) == before {
				t.Error("nothing was spoilt")
			}
		})
	}
}

// everything is the content of a directory.
func everything(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(f + "\n")
		all.Write(b)
	}
	return all.String()
}

// Without its CA a certificate that clients trust would be replaced by one that
// they do not.
func TestALostCAIsNotMadeAnew(t *testing.T) {
	dir := t.TempDir()
	s := made(t, dir, midnight)
	for _, name := range []string{"ca.crt", "ca.key"} {
		if err := os.Remove(s.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(dir, midnight); err == nil || !strings.Contains(err.Error(), "put them back") {
		t.Errorf("%v", err)
	}
}

func TestAStoreThatCannotBeWrittenSaysSo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(file, "tls"), midnight); err == nil || !strings.Contains(err.Error(), "keystore: ") {
		t.Errorf("%v", err)
	}
}

func TestReadCAGivesTheRootAlone(t *testing.T) {
	dir := t.TempDir()
	s := made(t, dir, midnight)
	b, err := ReadCA(dir)
	if err != nil || string(b) != string(s.CA()) {
		t.Errorf("%v:\n%s", err, b)
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 || !strings.HasPrefix(string(b), "-----BEGIN CERTIFICATE-----\n") {
		t.Errorf("phy_ca.crt is not one PEM certificate:\n%s", b)
	}
	if _, err := ReadCA(t.TempDir()); !os.IsNotExist(err) {
		t.Errorf("of an empty directory: %v", err)
	}
}

// selfSigned is a certificate of somebody else's, and its key, PEM.
func selfSigned(t *testing.T, name string, now, ends time.Time) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial(), NotBefore: now, NotAfter: ends, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}
