package server

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

const terminalColumns = 80

// printed prints a card and sees that it fits a terminal and leaves no blanks.
func printed(t *testing.T, c card) string {
	t.Helper()
	var out bytes.Buffer
	c.print(&out)
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if n := utf8.RuneCountInString(line); n > terminalColumns {
			t.Errorf("%d columns: %s", n, line)
		}
		if strings.TrimRight(line, " ") != line {
			t.Errorf("blanks behind %q", line)
		}
	}
	return out.String()
}

func TestTheCardOfAnOpenInstance(t *testing.T) {
	got := printed(t, card{
		Version: "1.0", Command: "go run ./cmd/milena", Ready: "9ms", Admin: "127.0.0.1:9644", Data: "milena-data",
		Listeners: []bound{{Name: "PLAINTEXT", Protocol: "PLAINTEXT", Address: "127.0.0.1:9092"}},
	})
	const want = `
Milena 1.0 is ready after 9ms.

  PLAINTEXT  localhost:9092
  metrics    http://127.0.0.1:9644/metrics
  data       milena-data (acknowledged means: on the disk)

No passwords: whoever reaches this machine's loopback may do everything.
For users and TLS: go run ./cmd/milena start --secure

Next:
  echo 'hello kafka!' | go run ./cmd/milena produce greetings
  go run ./cmd/milena consume greetings -o start
  go run ./cmd/milena connect --lang python  the same in Python
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTheCardOfASecureInstance(t *testing.T) {
	all := []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}
	got := printed(t, card{
		Version: "1.0", Command: "milena", Ready: "90ms", Admin: "127.0.0.1:39644", Data: "milena-data", Secure: true,
		User: "admin", Password: "abcdef-abcdef-abcdef-abcdef",
		Listeners: []bound{
			{Name: "PLAINTEXT", Protocol: "PLAINTEXT", Address: "127.0.0.1:39092"},
			{Name: "SASL_PLAINTEXT", Protocol: "SASL_PLAINTEXT", Address: "127.0.0.1:39094", Mechanisms: all},
			{Name: "SASL_SSL", Protocol: "SASL_SSL", Address: "[::]:39093", Mechanisms: all},
		},
	})
	const want = `
Milena 1.0 is ready after 90ms.

  PLAINTEXT       localhost:39092
  SASL_PLAINTEXT  localhost:39094      PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
  SASL_SSL        every address:39093  PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
  metrics         http://127.0.0.1:39644/metrics
  data            milena-data (acknowledged means: on the disk)

The first superuser is "admin". Its password, shown this once:

  abcdef-abcdef-abcdef-abcdef

Every user who signs in may use all topics and groups; only the superuser
administers users. There are no ACLs yet.

Next:
  milena connect                addresses, users, files for clients
  milena connect --lang python  a program with all of it filled in
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTheCardNamesListenersAndWhatIsAdvertised(t *testing.T) {
	got := printed(t, card{Memory: true, Command: "./milena", Data: "/tmp/milena-1", Listeners: []bound{
		{Name: "INSIDE", Protocol: "SASL_SSL", Address: "192.0.2.1:9093", Advertised: "kafka.example.com:19093", Mechanisms: []string{"PLAIN"}},
		{Name: "OPEN", Protocol: "PLAINTEXT", Address: "0.0.0.0:9092", Exposed: true},
	}})
	for _, part := range []string{
		"  SASL_SSL (INSIDE)  kafka.example.com:19093  PLAIN\n",
		"  PLAINTEXT (OPEN)   every address:9092\n",
		"in memory, gone when it stops",
		"WARNING: --insecure: open beyond this machine without TLS and password:\nOPEN. ",
		"  ./milena consume greetings -o start --data /tmp/milena-1\n",
	} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is not in\n%s", part, got)
		}
	}
	if strings.Contains(got, "loopback may do everything") {
		t.Errorf("it speaks of loopback alone:\n%s", got)
	}
}

// A superuser is durable before the listeners open. Where that fails, nobody
// would ever learn the password.
func TestThePasswordIsToldAlsoByAStartThatFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "addresses", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	o := Options{Config: configure(t, dir), Secure: true, Out: &out, Log: slog.New(slog.NewTextHandler(testWriter{t}, nil))}
	if _, err := Start(context.Background(), o); err == nil {
		t.Fatal("it started")
	}
	if !strings.Contains(out.String(), "shown this once") {
		t.Errorf("it said %q", out.String())
	}
	out.Reset()
	if err := os.RemoveAll(filepath.Join(dir, "addresses")); err != nil {
		t.Fatal(err)
	}
	s := start(t, o)
	defer stop(t, s)
	if s.made.name != "" {
		t.Error("a second superuser was made")
	}
}
