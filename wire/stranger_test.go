package wire

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"milena/api"
	"milena/config"
)

// certified is a TLS configuration for a host, and what clients must trust.
func certified(t *testing.T, host string) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{host}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 9)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}}}, pool
}

// What is no Kafka client is closed, with one line that says what it was.
func TestAStrangerIsNamed(t *testing.T) {
	hello := []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}
	for _, tt := range []struct {
		name     string
		protocol string
		sent     []byte
		want     string
	}{
		{"TLS", "PLAINTEXT", hello, "this looks like TLS on a listener without TLS"},
		{"TLS", "SASL_PLAINTEXT", hello, "this looks like TLS on a listener without TLS"},
		{"Kafka", "SSL", plain(1, 0), "this looks like Kafka without TLS on a TLS listener"},
		{"Kafka", "SASL_SSL", handshake(0, 1, "PLAIN"), "this looks like Kafka without TLS on a TLS listener"},
		{"GET", "PLAINTEXT", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "this looks like HTTP"},
		{"GET", "SASL_PLAINTEXT", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "this looks like HTTP"},
		{"GET", "SSL", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "this looks like HTTP"},
		{"POST", "PLAINTEXT", []byte("POST /topics HTTP/1.1\r\n\r\n"), "this looks like HTTP"},
		{"HTTP/2", "PLAINTEXT", []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "this looks like HTTP"},
		{"SSH", "PLAINTEXT", []byte("SSH-2.0-OpenSSH_9.9\r\n"), "this looks like SSH"},
		{"SSH", "SASL_SSL", []byte("SSH-2.0-OpenSSH_9.9\r\n"), "this looks like SSH"},
		{"something else", "PLAINTEXT", []byte("hello kafka!"), "a request of 1751477356 bytes"},
		{"ZooKeeper", "SASL_PLAINTEXT", []byte("ruok"), "a request of 1920298859 bytes"},
	} {
		t.Run(tt.name+" on "+tt.protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := withUsers()
				o.listener.Protocol = tt.protocol
				if strings.HasSuffix(tt.protocol, "SSL") {
					o.tls, _ = certified(t, "localhost")
				}
				r := run(t, echo, o)
				p := r.dial()
				p.sendLater(tt.sent)
				io.Copy(io.Discard, p) //nolint:errcheck // until it is closed
				synctest.Wait()
				r.oneLine("connection closed", tt.want, "from=192.0.2.1", "listener="+tt.protocol)
				r.stop()
				r.given()
			})
		})
	}
}

func TestWhoOnlyLooksIsNotNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, withTLS := range []bool{false, true} {
			o := options{}
			if withTLS {
				o.tls, _ = certified(t, "localhost")
			}
			r := run(t, echo, o)
			r.dial().Close()
			synctest.Wait()
			r.stop()
			r.noLines()
		}
	})
}

func TestTLSIsSpokenFrom12On(t *testing.T) {
	for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, roots := certified(t, "broker.example.org")
				var seen api.Session
				r := run(t, func(s *api.Session, q api.Request) (api.Finish, error) { seen = *s; return echo(s, q) },
					options{listener: config.Listener{Protocol: "SSL"}, tls: server})
				client := tls.Client(r.dial(), &tls.Config{ServerName: "broker.example.org", RootCAs: roots, MinVersion: version, MaxVersion: version})
				err := client.Handshake()
				if !want {
					if err == nil {
						t.Error("it is spoken")
					}
					client.Close()
					synctest.Wait()
					r.oneLine("TLS handshake failed", "unsupported versions")
					r.stop()
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				p := &peer{client, t}
				p.send(plain(1, 0))
				p.answered(1)
				if seen.Advertised != (api.Address{Host: "broker.example.org", Port: 9092}) {
					t.Errorf("the client reaches us as %v", seen.Advertised)
				}
				go io.Copy(io.Discard, client) //nolint:errcheck // the server's farewell
				client.Close()
				r.stop()
				r.noLines()
			})
		})
	}
}

// A client that was not given the root is the commonest mistake of all.
func TestAClientWithoutTheRootIsToldOf(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := withUsers()
				o.listener.Protocol = "SASL_SSL"
				o.tls, _ = certified(t, "localhost")
				r := run(t, echo, o)
				client := tls.Client(r.dial(), &tls.Config{ServerName: "localhost", RootCAs: x509.NewCertPool(), MaxVersion: version})
				if err := client.Handshake(); err == nil {
					t.Fatal("it trusts us")
				}
				io.Copy(io.Discard, client.NetConn()) //nolint:errcheck // until it is closed
				synctest.Wait()
				r.oneLine("connection closed", "does not take this instance's certificate", "phy_ca.crt")
				r.stop()
			})
		})
	}
}

func TestASilentTLSClientIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options{}
		o.tls, _ = certified(t, "localhost")
		r := run(t, echo, o)
		p := r.dial()
		p.sendLater([]byte{0x16, 3, 1, 2})
		began := time.Now()
		io.Copy(io.Discard, p) //nolint:errcheck // until it is closed
		if took := time.Since(began); took != loginTime {
			t.Errorf("closed after %v", took)
		}
		synctest.Wait()
		r.oneLine("TLS handshake failed")
		r.stop()
	})
}

// A stop while clients shake hands, read and sign in.
func TestAStopInTheMiddleOfEverything(t *testing.T) {
	for range 20 {
		o := withUsers()
		o.tcp, o.listener.Protocol = true, "SASL_SSL"
		server, roots := certified(t, "localhost")
		o.tls = server
		r := run(t, echo, o)
		clients := make(chan struct{}, 10)
		for range cap(clients) {
			go func() {
				defer func() { clients <- struct{}{} }()
				c, err := r.open()
				if err != nil {
					return
				}
				defer c.Close()
				secure := tls.Client(c, &tls.Config{ServerName: "localhost", RootCAs: roots})
				p := &peer{secure, t}
				if _, err := p.Write(append(handshake(1, 1, "PLAIN"), token(1, 2, "\x00alice\x00"+password)...)); err == nil {
					io.Copy(io.Discard, p) //nolint:errcheck // until it is closed
				}
			}()
		}
		waitFor(t, "a connection", func() bool { return r.Stats().Listeners[0].Accepted > 3 })
		r.stop()
		for range cap(clients) {
			<-clients
		}
	}
}
