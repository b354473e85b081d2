package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
)

func TestCallsThatCannotBeUnderstood(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"nonsense"}, `unknown command "nonsense"`},
		{[]string{"consume"}, "accepts 1 arg"},
		{[]string{"topic"}, "say what to do: consume, create, delete, describe"},
		{[]string{"topic", "crate", "x"}, "did you mean milena topic create?"},
		{[]string{"group", "frobnicate"}, "there is delete, describe, list"},
		{[]string{"help", "nonsense"}, "there is no help about nonsense"},
		{[]string{"topic", "list", "--nonsense"}, "unknown flag: --nonsense"},
		{[]string{"topic", "list", "-o", "xml"}, "-o xml: allowed are table"},
		{[]string{"consume", "t", "-o", "middle"}, "-o middle: allowed are start"},
		{[]string{"consume", "t", "-f", "%q"}, "-f"},
		{[]string{"consume", "t", "-f", "%v", "-o", "json"}, "exclude each other"},
		{[]string{"consume", "t", "-g", "g", "-p", "1"}, "exclude each other"},
		{[]string{"produce", "t", "-X", "max.bloc.ms=1"}, "max.bloc.ms: there is no such Kafka client property; did you mean max.block.ms?"},
		{[]string{"produce", "t", "-X", "nonsense=1"}, "nonsense: there is no such Kafka client property\n"},
		{[]string{"produce", "t", "-X", "transactional.id=t"}, "this client begins no transaction"},
		{[]string{"consume", "t", "-X", "group.protocol=consumer"}, "the classic protocol alone"},
		{[]string{"produce", "t", "-X", "partitioner.class=a.B"}, "Java classes cannot be loaded"},
		{[]string{"produce", "t", "-X", "acks=2"}, "acks=2: allowed are all, -1, 1, 0"},
		{[]string{"produce", "t", "-z", "brotli"}, "compression.type=brotli"},
		{[]string{"produce", "t", "-H", "noequals"}, "-H noequals"},
		{[]string{"produce", "t", "--file"}, "--file needs a FILE"},
		{[]string{"produce", "t", "--user", "u"}, "no password for user u"},
		{[]string{"produce", "t", "--password-file", "/nonexistent"}, "/nonexistent"},
		{[]string{"produce", "t", "-X", "security.protocol=TLS"}, "security.protocol=TLS"},
		{[]string{"produce", "t", "-X", "security.protocol=SASL_SSL"}, "SASL_SSL needs a user"},
		{[]string{"user", "create", "u", "--iterations", "1"}, "4096 to 16384"},
		{[]string{"start", "-c", "num.partitions=0"}, "Value must be at least 1"},
		{[]string{"start", "-c", "nonsense"}, "it is not key=value"},
		{[]string{"connect", "--lang", "cobol", "--data", "testdata/instance"}, "--lang cobol: allowed are python, java, go"},
	}
	for _, test := range tests {
		r := shell{t: t, broker: "127.0.0.1:1"}.milena(test.args...)
		if r.code != exitUsage || !strings.Contains(r.err, test.want) {
			t.Errorf("milena %s: exit code %d, want %d; says\n%swant %q", strings.Join(test.args, " "), r.code, exitUsage, r.err, test.want)
		}
		if !strings.Contains(r.err, "--help") {
			t.Errorf("milena %s: does not say where help is:\n%s", strings.Join(test.args, " "), r.err)
		}
	}
}

func TestExitCodesOfErrors(t *testing.T) {
	tests := []struct {
		err  error
		want int
	}{
		{kerr.UnknownTopicOrPartition, exitNotFound},
		{fmt.Errorf("topic t: %w", kerr.TopicAuthorizationFailed), exitDenied},
		{kerr.TopicAlreadyExists, exitConflict},
		{kerr.RequestTimedOut, exitUnreachable},
		{kerr.UnknownServerError, exitFailed},
		{syscall.ECONNREFUSED, exitUnreachable},
		{os.ErrNotExist, exitNotFound},
		{errors.New("anything"), exitFailed},
		{coded(exitStorage), exitStorage},
	}
	for _, test := range tests {
		if got := explain(fmt.Errorf("while testing: %w", test.err)).code; got != test.want {
			t.Errorf("%v: exit code %d, want %d", test.err, got, test.want)
		}
	}
}

type coded int

func (c coded) Error() string { return "coded" }
func (c coded) ExitCode() int { return int(c) }

