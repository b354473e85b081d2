package main

import (
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

func TestTopicsFromCreateToDelete(t *testing.T) {
	s := shell{t: t, broker: broker(t).ListenAddrs()[0]}
	s.ok("topic", "create", "orders", "-p", "3", "-c", "retention.ms=1000")
	s.ok("topic", "create", "accounts")
	if r := s.milena("topic", "create", "orders"); r.code != exitConflict {
		t.Errorf("made twice: exit code %d, want %d\n%s", r.code, exitConflict, r.err)
	}
	s.ok("topic", "create", "orders", "--if-not-exists")
	list := s.ok("topic", "list")
	contains(t, list, "orders\t3\t")
	if names := s.ok("topic", "list", "-o", "name"); names != "accounts\norders\n" {
		t.Errorf("names are %q", names)
	}
	var described describedTopic
	if err := json.Unmarshal([]byte(s.ok("topic", "describe", "orders", "-o", "json")), &described); err != nil {
		t.Fatal(err)
	}
	if described.Name != "orders" || len(described.PartitionList) != 3 || len(described.Configs) == 0 {
		t.Errorf("described as %+v", described)
	}
	s.ok("topic", "delete", "orders")
	r := s.milena("topic", "describe", "orders")
	if r.code != exitNotFound {
		t.Errorf("deleted: exit code %d, want %d", r.code, exitNotFound)
	}
	golden(t, "topic-not-found.txt", r.err)
}

func TestUsersFromCreateToDelete(t *testing.T) {
	cluster := broker(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "admin", "admin-secret"), kfake.SeedTopics(1, "greetings"))
	s := shell{t: t, broker: cluster.ListenAddrs()[0], env: []string{"MILENA_USER=admin", "MILENA_PASSWORD=admin-secret"}}
	s.ok("user", "create", "bob")
	contains(t, s.ok("user", "list"), "bob\tSCRAM-SHA-256,SCRAM-SHA-512\t8192,8192\n")

	// This broker tells clients 4096 iterations, whatever was set.
	s.ok("user", "create", "alice", "--password-file", file(t, "pw", "alice-secret\n"), "--iterations", "4096")
	if r := s.milena("user", "create", "alice"); r.code != exitConflict {
		t.Errorf("made twice: exit code %d, want %d\n%s", r.code, exitConflict, r.err)
	}

	alice := shell{t: t, broker: s.broker, in: "hello\n"}
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
		alice.ok("produce", "greetings", "--user", "alice", "--password-file", file(t, "pw", "alice-secret"), "-X", "sasl.mechanism="+mechanism)
	}

	made := strings.TrimSpace(s.ok("user", "create", "alice", "--replace", "--iterations", "4096"))
	if len(made) != passwordSize {
		t.Fatalf("the password that was made is %q", made)
	}
	wrong := alice.milena("produce", "greetings", "--user", "alice", "--password-file", file(t, "pw", "alice-secret"))
	if wrong.code != exitDenied {
		t.Errorf("the old password: exit code %d, want %d", wrong.code, exitDenied)
	}
	contains(t, wrong.err, "wrong user name or password")
	alice.env = []string{"MILENA_USER=alice", "MILENA_PASSWORD=" + made}
	alice.ok("produce", "greetings")

	s.ok("user", "delete", "alice")
	if r := s.milena("user", "describe", "alice"); r.code != exitNotFound {
		t.Errorf("deleted: exit code %d, want %d\n%s", r.code, exitNotFound, r.err)
	}
}

func TestAPasswordIsNotOfferedInClearUnasked(t *testing.T) {
	s := shell{t: t, broker: broker(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "admin", "right")).ListenAddrs()[0]}
	sign := []string{"topic", "list", "--user", "admin", "--password-file", file(t, "pw", "right")}
	r := s.milena(sign...)
	if r.code != exitDenied {
		t.Errorf("exit code %d, want %d\n%s", r.code, exitDenied, r.err)
	}
	s.ok(append(sign, "-X", "sasl.mechanism=PLAIN")...)
}

func TestABrokerThatIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	l.Close()
	s := shell{t: t}
	for _, args := range [][]string{
		{"topic", "list", "-b", dead}, {"produce", "t", "-b", dead}, {"consume", "t", "-b", dead}, {"doctor", "-b", dead}, {"group", "list", "-b", dead},
	} {
		r := s.milena(args...)
		if r.code != exitUnreachable {
			t.Errorf("%v: exit code %d, want %d\n%s", args, r.code, exitUnreachable, r.err)
		}
		contains(t, r.err, "nothing listens there")
	}
	live := broker(t, kfake.SeedTopics(1, "t")).ListenAddrs()[0]
	s.ok("topic", "list", "-b", dead+","+live)
}

func TestTheDoctorWalksAllTheWay(t *testing.T) {
	s := shell{t: t, broker: broker(t).ListenAddrs()[0]}
	out := s.ok("doctor")
	for _, step := range []string{"tcp", "tls", "versions", "sign in", "advertised", "records"} {
		contains(t, out, "ok      "+step)
	}
	if topics := s.ok("topic", "list"); topics != "" {
		t.Errorf("it left %q behind", topics)
	}
}

func TestTheDoctorNamesTheFirstBrokenStep(t *testing.T) {
	secured := broker(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "admin", "right"))
	s := shell{t: t, broker: secured.ListenAddrs()[0]}
	r := s.milena("doctor")
	if r.code != exitDenied {
		t.Errorf("without a user: exit code %d, want %d\n%s", r.code, exitDenied, r.err)
	}
	contains(t, r.out, "ok      versions", "broken  sign in")
	contains(t, r.err, "the listener wants a user", "--user NAME")

	r = s.milena("doctor", "--user", "admin", "--password-file", file(t, "pw", "wrong"))
	if r.code != exitDenied {
		t.Errorf("a wrong password: exit code %d, want %d\n%s", r.code, exitDenied, r.err)
	}
	contains(t, r.out, "broken  sign in")

	http, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer http.Close()
	go func() {
		for {
			conn, err := http.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			conn.Close()
		}
	}()
	r = s.milena("doctor", "-b", http.Addr().String())
	if r.code != exitUnreachable {
		t.Errorf("no Kafka: exit code %d, want %d\n%s", r.code, exitUnreachable, r.err)
	}
	contains(t, r.out, "broken  versions")
}
