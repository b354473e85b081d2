package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/keystore"
)

// secured is an instance's own authority and certificate, made at a time.
type secured struct {
	ca          string // the authority's file
	certificate tls.Certificate
}

func secure(t *testing.T, made time.Time, names ...string) secured {
	t.Helper()
	dir := t.TempDir()
	store, err := keystore.Open(dir, made)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Server(made, names); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(store.ServerFiles())
	if err != nil {
		t.Fatal(err)
	}
	return secured{filepath.Join(dir, "ca.crt"), pair}
}

// handshakes listens with a certificate and speaks nothing but TLS.
func (s secured) handshakes(t *testing.T) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{s.certificate}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).HandshakeContext(t.Context()) // who dials may refuse it: that is the test
			conn.Close()
		}
	}()
	return l.Addr().String()
}

// selfSigned is a certificate for one name, its own authority.
func selfSigned(t *testing.T, name string) secured {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca := file(t, "ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return secured{ca, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}
}

// closes is a port that hangs up after the first bytes, as a plaintext listener
// does that is greeted in TLS.
func closes(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.CopyN(io.Discard, conn, 1) // the dialler of the first step sends nothing
			conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, conn) // so that it is an end and no reset
			conn.Close()
		}
	}()
	return l.Addr().String()
}

func TestTheDoctorTellsCertificatesApart(t *testing.T) {
	now := time.Now()
	good, other := secure(t, now, "127.0.0.1"), secure(t, now, "127.0.0.1")
	old := secure(t, now.AddDate(-3, 0, 0), "127.0.0.1")
	named := selfSigned(t, "kafka.example.com")
	tests := []struct {
		what, address, ca string
		code              int
		says              string
	}{
		{"another authority", good.handshakes(t), other.ca, exitDenied, "signed by another authority than the one in --ca"},
		{"an old certificate", old.handshakes(t), old.ca, exitDenied, "and this machine's clock says " + now.UTC().Format(time.DateOnly)},
		{"another name", named.handshakes(t), named.ca, exitDenied, "the certificate is for kafka.example.com, not for 127.0.0.1"},
		{"a port without TLS", closes(t), good.ca, exitUnreachable, "the port speaks plaintext"},
	}
	for _, test := range tests {
		r := shell{t: t, broker: test.address}.milena("doctor", "--ca", test.ca)
		if r.code != test.code {
			t.Errorf("%s: exit code %d, want %d", test.what, r.code, test.code)
		}
		contains(t, r.out, "ok      tcp", "broken  tls")
		contains(t, r.err, test.says)
	}
}

func TestTheDoctorDialsWhatIsAdvertised(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().(*net.TCPAddr).Port
	l.Close()
	cluster := broker(t)
	cluster.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		resp.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 0, Host: "127.0.0.1", Port: int32(dead)}}
		return resp, nil, true
	})
	r := shell{t: t, broker: cluster.ListenAddrs()[0]}.milena("doctor")
	if r.code != exitUnreachable {
		t.Errorf("exit code %d, want %d", r.code, exitUnreachable)
	}
	contains(t, r.out, "ok      sign in", "broken  advertised  broker 0 tells clients to use 127.0.0.1:")
	contains(t, r.err, "set advertised.listeners to an address that this machine can dial")
}
