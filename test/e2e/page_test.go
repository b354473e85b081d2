//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The page's programs, in its order.
const (
	producerSASL = iota
	producerPlain
	consumerSASL
	consumerPlain
)

// program takes one of the page's four programs out of the page.
func program(t *testing.T, which int) string {
	t.Helper()
	text, err := os.ReadFile("../page/kafka-python.rst")
	if err != nil {
		t.Fatal(err)
	}
	var programs []string
	for _, block := range regexp.MustCompile(`(?m)\.\. code-block::\n\n((?:      .*\n|\n)+)`).FindAllStringSubmatch(string(text), -1) {
		body := regexp.MustCompile(`(?m)^      `).ReplaceAllString(block[1], "")
		if strings.Contains(body, "from kafka import") {
			programs = append(programs, body)
		}
	}
	if len(programs) != 4 {
		t.Fatalf("the page has %d programs, want 4", len(programs))
	}
	return programs[which]
}

// way is how a client comes in.
type way struct {
	protocol, mechanism string
	servers             []string
	topic, group        string
	user, password      string
}

// fill puts real values in the place of the page's placeholders, and changes
// nothing else.
func (w way) fill(t *testing.T, text string) string {
	t.Helper()
	replace := func(from, to string) {
		if !strings.Contains(text, from) {
			t.Fatalf("the program has no %s", from)
		}
		text = strings.Replace(text, from, to, 1)
	}
	replace(`["ip1:port1","ip2:port2","ip3:port3"]`, `["`+strings.Join(w.servers, `","`)+`"]`)
	if strings.Contains(text, "'topic_name': 'topic-name'") {
		replace("'topic_name': 'topic-name'", "'topic_name': '"+w.topic+"'")
	} else {
		replace("'topic_name': 'topic_name'", "'topic_name': '"+w.topic+"'")
	}
	if strings.Contains(text, "'consumer_id': '") {
		text = regexp.MustCompile(`'consumer_id': 'consumer[_-]id'`).ReplaceAllString(text, "'consumer_id': '"+w.group+"'")
	}
	if w.protocol == "PLAINTEXT" {
		return text
	}
	replace("'sasl_username': 'username'", "'sasl_username': '"+w.user+"'")
	replace("'sasl_password': 'password'", "'sasl_password': '"+w.password+"'")
	if w.mechanism != "PLAIN" {
		replace(`sasl_mechanism="PLAIN"`, `sasl_mechanism="`+w.mechanism+`"`)
	}
	if w.protocol == "SASL_PLAINTEXT" {
		replace("security_protocol='SASL_SSL'", "security_protocol='SASL_PLAINTEXT'")
		replace("context.verify_mode", "#context.verify_mode")
		replace("context.load_verify_locations", "#context.load_verify_locations")
	}
	return text
}

// programMax ends a program that should have ended by itself.
const programMax = 3 * time.Minute

// python writes a program into a directory with the certificate beside it.
func python(t *testing.T, dir, text string) *exec.Cmd {
	t.Helper()
	file := filepath.Join(dir, fmt.Sprintf("program-%d.py", time.Now().UnixNano()))
	write(t, file, text)
	ctx, cancel := context.WithTimeout(context.Background(), programMax)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, tool(t, "py/bin/python"), "-u", "-W", "ignore", file)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// client is a Go client on the listener without a password, to look with.
func (i *instance) client(opts ...kgo.Opt) *kgo.Client {
	i.t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(i.addr["PLAINTEXT"]), kgo.AllowAutoTopicCreation()}, opts...)...)
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(c.Close)
	return c
}

