package keystore

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"

	"milena/config"
)

// put writes a certificate and its key, so that their times differ from before.
func put(t *testing.T, dir, name string, ends time.Time) {
	t.Helper()
	cert, key := selfSigned(t, name, time.Now().Add(-time.Hour), ends)
	write(t, filepath.Join(dir, "crt"), cert)
	write(t, filepath.Join(dir, "key"), key)
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, time.Time{}, time.Now()); err != nil { // a bubble's time is made up; so are its files'
		t.Fatal(err)
	}
}

// shown is the name of the certificate that a handshake sees.
func shown(t *testing.T, s *Source) string {
	t.Helper()
	time.Sleep(lookEvery)
	cert, err := s.Config(0, 0).GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return cert.Leaf.DNSNames[0]
}

func TestANewCertificateIsShownWithoutARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var log bytes.Buffer
		year := time.Now().AddDate(1, 0, 0)
		put(t, dir, "old", year)
		s, err := NewSource(config.TLS{}, filepath.Join(dir, "crt"), filepath.Join(dir, "key"), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if name := shown(t, s); name != "old" || log.Len() > 0 {
			t.Fatalf("%s is shown; %s", name, &log)
		}
		put(t, dir, "new", year)
		if name := shown(t, s); name != "new" || strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "loaded anew") {
			t.Errorf("%s is shown; %s", name, &log)
		}

		for what, spoil := range map[string]func(){
			"damaged":     func() { write(t, filepath.Join(dir, "crt"), []byte("hello")) },
			"of no key":   func() { cert, _ := selfSigned(t, "x", time.Now(), year); write(t, filepath.Join(dir, "crt"), cert) },
			"over":        func() { put(t, dir, "x", time.Now().Add(-time.Minute)) },
			"not there":   func() { os.Remove(filepath.Join(dir, "crt")) },
			"without key": func() { put(t, dir, "x", year); os.Remove(filepath.Join(dir, "key")) },
		} {
			log.Reset()
			spoil()
			for range 3 {
				if name := shown(t, s); name != "new" {
					t.Errorf("%s: %s is shown, want the old one", what, name)
				}
			}
			if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "the old one stays") || !strings.Contains(log.String(), filepath.Join(dir, "crt")) {
				t.Errorf("%s: it says %q", what, &log)
			}
			put(t, dir, "new", year)
			shown(t, s)
		}
	})
}

func TestReloadDoesNotWaitForAHandshake(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	year := time.Now().AddDate(1, 0, 0)
	put(t, dir, "old", year)
	s, err := NewSource(config.TLS{}, filepath.Join(dir, "crt"), filepath.Join(dir, "key"), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	s.Reload() // nothing changed, and who asks is told all the same
	put(t, dir, "new", year)
	s.Reload()
	if name := s.Certificate().Leaf.DNSNames[0]; name != "new" || strings.Count(log.String(), "loaded anew") != 2 {
		t.Errorf("%s is shown; %s", name, &log)
	}
}

// A certificate of the user's own comes in any of three kinds of files.
func TestAKeystoreOfEveryKindIsRead(t *testing.T) {
	dir := t.TempDir()
	cert, key := selfSigned(t, "own", time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0))
	certBlock, _ := pem.Decode(cert)
	keyBlock, _ := pem.Decode(key)
	leaf, _ := x509.ParseCertificate(certBlock.Bytes)
	private, _ := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)

	write(t, filepath.Join(dir, "own.pem"), append(key, cert...))
	p12, err := pkcs12.Modern.Encode(private, leaf, nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "own.p12"), p12)
	store := keystore.New()
	entry := keystore.PrivateKeyEntry{CreationTime: time.Now(), PrivateKey: keyBlock.Bytes, CertificateChain: []keystore.Certificate{{Type: "X509", Content: certBlock.Bytes}}}
	if err := store.SetPrivateKeyEntry("own", entry, []byte("other secret")); err != nil {
		t.Fatal(err)
	}
	var jks bytes.Buffer
	if err := store.Store(&jks, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "own.jks"), jks.Bytes())

	for _, tt := range []config.TLS{
		{KeystoreType: "PEM", KeystoreLocation: "own.pem"},
		{KeystoreType: "PKCS12", KeystoreLocation: "own.p12", KeystorePassword: "secret"},
		{KeystoreType: "JKS", KeystoreLocation: "own.jks", KeystorePassword: "secret", KeyPassword: "other secret"},
	} {
		tt.KeystoreLocation = filepath.Join(dir, tt.KeystoreLocation)
		s, err := NewSource(tt, "", "", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Errorf("%s: %v", tt.KeystoreType, err)
			continue
		}
		if name := s.Certificate().Leaf.DNSNames[0]; name != "own" {
			t.Errorf("%s: %s is shown", tt.KeystoreType, name)
		}
		bad := tt
		bad.KeystorePassword, bad.KeyPassword = "wrong", "wrong"
		if _, err := NewSource(bad, "", "", slog.New(slog.DiscardHandler)); tt.KeystoreType != "PEM" && (err == nil || !strings.Contains(err.Error(), tt.KeystoreLocation)) {
			t.Errorf("%s with a wrong password: %v", tt.KeystoreType, err)
		}
		bad = tt
		bad.KeystoreLocation += ".gone"
		if _, err := NewSource(bad, "", "", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), bad.KeystoreLocation) {
			t.Errorf("%s that is not there: %v", tt.KeystoreType, err)
		}
	}
}
