//go:build e2e

package e2e

import (
	"context"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Statements A12 to A18 and A26: certificates, mechanisms, what the network sees.

func TestA12TheRootIsCalledPhyCaCrtAndClientsInsistOnIt(t *testing.T) {
	i := secure(t)
	dir := i.certificate()
	text, err := os.ReadFile(filepath.Join(dir, "phy_ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if block, rest := pem.Decode(text); block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 {
		t.Errorf("phy_ca.crt is not one PEM certificate:\n%s", text)
	}
	const refused = "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED]"
	w := way{protocol: "SASL_SSL", mechanism: "PLAIN", servers: []string{i.addr["SASL_SSL"]}, topic: "t", group: "g", user: "admin", password: password}
	whole := w.fill(t, program(t, producerSASL))
	for name, tt := range map[string]struct{ dir, program, says string }{
		"another instance's": {secure(t).certificate(), whole, refused},
		"none loaded":        {dir, strings.Replace(whole, "context.load_verify_locations", "#context.load_verify_locations", 1), refused},
		"no file":            {t.TempDir(), whole, "FileNotFoundError: [Errno 2] No such file or directory"},
	} {
		before := strings.Count(i.log.String(), "connection closed")
		out, err := python(t, tt.dir, tt.program).CombinedOutput()
		if err == nil || !strings.Contains(string(out), tt.says) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if tt.says == refused {
			i.eventually("one line of the handshake: "+name, waitMax, func(context.Context) bool {
				return strings.Count(i.log.String(), "connection closed") > before
			})
			i.logs("connection closed", "SASL_SSL", "TLS handshake failed")
		}
	}
}

func TestA15ADisabledMechanismIsRefusedWithTheListOfThoseEnabled(t *testing.T) {
	i := secure(t, "-c", "sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512")
	c, err := kgo.NewClient(i.over("PLAINTEXT")...)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, listener := range []string{"SASL_PLAINTEXT", "SASL_SSL"} {
		out, err := command(t, "x\n", binary, "produce", "t", "-b", i.addr[listener], "-X", "security.protocol="+listener, "-X", "sasl.mechanism=PLAIN",
			"-X", "sasl.username=admin", "-X", "sasl.password="+password, "--ca", filepath.Join(i.dir, "tls", "ca.crt"))
		if err == nil || !strings.Contains(out, "UNSUPPORTED_SASL_MECHANISM") {
			t.Errorf("%s: %v\n%s", listener, err, out)
		}
	}
	// The list itself, as it stands in the answer.
	conn, err := net.Dial("tcp", i.addr["SASL_PLAINTEXT"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, version := range []int16{0, 1} {
		handshake := kmsg.NewPtrSASLHandshakeRequest()
		handshake.Version, handshake.Mechanism = version, "PLAIN"
		if _, err := conn.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, handshake, 7)); err != nil {
			t.Fatal(err)
		}
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, size[3])
		if _, err := io.ReadFull(conn, answer); err != nil {
			t.Fatal(err)
		}
		resp := handshake.ResponseKind().(*kmsg.SASLHandshakeResponse)
		if err := resp.ReadFrom(answer[4:]); err != nil {
			t.Fatal(err)
		}
		slices.Sort(resp.SupportedMechanisms)
		if resp.ErrorCode != kerr.UnsupportedSaslMechanism.Code || !slices.Equal(resp.SupportedMechanisms, []string{"SCRAM-SHA-256", "SCRAM-SHA-512"}) {
			t.Errorf("v%d: %d %v", version, resp.ErrorCode, resp.SupportedMechanisms)
		}
		if version == 0 { // an answer of version 0 may have ended the connection
			conn.Close()
			if conn, err = net.Dial("tcp", i.addr["SASL_PLAINTEXT"]); err != nil {
				t.Fatal(err)
			}
		}
	}
	w := way{protocol: "SASL_PLAINTEXT", mechanism: "PLAIN", servers: []string{i.addr["SASL_PLAINTEXT"]}, topic: "t", group: "g", user: "admin", password: password}
	out, err := python(t, t.TempDir(), w.fill(t, program(t, producerSASL))).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "kafka.errors.NoBrokersAvailable: NoBrokersAvailable") {
		t.Errorf("the page's producer: %v\n%s", err, out)
	}
	i.logs("sign-in refused", "PLAIN", "the mechanism is not enabled")
	w.mechanism, w.topic = "SCRAM-SHA-256", "enabled"
	i.runsThePage(t, t.TempDir(), w)
}

