//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Statements A19 to A25: what is written, read and printed.

// waitMax is for what takes far less where the machine is not busy.
const waitMax = 30 * time.Second

func TestA19WhatTheProducerSentIsThereAfterKill(t *testing.T) {
	port := freePort(t)
	i := start(t, filepath.Join(t.TempDir(), "data"), "-c", "listeners=PLAINTEXT://127.0.0.1:"+port)
	w := way{protocol: "PLAINTEXT", servers: []string{"127.0.0.1:" + port}, topic: "kept"}
	for n := range cycles(3) {
		out, err := python(t, t.TempDir(), w.fill(t, program(t, producerPlain))).CombinedOutput()
		i.kill() // close has returned, and the program ended
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		i.run()
		records := i.records("kept", n+1)
		r := records[n]
		if r.Offset != int64(n) || r.Key != nil || string(r.Value) != "hello kafka!" || len(r.Value) != 12 {
			t.Errorf("offset %d: key %q, value %q at offset %d", n, r.Key, r.Value, r.Offset)
		}
	}
}

func TestA20TheProducerPrintsItsTwoLinesWithinThreeSeconds(t *testing.T) {
	i := secure(t)
	dir := i.certificate()
	for protocol, which := range map[string]int{"PLAINTEXT": producerPlain, "SASL_SSL": producerSASL} {
		w := way{protocol: protocol, mechanism: "SCRAM-SHA-512", servers: []string{i.addr[protocol]}, topic: "t", user: "admin", password: password}
		best := time.Hour
		for range 5 { // others may keep the machine busy
			began := time.Now()
			out, err := python(t, dir, w.fill(t, program(t, which))).CombinedOutput()
			best = min(best, time.Since(began))
			if err != nil || string(out) != "start producer\nend producer\n" {
				t.Fatalf("%s: %v\n%s", protocol, err, out)
			}
			if best < 3*time.Second {
				break
			}
		}
		t.Logf("%s: %v", protocol, best)
		if best > 3*time.Second {
			t.Errorf("%s: the best of 5 runs took %v", protocol, best)
		}
	}
}

func TestA22AnUnknownGroupAppearsWithItsMember(t *testing.T) {
	i := plain(t)
	w := way{protocol: "PLAINTEXT", servers: []string{i.addr["PLAINTEXT"]}, topic: "t", group: "consumer-id"}
	i.running(python(t, t.TempDir(), w.fill(t, program(t, consumerPlain))))
	i.stable("consumer-id", 1)
	groups, err := kadm.NewClient(i.client()).DescribeGroups(context.Background(), "consumer-id")
	if err != nil {
		t.Fatal(err)
	}
	g := groups["consumer-id"]
	m := g.Members[0]
	host, hostErr := netip.ParseAddr(strings.TrimPrefix(m.ClientHost, "/"))
	if g.State != "Stable" || m.ClientID != "kafka-python-2.0.1" || !strings.HasPrefix(m.MemberID, "kafka-python-2.0.1-") || hostErr != nil || !host.IsLoopback() {
		t.Errorf("state %s, client id %q, member id %q, host %q", g.State, m.ClientID, m.MemberID, m.ClientHost)
	}
	if out := must(t, "", binary, "group", "describe", "consumer-id", "-b", i.addr["PLAINTEXT"]); !strings.Contains(out, m.MemberID) {
		t.Errorf("group describe says\n%s", out)
	}
}

