//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func TestKcat(t *testing.T) {
	i := secure(t)
	dir := i.certificate()
	kcat := tool(t, "kcat")
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		topic := "kcat-" + codec
		must(t, "a:1\nb:2\nc:3\n", kcat, "-b", i.addr["PLAINTEXT"], "-P", "-t", topic, "-K:", "-z", codec)
		got := must(t, "", kcat, "-b", i.addr["PLAINTEXT"], "-C", "-t", topic, "-e", "-q", "-o", "beginning", "-f", "%o %k=%s\n")
		if want := "0 a=1\n1 b=2\n2 c=3\n"; got != want {
			t.Errorf("%s: read %q, want %q", codec, got, want)
		}
	}
	sasl := []string{"-b", i.addr["SASL_SSL"], "-X", "security.protocol=SASL_SSL", "-X", "ssl.ca.location=" + filepath.Join(dir, "phy_ca.crt"),
		"-X", "sasl.username=admin", "-X", "sasl.password=" + password}
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		args := append(sasl, "-X", "sasl.mechanism="+mechanism)
		must(t, "over TLS\n", kcat, append(args, "-P", "-t", "kcat-"+mechanism)...)
		if got := must(t, "", kcat, append(args, "-C", "-t", "kcat-"+mechanism, "-e", "-q", "-o", "beginning")...); got != "over TLS\n" {
			t.Errorf("%s: read %q", mechanism, got)
		}
	}
}

func TestPythonClientsOfToday(t *testing.T) {
	i := secure(t)
	dir := i.certificate()
	for _, script := range []string{"kafka_python.py", "confluent.py"} {
		t.Run(script, func(t *testing.T) {
			out := must(t, "", tool(t, "py-new/bin/python"), "testdata/"+script, i.addr["SASL_SSL"], filepath.Join(dir, "phy_ca.crt"), "admin", password)
			if !strings.HasSuffix(out, "100 records of 4 codecs, and a group\n") {
				t.Errorf("printed %q", out)
			}
		})
	}
}

// java runs one of Kafka's own tools.
func java(t *testing.T, stdin, class string, args ...string) string {
	t.Helper()
	libs := tool(t, "kafka-4.3.1")
	return must(t, stdin, tool(t, "java"), append([]string{"-cp", libs + "/*", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-XX:TieredStopAtLevel=1", class}, args...)...)
}

func TestJavaTools(t *testing.T) {
	i := secure(t)
	dir := i.certificate()
	server := []string{"--bootstrap-server", i.addr["PLAINTEXT"]}
	if out := java(t, "", "org.apache.kafka.tools.TopicCommand", append(server, "--create", "--topic", "java", "--partitions", "3")...); !strings.Contains(out, "Created topic java.") {
		t.Errorf("create printed %q", out)
	}
	java(t, "Hello\nDMS\nKafka!\n", "org.apache.kafka.tools.ConsoleProducer", append(server, "--topic", "java")...)
	out := java(t, "", "org.apache.kafka.tools.consumer.ConsoleConsumer", append(server, "--topic", "java", "--group", "java-group", "--from-beginning", "--max-messages", "3", "--timeout-ms", "30000")...)
	if !strings.Contains(out, "Hello") || !strings.Contains(out, "Kafka!") || !strings.Contains(out, "Processed a total of 3 messages") {
		t.Errorf("the consumer printed %q", out)
	}
	out = java(t, "", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", append(server, "--describe", "--group", "java-group")...)
	if strings.Count(out, "java-group") < 3 {
		t.Errorf("describe printed\n%s", out)
	}
	client := filepath.Join(dir, "tls.properties")
	write(t, client, fmt.Sprintf("security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nssl.truststore.location=%s\nssl.truststore.password=dms@kafka\n"+
		"sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username=\"admin\" password=\"%s\";\n", filepath.Join(dir, "client.jks"), password))
	tls := []string{"--bootstrap-server", i.addr["SASL_SSL"], "--command-config", client}
	if out := java(t, "", "org.apache.kafka.tools.TopicCommand", append(tls, "--list")...); !strings.Contains(out, "java") {
		t.Errorf("over TLS, with host names verified, list printed %q", out)
	}
}

func TestFirstBytesOfSomethingElseGetOneLine(t *testing.T) {
	i := secure(t)
	for name, tt := range map[string]struct{ listener, send, logs string }{
		"HTTP":             {"PLAINTEXT", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "looks like HTTP"},
		"SSH":              {"SASL_PLAINTEXT", "SSH-2.0-OpenSSH_9.2\r\n", "looks like SSH"},
		"TLS":              {"PLAINTEXT", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "looks like TLS"},
		"Kafka on the TLS": {"SASL_SSL", "\x00\x00\x00\x10\x00\x12\x00\x00\x00\x00\x00\x01\x00\x04test", "looks like Kafka without TLS"},
	} {
		c, err := net.Dial("tcp", i.addr[tt.listener])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(tt.send)); err != nil {
			t.Fatal(err)
		}
		i.logs("connection closed", tt.logs)
		c.Close()
		if strings.Contains(i.log.String(), "OpenSSH") {
			t.Errorf("%s: the log holds the payload", name)
		}
	}
	if !ready(i.addr["admin"]) {
		t.Error("not ready any more")
	}
}

func TestA10ASecretIsInNoFileAndNoLine(t *testing.T) {
	i := secure(t)
	must(t, "one\n", tool(t, "kcat"), "-b", i.addr["SASL_PLAINTEXT"], "-P", "-t", "t", "-X", "security.protocol=SASL_PLAINTEXT",
		"-X", "sasl.mechanism=PLAIN", "-X", "sasl.username=admin", "-X", "sasl.password="+password)
	i.stop()
	if strings.Contains(i.log.String(), password) {
		t.Error("the log holds the password")
	}
	err := filepath.WalkDir(i.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(b), password) {
			t.Errorf("%s holds the password", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
