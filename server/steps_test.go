package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"milena/storage/disk"
)

// A whole instance over a disk in memory whose power is cut at each step of a
// checkpoint and of a recovery, as ARCHITECTURE.md has them. The journal's files
// are small, so that they are used again.

const stepFileBytes = 256 << 10

var errPower = errors.New("the power is gone")

// acked is what clients were told.
type acked struct {
	records   map[int32]int // of orders, by partition
	committed int64         // by the group
}

func (a acked) clone() acked { return acked{maps.Clone(a.records), a.committed} }

// cutting is a disk whose power goes before the first call that matches. It may
// hold up one call first.
type cutting struct {
	memory *disk.Memory
	seeds  uint64
	gone   string // a topic that must be gone afterwards, with its files

	mu     sync.Mutex
	match  func(disk.Call) bool // nil: not yet
	told   acked                // so far
	before acked                // when the power went
	at     disk.Call
	left   []*disk.Memory // by seed; nil while there is power

	hold          func(disk.Call) bool
	held, release chan struct{}
}

func (c *cutting) hook(call disk.Call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hold != nil && c.hold(call) {
		c.hold = nil
		close(c.held)
		c.mu.Unlock()
		<-c.release
		c.mu.Lock()
	}
	if c.left == nil && c.match != nil && c.match(call) {
		c.at, c.before = call, c.told.clone()
		for seed := range c.seeds {
			c.left = append(c.left, c.memory.Crash(seed))
		}
	}
	if c.left != nil {
		return errPower
	}
	return nil
}

func (c *cutting) arm(match func(disk.Call) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.match = match
}

// holdUp holds up the first call that matches, until it is released.
func (c *cutting) holdUp(match func(disk.Call) bool) (held <-chan struct{}, release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold, c.held, c.release = match, make(chan struct{}), make(chan struct{})
	return c.held, sync.OnceFunc(func() { close(c.release) })
}

func (c *cutting) cut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left != nil
}

// walked is an instance on such a disk, and a client that notes what it is told.
type walked struct {
	t *testing.T
	s *Server
	c *kgo.Client
	d *cutting
}

func stepOptions(t *testing.T, memory *disk.Memory) Options {
	o := onMemory(t, memory)
	o.fileBytes = stepFileBytes
	return o
}

// startWalked starts an instance; nil: the power went before it was ready.
func startWalked(t *testing.T, memory *disk.Memory, told acked, match func(disk.Call) bool) (*walked, *cutting) {
	t.Helper()
	d := &cutting{memory: memory, seeds: 2, told: told.clone(), match: match}
	if testing.Short() {
		d.seeds = 1
	}
	o := stepOptions(t, memory)
	o.disk = func(disk.FS) disk.FS { return disk.NewFaulty(memory, d.hook) }
	s, err := Start(context.Background(), o)
	if err != nil {
		if !d.cut() {
			t.Fatal(err)
		}
		return nil, d
	}
	c := client(t, s, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.DisableIdempotentWrite(), kgo.RecordRetries(0))
	return &walked{t, s, c, d}, d
}

// valueOf is what a record holds: of many sizes, so that entries and segments
// lie across blocks and files.
func valueOf(partition int32, i int) string {
	return fmt.Sprintf("%d-%d %s", partition, i, strings.Repeat("x", i%7*3000))
}

// produce appends n records to each of two partitions, until the power goes.
func (w *walked) produce(n int) {
	for range n {
		for partition := range int32(2) {
			w.d.mu.Lock()
			i := w.d.told.records[partition]
			w.d.mu.Unlock()
			r := &kgo.Record{Topic: "orders", Partition: partition, Value: []byte(valueOf(partition, i))}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			err := w.c.ProduceSync(ctx, r).FirstErr()
			cancel()
			if err != nil {
				if !w.d.cut() {
					w.t.Fatalf("record %d of partition %d: %v", i, partition, err)
				}
				return
			}
			w.d.mu.Lock()
			w.d.told.records[partition]++
			w.d.mu.Unlock()
		}
	}
}

// commit commits the group's offset: how many records it could have read.
func (w *walked) commit() {
	w.t.Helper()
	at := int64(w.d.told.records[0])
	offsets := kadm.Offsets{}
	offsets.AddOffset("orders", 0, at, -1)
	if err := kadm.NewClient(w.c).CommitAllOffsets(within(w.t, time.Minute), "readers", offsets); err != nil {
		w.t.Fatal(err)
	}
	w.d.mu.Lock()
	w.d.told.committed = at
	w.d.mu.Unlock()
}

func (w *walked) checkpoint() {
	if err := w.s.set.Checkpoint(context.Background(), w.s.table.Settle); err != nil && !w.d.cut() {
		w.t.Fatal(err)
	}
}

