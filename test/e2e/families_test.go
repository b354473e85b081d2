//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The flows of the page by the other families of clients: a consumer in a group
// is there before the producer runs; the broker is killed and comes back in the
// middle; two consumers share, one is killed, the other takes over; and what goes
// wrong is said.

// mode is how a client comes in.
type mode struct{ protocol, mechanism string }

var everyMode = []mode{
	{"PLAINTEXT", ""},
	{"SASL_PLAINTEXT", "PLAIN"}, {"SASL_PLAINTEXT", "SCRAM-SHA-256"}, {"SASL_PLAINTEXT", "SCRAM-SHA-512"},
	{"SASL_SSL", "PLAIN"}, {"SASL_SSL", "SCRAM-SHA-256"}, {"SASL_SSL", "SCRAM-SHA-512"},
}

// sample is for clients whose every start is dear: each protocol once and each
// mechanism once, or with MATRIX=full (make long) all of them.
func sample() []mode {
	if os.Getenv("MATRIX") == "full" {
		return everyMode
	}
	return []mode{{"PLAINTEXT", ""}, {"SASL_PLAINTEXT", "PLAIN"}, {"SASL_SSL", "SCRAM-SHA-512"}}
}

func (m mode) String() string { return strings.Trim(m.protocol+"-"+m.mechanism, "-") }

// visit is one program's errand.
type visit struct {
	mode
	server, dir, password, topic, group string
}

// family is a client library in the hands of one program.
type family struct {
	modes   []mode
	produce func(t *testing.T, v visit) *exec.Cmd // its input: a message a line
	consume func(t *testing.T, v visit) *exec.Cmd // prints a line a message
	line    func(topic string, partition int32, offset int64, value string) string
	needs   bool // a topic before it consumes: only its producer makes one

	wrongPassword, wrongCA, closedPort string // what produce says; one of several, with | between them
}

func pageLine(topic string, partition int32, offset int64, value string) string {
	return fmt.Sprintf("%s:%d:%d: key=None value=b'%s'\n", topic, partition, offset, value)
}

func pythonFlow(script string) func(verb string) func(*testing.T, visit) *exec.Cmd {
	return func(verb string) func(*testing.T, visit) *exec.Cmd {
		return func(t *testing.T, v visit) *exec.Cmd {
			return exec.Command(tool(t, "py-new/bin/python"), "-u", "testdata/"+script, verb, v.server, v.protocol, v.mechanism,
				filepath.Join(v.dir, "phy_ca.crt"), "admin", v.password, v.topic, v.group)
		}
	}
}

// librdkafka's properties, by its names, as kcat takes them.
func librdkafka(v visit) []string {
	args := []string{"-b", v.server, "-X", "security.protocol=" + v.protocol}
	if strings.HasPrefix(v.protocol, "SASL") {
		args = append(args, "-X", "sasl.mechanism="+v.mechanism, "-X", "sasl.username=admin", "-X", "sasl.password="+v.password)
	}
	if v.protocol == "SASL_SSL" {
		args = append(args, "-X", "ssl.ca.location="+filepath.Join(v.dir, "phy_ca.crt"))
	}
	return args
}

// ours are the flags of milena's own verbs, which are franz-go's.
func ours(t *testing.T, v visit) []string {
	args := []string{"-b", v.server}
	if strings.HasPrefix(v.protocol, "SASL") {
		file := filepath.Join(t.TempDir(), "password")
		write(t, file, v.password)
		args = append(args, "-X", "security.protocol="+v.protocol, "-X", "sasl.mechanism="+v.mechanism, "--user", "admin", "--password-file", file)
	}
	if v.protocol == "SASL_SSL" {
		args = append(args, "--ca", filepath.Join(v.dir, "phy_ca.crt"))
	}
	return args
}

// console is one of Kafka's console tools with a client.properties of its own.
func console(t *testing.T, class string, v visit, args ...string) *exec.Cmd {
	file := filepath.Join(t.TempDir(), "client.properties")
	text := "security.protocol=" + v.protocol + "\nallow.auto.create.topics=true\nreconnect.backoff.max.ms=200\n"
	if strings.HasPrefix(v.protocol, "SASL") {
		module := "scram.ScramLoginModule"
		if v.mechanism == "PLAIN" {
			module = "plain.PlainLoginModule"
		}
		text += fmt.Sprintf("sasl.mechanism=%s\nsasl.jaas.config=org.apache.kafka.common.security.%s required username=\"admin\" password=\"%s\";\n", v.mechanism, module, v.password)
	}
	if v.protocol == "SASL_SSL" {
		text += "ssl.truststore.location=" + filepath.Join(v.dir, "client.jks") + "\nssl.truststore.password=dms@kafka\n"
	}
	if class == "ConsoleProducer" {
		text += "max.block.ms=10000\n"
	} else {
		text += "session.timeout.ms=6000\nheartbeat.interval.ms=1000\n"
		class = "consumer." + class
	}
	write(t, file, text)
	return exec.Command(tool(t, "java"), append([]string{"-cp", tool(t, "kafka-4.3.1") + "/*", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
		"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "org.apache.kafka.tools." + class,
		"--bootstrap-server", v.server, "--topic", v.topic, "--command-config", file}, args...)...)
}

