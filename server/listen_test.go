package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

func TestWhatOthersReachNeedsTLSAndAPassword(t *testing.T) {
	for _, tt := range []struct {
		listeners string
		want      string // in the refusal; empty: it starts
	}{
		{"PLAINTEXT://127.0.0.1:0", ""},
		{"PLAINTEXT://localhost:0", ""},
		{"PLAINTEXT://[::1]:0", ""},
		{"SASL_SSL://0.0.0.0:0", ""},
		{"SASL_SSL://:0", ""},
		{"PLAINTEXT://0.0.0.0:0", "PLAINTEXT opens PLAINTEXT on 0.0.0.0: anybody who reaches it could read and write everything"},
		{"PLAINTEXT://:0", "on every address"},
		{"PLAINTEXT://[::]:0", "on ::"},
		{"SASL_PLAINTEXT://0.0.0.0:0", "read passwords and records on the way"},
		{"SSL://0.0.0.0:0", "sign in as nobody and do everything"},
		{"PLAINTEXT://127.0.0.1:0,SASL_PLAINTEXT://192.0.2.7:0", "SASL_PLAINTEXT on 192.0.2.7"},
	} {
		quiet := slog.New(slog.DiscardHandler)
		s, err := Start(context.Background(), Options{Config: configure(t, t.TempDir(), "listeners", tt.listeners), Log: quiet})
		if tt.want == "" {
			if err != nil {
				if strings.Contains(tt.listeners, "::1") && strings.Contains(err.Error(), "cannot assign requested address") {
					continue // this machine has no IPv6
				}
				t.Errorf("%s: %v", tt.listeners, err)
				continue
			}
			stop(t, s)
			continue
		}
		var known *Error
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "--insecure") || !errors.As(err, &known) || known.Code != exitUsage {
			t.Errorf("%s: %v, want %q", tt.listeners, err, tt.want)
		}
		if s != nil {
			stop(t, s)
		}
	}
	var card bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	err := Run(ctx, Options{
		Config: configure(t, t.TempDir(), "listeners", "PLAINTEXT://:0"), Insecure: true, Log: slog.New(slog.DiscardHandler),
		Out: &card, Ready: func(*Server) { cancel() },
	})
	if err != nil || !strings.Contains(card.String(), "WARNING: --insecure") {
		t.Errorf("%v; the card says:\n%s", err, card.String())
	}
}