func TestA22WithoutAutoCreationAnUnknownGroupIsAFatalError(t *testing.T) {
	i := plain(t, "-c", "auto.create.groups.enable=false")
	w := way{protocol: "PLAINTEXT", servers: []string{i.addr["PLAINTEXT"]}, topic: "t", group: "nobody-made-me"}
	out, err := python(t, t.TempDir(), w.fill(t, program(t, consumerPlain))).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "\nkafka.errors.GroupAuthorizationFailedError: [Error 30] GroupAuthorizationFailedError: nobody-made-me\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestA23MessagesComeInOrderAndSoon(t *testing.T) {
	i := plain(t)
	w := way{protocol: "PLAINTEXT", servers: []string{i.addr["PLAINTEXT"]}, topic: "ordered", group: "g"}
	printed := i.running(python(t, t.TempDir(), w.fill(t, program(t, consumerPlain))))
	i.reading("g", 1)
	const one, many = 100, 2000
	c := i.client(kgo.ProducerLinger(0), kgo.DefaultProduceTopic("ordered"), kgo.ProducerBatchCompression(kgo.NoCompression())) // the client has no library for the others
	want := bytes.NewBufferString("start consumer\n")
	line := func(n int) *kgo.Record {
		fmt.Fprintf(want, "ordered:0:%d: key=None value=b'%d'\n", n, n)
		return kgo.StringRecord(fmt.Sprint(n))
	}
	var took []time.Duration
	for n := range one { // each by itself, for its latency
		began := time.Now()
		if err := c.ProduceSync(context.Background(), line(n)).FirstErr(); err != nil {
			t.Fatal(err)
		}
		for printed.Len() < want.Len() {
			if time.Since(began) > waitMax {
				t.Fatalf("message %d is not printed:\n%s", n, printed)
			}
			time.Sleep(200 * time.Microsecond)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("sent and printed: p50 %v, p99 %v", took[one/2], took[one-2])
	if took[one-2] > time.Second {
		t.Errorf("p99 is %v, which is not milliseconds", took[one-2])
	}
	var batch []*kgo.Record
	for n := one; n < many; n++ {
		batch = append(batch, line(n))
	}
	if err := c.ProduceSync(context.Background(), batch...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	i.eventually("all are printed", waitMax, func(context.Context) bool { return printed.Len() >= want.Len() })
	if printed.String() != want.String() {
		t.Errorf("printed\n%s", printed)
	}
}

func TestA24TheLineIsExactForEveryKeyAndValue(t *testing.T) {
	i := plain(t, "-c", "message.max.bytes=11000000")
	every := make([]byte, 256)
	for n := range every {
		every[n] = byte(n)
	}
	long := bytes.Repeat([]byte("0123456789abcdef"), 10<<20/16)
	rows := []struct{ key, value []byte }{
		{nil, []byte("hello kafka!")}, {nil, nil}, {[]byte{}, []byte{}}, {[]byte("k"), nil}, {[]byte{0, 0xff}, every},
		{nil, []byte(`it's`)}, {nil, []byte(`"it's"`)}, {nil, []byte("\\n\n\t\r\x7f")}, {every, long}, {nil, []byte("last")},
	}
	// What Python itself prints for these bytes.
	var literal strings.Builder
	literal.WriteString("start consumer\n")
	for n, r := range rows {
		fmt.Fprintf(&literal, "exact:0:%d: key=%s value=%s\n", n, pythonBytes(r.key), pythonBytes(r.value))
	}
	w := way{protocol: "PLAINTEXT", servers: []string{i.addr["PLAINTEXT"]}, topic: "exact", group: "g"}
	printed := i.running(python(t, t.TempDir(), w.fill(t, program(t, consumerPlain))))
	i.reading("g", 1)
	c := i.client(kgo.DefaultProduceTopic("exact"), kgo.ProducerBatchMaxBytes(11_000_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	for _, r := range rows {
		if err := c.ProduceSync(context.Background(), &kgo.Record{Key: r.key, Value: r.value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	want := literal.String()
	i.eventually("all is printed", 2*waitMax, func(context.Context) bool { return printed.Len() >= len(want) })
	got := printed.String()
	for n := 0; n < min(len(got), len(want)); n++ {
		if got[n] != want[n] {
			t.Fatalf("from byte %d on it prints %.80q, want %.80q", n, got[n:], want[n:])
		}
	}
	if len(got) != len(want) {
		t.Errorf("printed %d bytes, want %d", len(got), len(want))
	}
}

// pythonBytes is Python's repr of bytes.
func pythonBytes(b []byte) string {
	if b == nil {
		return "None"
	}
	quote := byte('\'')
	if bytes.IndexByte(b, '\'') >= 0 && bytes.IndexByte(b, '"') < 0 {
		quote = '"'
	}
	text := []byte{'b', quote}
	for _, c := range b {
		switch {
		case c == quote || c == '\\':
			text = append(text, '\\', c)
		case c == '\t':
			text = append(text, `\t`...)
		case c == '\n':
			text = append(text, `\n`...)
		case c == '\r':
			text = append(text, `\r`...)
		case c < ' ' || c > '~':
			text = fmt.Appendf(text, `\x%02x`, c)
		default:
			text = append(text, c)
		}
	}
	return string(append(text, quote))
}

func TestA25ANewGroupBeginsAtTheEndAndARestartResumes(t *testing.T) {
	t.Parallel() // it waits for a commit and for a session's end
	i := plain(t)
	c := i.client(kgo.DefaultProduceTopic("resumed"))
	send := func(text string) {
		t.Helper()
		if err := c.ProduceSync(context.Background(), kgo.StringRecord(text)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	send("before the group")
	w := way{protocol: "PLAINTEXT", servers: []string{i.addr["PLAINTEXT"]}, topic: "resumed", group: "g"}
	text := w.fill(t, program(t, consumerPlain))
	first := python(t, t.TempDir(), text)
	printed := i.running(first)
	i.reading("g", 1)
	send("one")
	began := time.Now()
	want := "start consumer\nresumed:0:1: key=None value=b'one'\n"
	i.eventually("the first line", waitMax, func(context.Context) bool { return printed.Len() >= len(want) })
	if printed.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", printed, want)
	}
	admin := kadm.NewClient(c)
	i.eventually("the offset is committed by itself", waitMax, func(ctx context.Context) bool {
		offsets, err := admin.FetchOffsets(ctx, "g")
		at, ok := offsets.Lookup("resumed", 0)
		return err == nil && ok && at.At == 2
	})
	t.Logf("committed after %v", time.Since(began))
	first.Process.Kill()
	send("two")
	second := i.running(python(t, t.TempDir(), text))
	want = "start consumer\nresumed:0:2: key=None value=b'two'\n"
	i.eventually("the second's line", 2*waitMax, func(context.Context) bool { return second.Len() >= len(want) })
	if second.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", second, want)
	}
}