func TestTheFlowsByTheNewestKafkaPython(t *testing.T) {
	flow := pythonFlow("flow_kafka_python.py")
	family{
		modes: everyMode, produce: flow("produce"), consume: flow("consume"), line: pageLine,
		// On a busy machine the refusal and the close behind it reach it together;
		// then it tells of the close alone.
		wrongPassword: "SaslAuthenticationFailedError|Unable to bootstrap",
		wrongCA:       "CERTIFICATE_VERIFY_FAILED",
		closedPort:    "kafka.errors.KafkaTimeoutError: KafkaTimeoutError: Unable to bootstrap from 127.0.0.1:1",
	}.flows(t)
}

func TestTheFlowsByConfluentKafka(t *testing.T) {
	flow := pythonFlow("flow_confluent.py")
	family{
		modes: everyMode, produce: flow("produce"), consume: flow("consume"), line: pageLine, needs: true,
		wrongPassword: "Authentication failed",
		wrongCA:       "certificate verify failed",
		closedPort:    "brokers are down",
	}.flows(t)
}

func TestTheFlowsByKcat(t *testing.T) {
	family{
		modes: everyMode, needs: true,
		produce: func(t *testing.T, v visit) *exec.Cmd {
			return exec.Command(tool(t, "kcat"), append(librdkafka(v), "-X", "message.timeout.ms=20000", "-P", "-t", v.topic)...)
		},
		consume: func(t *testing.T, v visit) *exec.Cmd {
			return exec.Command(tool(t, "kcat"), append(librdkafka(v), "-X", "allow.auto.create.topics=true", "-X", "session.timeout.ms=6000",
				"-E", "-u", "-q", "-f", "%t:%p:%o: value=%s\n", "-G", v.group, v.topic)...)
		},
		line: func(topic string, partition int32, offset int64, value string) string {
			return fmt.Sprintf("%s:%d:%d: value=%s\n", topic, partition, offset, value)
		},
		wrongPassword: "Authentication failed",
		wrongCA:       "certificate verify failed",
		closedPort:    "brokers are down",
	}.flows(t)
}

func TestTheFlowsByFranzGo(t *testing.T) {
	family{
		modes: everyMode, line: pageLine, needs: true,
		produce: func(t *testing.T, v visit) *exec.Cmd {
			return exec.Command(binary, append([]string{"produce", v.topic}, ours(t, v)...)...)
		},
		consume: func(t *testing.T, v visit) *exec.Cmd {
			return exec.Command(binary, append([]string{"consume", v.topic, "-g", v.group, "-X", "session.timeout.ms=6000", "-X", "fetch.max.wait.ms=500",
				"-f", `%t:%p:%o: key=%k{python} value=%v{python}\n`}, ours(t, v)...)...)
		},
		wrongPassword: "SASL_AUTHENTICATION_FAILED",
		wrongCA:       "certificate signed by unknown authority",
		closedPort:    "connection refused",
	}.flows(t)
}

func TestTheFlowsByTheJavaConsoleTools(t *testing.T) {
	family{
		modes: sample(),
		produce: func(t *testing.T, v visit) *exec.Cmd {
			return console(t, "ConsoleProducer", v)
		},
		consume: func(t *testing.T, v visit) *exec.Cmd {
			return console(t, "ConsoleConsumer", v, "--group", v.group, "--formatter-property", "print.partition=true", "--formatter-property", "print.offset=true")
		},
		line: func(_ string, partition int32, offset int64, value string) string {
			return fmt.Sprintf("Partition:%d\tOffset:%d\t%s\n", partition, offset, value)
		},
		wrongPassword: "SaslAuthenticationException",
		wrongCA:       "SSL handshake failed",
		closedPort:    "TimeoutException",
	}.flows(t)
}