func (i *instance) eventually(what string, limit time.Duration, is func(ctx context.Context) bool) {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for !is(ctx) {
		select {
		case <-ctx.Done():
			i.t.Fatalf("not within %v: %s", limit, what)
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// stable waits until a group has so many members and every one its share.
func (i *instance) stable(group string, members int) {
	i.t.Helper()
	admin := kadm.NewClient(i.client())
	i.eventually(fmt.Sprintf("group %s with %d members is stable", group, members), 30*time.Second, func(ctx context.Context) bool {
		groups, err := admin.DescribeGroups(ctx, group)
		return err == nil && groups[group].State == "Stable" && len(groups[group].Members) == members
	})
}

// reading waits until a group is stable and its members fetch: only then do
// they stand at the topic's end, where a new group begins.
func (i *instance) reading(group string, members int) {
	i.t.Helper()
	i.stable(group, members)
	before := i.fetches()
	i.eventually("the consumers fetch", 15*time.Second, func(context.Context) bool { return i.fetches() >= before+2*members })
}

// fetches is how many Fetch requests were started so far.
func (i *instance) fetches() int { return int(i.metric(`milena_requests_total{api="Fetch"}`)) }

// metric is what /metrics says of one figure, 0 if nothing.
func (i *instance) metric(name string) float64 {
	resp, err := http.Get("http://" + i.addr["admin"] + "/metrics")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			n, _ := strconv.ParseFloat(value, 64)
			return n
		}
	}
	return 0
}

// values reads a topic from its start until it has n records.
func (i *instance) values(topic string, n int) []string {
	i.t.Helper()
	var values []string
	for _, r := range i.records(topic, n) {
		values = append(values, string(r.Value))
	}
	return values
}

// records reads a topic from its start until it has n records.
func (i *instance) records(topic string, n int) []*kgo.Record {
	i.t.Helper()
	c := i.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var records []*kgo.Record
	for len(records) < n {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			i.t.Fatalf("%s: %d of %d records: %v", topic, len(records), n, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// certificate writes phy_ca.crt as a user would get it.
func (i *instance) certificate() string {
	i.t.Helper()
	dir := i.t.TempDir()
	must(i.t, "", binary, "connect", "--data", i.dir, "--dir", dir)
	return dir
}

// runs starts the page's consumer, then its producer, and compares what both print.
func (i *instance) runsThePage(t *testing.T, dir string, w way) {
	t.Helper()
	defer i.within(t)()
	consumer, producer := consumerSASL, producerSASL
	if w.protocol == "PLAINTEXT" {
		consumer, producer = consumerPlain, producerPlain
	}
	printed := &output{}
	c := python(t, dir, w.fill(t, program(t, consumer)))
	c.Stdout, c.Stderr = printed, printed
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { c.Process.Kill(); c.Wait() }()
	i.reading(w.group, 1)
	out, err := python(t, dir, w.fill(t, program(t, producer))).CombinedOutput()
	if err != nil || string(out) != "start producer\nend producer\n" {
		t.Fatalf("producer: %v\n%s", err, out)
	}
	if got := i.values(w.topic, 1); got[0] != "hello kafka!" {
		t.Errorf("the topic holds %q", got)
	}
	want := "start consumer\n" + w.topic + ":0:0: key=None value=b'hello kafka!'\n"
	i.eventually("the consumer's line", 15*time.Second, func(context.Context) bool { return len(printed.String()) >= len(want) })
	if printed.String() != want {
		t.Errorf("consumer printed\n%s\nwant\n%s", printed, want)
	}
}

// everyWay runs the page's programs against one instance in several ways.
func everyWay(t *testing.T, protocols, mechanisms []string) {
	i := secure(t)
	dir := i.certificate()
	for _, protocol := range protocols {
		for _, mechanism := range mechanisms {
			name := protocol + "-" + mechanism
			t.Run(name, func(t *testing.T) {
				i.runsThePage(t, dir, way{
					protocol: protocol, mechanism: mechanism, servers: []string{i.addr[protocol]},
					topic: "page-" + name, group: "group-" + name, user: "admin", password: password,
				})
			})
		}
	}
}

// With A14 and A16: every security protocol by every mechanism.
func TestA03ThePagesFourProgramsRunUnmodified(t *testing.T) {
	if got, want := must(t, "", tool(t, "py/bin/python"), "-c", "import kafka, sys; print(sys.version_info[:2], kafka.__version__)"), "(3, 11) 2.0.1\n"; got != want {
		t.Errorf("Python and kafka-python are %q, want %q", got, want)
	}
	everyWay(t, []string{"PLAINTEXT", "SASL_SSL"}, []string{"PLAIN"})
}

func TestA14WithoutTLSTheLeftoverContextDoesNoHarm(t *testing.T) {
	everyWay(t, []string{"SASL_PLAINTEXT"}, []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"})
}

func TestA16OnePasswordSignsInByEveryMechanism(t *testing.T) {
	everyWay(t, []string{"SASL_SSL"}, []string{"SCRAM-SHA-256", "SCRAM-SHA-512"})
}

func TestA04DeadBootstrapEntriesDoNotMatter(t *testing.T) {
	i := plain(t)
	for name, servers := range map[string][]string{
		"one":  {"127.0.0.1:1", i.addr["PLAINTEXT"], i.addr["PLAINTEXT"]},
		"both": {"127.0.0.1:1", "127.0.0.1:2", i.addr["PLAINTEXT"]},
	} {
		t.Run(name, func(t *testing.T) {
			i.runsThePage(t, t.TempDir(), way{protocol: "PLAINTEXT", servers: servers, topic: "dead-" + name, group: "dead-" + name})
		})
	}
}

func TestA21WhatGoesWrongIsSaidByClientAndBroker(t *testing.T) {
	i := secure(t)
	dir := i.certificate()
	sasl := way{protocol: "SASL_SSL", mechanism: "PLAIN", servers: []string{i.addr["SASL_SSL"]}, topic: "t", group: "g", user: "admin", password: password}
	for _, tt := range []struct {
		name  string
		way   way
		spoil func(*way)
		ends  string // the last line of stderr begins with it
		logs  []string
	}{
		{"wrong password", sasl, func(w *way) { w.password = "wrong" }, "kafka.errors.NoBrokersAvailable: NoBrokersAvailable", []string{"sign-in refused", "admin", "PLAIN"}},
		{"unknown user", sasl, func(w *way) { w.user = "nobody" }, "kafka.errors.NoBrokersAvailable: NoBrokersAvailable", []string{"sign-in refused", "nobody"}},
		{"wrong password by SCRAM", sasl, func(w *way) { w.mechanism, w.password = "SCRAM-SHA-512", "wrong" }, "kafka.errors.NoBrokersAvailable: NoBrokersAvailable", []string{"sign-in refused", "SCRAM-SHA-512"}},
		{"TLS on a listener without", sasl, func(w *way) { w.servers = []string{i.addr["SASL_PLAINTEXT"]} }, "kafka.errors.NoBrokersAvailable: NoBrokersAvailable", []string{"connection closed", "looks like TLS"}},
		{"closed port", sasl, func(w *way) { w.servers = []string{"127.0.0.1:1"} }, "kafka.errors.NoBrokersAvailable: NoBrokersAvailable", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := tt.way
			tt.spoil(&w)
			out, err := python(t, dir, w.fill(t, program(t, producerSASL))).CombinedOutput()
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			if err == nil || !strings.HasPrefix(lines[len(lines)-1], tt.ends) {
				t.Errorf("%v, last line %q, want %q", err, lines[len(lines)-1], tt.ends)
			}
			if tt.logs != nil {
				i.logs(tt.logs...)
			}
		})
	}
	if n := i.metric(`milena_sign_ins_refused_total{listener="SASL_SSL"}`); n < 3 {
		t.Errorf("%v refused sign-ins are counted, of 3 at least", n)
	}
	for _, user := range []string{"admin", "nobody"} {
		i.logs("sign-in refused", `"user":"`+user+`"`, `"from":"127.0.0.1:`)
	}
}

func TestWhoDoesNotSignInIsClosedAndLogged(t *testing.T) {
	t.Parallel() // it may wait for the client's own minute
	i := secure(t)
	w := way{protocol: "PLAINTEXT", servers: []string{i.addr["SASL_PLAINTEXT"]}, topic: "t", group: "g"}
	out, err := python(t, t.TempDir(), w.fill(t, program(t, producerPlain))).CombinedOutput()
	// Which of the two the client raises depends on how far its probe came.
	if err == nil || !strings.Contains(string(out), "kafka.errors.UnrecognizedBrokerVersion") &&
		!strings.Contains(string(out), metadataTimeout) {
		t.Errorf("%v\n%s", err, out)
	}
	i.logs("connection closed", "SASL_PLAINTEXT")
}

// metadataTimeout is what the page's producer ends with when its topic does not appear.
const metadataTimeout = "kafka.errors.KafkaTimeoutError: KafkaTimeoutError: Failed to update metadata after 60.0 secs."

// takeOverMax is the client's session of 10 s, and a rebalance on a busy machine.
const takeOverMax = 20 * time.Second

func TestA25TwoConsumersShareAndOneTakesOver(t *testing.T) {
	t.Parallel() // it waits for a session's end
	i := plain(t, "-c", "num.partitions=2")
	w := way{protocol: "PLAINTEXT", servers: []string{i.addr["PLAINTEXT"]}, topic: "shared", group: "pair"}
	dir := t.TempDir()
	printed := &output{}
	var consumers []*exec.Cmd
	for range 2 {
		c := python(t, dir, w.fill(t, program(t, consumerPlain)))
		c.Stdout, c.Stderr = printed, printed
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { c.Process.Kill(); c.Wait() }()
		consumers = append(consumers, c)
	}
	i.reading(w.group, 2)
	i.sharesOut(w.topic, "both there", printed, pageLine)
	killed := time.Now()
	consumers[0].Process.Kill()
	i.stable(w.group, 1)
	if took := time.Since(killed); took > takeOverMax {
		t.Errorf("the other took over after %v", took)
	}
	i.reading(w.group, 1)
	i.sharesOut(w.topic, "one left", printed, pageLine)
}

func TestA23AConsumerOutlivesKillAndRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	port := freePort(t)
	i := start(t, dir, "-c", "listeners=PLAINTEXT://127.0.0.1:"+port)
	w := way{protocol: "PLAINTEXT", servers: []string{"127.0.0.1:" + port}, topic: "outlives", group: "outlives"}
	printed := &output{}
	c := python(t, t.TempDir(), w.fill(t, program(t, consumerPlain)))
	c.Stdout, c.Stderr = printed, printed
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { c.Process.Kill(); c.Wait() }()
	i.reading(w.group, 1)
	for n := range 3 {
		out, err := python(t, t.TempDir(), w.fill(t, program(t, producerPlain))).CombinedOutput()
		if err != nil {
			t.Fatalf("producer: %v\n%s", err, out)
		}
		want := fmt.Sprintf("outlives:0:%d: key=None value=b'hello kafka!'\n", n)
		i.eventually(want, 20*time.Second, func(context.Context) bool { return strings.Contains(printed.String(), want) })
		i.kill()
		i.run()
	}
	if got := strings.Count(printed.String(), "hello kafka!"); got != 3 {
		t.Errorf("3 messages were printed %d times:\n%s", got, printed)
	}
}
