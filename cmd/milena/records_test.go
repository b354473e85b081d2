package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func seeded(t *testing.T, opts ...kfake.Opt) shell {
	t.Helper()
	opts = append(opts, kfake.SeedTopics(1, "greetings"))
	return shell{t: t, broker: broker(t, opts...).ListenAddrs()[0]}
}

func TestThePagesLineIsPrintedExactly(t *testing.T) {
	s := seeded(t)
	s.in = "hello kafka!\n"
	if out := s.ok("produce", "greetings"); out != "" {
		t.Errorf("produce wrote %q into a pipe, want nothing", out)
	}
	got := s.ok("consume", "greetings", "-o", "start", "--exit", "-f", `%t:%p:%o: key=%k{python} value=%v{python}\n`)
	if want := "greetings:0:0: key=None value=b'hello kafka!'\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

// Offsets at a topic's end may hold no record any more, and --exit must not wait
// for them: a batch that lost its last records keeps its last offset, and a batch
// that lost all of them may be gone.
func TestExitPassesOverAnEndWithoutRecords(t *testing.T) {
	for name, lastOffset := range map[string]int32{"the batch lost records": 2, "later batches are gone": 0} {
		for _, more := range [][]string{nil, {"-g", "readers"}, {"-X", "isolation.level=read_committed"}} {
			cluster := broker(t, kfake.SeedTopics(1, "greetings"))
			s := shell{t: t, broker: cluster.ListenAddrs()[0], in: "kept\ngoes\ngoes\n"}
			s.ok("produce", "greetings")
			cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				return fetchOfOne(req.(*kmsg.FetchRequest), lastOffset), nil, true
			})
			if got := s.ok(append([]string{"consume", "greetings", "-o", "start", "-e"}, more...)...); got != "kept\n" {
				t.Errorf("%s, %v: read %q", name, more, got)
			}
		}
	}
}

