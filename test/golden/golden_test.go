//go:build e2e

package golden

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/config"
	"milena/server"
)

// caseCount is how many cases testdata holds: none may get lost unseen.
const caseCount = 533

// TestMilenaAnswersAsKafkaDid replays every case.
func TestMilenaAnswersAsKafkaDid(t *testing.T) {
	broker := openBroker(t)
	allowed := readReasons(t, "testdata/differences.txt")
	leftOut := readReasons(t, "testdata/left-out.txt")
	if os.Getenv("MILENA_GOLDEN") != "" {
		leftOut = nil // that broker serves what it serves
	}
	var all []Case
	for _, dir := range []string{"testdata/kafka-4.3.1", "testdata/kafka-3.9.1"} {
		cases, err := ReadCases(dir)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, cases...)
	}
	if len(all) != caseCount {
		t.Errorf("%d cases were read, want %d", len(all), caseCount)
	}
	for name := range merged(allowed, leftOut) {
		if !slices.ContainsFunc(all, func(c Case) bool { return c.Name == name }) {
			t.Errorf("%s is no case", name)
		}
	}
	for _, c := range all {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			differences, err := Replay(broker, c)
			_, out := leftOut[c.Name]
			switch why, ok := allowed[c.Name]; {
			case errors.Is(err, errLeftOut):
				if !out && leftOut != nil {
					t.Fatal(err)
				}
				t.Skip(err)
			case out:
				t.Errorf("is replayed, but stands among what is left out")
			case err != nil:
				t.Fatal(err)
			case ok && len(differences) == 0:
				t.Errorf("answers as Kafka does, but stands among the differences: %s", why)
			case !ok:
				for _, d := range differences {
					t.Error(d)
				}
			case testing.Verbose():
				t.Logf("on purpose: %s\n%s", why, strings.Join(differences, "\n"))
			}
		})
	}
}

func merged(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// readReasons reads names of cases, each below the line with its reason.
func readReasons(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	reason := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case strings.HasPrefix(line, "# "):
			reason = line[2:]
		default:
			all[line] = reason
		}
	}
	return all
}

// openBroker gives the broker of MILENA_GOLDEN, or one in this process.
func openBroker(t *testing.T) Broker {
	t.Helper()
	b := Broker{Addresses: make(map[string]string), Served: make(map[int16]bool)}
	if given := os.Getenv("MILENA_GOLDEN"); given != "" {
		for pair := range strings.SplitSeq(given, ",") {
			listener, address, _ := strings.Cut(pair, "=")
			b.Addresses[listener] = address
		}
	} else {
		b.Addresses = startInstance(t)
		makeUsers(t, b)
	}
	c := dial(t, b)
	resp, err := c.ask(kmsg.NewPtrApiVersionsRequest())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range resp.(*kmsg.ApiVersionsResponse).ApiKeys {
		b.Served[k.ApiKey] = true
	}
	return b
}

func dial(t *testing.T, b Broker) *conn {
	t.Helper()
	r := &replay{broker: b, conns: make(map[string]*conn)}
	t.Cleanup(r.close)
	c, err := r.conn("A")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// startInstance starts a throw-away instance with the settings of the broker
// that was asked.
func startInstance(t *testing.T) map[string]string {
	t.Helper()
	var flags []config.KeyValue
	for _, pair := range []string{
		"log.dirs=" + t.TempDir(),
		"node.id=1",
		"listeners=PLAINTEXT://127.0.0.1:0,SASL_PLAINTEXT://127.0.0.1:0,REAUTH://127.0.0.1:0",
		"advertised.listeners=PLAINTEXT://127.0.0.1:0,SASL_PLAINTEXT://127.0.0.1:0,REAUTH://127.0.0.1:0",
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,REAUTH:SASL_PLAINTEXT",
		"listener.name.reauth.connections.max.reauth.ms=" + strconv.Itoa(slower*2500),
		"admin.listener=127.0.0.1:0",
		"super.users=User:ANONYMOUS;User:admin",
		"num.partitions=1",
		"log.retention.ms=-1",
	} {
		key, value, _ := strings.Cut(pair, "=")
		flags = append(flags, config.KeyValue{Key: key, Value: value})
	}
	c, _, err := config.Load(config.Given{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Start(context.Background(), server.Options{Config: c, Memory: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s.Addresses()
}

// makeUsers makes the users that the cases sign in as.
func makeUsers(t *testing.T, b Broker) {
	t.Helper()
	req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	for _, name := range []string{"admin", "alice", "limited"} {
		u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
		u.Name, u.Iterations, u.Salt = name, 4096, []byte("salt of "+name)
		u.Mechanism = 1
		var err error
		if u.SaltedPassword, err = pbkdf2.Key(sha256.New, name+"-secret", u.Salt, 4096, sha256.Size); err != nil {
			t.Fatal(err)
		}
		req.Upsertions = append(req.Upsertions, u)
	}
	alter(t, b, req)
	for i := range req.Upsertions {
		u := &req.Upsertions[i]
		u.Mechanism = 2
		var err error
		if u.SaltedPassword, err = pbkdf2.Key(sha512.New, u.Name+"-secret", u.Salt, 4096, sha512.Size); err != nil {
			t.Fatal(err)
		}
	}
	alter(t, b, req)
}

func alter(t *testing.T, b Broker, req *kmsg.AlterUserSCRAMCredentialsRequest) {
	t.Helper()
	resp, err := dial(t, b).ask(req)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range resp.(*kmsg.AlterUserSCRAMCredentialsResponse).Results {
		if r.ErrorCode != 0 {
			t.Fatalf("user %s: error %d", r.User, r.ErrorCode)
		}
	}
}