// A client is told the address that it can use, of its own listener.
func TestEachListenerAdvertisesItself(t *testing.T) {
	s := start(t, Options{Config: configure(t, t.TempDir(), "listeners", "PLAINTEXT://127.0.0.1:0,OTHER://127.0.0.1:0,FIXED://127.0.0.1:0",
		"listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT,FIXED:PLAINTEXT",
		"advertised.listeners", "FIXED://kafka.example.org:19092")})
	defer stop(t, s)
	for listener, want := range map[string]string{"PLAINTEXT": "localhost", "OTHER": "localhost", "FIXED": "kafka.example.org:19092"} {
		address := s.Addresses()[listener]
		if want == "localhost" {
			_, port, _ := net.SplitHostPort(address)
			want = net.JoinHostPort(want, port)
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		// Metadata v0 for all topics
		answer := ask(t, conn, []byte{0, 3, 0, 0, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0})
		hostLength := binary.BigEndian.Uint16(answer[12:])
		host, port := string(answer[14:14+hostLength]), binary.BigEndian.Uint32(answer[14+hostLength:])
		if got := net.JoinHostPort(host, strconv.Itoa(int(port))); got != want {
			t.Errorf("%s: %s, want %s", listener, got, want)
		}
	}
}

func ask(t *testing.T, c net.Conn, request []byte) []byte {
	t.Helper()
	if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(request))), request...)); err != nil {
		t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// scrape reads the metrics, as lines by name and labels.
func scrape(t *testing.T, s *Server) map[string]string {
	t.Helper()
	resp, err := http.Get("http://" + s.adminSocket.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v:\n%s", resp.Status, err, text)
	}
	values := make(map[string]string)
	for _, line := range regexp.MustCompile(`(?m)^(milena_\S+) (\S+)$`).FindAllStringSubmatch(string(text), -1) {
		values[line[1]] = line[2]
	}
	return values
}

// Whatever strangers send, the metrics can be read.
func TestStrangersDoNotBreakTheMetrics(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Options{Config: configure(t, dir, "listeners", "PLAINTEXT://127.0.0.1:0,SSL://127.0.0.1:0,SASL_PLAINTEXT://127.0.0.1:0"), Log: slog.New(slog.DiscardHandler)})
	defer stop(t, s)
	address := s.Addresses()["PLAINTEXT"]
	for _, key := range []byte{80, 99, 100, 101, 127} { // two that nobody knows have one name
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte{0, 0, 0, 10, 0, key, 0, 0, 0, 0, 0, 1, 0xff, 0xff}) //nolint:errcheck // it is closed
		io.Copy(io.Discard, c)                                             //nolint:errcheck // until it is closed
		c.Close()
	}
	admin := kadm.NewClient(client(t, s))
	if _, err := admin.Metadata(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the failures", func() bool { return scrape(t, s)[`milena_connections_failed_total{listener="PLAINTEXT"}`] == "5" })
	values := scrape(t, s)
	for name, want := range map[string]string{
		`milena_connections{listener="PLAINTEXT"}`:                   "[1-9]",
		`milena_connections{listener="SSL"}`:                         "0",
		`milena_checkpoints_total`:                                   "0",
		`milena_checkpoint_running`:                                  "0",
		`milena_checkpoint_seconds_total`:                            "0",
		`milena_connections_accepted_total{listener="PLAINTEXT"}`:    "[6-9]",
		`milena_connections_turned_away_total{listener="PLAINTEXT"}`: "0",
		`milena_sign_ins_refused_total{listener="SASL_PLAINTEXT"}`:   "0",
		`milena_received_bytes_total{listener="PLAINTEXT"}`:          "[1-9][0-9]+",
		`milena_sent_bytes_total{listener="PLAINTEXT"}`:              "[1-9][0-9]+",
		`milena_requests_total{api="Metadata"}`:                      "[1-9]",
		`milena_certificate_expires_seconds{listener="SSL"}`:         `1\.[0-9]+e\+09`,
		`milena_handler_panics_total`:                                "0",
	} {
		if !regexp.MustCompile("^" + want + "$").MatchString(values[name]) {
			t.Errorf("%s is %q, want %s", name, values[name], want)
		}
	}
	for name := range values {
		if strings.Contains(name, "Unknown") {
			t.Errorf("%s is counted", name)
		}
	}
}

func TestAnAddressThatCannotBeHadSaysWhatToDo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	busy := taken.Addr().String()
	tests := []struct {
		key, value string
		code       int
		says       string
	}{
		{"listeners", "PLAINTEXT://" + busy, exitConflict, "listener PLAINTEXT: " + busy + " is taken by another program"},
		{"admin.listener", busy, exitConflict, "admin.listener: " + busy + " is taken by another program"},
		{"listeners", "PLAINTEXT://192.0.2.77:0", exitUsage, "192.0.2.77:0 is no address of this machine"},
		{"listeners", "PLAINTEXT://nowhere.invalid:0", exitUsage, "nowhere.invalid:0 is a name that is unknown here"},
		{"admin.listener", "9644", exitUsage, "it is HOST:PORT"},
	}
	for _, test := range tests {
		err := Run(t.Context(), Options{Config: configure(t, t.TempDir(), test.key, test.value), Insecure: true, Log: slog.New(slog.DiscardHandler)})
		var known *Error
		if !errors.As(err, &known) || known.Code != test.code || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s=%s: %v; want code %d and %q", test.key, test.value, err, test.code, test.says)
		}
	}
	privileged := bindError("listener A", "127.0.0.1:80", "listeners=A://HOST:PORT", syscall.EACCES)
	if !strings.Contains(privileged.Error(), "ports below 1024") {
		t.Errorf("says %v", privileged)
	}
}
