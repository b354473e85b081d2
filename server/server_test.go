package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"milena/config"
)

// configure makes a configuration of free ports in a directory.
func configure(t *testing.T, dir string, pairs ...string) *config.Broker {
	t.Helper()
	flags := []config.KeyValue{
		{Key: "log.dirs", Value: dir}, {Key: "listeners", Value: "PLAINTEXT://127.0.0.1:0"}, {Key: "admin.listener", Value: "127.0.0.1:0"},
	}
	for i := 0; i < len(pairs); i += 2 {
		flags = append(flags, config.KeyValue{Key: pairs[i], Value: pairs[i+1]})
	}
	b, _, err := config.Load(config.Given{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func start(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(testWriter{t}, nil))
	}
	s, err := Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func client(t *testing.T, s *Server, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(s.Addresses()["PLAINTEXT"]), kgo.AllowAutoTopicCreation()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// consume reads n records of a topic from its start.
func consume(t *testing.T, s *Server, topic string, n int, opts ...kgo.Opt) []*kgo.Record {
	t.Helper()
	c := client(t, s, append([]kgo.Opt{kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}, opts...)...)
	defer c.Close()
	ctx := within(t, time.Minute)
	var records []*kgo.Record
	for len(records) < n {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(records), n, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

func TestWhatIsProducedIsConsumedAlsoAfterARestart(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Options{Config: configure(t, dir)})
	c := client(t, s)
	const n = 2000
	for i := range n {
		c.Produce(context.Background(), &kgo.Record{Topic: "orders", Key: []byte("k"), Value: fmt.Appendf(nil, "value %d", i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("record %d: %v", i, err)
			}
		})
	}
	if err := c.Flush(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		for i, r := range consume(t, s, "orders", n) {
			if r.Offset != int64(i) || string(r.Value) != fmt.Sprintf("value %d", i) {
				t.Fatalf("round %d: record %d: offset %d, %s", round, i, r.Offset, r.Value)
			}
		}
		stop(t, s)
		s = start(t, Options{Config: configure(t, dir)})
	}
	stop(t, s)
	if _, err := os.Stat(dir + "/addresses"); !os.IsNotExist(err) {
		t.Errorf("the addresses file is there after a clean stop: %v", err)
	}
}

func TestGroupsShareAndRememberTheirOffsets(t *testing.T) {
	s := start(t, Options{Config: configure(t, t.TempDir(), "num.partitions", "4")})
	defer stop(t, s)
	c := client(t, s)
	for i := range 100 {
		r := &kgo.Record{Topic: "shared", Key: fmt.Appendf(nil, "%d", i), Value: []byte("v")}
		if err := c.ProduceSync(within(t, time.Minute), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	group := []kgo.Opt{kgo.ConsumerGroup("readers"), kgo.DisableAutoCommit()}
	first := client(t, s, append(group, kgo.ConsumeTopics("shared"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	read := 0
	for read < 100 {
		f := first.PollFetches(within(t, time.Minute))
		if err := f.Err(); err != nil {
			t.Fatal(err)
		}
		read += f.NumRecords()
	}
	if err := first.CommitUncommittedOffsets(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	admin := kadm.NewClient(c)
	lag, err := admin.Lag(within(t, time.Minute), "readers")
	if err != nil {
		t.Fatal(err)
	}
	if l := lag["readers"]; l.State != "Stable" || l.Lag.Total() != 0 || len(l.Members) != 1 {
		t.Errorf("group %s with %d members lags %d; want Stable, 1, 0", l.State, len(l.Members), l.Lag.Total())
	}
}

func TestASecureInstanceHasOneSuperuserForGood(t *testing.T) {
	dir := t.TempDir()
	listeners := []string{"listeners", "PLAINTEXT://127.0.0.1:0,SASL_PLAINTEXT://127.0.0.1:0,SASL_SSL://127.0.0.1:0"}
	s := start(t, Options{Config: configure(t, dir, listeners...), Secure: true})
	if s.made.name != "admin" || len(s.made.password) < 20 {
		t.Errorf("made %+v", s.made)
	}
	stop(t, s)
	s = start(t, Options{Config: configure(t, dir, listeners...), Admin: "other", Secure: true})
	defer stop(t, s)
	if s.made.name != "" || len(s.cluster.Users()) != 1 || !s.instance.Secure {
		t.Errorf("the second start made %+v; users %d, secure %t", s.made, len(s.cluster.Users()), s.instance.Secure)
	}
}

func TestATakenDirectoryAndATakenPortAreNamed(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Options{Config: configure(t, dir)})
	defer stop(t, s)
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	_, err := Start(context.Background(), Options{Config: configure(t, dir), Log: quiet})
	var known *Error
	if err == nil || !strings.Contains(err.Error(), "in use by another milena, which holds "+filepath.Join(dir, "lock")) || !errors.As(err, &known) || known.Code != exitConflict {
		t.Errorf("the same directory: %v", err)
	}
	taken := "PLAINTEXT://" + s.Addresses()["PLAINTEXT"]
	_, err = Start(context.Background(), Options{Config: configure(t, t.TempDir(), "listeners", taken), Log: quiet})
	if err == nil || !strings.Contains(err.Error(), s.Addresses()["PLAINTEXT"]+" is taken") {
		t.Errorf("the same port: %v", err)
	}
}

func TestInstanceFileIsCheckedBeforeItIsBelieved(t *testing.T) {
	in := newInstance()
	if got, err := parseInstance(in.text()); err != nil || got != in {
		t.Fatalf("read %+v, %v; want %+v", got, err, in)
	}
	for from, to := range map[string]string{"logs.shard=64": "logs.shard=65", "secure=false": "secure=true", "format=1": "format=2", "crc=": "crb="} {
		if _, err := parseInstance([]byte(strings.Replace(string(in.text()), from, to, 1))); err == nil {
			t.Errorf("%s instead of %s is believed", to, from)
		}
	}
	for n := range len(in.text()) - 1 { // the last newline says nothing
		if _, err := parseInstance(in.text()[:n]); err == nil {
			t.Errorf("the first %d bytes are believed", n)
		}
	}
}

func TestOneTopicOfTenThousandPartitionsIsUsableAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Options{Config: configure(t, dir)})
	admin := kadm.NewClient(client(t, s))
	began := time.Now()
	if _, err := admin.CreateTopic(within(t, time.Minute), 10_000, 1, nil, "wide"); err != nil {
		t.Fatal(err)
	}
	ends, err := admin.ListEndOffsets(within(t, time.Minute), "wide")
	if err != nil || len(ends["wide"]) != 10_000 {
		t.Fatalf("%d partitions, %v", len(ends["wide"]), err)
	}
	t.Logf("usable after %v", time.Since(began))
	if _, err := admin.CreateTopic(within(t, time.Minute), 10_001, 1, nil, "wider"); err == nil {
		t.Error("10,001 partitions in one request")
	}
	if _, err := admin.DeleteTopic(within(t, time.Minute), "wide"); err != nil {
		t.Fatal(err)
	}
	stop(t, s)
}