func (w *walked) end() {
	w.c.Close()
	if err := w.s.Stop(); err != nil && !w.d.cut() {
		w.t.Fatal(err)
	}
}

// survived starts what the cut left, twice: all that was told is there, dense and
// as it was, and it goes on.
func (d *cutting) survived(t *testing.T) {
	t.Helper()
	if d.left == nil {
		t.Fatal("this step was never reached")
	}
	for seed, memory := range d.left {
		what := fmt.Sprintf("power cut before %s %s, seed %d", d.at.Op, d.at.Name, seed)
		want := d.before.clone()
		for round := range 2 {
			s, err := Start(context.Background(), stepOptions(t, memory))
			if err != nil {
				t.Fatalf("%s, start %d: %v", what, round, err)
			}
			for partition := range int32(2) {
				records := recordsOf(t, s, "orders", partition)
				if len(records) < want.records[partition] {
					t.Fatalf("%s, start %d: partition %d has %d records, %d were acknowledged", what, round, partition, len(records), want.records[partition])
				}
				for i, r := range records {
					if r.Offset != int64(i) || string(r.Value) != valueOf(partition, i) {
						t.Fatalf("%s, start %d: partition %d, record %d is %.20q at %d", what, round, partition, i, r.Value, r.Offset)
					}
				}
				next := mustProduce(t, s, "orders", partition, valueOf(partition, len(records)))
				if next.Offset != int64(len(records)) {
					t.Fatalf("%s, start %d: produced at %d behind %d records", what, round, next.Offset, len(records))
				}
				want.records[partition] = len(records) + 1
			}
			c := client(t, s)
			got, err := kadm.NewClient(c).FetchOffsets(within(t, time.Minute), "readers")
			if o, ok := got.Lookup("orders", 0); err != nil || !ok || o.At != want.committed {
				t.Fatalf("%s, start %d: the group's offset is %+v, %v, want %d", what, round, o, err, want.committed)
			}
			c.Close()
			if d.gone != "" {
				isGone(t, s, memory, d.gone)
			}
			stop(t, s)
		}
	}
}

// isGone waits until nothing is left of a deleted topic.
func isGone(t *testing.T, s *Server, memory *disk.Memory, topic string) {
	t.Helper()
	if _, ok := s.cluster.Topic(topic); ok {
		t.Fatalf("topic %s is there", topic)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		left := 0
		names, err := memory.List(topicsDir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if !strings.HasPrefix(name, topic+"-") {
				continue
			}
			parts, err := memory.List(topicsDir + "/" + name)
			if err != nil && !errors.Is(err, disk.ErrNotExist) {
				t.Fatal(err)
			}
			left += len(parts)
		}
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d partitions of %s are left: %v", left, topic, names)
		}
	}
}

func diskCall(op, suffix string) func(disk.Call) bool {
	return func(c disk.Call) bool { return c.Op == op && strings.HasSuffix(c.Name, suffix) }
}

// times matches the nth call that another test is true of.
func times(n int, is func(disk.Call) bool) func(disk.Call) bool {
	return func(c disk.Call) bool {
		if is(c) {
			n--
		}
		return n == 0
	}
}

// oldSnapshot matches calls about a snapshot that is in use.
func oldSnapshot(op string) func(disk.Call) bool {
	is := diskCall(op, ".snapshot")
	return func(c disk.Call) bool { return is(c) && !strings.HasSuffix(c.Name, "new.snapshot") }
}

func journalHead(c disk.Call) bool {
	return c.Op == "write" && strings.HasSuffix(c.Name, ".journal") && c.At == 0 && c.Bytes == disk.Align
}

// usedAgain matches the head of a file that had one before.
func usedAgain() func(disk.Call) bool {
	had := make(map[string]bool)
	return func(c disk.Call) bool {
		if !journalHead(c) {
			return false
		}
		again := had[c.Name]
		had[c.Name] = true
		return again
	}
}

