package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/storage/disk"
)

// onMemory runs an instance over a disk in memory, with small files.
func onMemory(t *testing.T, memory *disk.Memory) Options {
	return Options{
		Config: configure(t, t.TempDir(), "num.partitions", "2"), Log: quiet(),
		disk: func(disk.FS) disk.FS { return memory }, fileBytes: 1 << 20,
	}
}

// files reads the journal's files, those in lost/ too.
func files(t *testing.T, fs disk.FS, dir string) map[string][]byte {
	t.Helper()
	names, err := fs.List(dir)
	if errors.Is(err, disk.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]byte)
	for _, name := range names {
		name = dir + "/" + name
		info, err := fs.Stat(name)
		if err != nil || info.IsDir {
			continue
		}
		if found[name], err = readFile(fs, name, info.Size); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

const wound = "is-to-be-hurt" // what damage hits

// hurt turns a bit where the wound's text stands first in the journal.
func hurt(t *testing.T, fs disk.FS) {
	t.Helper()
	for name, held := range files(t, fs, "journal") {
		at := bytes.Index(held, []byte(wound))
		if at < 0 {
			continue
		}
		f, err := fs.Open(name, disk.Write)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte{held[at] ^ 1}, int64(at)); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("nothing to hurt was found in the journal")
}

// produceTo appends one record to a partition of a topic.
func produceTo(t *testing.T, s *Server, topic string, partition int32, value string) (*kgo.Record, error) {
	t.Helper()
	c := client(t, s, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.DisableIdempotentWrite(), kgo.RecordRetries(0))
	defer c.Close()
	r := &kgo.Record{Topic: topic, Partition: partition, Value: []byte(value)}
	return r, c.ProduceSync(within(t, time.Minute), r).FirstErr()
}

func mustProduce(t *testing.T, s *Server, topic string, partition int32, value string) *kgo.Record {
	t.Helper()
	r, err := produceTo(t, s, topic, partition, value)
	if err != nil {
		t.Fatalf("%s to %s-%d: %v", value, topic, partition, err)
	}
	return r
}

// recordsOf reads a partition from its start to its end.
func recordsOf(t *testing.T, s *Server, topic string, partition int32) []*kgo.Record {
	t.Helper()
	c := client(t, s, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}))
	defer c.Close()
	ends, err := kadm.NewClient(c).ListEndOffsets(within(t, time.Minute), topic)
	end, ok := ends.Lookup(topic, partition)
	if err != nil || !ok || end.Err != nil {
		t.Fatalf("where %s-%d ends: %+v, %v", topic, partition, end, err)
	}
	ctx := within(t, time.Minute)
	var records []*kgo.Record
	for int64(len(records)) < end.Offset {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%s-%d after %d of %d records: %v", topic, partition, len(records), end.Offset, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// holdsRecords reads a partition from its start, and wants these.
func holdsRecords(t *testing.T, s *Server, topic string, partition int32, want ...string) []*kgo.Record {
	t.Helper()
	records := recordsOf(t, s, topic, partition)
	if len(records) != len(want) {
		t.Fatalf("%s-%d has %d records, want %d", topic, partition, len(records), len(want))
	}
	for i, r := range records {
		if r.Offset != int64(i) || string(r.Value) != want[i] {
			t.Fatalf("%s-%d: record %d is %q at %d, want %q", topic, partition, i, r.Value, r.Offset, want[i])
		}
	}
	return records
}

// fetchKnowing asks for a partition as a client does that knows a leader epoch.
func fetchKnowing(t *testing.T, s *Server, name string, partition, epoch int32) error {
	t.Helper()
	c := client(t, s)
	defer c.Close()
	topic, ok := s.cluster.Topic(name)
	if !ok {
		t.Fatalf("there is no topic %s", name)
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MaxBytes = 100, 1<<20
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.CurrentLeaderEpoch, part.PartitionMaxBytes = partition, epoch, 1<<20
	req.Topics = []kmsg.FetchRequestTopic{{Topic: name, TopicID: topic.ID, Partitions: []kmsg.FetchRequestTopicPartition{part}}}
	resp, err := req.RequestWith(within(t, time.Minute), c.Broker(int(s.cluster.NodeID())))
	if err != nil {
		t.Fatal(err)
	}
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}

func mustRepair(t *testing.T, memory *disk.Memory, giveUp bool) Repaired {
	t.Helper()
	told, err := Repair(context.Background(), onMemory(t, memory), giveUp)
	if err != nil {
		t.Fatal(err)
	}
	return told
}

// isWhole says that nothing is damaged.
func isWhole(t *testing.T, memory *disk.Memory) {
	t.Helper()
	if told := mustRepair(t, memory, false); told.Reason != "" || len(told.Logs) != 0 || told.Done {
		t.Errorf("told %+v, want that it is whole", told)
	}
}

// liesAside says that what stood behind a wound was kept.
func liesAside(t *testing.T, memory *disk.Memory, text string) {
	t.Helper()
	for _, held := range files(t, memory, "journal/lost") {
		if bytes.Contains(held, []byte(text)) {
			return
		}
	}
	t.Errorf("%q is in no file of journal/lost", text)
}

// A shard's log is damaged: its partitions take no records until it is given up;
// then they go on where they can be read, with a higher leader epoch.
func TestADamagedShardIsRepaired(t *testing.T) {
	for _, remembered := range []bool{false, true} { // by the checkpoint of a start in between
		t.Run(fmt.Sprintf("a start in between: %t", remembered), func(t *testing.T) {
			memory := disk.NewMemory()
			s := start(t, onMemory(t, memory))
			var good, other []string
			for i := range 5 {
				good = append(good, fmt.Sprint("good ", i))
				mustProduce(t, s, "orders", 0, good[i])
			}
			mustProduce(t, s, "orders", 0, wound)
			mustProduce(t, s, "orders", 0, "behind it")
			for i := range 3 {
				other = append(other, fmt.Sprint("other ", i))
				mustProduce(t, s, "orders", 1, other[i])
			}
			left := memory.Crash(1)
			stop(t, s)
			hurt(t, left)
			if remembered {
				s = start(t, onMemory(t, left))
				holdsRecords(t, s, "orders", 0, good...)
				if _, err := produceTo(t, s, "orders", 0, "refused"); !errors.Is(err, kerr.KafkaStorageError) {
					t.Errorf("produced to a damaged log: %v, want %v", err, kerr.KafkaStorageError)
				}
				other = append(other, "runs on")
				mustProduce(t, s, "orders", 1, "runs on")
				stop(t, s)
			}

			first := mustRepair(t, left, false)
			if len(first.Logs) != 1 || !strings.HasPrefix(first.Logs[0].Log, "shard ") || !reflect.DeepEqual(first.Logs[0].Partitions, []LostOffset{{"orders", 0, 5}}) {
				t.Errorf("told %+v, want one shard with orders-0 from offset 5", first.Logs)
			}
			if !reflect.DeepEqual(first.Topics, []RaisedTopic{{"orders", 0}}) || first.Done || first.Reason == "" {
				t.Errorf("told %+v", first)
			}
			if again := mustRepair(t, left, false); !reflect.DeepEqual(again.Logs, first.Logs) {
				t.Errorf("the second look tells %+v, the first %+v", again.Logs, first.Logs)
			}
			done := mustRepair(t, left, true)
			if !done.Done || !reflect.DeepEqual(done.Topics, []RaisedTopic{{"orders", 1}}) {
				t.Errorf("told %+v, want orders to have epoch 1", done)
			}
			liesAside(t, left, "behind it")
			isWhole(t, left)

			for range 2 { // and over a restart
				left = left.Crash(1)
				s = start(t, onMemory(t, left))
				holdsRecords(t, s, "orders", 0, good...)
				holdsRecords(t, s, "orders", 1, other...)
				good = append(good, fmt.Sprint("good ", len(good)))
				if r := mustProduce(t, s, "orders", 0, good[len(good)-1]); r.Offset != int64(len(good)-1) {
					t.Errorf("produced at %d, want %d", r.Offset, len(good)-1)
				}
				if r := holdsRecords(t, s, "orders", 0, good...); r[0].LeaderEpoch != 0 || r[len(r)-1].LeaderEpoch != 1 {
					t.Errorf("leader epochs %d to %d, want 0 to 1", r[0].LeaderEpoch, r[len(r)-1].LeaderEpoch)
				}
				for epoch, want := range map[int32]error{0: kerr.FencedLeaderEpoch, 1: nil, 2: kerr.UnknownLeaderEpoch} {
					if err := fetchKnowing(t, s, "orders", 0, epoch); !errors.Is(err, want) {
						t.Errorf("a fetch that knows epoch %d: %v, want %v", epoch, err, want)
					}
				}
				stop(t, s)
			}
			isWhole(t, left)
		})
	}
}

// A coordinator's log is damaged: its groups have the offsets that can be read,
// and commit again once it is given up. No topic's epoch rises.
func TestADamagedCoordinatorIsRepaired(t *testing.T) {
	memory := disk.NewMemory()
	s := start(t, onMemory(t, memory))
	mustProduce(t, s, "orders", 0, "v")
	commit := func(s *Server, at int64, metadata string) {
		t.Helper()
		offsets := kadm.Offsets{}
		offsets.Add(kadm.Offset{Topic: "orders", Partition: 0, At: at, LeaderEpoch: -1, Metadata: metadata})
		if err := kadm.NewClient(client(t, s)).CommitAllOffsets(within(t, time.Minute), "readers", offsets); err != nil {
			t.Fatal(err)
		}
	}
	has := func(s *Server, want int64) {
		t.Helper()
		got, err := kadm.NewClient(client(t, s)).FetchOffsets(within(t, time.Minute), "readers")
		if o, ok := got.Lookup("orders", 0); err != nil || !ok || o.At != want {
			t.Errorf("the group's offset is %+v, %v, want %d", o, err, want)
		}
	}
	commit(s, 3, "first")
	commit(s, 7, wound)
	mustProduce(t, s, "orders", 1, "behind it")
	left := memory.Crash(1)
	stop(t, s)
	hurt(t, left)

	told := mustRepair(t, left, false)
	if len(told.Logs) != 1 || !strings.HasPrefix(told.Logs[0].Log, "coordinator ") || !reflect.DeepEqual(told.Logs[0].Groups, []string{"readers"}) || len(told.Topics) != 0 {
		t.Errorf("told %+v, want one coordinator with the group", told)
	}
	if told = mustRepair(t, left, true); !told.Done {
		t.Errorf("told %+v", told)
	}
	liesAside(t, left, "behind it")
	s = start(t, onMemory(t, left))
	has(s, 3)
	commit(s, 9, "again")
	holdsRecords(t, s, "orders", 1, "behind it")
	if topic, _ := s.cluster.Topic("orders"); topic.Epoch != 0 {
		t.Errorf("the topic's epoch is %d", topic.Epoch)
	}
	stop(t, s)
	s = start(t, onMemory(t, left))
	has(s, 9)
	stop(t, s)
	isWhole(t, left)
}

// The cluster's log is damaged: nothing starts, until it is given up. Then what
// was known is there, topics that only their data know are there again, and
// neither epochs nor producer ids are given twice.
func TestADamagedClusterLogIsRepaired(t *testing.T) {
	memory := disk.NewMemory()
	s := start(t, onMemory(t, memory))
	mustProduce(t, s, "good", 0, "v0")
	mustProduce(t, s, wound, 1, "found again")
	mustProduce(t, s, "good", 0, "v1")
	left := memory.Crash(1)
	stop(t, s)
	hurt(t, left)

	var known *Error
	if _, err := Start(context.Background(), onMemory(t, left)); !errors.As(err, &known) || known.Code != exitStorage || !strings.Contains(err.Error(), "milena repair --data ") {
		t.Fatalf("started: %v, want code %d and what to do", err, exitStorage)
	}
	told := mustRepair(t, left, false)
	if len(told.Logs) != 1 || told.Logs[0].Log != "cluster" || told.Known == nil || told.Known.Topics != 1 || !reflect.DeepEqual(told.Found, []FoundTopic{{wound, 2}}) {
		t.Errorf("told %+v, want the cluster's log, one topic known and one found", told)
	}
	if told = mustRepair(t, left, true); !told.Done || !reflect.DeepEqual(told.Topics, []RaisedTopic{{"good", 1000}}) {
		t.Errorf("told %+v, want a jump of the epoch", told)
	}
	for round := range 2 {
		left = left.Crash(1)
		s = start(t, onMemory(t, left))
		records := []string{"v0", "v1", "v2", "v3"}
		holdsRecords(t, s, "good", 0, records[:2+round]...)
		mustProduce(t, s, "good", 0, records[2+round])
		found := []string{"found again", "more", "and more"}
		holdsRecords(t, s, wound, 1, found[:1+round]...)
		mustProduce(t, s, wound, 1, found[1+round])
		if r := holdsRecords(t, s, wound, 1, found[:2+round]...); r[1].LeaderEpoch != 1000 {
			t.Errorf("a new record has leader epoch %d, want 1000", r[1].LeaderEpoch)
		}
		if id, err := s.cluster.ProducerID(context.Background()); err != nil || id < 1<<40 {
			t.Errorf("producer id %d, %v, want one that was never given", id, err)
		}
		stop(t, s)
	}
	isWhole(t, left)
}

// A repair makes no instance, and touches none that runs or is whole.
func TestARepairLeavesWhatItShouldAlone(t *testing.T) {
	var known *Error
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	if _, err := Repair(context.Background(), Options{Config: configure(t, nowhere), Log: quiet()}, true); !errors.As(err, &known) || known.Code != exitNotFound {
		t.Errorf("where no instance is: %v, want code %d", err, exitNotFound)
	}
	if _, err := os.Stat(nowhere); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it made something: %v", err)
	}
	dir := t.TempDir()
	s := start(t, Options{Config: configure(t, dir)})
	mustProduce(t, s, "orders", 0, "v0")
	if _, err := Repair(context.Background(), Options{Config: configure(t, dir), Log: quiet()}, true); !errors.As(err, &known) || known.Code != exitConflict {
		t.Errorf("while it runs: %v, want code %d", err, exitConflict)
	}
	stop(t, s)
	told, err := Repair(context.Background(), Options{Config: configure(t, dir), Log: quiet()}, true)
	if err != nil || told.Reason != "" || told.Done {
		t.Errorf("of a whole one: %+v, %v", told, err)
	}
	s = start(t, Options{Config: configure(t, dir)})
	holdsRecords(t, s, "orders", 0, "v0")
	stop(t, s)
}