// tap hands bytes on and keeps a copy of them, both ways.
type tap struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	bytes []byte
}

func newTap(t *testing.T) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &tap{listener: l}
}

// address is what clients are told: the certificate holds it.
func (p *tap) address() string { return p.listener.Addr().String() }

func (p *tap) run() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		broker, err := net.Dial("tcp", p.to)
		if err != nil {
			client.Close()
			continue
		}
		go p.copy(client, broker)
		go p.copy(broker, client)
	}
}

func (p *tap) copy(to, from net.Conn) {
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		p.bytes = append(p.bytes, buffer[:n]...)
		p.mu.Unlock()
		if _, writeErr := to.Write(buffer[:n]); err != nil || writeErr != nil {
			return
		}
	}
}

func (p *tap) seen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.bytes)
}

func TestA18ACaptureShowsWhatTheProtocolPromises(t *testing.T) {
	const warning = "a password came in clear"
	for _, tt := range []struct {
		protocol, mechanism      string
		payload, password, warns bool
	}{
		{"SASL_SSL", "PLAIN", false, false, false},
		{"SASL_SSL", "SCRAM-SHA-512", false, false, false},
		{"SASL_PLAINTEXT", "SCRAM-SHA-256", true, false, false},
		{"SASL_PLAINTEXT", "SCRAM-SHA-512", true, false, false},
		{"SASL_PLAINTEXT", "PLAIN", true, true, true},
	} {
		t.Run(tt.protocol+"-"+tt.mechanism, func(t *testing.T) {
			between := newTap(t)
			i := secure(t, "-c", "advertised.listeners="+tt.protocol+"://"+between.address())
			between.to = i.addr[tt.protocol]
			go between.run()
			i.runsThePage(t, i.certificate(), way{
				protocol: tt.protocol, mechanism: tt.mechanism, servers: []string{between.address()},
				topic: "captured", group: "g", user: "admin", password: password,
			})
			seen := between.seen()
			if len(seen) < 2000 { // two clients' worth of handshakes and records
				t.Fatalf("only %d bytes came through: nothing was captured", len(seen))
			}
			for what, want := range map[string]bool{"hello kafka!": tt.payload, "captured": tt.payload, password: tt.password} {
				if strings.Contains(seen, what) != want {
					t.Errorf("the capture shows %q: %v, want %v", what, !want, want)
				}
			}
			if strings.Contains(i.log.String(), warning) != tt.warns {
				t.Errorf("warned: %v, want %v", !tt.warns, tt.warns)
			}
			if tt.warns {
				i.logs(warning, `"user":"admin"`, `"listener":"SASL_PLAINTEXT"`)
			}
		})
	}
}

func TestA26ThePlainListenerStandsBesideTheOthersAndCanBeDisabled(t *testing.T) {
	i := secure(t)
	dir := i.certificate()
	open := way{protocol: "PLAINTEXT", servers: []string{i.addr["PLAINTEXT"]}, topic: "both", group: "open"}
	i.runsThePage(t, dir, open)
	i.stop()
	write := func(w way, which int) (string, error) {
		out, err := python(t, dir, w.fill(t, program(t, which))).CombinedOutput()
		return string(out), err
	}
	i.args = append(i.args, "-c", "listeners=SASL_SSL://127.0.0.1:0")
	i.run()
	if out, err := write(open, producerPlain); err == nil || !strings.Contains(out, "kafka.errors.NoBrokersAvailable: NoBrokersAvailable") {
		t.Errorf("the plain listener is disabled: %v\n%s", err, out)
	}
	closed := way{protocol: "SASL_SSL", mechanism: "SCRAM-SHA-512", servers: []string{i.addr["SASL_SSL"]}, topic: "both", group: "closed", user: "admin", password: password}
	if out, err := write(closed, producerSASL); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	i.stop()
	i.args = append(i.args, "-c", "listeners=PLAINTEXT://127.0.0.1:0,SASL_PLAINTEXT://127.0.0.1:0")
	i.run()
	closed.protocol, closed.servers = "SASL_PLAINTEXT", []string{i.addr["SASL_PLAINTEXT"]}
	if out, err := write(closed, producerSASL); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if got := i.values("both", 3); len(got) != 3 {
		t.Errorf("%d records are there, each mode wrote one", len(got))
	}
	i.stop()
}
