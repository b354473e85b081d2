//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Statements A1 to A10: what stands at the page's beginning, down to its users.

func TestA01OneStaticBinaryIsReadyWithinTwoSeconds(t *testing.T) {
	file, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, part := range file.Progs {
		if part.Type == elf.PT_INTERP || part.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary has a %v segment: it is not static", part.Type)
		}
	}
	// Nothing is found beside it: neither a JVM nor a program of any other kind.
	t.Setenv("PATH", t.TempDir())
	best := time.Hour
	for range 3 { // others may keep the machine busy
		began := time.Now()
		i := plain(t)
		best = min(best, time.Since(began))
		i.stop()
	}
	if best > 2*time.Second {
		t.Errorf("ready after %v", best)
	}
}

func TestA02OneCommandPrintsAllOfTheConnectionInformation(t *testing.T) {
	i := secure(t)
	file := filepath.Join(t.TempDir(), "password")
	write(t, file, password)
	must(t, "hello kafka!\n", binary, "produce", "topic-name", "-b", i.addr["PLAINTEXT"])
	out := must(t, "", binary, "connect", "--data", i.dir, "--user", "admin", "--password-file", file)
	for listener, mechanisms := range map[string]string{"PLAINTEXT": "-", "SASL_PLAINTEXT": "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512", "SASL_SSL": "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"} {
		if !hasLine(out, listener, strings.Replace(i.addr[listener], "127.0.0.1", "localhost", 1), mechanisms) {
			t.Errorf("no line says how %s is reached:\n%s", listener, out)
		}
	}
	authority := filepath.Join(i.dir, "tls", "ca.crt")
	for _, words := range [][]string{{"Topics:", "topic-name"}, {"Users:", "admin"}, {"Authority:", authority}, {"phy_ca.crt"}} {
		if !hasLine(out, words...) {
			t.Errorf("no line with %q:\n%s", words, out)
		}
	}
	if _, err := os.Stat(authority); err != nil {
		t.Error(err)
	}
}

// hasLine says whether one line has all of these words.
func hasLine(text string, words ...string) bool {
	for line := range strings.Lines(text) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			return true
		}
	}
	return false
}

func TestA04AnIPv6LiteralIsAnAddress(t *testing.T) {
	i := start(t, filepath.Join(t.TempDir(), "data"), "-c", "listeners=PLAINTEXT://[::1]:0")
	address := i.addr["PLAINTEXT"]
	if !strings.HasPrefix(address, "[::1]:") {
		t.Fatalf("bound to %s", address)
	}
	i.runsThePage(t, t.TempDir(), way{protocol: "PLAINTEXT", servers: []string{address}, topic: "six", group: "six"})
}

// over are a Go client's options on one of the listeners of a secure instance.
func (i *instance) over(listener string) []kgo.Opt {
	opts := []kgo.Opt{kgo.SeedBrokers(i.addr[listener])}
	if strings.HasPrefix(listener, "SASL") {
		opts = append(opts, kgo.SASL(scram.Auth{User: "admin", Pass: password}.AsSha512Mechanism()))
	}
	if listener == "SASL_SSL" {
		root, err := os.ReadFile(filepath.Join(i.dir, "tls", "ca.crt"))
		if err != nil {
			i.t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(root)
		opts = append(opts, kgo.DialTLSConfig(&tls.Config{RootCAs: roots}))
	}
	return opts
}

func TestA05EachListenerHandsOutItsOwnAddress(t *testing.T) {
	i := secure(t)
	ctx := context.Background()
	for _, listener := range []string{"PLAINTEXT", "SASL_PLAINTEXT", "SASL_SSL"} {
		host, port, _ := net.SplitHostPort(i.addr[listener])
		number, _ := strconv.Atoi(port)
		want := func(where, gotHost string, got int32) {
			t.Helper()
			if got != int32(number) || gotHost != host && gotHost != "localhost" {
				t.Errorf("%s of the %s listener names %s:%d, want %s", where, listener, gotHost, got, i.addr[listener])
			}
		}
		c, err := kgo.NewClient(i.over(listener)...)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		metadata, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, c)
		if err != nil || len(metadata.Brokers) != 1 {
			t.Fatalf("%s: %v, %d brokers", listener, err, len(metadata.Brokers))
		}
		want("Metadata", metadata.Brokers[0].Host, metadata.Brokers[0].Port)
		cluster, err := kmsg.NewPtrDescribeClusterRequest().RequestWith(ctx, c)
		if err != nil || len(cluster.Brokers) != 1 {
			t.Fatalf("%s: %v, %d brokers", listener, err, len(cluster.Brokers))
		}
		want("DescribeCluster", cluster.Brokers[0].Host, cluster.Brokers[0].Port)
		coordinators := kadm.NewClient(c).FindGroupCoordinators(ctx, "g")
		if err := coordinators.Error(); err != nil {
			t.Fatal(err)
		}
		want("FindCoordinator", coordinators["g"].Host, coordinators["g"].Port)
	}
}