// fetchOfOne answers from a partition that ends at 3 and holds one batch.
func fetchOfOne(fetch *kmsg.FetchRequest, lastOffset int32) *kmsg.FetchResponse {
	resp := fetch.ResponseKind().(*kmsg.FetchResponse)
	for _, wanted := range fetch.Topics {
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.TopicID = wanted.Topic, wanted.TopicID
		for _, p := range wanted.Partitions {
			part := kmsg.NewFetchResponseTopicPartition()
			part.Partition, part.HighWatermark, part.LastStableOffset = p.Partition, 3, 3
			if p.FetchOffset <= int64(lastOffset) {
				part.RecordBatches = batchOfOne(lastOffset)
			}
			topic.Partitions = append(topic.Partitions, part)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp
}

// batchOfOne holds one record at offset 0 and ends at lastOffset.
func batchOfOne(lastOffset int32) []byte {
	record := kmsg.Record{Value: []byte("kept")}
	record.Length = int32(len(record.AppendTo(nil)) - 1) // without the length itself, one byte
	batch := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, LastOffsetDelta: lastOffset, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		NumRecords: 1, Records: record.AppendTo(nil)}
	batch.Length = int32(len(batch.AppendTo(nil)) - 12)
	text := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(text[17:], crc32.Checksum(text[21:], crc32.MakeTable(crc32.Castagnoli)))
	return text
}

func TestEachLineIsARecordByteForByte(t *testing.T) {
	s := seeded(t)
	s.in = "one\r\n\n \xff\x00two\nwithout an end"
	s.ok("produce", "greetings")
	got := s.ok("consume", "greetings", "-o", "start", "-e", "-f", `%v{python}\n`)
	want := "b'one\\r'\nb''\nb' \\xff\\x00two'\nb'without an end'\n"
	if got != want {
		t.Errorf("read back\n%swant\n%s", got, want)
	}
}

func TestKeysHeadersTombstonesAndFiles(t *testing.T) {
	s := seeded(t)
	s.in = "a:1\nb:2:3\nc:\n"
	s.ok("produce", "greetings", "-k", ":", "-H", "from=test", "-H", "empty=", "--tombstone")
	s.in = ""
	s.ok("produce", "greetings", "--tombstone", "--key", "a")
	s.ok("produce", "greetings", "--file", "--key", "cat", file(t, "cat", "line\nline\n"))
	s.ok("produce", "greetings", "--key", "", file(t, "lines", "x\ny\n"))
	got := s.ok("consume", "greetings", "-o", "start", "-e", "-f", `%k{python} %v{python} %h{%k=%v;}\n`)
	want := `b'a' b'1' from=test;empty=;
b'b' b'2:3' from=test;empty=;
b'c' None from=test;empty=;
b'a' None 
b'cat' b'line\nline\n' 
b'' b'x' 
b'' b'y' 
`
	if got != want {
		t.Errorf("read back\n%swant\n%s", got, want)
	}
}

func TestALineWithoutItsKeyIsAnErrorWithItsNumber(t *testing.T) {
	s := seeded(t)
	s.in = "a:1\nb\n"
	r := s.milena("produce", "greetings", "-k", ":")
	if r.code != exitFailed {
		t.Errorf("exit code %d, want %d", r.code, exitFailed)
	}
	contains(t, r.err, "standard input, line 2")
}

func TestWhereConsumingBegins(t *testing.T) {
	s := seeded(t)
	s.in = "0\n1\n2\n3\n4\n"
	s.ok("produce", "greetings")
	tests := []struct{ offset, want string }{
		{"start", "0 1 2 3 4"},
		{"end", ""},
		{"3", "3 4"},
		{"+4", "4"},
		{"-2", "3 4"},
		{"-99", "0 1 2 3 4"},
		{"99", ""},
		{"@0", "0 1 2 3 4"},
		{"@-1h", "0 1 2 3 4"},
		{"@2200-01-01", ""},
	}
	for _, test := range tests {
		got := strings.Join(strings.Fields(s.ok("consume", "greetings", "--offset="+test.offset, "--exit")), " ")
		if got != test.want {
			t.Errorf("-o %s reads %q, want %q", test.offset, got, test.want)
		}
	}
	if got := s.ok("consume", "greetings", "-o", "start", "-n", "2"); got != "0\n1\n" {
		t.Errorf("-n 2 reads %q", got)
	}
}

func TestAGroupGoesOnWhereItWrote(t *testing.T) {
	s := seeded(t)
	s.in = "0\n1\n2\n3\n"
	s.ok("produce", "greetings")
	if got := s.ok("consume", "greetings", "-g", "readers", "-o", "start", "-n", "3"); got != "0\n1\n2\n" {
		t.Errorf("first read %q", got)
	}
	if got := s.ok("consume", "greetings", "-g", "readers", "-o", "start", "--exit"); got != "3\n" {
		t.Errorf("then %q, want what was not written yet", got)
	}
	if got := s.ok("consume", "greetings", "-g", "readers", "--exit"); got != "" {
		t.Errorf("then %q, want nothing", got)
	}
	if got := s.ok("group", "describe", "readers"); got != "greetings\t0\t4\t4\t0\t\n" {
		t.Errorf("the group has %q", got)
	}
	contains(t, s.ok("group", "list"), "readers\tEmpty\tconsumer")
	s.ok("group", "delete", "readers")
	if r := s.milena("group", "describe", "readers"); r.code != exitNotFound {
		t.Errorf("a deleted group: exit code %d, want %d\n%s", r.code, exitNotFound, r.err)
	}
}

func TestAnInterruptedConsumerLeavesItsGroup(t *testing.T) {
	cluster := broker(t, kfake.SeedTopics(1, "greetings"))
	s := shell{t: t, broker: cluster.ListenAddrs()[0]}
	ctx, interrupt := context.WithCancel(t.Context())
	s.ctx = ctx
	done := make(chan result, 1)
	go func() { done <- s.milena("consume", "greetings", "-g", "readers") }()
	if _, err := cluster.WaitGroupStable(t.Context(), "readers", 1); err != nil {
		t.Fatal(err)
	}
	interrupt()
	if r := <-done; r.code != exitInterrupted {
		t.Errorf("exit code %d, want %d\n%s", r.code, exitInterrupted, r.err)
	}
	if info := cluster.GroupInfo("readers"); info != nil && len(info.Members) != 0 {
		t.Errorf("%d members are still in the group", len(info.Members))
	}
}

func TestConsumeStopsWhenItsTimeIsUp(t *testing.T) {
	s := seeded(t)
	if r := s.milena("consume", "greetings", "--timeout", "300ms"); r.code != exitTimeLimit {
		t.Errorf("exit code %d, want %d\n%s", r.code, exitTimeLimit, r.err)
	}
	if r := s.milena("consume", "greetings", "-e", "--fail-if-empty"); r.code != exitNotFound {
		t.Errorf("nothing read: exit code %d, want %d\n%s", r.code, exitNotFound, r.err)
	}
}

func TestRecordsAsJSONAndYAML(t *testing.T) {
	writers := map[string]recordWriter{"json": asValue("jsonl"), "yaml": asValue("yaml")}
	records := []*kgo.Record{
		{Topic: "t", Partition: 3, Offset: 9, Timestamp: time.UnixMilli(1700000000123), Value: []byte("<hello> & \"you\"")},
		{Topic: "t", Key: []byte{0xff}, Value: []byte{}, Timestamp: time.UnixMilli(0), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("yes")}, {Key: "n"}}},
	}
	for name, write := range writers {
		var text []byte
		for _, r := range records {
			text = write(text, nil, r)
		}
		golden(t, "records."+name, string(text))
	}
}