// A power cut at each step of the third checkpoint of an instance that is used.
func TestKilledAtEachStepOfACheckpoint(t *testing.T) {
	every := func(disk.Call) bool { return true }
	steps := []struct {
		name  string
		match func(disk.Call) bool
		from  bool // look at calls from the start on
	}{
		{"1 noted and nothing settled", every, false},
		{"2 one partition settled", times(2, diskCall("write", ".log")), false},
		{"3 settled and nothing synced", diskCall("sync", ".log"), false},
		{"3 one of two segments synced", times(2, diskCall("sync", ".log")), false},
		{"4 all synced and nothing saved", diskCall("open", "new.snapshot"), false},
		{"4 the snapshot's bytes", diskCall("write", "new.snapshot"), false},
		{"4 the snapshot's sync", diskCall("sync", "new.snapshot"), false},
		{"4 the snapshot's name", diskCall("rename", "new.snapshot"), false},
		{"4 the directory's sync", diskCall("syncdir", "journal"), false},
		{"5 the oldest snapshot's removal", oldSnapshot("remove"), false},
		{"5 a file is used again", usedAgain(), true},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			var match func(disk.Call) bool
			if step.from { // it counts what comes before, and matches later
				match = step.match
			}
			w, d := startWalked(t, disk.NewMemory(), acked{records: make(map[int32]int)}, match)
			for range 2 {
				w.produce(6)
				w.commit()
				w.checkpoint()
			}
			w.produce(4)
			w.commit()
			if !step.from {
				d.arm(step.match)
			}
			w.checkpoint()
			for range 30 { // until the files come round
				if d.cut() || !step.from {
					break
				}
				w.produce(4)
				w.checkpoint()
			}
			w.end()
			d.survived(t)
		})
	}
}

// doomed is a topic that is deleted when the power goes.
const doomed = "doomed"

func journalChunk(c disk.Call) bool {
	return c.Op == "write" && strings.HasSuffix(c.Name, ".journal") && c.At > 0
}

// halfway is an instance whose power went while it had settled and not synced,
// and while it had deleted a topic and not dropped its data.
func halfway(t *testing.T) *cutting {
	t.Helper()
	w, d := startWalked(t, disk.NewMemory(), acked{records: make(map[int32]int)}, nil)
	d.seeds = 16
	for range 2 {
		w.produce(6)
		for partition := range int32(2) {
			mustProduce(t, w.s, doomed, partition, "to be dropped")
		}
		w.commit()
		w.checkpoint()
	}
	w.produce(4)
	w.commit()
	held, release := d.holdUp(diskCall("sync", ".log"))
	defer release()
	saved := make(chan struct{})
	go func() {
		defer close(saved)
		w.checkpoint()
	}()
	select {
	case <-held:
	case <-saved:
		t.Fatal("a checkpoint synced nothing")
	}
	d.arm(times(2, journalChunk)) // the first is the deletion
	if _, err := kadm.NewClient(w.c).DeleteTopic(within(t, time.Minute), doomed); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); !d.cut(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing was dropped within a minute")
		}
	}
	release()
	<-saved
	w.end()
	return d
}

// A power cut at each step of a recovery that has all of them to do.
func TestKilledAtEachStepOfARecovery(t *testing.T) {
	base := halfway(t)
	steps := []struct {
		name  string
		match func() func(disk.Call) bool
	}{
		{"1 the instance file", func() func(disk.Call) bool { return diskCall("read", instanceName) }},
		{"2 a snapshot", func() func(disk.Call) bool { return oldSnapshot("read") }},
		{"3 a journal file", func() func(disk.Call) bool { return times(2, diskCall("read", ".journal")) }},
		{"3 what had settled is cut off", func() func(disk.Call) bool { return diskCall("truncate", ".log") }},
		{"3 and settles again", func() func(disk.Call) bool { return diskCall("write", ".log") }},
		{"4 a new file is begun", func() func(disk.Call) bool { return journalHead }},
		{"4 and has its first chunk", func() func(disk.Call) bool { return journalChunk }},
		{"4 another file is made", func() func(disk.Call) bool {
			return func(c disk.Call) bool {
				return c.Op == "write" && strings.HasSuffix(c.Name, ".journal") && c.Bytes == stepFileBytes
			}
		}},
		{"5 it serves and says where", func() func(disk.Call) bool { return diskCall("rename", addressesName+".new") }},
		{"6 a promise is kept: the fact", func() func(disk.Call) bool { return times(2, journalChunk) }},
		{"6 a promise is kept: the files", func() func(disk.Call) bool {
			return func(c disk.Call) bool { return c.Op == "rename" && strings.HasPrefix(c.Name, topicsDir+"/"+doomed+"-") }
		}},
	}
	enough := 2
	if testing.Short() {
		enough = 1
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			reached := 0
			for _, left := range base.left { // not each of them has each step to do
				memory := left.Crash(0) // all is durable: a copy
				w, d := startWalked(t, memory, base.before, step.match())
				d.gone = doomed
				if w != nil {
					w.produce(16)
					w.checkpoint()
					w.end()
				}
				if !d.cut() {
					continue
				}
				d.survived(t)
				if reached++; reached == enough {
					return
				}
			}
			if reached == 0 {
				t.Error("this step was never reached")
			}
		})
	}
}