func TestA06BothOfThePagesTopicNamesExistSideBySide(t *testing.T) {
	i := plain(t)
	for _, name := range []string{"topic_name", "topic-name"} { // as the page has them
		w := way{protocol: "PLAINTEXT", servers: []string{i.addr["PLAINTEXT"]}, topic: name, group: "g"}
		if out, err := python(t, t.TempDir(), w.fill(t, program(t, producerPlain))).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got := i.values(name, 1); got[0] != "hello kafka!" {
			t.Errorf("%s holds %q", name, got)
		}
	}
	_, err := kadm.NewClient(i.client()).CreateTopic(context.Background(), 1, 1, nil, "topic.name")
	if !errors.Is(err, kerr.InvalidTopicException) {
		t.Errorf("topic.name beside topic_name: %v", err)
	}
	out, err := command(t, "", binary, "topic", "create", "topic.name", "-b", i.addr["PLAINTEXT"])
	if err == nil || !strings.Contains(out, "Topic 'topic.name' collides with existing topic: topic_name") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestA07AMissingTopicIsMadeByProducerAndByConsumer(t *testing.T) {
	i := plain(t, "-c", "num.partitions=3", "-c", "default.replication.factor=3", "-c", "log.retention.hours=72")
	w := way{protocol: "PLAINTEXT", servers: []string{i.addr["PLAINTEXT"]}, topic: "by-producer", group: "makers"}
	dir := t.TempDir()
	if out, err := python(t, dir, w.fill(t, program(t, producerPlain))).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := i.values("by-producer", 1); got[0] != "hello kafka!" {
		t.Errorf("it holds %q", got)
	}
	w.topic = "by-consumer"
	i.running(python(t, dir, w.fill(t, program(t, consumerPlain))))
	i.reading("makers", 1)
	admin := kadm.NewClient(i.client())
	topics, err := admin.ListTopics(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"by-producer", "by-consumer"} {
		if n := len(topics[name].Partitions); n != 3 {
			t.Errorf("%s has %d partitions, want the configured 3", name, n)
		}
		if got := topics[name].Partitions.NumReplicas(); got != 1 {
			t.Errorf("%s shows %d replicas, and there is one broker", name, got)
		}
		configs, err := admin.DescribeTopicConfigs(context.Background(), name)
		if err != nil {
			t.Fatal(err)
		}
		retention := ""
		for _, c := range configs[0].Configs {
			if c.Key == "retention.ms" {
				retention = c.MaybeValue()
			}
		}
		if retention != "259200000" {
			t.Errorf("%s has retention.ms=%s, want the configured 72 hours", name, retention)
		}
	}
}

// running starts a program that the test's end stops, and gives what it prints.
func (i *instance) running(c *exec.Cmd) *output {
	i.t.Helper()
	printed := &output{}
	c.Stdout, c.Stderr = printed, printed
	i.started(c)
	return printed
}

func TestA07WithoutAutoCreationAMissingTopicIsAClearError(t *testing.T) {
	t.Parallel() // the page's producer waits for a minute
	i := plain(t, "-c", "auto.create.topics.enable=false")
	address := i.addr["PLAINTEXT"]
	if out, err := command(t, "hello\n", binary, "produce", "missing", "-b", address); err == nil || !strings.Contains(out, "UNKNOWN_TOPIC_OR_PARTITION") || !strings.Contains(out, "next:     milena topic") {
		t.Errorf("milena produce: %v\n%s", err, out)
	}
	if out, err := command(t, "", tool(t, "kcat"), "-b", address, "-C", "-t", "missing", "-e"); err == nil || !strings.Contains(out, "Unknown topic or partition") {
		t.Errorf("kcat: %v\n%s", err, out)
	}
	w := way{protocol: "PLAINTEXT", servers: []string{address}, topic: "missing", group: "g"}
	out, err := python(t, t.TempDir(), w.fill(t, program(t, producerPlain))).CombinedOutput()
	if err == nil || !strings.HasSuffix(string(out), metadataTimeout+"\n") {
		t.Errorf("the page's producer: %v\n%s", err, out)
	}
	topics, err := kadm.NewClient(i.client()).ListTopics(context.Background())
	if err != nil || len(topics) > 0 {
		t.Errorf("%v, topics %v", err, topics.Names())
	}
}

func TestA08TheFirstSecureStartMakesTheSuperuserAndLaterOnesKeepIt(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		write(t, path, text)
		return path
	}
	first, second, alice := file("first.pw", password), file("second.pw", "Another-2026"), file("alice.pw", "Wonderland-1")
	listeners := func(list string) []string { return []string{"-c", "listeners=" + list} }
	i := start(t, filepath.Join(dir, "data"), listeners("PLAINTEXT://127.0.0.1:0")...) // without users at first
	must(t, "before\n", binary, "produce", "old", "-b", i.addr["PLAINTEXT"])
	i.stop()

	const both = "SASL_PLAINTEXT://127.0.0.1:0,SASL_SSL://127.0.0.1:0"
	i.args = append(listeners(both), "--secure", "--admin", "first", "--admin-password-file", first)
	i.run()
	as := func(user, file string, args ...string) (string, error) {
		return command(t, "", binary, append(args, "-b", i.addr["SASL_SSL"], "--ca", filepath.Join(i.dir, "tls", "ca.crt"), "--user", user, "--password-file", file)...)
	}
	if out, err := as("first", first, "topic", "list"); err != nil || !strings.Contains(out, "old") {
		t.Fatalf("the first superuser: %v\n%s", err, out)
	}
	if out, err := command(t, "", binary, "user", "create", "alice", "--password-file", alice, "-b", i.addr["SASL_PLAINTEXT"], "--user", "first", "--user-password-file", first); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := as("first", first, "user", "delete", "first"); err == nil || !strings.Contains(out, "can't be deleted") {
		t.Errorf("deleting the superuser: %v\n%s", err, out)
	}
	i.stop()

	i.args = listeners("PLAINTEXT://127.0.0.1:0") // disabled
	i.run()
	i.stop()
	i.args = append(listeners(both), "--secure", "--admin", "second", "--admin-password-file", second) // enabled later
	i.run()
	for user, file := range map[string]string{"first": first, "alice": alice} {
		if out, err := as(user, file, "topic", "list"); err != nil {
			t.Errorf("%s is gone: %v\n%s", user, err, out)
		}
	}
	if out, err := as("second", second, "topic", "list"); err == nil {
		t.Errorf("there is a second superuser:\n%s", out)
	}
	if out, err := as("first", first, "user", "list", "-o", "json"); err != nil || strings.Contains(out, "second") {
		t.Errorf("users: %v\n%s", err, out)
	}
	i.stop()
}