func TestATerminalShowsWhereARecordStandsAndObeysNoRecord(t *testing.T) {
	r := &kgo.Record{Topic: "t", Key: []byte("k"), Value: []byte("a\x1b[2Jb\x00é\xff"), Timestamp: time.UnixMilli(0)}
	text := string(asTable(false)(nil, nil, r))
	if !strings.HasPrefix(text, "t:0:0 ") || !strings.HasSuffix(text, "\tk\ta\\x1b[2Jb\\x00é\\xff\n") {
		t.Errorf("shown as %q", text)
	}
}

func TestPythonsBytes(t *testing.T) {
	tests := []struct {
		value []byte
		want  string
	}{
		{nil, "None"},
		{[]byte{}, "b''"},
		{[]byte("hello kafka!"), "b'hello kafka!'"},
		{[]byte("it's"), `b"it's"`},
		{[]byte(`say "hi"`), `b'say "hi"'`},
		{[]byte(`it's "hi"`), `b'it\'s "hi"'`},
		{[]byte("a\\b\t\n\r\x00\x1f\x7f\x80\xff~ "), `b'a\\b\t\n\r\x00\x1f\x7f\x80\xff~ '`},
		{[]byte("é"), `b'\xc3\xa9'`},
	}
	for _, test := range tests {
		if got := string(appendPython(nil, test.value)); got != test.want {
			t.Errorf("%q is %s, want %s", test.value, got, test.want)
		}
	}
}

func TestFormats(t *testing.T) {
	r := &kgo.Record{Topic: "t", Partition: 1, Offset: 2, Key: []byte("k"), Value: []byte("v'"), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("x")}}}
	tests := []struct{ layout, want string }{
		{`%t %p %o %k %v\n`, "t 1 2 k v'\n"},
		{`%k{python}`, "b'k'"},
		{`%v{python}%v{python}`, `b"v'"b"v'"`},
		{`%%k{python}`, "%k{python}"},
		{`\\%k{python}\t`, "\\b'k'\t"},
		{`%v{base64}|%h{%k=%v}|%k{python}`, "dic=|h=x|b'k'"},
		{`%i %k{python}`, "1 b'k'"},
		{`plain`, "plain"},
		{``, ""},
	}
	for _, test := range tests {
		write, err := newFormat(test.layout)
		if err != nil {
			t.Errorf("%q: %v", test.layout, err)
			continue
		}
		if got := string(write(nil, &kgo.FetchPartition{}, r)); got != test.want {
			t.Errorf("%q writes %q, want %q", test.layout, got, test.want)
		}
	}
	for _, bad := range []string{`%`, `%q`, `%h{%v{python}}`} {
		if _, err := newFormat(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzFormat(f *testing.F) {
	for _, seed := range []string{`%t:%p:%o: key=%k{python} value=%v{python}\n`, `%d{go[2006]}`, `%v{unpack{<b}}`, `%%{`, `\x`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, layout string) {
		write, err := newFormat(layout)
		if err == nil {
			write(nil, &kgo.FetchPartition{}, &kgo.Record{Key: []byte("k")})
		}
	})
}

func TestParseStart(t *testing.T) {
	zone := time.FixedZone("there", 3600)
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, zone)
	tests := []struct {
		text string
		want start
	}{
		{"start", start{fromStart, 0}}, {"earliest", start{fromStart, 0}}, {"end", start{fromEnd, 0}}, {"latest", start{fromEnd, 0}},
		{"7", start{fromOffset, 7}}, {"+7", start{fromStart, 7}}, {"-7", start{fromEnd, 7}},
		{"@1700000000", start{fromTime, 1700000000000}}, {"@1700000000123", start{fromTime, 1700000000123}},
		{"@-90m", start{fromTime, now.Add(-90 * time.Minute).UnixMilli()}},
		{"@2026-11-24", start{fromTime, time.Date(2026, 11, 24, 0, 0, 0, 0, zone).UnixMilli()}},
		{"@2026-11-24T09:00:00Z", start{fromTime, now.UnixMilli()}},
	}
	for _, test := range tests {
		if got, err := parseStart(test.text, now); err != nil || got != test.want {
			t.Errorf("%s is %+v, %v; want %+v", test.text, got, err, test.want)
		}
	}
	for _, bad := range []string{"", "begin", "++1", "+-1", "-", "@", "@tomorrow", "1.5", "@1h"} {
		if got, err := parseStart(bad, now); err == nil {
			t.Errorf("%q was taken as %+v", bad, got)
		}
	}
}

func TestLongLinesAreWholeRecords(t *testing.T) {
	line := bytes.Repeat([]byte("x"), 300<<10)
	s := seeded(t)
	s.in = string(line) + "\nshort\n"
	s.ok("produce", "greetings", "-z", "gzip")
	if got := s.ok("consume", "greetings", "-o", "start", "-e", "-f", `%V\n`); got != "307200\n5\n" {
		t.Errorf("lengths are %q", got)
	}
}