func TestTheExitCodesAreDocumented(t *testing.T) {
	help := shell{t: t}.ok("help", "exit-codes")
	for _, code := range []int{exitOK, exitFailed, exitUsage, exitNotFound, exitDenied, exitUnreachable, exitConflict, exitStorage, exitTimeLimit, exitInterrupted} {
		contains(t, help, fmt.Sprintf("\n  %-5d", code))
	}
}

func TestTheVersionIsOneLine(t *testing.T) {
	if out := (shell{t: t}).ok("version"); !strings.HasPrefix(out, "milena ") || strings.Count(out, "\n") != 1 {
		t.Errorf("it is %q", out)
	}
}

func TestJAASLines(t *testing.T) {
	const scram = "org.apache.kafka.common.security.scram.ScramLoginModule"
	tests := []struct{ line, user, password string }{
		{scram + ` required username="u" password="p";`, "u", "p"},
		{scram + " required\n  username=\"u\"\n  password=\"a \\\"b\\\\ = ;c\" ;", "u", `a "b\ = ;c`},
		{"org.apache.kafka.common.security.plain.PlainLoginModule required password='p' username=u;", "u", "'p'"},
	}
	for _, test := range tests {
		user, password, err := parseJAAS(test.line)
		if err != nil || user != test.user || password != test.password {
			t.Errorf("%s: %q %q %v, want %q %q", test.line, user, password, err, test.user, test.password)
		}
	}
	for _, bad := range []string{"", "com.sun.security.auth.module.Krb5LoginModule required;", scram + ` required username="u";`, scram + ` required username="u`} {
		if _, _, err := parseJAAS(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzJAAS(f *testing.F) {
	f.Add(`a.ScramLoginModule required username="u" password="p";`)
	f.Add(`a.PlainLoginModule a=b c= "d`)
	f.Fuzz(func(_ *testing.T, line string) {
		_, _, _ = parseJAAS(line)
	})
}

func TestThePropertiesOfARealClient(t *testing.T) {
	s := seeded(t)
	config := file(t, "client.properties", "bootstrap.servers="+s.broker+`
security.protocol=PLAINTEXT
acks=all
key.serializer=org.apache.kafka.common.serialization.StringSerializer
linger.ms=5
compression.type=lz4
client.id=me
group.id=readers
auto.offset.reset=earliest
`)
	s.broker, s.in = "", "hello\n"
	s.ok("produce", "greetings", "--config", config)
	if got := s.ok("consume", "greetings", "--config", config, "-n", "1"); got != "hello\n" {
		t.Errorf("read %q", got)
	}
	contains(t, s.ok("group", "list", "--config", config), "readers")
}

func TestConnectInTheFormsThatPeopleAndScriptsRead(t *testing.T) {
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	kafka := broker(t, kfake.SeedTopics(1, "greetings")).ListenAddrs()[0]
	dir := t.TempDir()
	put := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("instance", "milena instance\nformat=1\nsecure=true\n")
	put("addresses", "PLAINTEXT PLAINTEXT "+kafka+"\nSASL_PLAINTEXT SASL_PLAINTEXT 127.0.0.1:19094\nSASL_SSL SASL_SSL 0.0.0.0:19093\nadmin HTTP "+admin.Addr().String()+"\n")
	put("listeners", "PLAINTEXT PLAINTEXT 127.0.0.1:0 - -\nSASL_PLAINTEXT SASL_PLAINTEXT 127.0.0.1:19094 - PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n"+
		"SASL_SSL SASL_SSL :19093 kafka.example.com:0 SCRAM-SHA-512\n")
	s := shell{t: t}
	local := strings.Replace(kafka, "127.0.0.1", "localhost", 1)
	forget := strings.NewReplacer(dir, "DIR", kafka, "127.0.0.1:PORT", local, "localhost:PORT", admin.Addr().String(), "127.0.0.1:ADMIN")
	golden(t, "connect.txt", forget.Replace(s.ok("connect", "--data", dir)))
	golden(t, "connect.json", forget.Replace(s.ok("connect", "--data", dir, "-o", "json")))
	golden(t, "connect.yaml", forget.Replace(s.ok("connect", "--data", dir, "-o", "yaml")))
	// Killed: the file is there, the process is not.
	admin.Close()
	golden(t, "connect-stopped.txt", forget.Replace(s.ok("connect", "--data", dir)))
	golden(t, "connect-stopped.json", forget.Replace(s.ok("connect", "--data", dir, "-o", "json")))
}

func TestConnectWithoutAnInstance(t *testing.T) {
	r := shell{t: t}.milena("connect", "--data", t.TempDir())
	if r.code != exitNotFound || !strings.Contains(r.err, "milena start") {
		t.Errorf("exit code %d, says\n%s", r.code, r.err)
	}
}

func TestProgramsWithRealValues(t *testing.T) {
	v := values{brokers: []string{"k1:9093", "k2:9093"}, protocol: "SASL_SSL", user: "alice", password: `it's`, topic: "orders", group: "readers", authority: true}
	open := values{brokers: []string{"localhost:9092"}, protocol: "PLAINTEXT"}
	clear := v
	clear.protocol, clear.mechanism = "SASL_PLAINTEXT", "SCRAM-SHA-256"
	for name, values := range map[string]values{"sasl_ssl": v, "plaintext": open, "sasl_plaintext": clear} {
		for _, lang := range []string{"python", "java", "go"} {
			for _, kind := range []string{"produce", "consume"} {
				file, text, err := program(lang, kind, values)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, "program-"+name+"-"+file+".txt", text)
			}
		}
	}
}

func TestYAMLKeepsWordsWords(t *testing.T) {
	var b strings.Builder
	value := map[string]any{"a": "yes", "b": []any{"x y", 1, []string{}, map[string]any{"c": nil, "d": map[string]any{}}}, "e": "12", "f": "a: b", "g": "", "h": true}
	if err := printValue(&b, value, "yaml"); err != nil {
		t.Fatal(err)
	}
	want := `a: "yes"
b:
  - x y
  - 1
  - []
  - c: null
    d: {}
e: "12"
f: "a: b"
g: ""
h: true
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestAShellCompletesWhatTheBrokerKnows(t *testing.T) {
	s := seeded(t)
	contains(t, s.ok("__complete", "consume", ""), "greetings\n")
	s.in = "a record\n"
	s.ok("produce", "greetings")
	s.ok("consume", "greetings", "-g", "readers", "-o", "start", "-n", "1")
	for _, words := range [][]string{
		{"readers", "consume", "greetings", "-g", ""},
		{"readers", "group", "describe", ""},
		{"greetings", "topic", "consume", ""},
		{"greetings", "doctor", "--topic", ""},
		{"jsonl", "topic", "list", "-o", ""},
		{"zstd", "produce", "greetings", "-z", ""},
		{"python", "connect", "--lang", ""},
		{"sasl.mechanism=", "produce", "greetings", "-X", ""},
		{"describe\n", "help", "topic", ""},
	} {
		contains(t, s.ok(append([]string{"__complete"}, words[1:]...)...), words[0])
	}
	secured := broker(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "admin", "right")).ListenAddrs()[0]
	admin := shell{t: t, broker: secured, env: []string{"MILENA_USER=admin", "MILENA_PASSWORD=right"}}
	contains(t, admin.ok("__complete", "user", "delete", ""), "admin\n")
	contains(t, admin.ok("__complete", "produce", "greetings", "--user", ""), "admin\n")
	s.broker = "127.0.0.1:1"
	if out := s.ok("__complete", "consume", ""); strings.Contains(out, "greetings") {
		t.Errorf("without a broker it completes\n%s", out)
	}
}

func TestCompletionScriptsForFourShells(t *testing.T) {
	for _, sh := range []string{"bash", "zsh", "fish", "powershell"} {
		contains(t, shell{t: t}.ok("completion", sh), "__complete")
	}
}

func TestAGroupThatDoesNotCommitReadsTheSameAgain(t *testing.T) {
	s := seeded(t)
	s.in = "a\nb\n"
	s.ok("produce", "greetings")
	for range 2 {
		if got := s.ok("consume", "greetings", "-g", "readers", "-o", "start", "-n", "1", "-X", "enable.auto.commit=false"); got != "a\n" {
			t.Errorf("read %q", got)
		}
	}
}

func TestTheArchiveHoldsTheFilesOfToday(t *testing.T) {
	content, err := zipOf([]clientFile{{"phy_ca.crt", []byte("an authority")}})
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	if f := archive.File[0]; f.Name != "phy_ca.crt" || time.Since(f.Modified) > time.Hour {
		t.Errorf("it holds %s of %v", f.Name, f.Modified)
	}
}
