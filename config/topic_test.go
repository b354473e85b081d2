package config

import (
	"bufio"
	"os"
	"strings"
	"testing"
)

func text(s string) *string { return &s }

func TestTopicsHaveKafkasDefaults(t *testing.T) {
	got := mustLoad(t).Topic(nil)
	want := Topic{
		Delete: true, RetentionTime: 604800000, RetentionBytes: -1,
		SegmentBytes: 1 << 30, SegmentTime: 604800000, MaxMessageBytes: 1048588,
		TimestampBeforeMax: 9223372036854775807, TimestampAfterMax: 3600000, DeleteRetentionTime: 86400000,
	}
	if got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestATopicsOwnValueBeatsTheInstances(t *testing.T) {
	b := mustLoad(t, "log.retention.minutes=10", "log.retention.hours=1", "log.cleanup.policy=compact,delete", "message.max.bytes=5", "log.roll.hours=2")
	if got := b.Topic(nil); got.RetentionTime != 600_000 || !got.Compact || !got.Delete || got.MaxMessageBytes != 5 || got.SegmentTime != 7_200_000 {
		t.Errorf("the instance's values give %+v", got)
	}
	got := b.Topic(map[string]string{"retention.ms": "7", "cleanup.policy": "", "message.timestamp.type": "LogAppendTime", "flush.ms": "1"})
	if got.RetentionTime != 7 || got.Compact || got.Delete || !got.LogAppendTime || got.MaxMessageBytes != 5 {
		t.Errorf("the topic's values give %+v", got)
	}
	if b := mustLoad(t, "log.retention.ms=-7"); b.Topic(nil).RetentionTime != -1 {
		t.Errorf("a negative time is %d, want -1", b.Topic(nil).RetentionTime)
	}
}

// The messages are those of Apache Kafka 4.3.1.
func TestCheckTopicSpeaksKafkasWords(t *testing.T) {
	tests := []struct {
		name  string
		value *string
		want  string
	}{
		{"retention.ms", text("1000"), ""},
		{"cleanup.policy", text("compact, delete"), ""},
		{"cleanup.policy", text(""), ""},
		{"compression.gzip.level", text("-1"), ""},
		{"retention.ms", text("zzz"), "Invalid value zzz for configuration retention.ms: Not a number of type LONG"},
		{"retention.ms", text("-5"), "Invalid value -5 for configuration retention.ms: Value must be at least -1"},
		{"segment.bytes", text("1"), "Invalid value 1 for configuration segment.bytes: Value must be at least 1048576"},
		{"segment.bytes", text("2147483648"), "Invalid value 2147483648 for configuration segment.bytes: Not a number of type INT"},
		{"min.insync.replicas", text("0"), "Invalid value 0 for configuration min.insync.replicas: Value must be at least 1"},
		{"cleanup.policy", text("none"), "Invalid value none for configuration cleanup.policy: String must be one of: compact, delete"},
		{"compression.type", text("foo"), "Invalid value foo for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer"},
		{"compression.gzip.level", text("0"), "Invalid value 0 for configuration compression.gzip.level: Value must be at least 1"},
		{"nonsense", text("1"), "Unknown topic config name: nonsense"},
		{"message.format.version", text("2.0"), "Unknown topic config name: message.format.version"},
		{"retention.ms", nil, "Null value not supported for topic configs: retention.ms"},
	}
	for _, test := range tests {
		got := ""
		if err := CheckTopic(test.name, test.value); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// testdata/topic-configs.txt is what Apache Kafka 4.3.1 answers for a topic
// that sets nothing: name, type, value, synonyms.
func TestDescribeTopicIsKafkasWhenNothingIsSet(t *testing.T) {
	f, err := os.Open("testdata/topic-configs.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	entries := mustLoad(t).DescribeTopic(nil)
	lines := bufio.NewScanner(f)
	for i := 0; lines.Scan(); i++ {
		if i == len(entries) {
			t.Fatalf("%q is missing", lines.Text())
		}
		e := entries[i]
		var synonyms []string
		for _, s := range e.Synonyms {
			synonyms = append(synonyms, s.Name+"="+*s.Value)
		}
		got := e.Name + " | " + e.Type.String() + " | " + *e.Value + " | " + strings.Join(synonyms, ", ")
		if strings.TrimSpace(got) != strings.TrimSpace(lines.Text()) {
			t.Errorf("got  %s\nwant %s", got, lines.Text())
		}
		if e.Source != SourceDefault || e.ReadOnly || e.Sensitive || e.Doc == "" {
			t.Errorf("%s: source %d, read-only %t, sensitive %t, doc %q", e.Name, e.Source, e.ReadOnly, e.Sensitive, e.Doc)
		}
	}
	if len(entries) != 33 {
		t.Errorf("%d configs, want 33", len(entries))
	}
}

func describe(entries []Entry, name string) string {
	for _, e := range entries {
		if e.Name != name {
			continue
		}
		line := "unset"
		if e.Value != nil {
			line = *e.Value
		}
		line += " from " + string('0'+rune(e.Source)) + ":"
		for _, s := range e.Synonyms {
			value := "hidden"
			if s.Value != nil {
				value = *s.Value
			}
			line += " " + s.Name + "=" + value + "(" + string('0'+rune(s.Source)) + ")"
		}
		return line
	}
	return "not there"
}

func TestDescribeSaysWhereAValueComesFrom(t *testing.T) {
	b := mustLoad(t, "log.retention.ms=-1", "num.partitions=3", "ssl.keystore.password=secret", "log.dir=/d")
	topic := b.DescribeTopic(map[string]string{"cleanup.policy": "compact"})
	broker := b.DescribeBroker()
	tests := []struct{ got, want string }{
		{describe(topic, "cleanup.policy"), "compact from 1: cleanup.policy=compact(1) log.cleanup.policy=delete(5)"},
		{describe(topic, "retention.ms"), "-1 from 4: log.retention.ms=-1(4) log.retention.hours=168(5)"},
		{describe(topic, "flush.ms"), never + " from 5:"},
		{describe(broker, "num.partitions"), "3 from 4: num.partitions=3(4) num.partitions=1(5)"},
		{describe(broker, "listeners"), "unset from 5:"},
		{describe(broker, "log.dirs"), "/d from 4: log.dir=/d(4) log.dirs=milena-data(5)"},
		{describe(broker, "ssl.keystore.password"), "unset from 4: ssl.keystore.password=hidden(4)"},
		{describe(broker, "durability"), "disk from 5: durability=disk(5)"},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("got  %s\nwant %s", test.got, test.want)
		}
	}
}

// docs/config.md is made by `go run ./cmd/milena config docs > docs/config.md`.
func TestThePageAboutKeysIsCurrent(t *testing.T) {
	page, err := os.ReadFile("../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	if err := WriteDocs(&want); err != nil {
		t.Fatal(err)
	}
	if string(page) != want.String() {
		t.Error("docs/config.md is old: go run ./cmd/milena config docs > docs/config.md")
	}
}