// What SECURITY.md says of connections that are open.
func TestA09ANewPasswordHoldsAtOnceAndOpenConnectionsGoOn(t *testing.T) {
	i := secure(t)
	dir := t.TempDir()
	admin, old, fresh := filepath.Join(dir, "admin"), filepath.Join(dir, "old"), filepath.Join(dir, "fresh")
	write(t, admin, password)
	write(t, old, "Wonderland-1")
	write(t, fresh, "Wonderland-2")
	create := func(file string, more ...string) {
		t.Helper()
		must(t, "", binary, append([]string{"user", "create", "alice", "--password-file", file, "-b", i.addr["SASL_PLAINTEXT"], "--user", "admin", "--user-password-file", admin}, more...)...)
	}
	list := func(file string) error {
		_, err := command(t, "", binary, "topic", "list", "-b", i.addr["SASL_PLAINTEXT"], "--user", "alice", "--password-file", file)
		return err
	}
	create(old)
	c, err := kgo.NewClient(kgo.SeedBrokers(i.addr["SASL_PLAINTEXT"]), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("t"),
		kgo.SASL(scram.Auth{User: "alice", Pass: "Wonderland-1"}.AsSha256Mechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	write := func() error { return c.ProduceSync(context.Background(), kgo.StringRecord("x")).FirstErr() }
	if err := write(); err != nil {
		t.Fatal(err)
	}
	create(fresh, "--replace")
	if list(fresh) != nil || list(old) == nil {
		t.Error("the new password does not hold, or the old one still does")
	}
	if err := write(); err != nil {
		t.Errorf("the open connection: %v", err)
	}
	must(t, "", binary, "user", "delete", "alice", "-b", i.addr["SASL_PLAINTEXT"], "--user", "admin", "--password-file", admin)
	if list(fresh) == nil {
		t.Error("alice is gone and signs in")
	}
	if err := write(); err != nil {
		t.Errorf("the open connection: %v", err)
	}
}

func TestA17ProtocolAndMechanismsAreAlwaysShown(t *testing.T) {
	var shown struct {
		Running   bool
		Listeners []struct {
			Name, Protocol, Bound string
			Addresses, Mechanisms []string
		}
	}
	for name, tt := range map[string]struct {
		args []string
		want string // listener protocol mechanisms
	}{
		"all": {nil, "PLAINTEXT PLAINTEXT [], SASL_PLAINTEXT SASL_PLAINTEXT [PLAIN SCRAM-SHA-256 SCRAM-SHA-512], SASL_SSL SASL_SSL [PLAIN SCRAM-SHA-256 SCRAM-SHA-512]"},
		"one each, and names": {[]string{"-c", "listeners=INSIDE://127.0.0.1:0,OUTSIDE://127.0.0.1:0", "-c", "listener.security.protocol.map=INSIDE:SASL_PLAINTEXT,OUTSIDE:SASL_SSL",
			"-c", "sasl.enabled.mechanisms=SCRAM-SHA-512", "-c", "listener.name.outside.sasl.enabled.mechanisms=PLAIN"},
			"INSIDE SASL_PLAINTEXT [SCRAM-SHA-512], OUTSIDE SASL_SSL [PLAIN]"},
	} {
		i := secure(t, tt.args...)
		for _, state := range []string{"running", "stopped"} {
			if err := json.Unmarshal([]byte(must(t, "", binary, "connect", "--data", i.dir, "-o", "json")), &shown); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range shown.Listeners {
				got = append(got, fmt.Sprintf("%s %s %v", l.Name, l.Protocol, l.Mechanisms))
				if bound := i.addr[l.Name]; len(l.Addresses) == 0 || state == "running" && l.Bound != bound || state == "stopped" && l.Bound != "" {
					t.Errorf("%s, %s: %s is bound to %s, and it says %+v", name, state, l.Name, bound, l)
				}
			}
			if strings.Join(got, ", ") != tt.want || shown.Running != (state == "running") {
				t.Errorf("%s, %s: shows %v, running %v", name, state, got, shown.Running)
			}
			if text := must(t, "", binary, "connect", "--data", i.dir); !strings.Contains(text, "SECURITY PROTOCOL") || !strings.Contains(text, "SASL MECHANISMS") {
				t.Errorf("the text lacks a heading:\n%s", text)
			}
			if state == "running" {
				i.stop()
			}
			shown.Listeners = nil
		}
	}
	// The page's defaults are those of the program that is printed.
	i := secure(t)
	text := must(t, "", binary, "connect", "produce", "--data", i.dir, "--lang", "python")
	if !strings.Contains(text, `sasl_mechanism="PLAIN"`) || !strings.Contains(text, "security_protocol='SASL_SSL'") {
		t.Errorf("the program is not for PLAIN over SASL_SSL:\n%s", text)
	}
}