func (f family) flows(t *testing.T) {
	t.Parallel() // most of it waits, for a killed member's session to end above all
	i := secure(t, "-c", fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:%s,SASL_PLAINTEXT://127.0.0.1:%s,SASL_SSL://127.0.0.1:%s", freePort(t), freePort(t), freePort(t)))
	dir := i.certificate()
	come := func(m mode, topic string) visit {
		return visit{mode: m, server: i.addr[m.protocol], dir: dir, password: password, topic: topic, group: "group-" + topic}
	}
	for _, m := range f.modes {
		t.Run(m.String(), func(t *testing.T) {
			defer i.within(t)()
			f.throughAKill(i, come(m, "flow-"+m.String()), m == f.modes[len(f.modes)-1])
		})
	}
	t.Run("shared", func(t *testing.T) {
		defer i.within(t)()
		f.shared(i, come(f.modes[0], "shared"))
	})
	last := f.modes[len(f.modes)-1]
	spoiled := func(name, says string, spoil func(*visit), logs ...string) {
		t.Run(name, func(t *testing.T) {
			defer i.within(t)()
			v := come(last, "t")
			spoil(&v)
			out, _ := runs(f.produce(t, v), "lost\n")
			if !slices.ContainsFunc(strings.Split(says, "|"), func(one string) bool { return strings.Contains(out, one) }) {
				t.Errorf("does not say %q:\n%s", says, out)
			}
			if logs != nil {
				i.logs(logs...)
			}
		})
	}
	spoiled("wrong password", f.wrongPassword, func(v *visit) { v.password = "wrong" }, "sign-in refused", "admin", last.mechanism)
	spoiled("wrong CA", f.wrongCA, func(v *visit) { v.dir = secure(t).certificate() }, "connection closed", "TLS handshake failed")
	spoiled("closed port", f.closedPort, func(v *visit) { v.server = "127.0.0.1:1" })
}

// runs runs a program to its end.
func runs(c *exec.Cmd, stdin string) (string, error) {
	c.Stdin = strings.NewReader(stdin)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out := &output{}
	c.Stdout, c.Stderr = out, out
	if err := c.Start(); err != nil {
		return "", err
	}
	limit := time.AfterFunc(programMax, func() { c.Process.Kill() })
	defer limit.Stop()
	err := c.Wait()
	return out.String(), err
}

// throughAKill lets a message through, and with kill another behind a broker
// that was killed and started again.
func (f family) throughAKill(i *instance, v visit, kill bool) {
	t := i.t
	t.Helper()
	send := func() {
		t.Helper()
		if out, err := runs(f.produce(t, v), "hello kafka!\n"); err != nil {
			t.Fatalf("produce: %v\n%s", err, out)
		}
	}
	first := int64(0)
	if f.needs {
		send()
		first++
	}
	printed := &output{}
	c := f.consume(t, v)
	c.Stdout = printed // what it says of a lost broker goes elsewhere
	i.started(c)
	i.reading(v.group, 1)
	want := ""
	for n := range int64(2) {
		send()
		want += f.line(v.topic, 0, first+n, "hello kafka!")
		i.eventually("the consumer's line", 2*waitMax, func(context.Context) bool { return printed.Len() >= len(want) })
		if printed.String() != want {
			t.Errorf("consumer printed\n%s\nwant\n%s", printed, want)
		}
		if !kill {
			break
		}
		if n == 0 {
			i.kill()
			i.run()
		}
	}
	c.Process.Kill()
}

// shared lets two consumers share two partitions, and one take over.
func (f family) shared(i *instance, v visit) {
	t := i.t
	t.Helper()
	i.makes(v.topic, 2)
	printed := &output{}
	var both []*exec.Cmd
	for range 2 {
		c := f.consume(t, v)
		c.Stdout = printed
		i.started(c)
		both = append(both, c)
	}
	i.reading(v.group, 2)
	i.sharesOut(v.topic, "both there", printed, f.line)
	both[0].Process.Kill()
	i.reading(v.group, 1)
	i.sharesOut(v.topic, "one left", printed, f.line)
	both[1].Process.Kill()
}

// sharesOut writes into both partitions until what was written is printed of
// both. A consumer that has a partition is not yet at its end, where it begins:
// what comes before that it never prints.
func (i *instance) sharesOut(topic, value string, printed *output, line func(string, int32, int64, string) string) {
	i.t.Helper()
	c := i.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer c.Close()
	i.eventually("both partitions' messages: "+value, 2*waitMax, func(ctx context.Context) bool {
		both := true
		for p := range int32(2) {
			r := &kgo.Record{Topic: topic, Partition: p, Value: []byte(value)}
			if err := c.ProduceSync(ctx, r).FirstErr(); err != nil {
				i.t.Fatal(err)
			}
			want := line(topic, p, r.Offset, value)
			for until := time.Now().Add(time.Second); !strings.Contains(printed.String(), want) && time.Now().Before(until); {
				time.Sleep(5 * time.Millisecond)
			}
			both = both && strings.Contains(printed.String(), want)
		}
		return both
	})
}

func (i *instance) makes(topic string, partitions int32) {
	i.t.Helper()
	if _, err := kadm.NewClient(i.client()).CreateTopic(context.Background(), partitions, 1, nil, topic); err != nil {
		i.t.Fatal(err)
	}
}

// started starts a program that the test's end stops.
func (i *instance) started(c *exec.Cmd) {
	i.t.Helper()
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { c.Process.Kill(); c.Wait() })
}
