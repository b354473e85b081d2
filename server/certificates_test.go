package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"milena/keystore"
)

// notes keeps the lines of a log.
type notes struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (n *notes) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(b)
}

func (n *notes) count(words string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Count(n.text.String(), words)
}

// roots are what a client that has phy_ca.crt trusts.
func roots(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	ca, err := keystore.ReadCA(filepath.Join(dir, tlsDir))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return pool
}

// knock shakes hands and gives the connection; its certificate is in its state.
func knock(t *testing.T, address string, pool *x509.CertPool, name string) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", address, &tls.Config{RootCAs: pool, ServerName: name})
	if err != nil {
		t.Fatalf("as %s: %v", name, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func shown(c *tls.Conn) *x509.Certificate { return c.ConnectionState().PeerCertificates[0] }

// alive says that a connection is served: ApiVersions is answered.
func alive(c net.Conn) bool {
	c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write([]byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff}); err != nil {
		return false
	}
	answer := make([]byte, 64<<10)
	n, err := c.Read(answer)
	return err == nil && n > 10
}

func waitFor(t *testing.T, what string, met func() bool) {
	t.Helper()
	for began := time.Now(); !met(); time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("waited 20 s for %s", what)
		}
	}
}

const tlsListeners = "SSL://127.0.0.1:0,SASL_SSL://127.0.0.1:0"

func TestTheCertificateHasEveryAdvertisedName(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Options{Insecure: true, Config: configure(t, dir, "listeners", "SASL_SSL://[::]:0,PUBLIC://127.0.0.1:0,SSL://:0",
		"listener.security.protocol.map", "SASL_SSL:SASL_SSL,PUBLIC:SASL_SSL,SSL:SSL",
		"advertised.listeners", "SASL_SSL://kafka.example.org:9093,PUBLIC://[2001:db8::7]:19093,SSL://192.0.2.7:1")})
	defer stop(t, s)
	pool := roots(t, dir)
	_, port, _ := net.SplitHostPort(s.Addresses()["SASL_SSL"])
	for _, name := range []string{"kafka.example.org", "2001:db8::7", "192.0.2.7", "localhost", "127.0.0.1", "::1"} {
		knock(t, net.JoinHostPort("127.0.0.1", port), pool, name)
	}
	if host, err := os.Hostname(); err == nil {
		knock(t, s.Addresses()["PUBLIC"], pool, host)
	}
}

// The signal reaches the whole process, as it would from an operator.
func TestAHangUpLoadsTheCertificateAnew(t *testing.T) {
	dir := t.TempDir()
	log := new(notes)
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan *Server), make(chan error)
	go func() {
		ended <- Run(ctx, Options{
			Config: configure(t, dir, "listeners", tlsListeners), Insecure: true,
			Log: slog.New(slog.NewTextHandler(log, nil)), Ready: func(s *Server) { ready <- s },
		})
	}()
	s := <-ready
	pool, address := roots(t, dir), s.Addresses()["SSL"]
	old := knock(t, address, pool, "localhost")
	before := shown(old)

	if err := os.Remove(filepath.Join(dir, tlsDir, "server.crt")); err != nil {
		t.Fatal(err)
	}
	hangUp := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hangUp()
	waitFor(t, "both listeners' certificates", func() bool { return log.count("certificate loaded anew") >= 2 })
	after := shown(knock(t, address, pool, "localhost"))
	if after.Equal(before) {
		t.Error("a new connection sees the old certificate")
	}
	if !alive(old) {
		t.Error("the old connection does not go on")
	}

	for _, name := range []string{"server.crt", "server.key"} { // a bad new one
		if err := os.WriteFile(filepath.Join(dir, tlsDir, name), []byte("hello"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hangUp()
	waitFor(t, "what is wrong", func() bool { return log.count("the new certificate can't be used; the old one stays") >= 2 })
	if log.count("can't be renewed; the old one stays") != 1 || log.count("server.crt holds no PEM block") != 1 {
		t.Errorf("what is wrong is not said: %s", log.text.String())
	}
	if !shown(knock(t, address, pool, "localhost")).Equal(after) || !alive(old) {
		t.Error("the old certificate does not stay")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// An instance that runs for more than a year goes on being trusted.
func TestTheCertificateIsRenewedWhileItRuns(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	log := new(notes)
	s := start(t, Options{Config: configure(t, dir, "listeners", tlsListeners), Insecure: true, Now: clock, Log: slog.New(slog.NewTextHandler(log, nil))})
	defer stop(t, s)
	pool, address := roots(t, dir), s.Addresses()["SSL"]
	before := shown(knock(t, address, pool, "localhost"))
	s.renewOrSay()
	s.sources["SSL"].Reload()
	if !shown(knock(t, address, pool, "localhost")).Equal(before) {
		t.Error("it is renewed before it must be")
	}
	mu.Lock()
	now = before.NotAfter.Add(-24 * time.Hour)
	mu.Unlock()
	s.renewOrSay()
	s.Reload()
	c, err := tls.Dial("tcp", address, &tls.Config{RootCAs: pool, ServerName: "localhost", Time: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if after := shown(c); after.Equal(before) || !after.NotAfter.After(before.NotAfter) {
		t.Errorf("it ends on %s, the old one on %s", after.NotAfter, before.NotAfter)
	}
	if log.count("level=ERROR") > 0 {
		t.Error(log.text.String())
	}
}

func TestASpoiltCertificateIsNamedAtTheStart(t *testing.T) {
	dir := t.TempDir()
	stop(t, start(t, Options{Config: configure(t, dir, "listeners", tlsListeners), Insecure: true}))
	ca := filepath.Join(dir, tlsDir, "ca.key")
	if err := os.WriteFile(ca, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(context.Background(), Options{Config: configure(t, dir, "listeners", tlsListeners), Insecure: true, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), ca+" holds no PEM block") {
		t.Errorf("%v", err)
	}
	own := filepath.Join(dir, "own.pem")
	_, err = Start(context.Background(), Options{Config: configure(t, t.TempDir(), "listeners", tlsListeners, "ssl.keystore.location", own, "ssl.keystore.type", "PEM"),
		Insecure: true, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), own) || !strings.Contains(err.Error(), "listener SSL") {
		t.Errorf("%v", err)
	}
}

// What init prepares can be carried to clients, and looked at, before the first start.
func TestInitNamesInTheCertificateWhatStartWillServe(t *testing.T) {
	dir := t.TempDir()
	c := configure(t, dir, "listeners", "SASL_SSL://:0", "advertised.listeners", "SASL_SSL://kafka.example.com:9093")
	err := Run(t.Context(), Options{Config: c, Secure: true, Init: true, Out: io.Discard, Log: slog.New(slog.NewTextHandler(testWriter{t}, nil))})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, tlsDir, "server.crt"), filepath.Join(dir, tlsDir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(machineAddresses(), "kafka.example.com", "localhost") {
		if err := pair.Leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
}
