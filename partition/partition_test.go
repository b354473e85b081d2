package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"milena/batch"
	"milena/config"
	"milena/machine/cluster"
	"milena/shard"
	"milena/storage/disk"
	"milena/storage/journal"
	"milena/storage/journal/faulty"
	"milena/storage/journal/file"
	"milena/storage/journal/memory"
	"milena/storage/segment"
	"milena/storage/segment/dir"
	segmentmemory "milena/storage/segment/memory"
)

var orders = &cluster.Topic{Name: "orders", ID: [16]byte{1}, Partitions: 4}

// world is a table over a journal and a store.
type world struct {
	t       *testing.T
	table   *Table
	set     *shard.Set
	full    bool
	deleted bool // the topic is
	now     time.Time
}

func newWorld(t *testing.T, j journal.Journal, store segment.Store, tune func(*config.Topic)) *world {
	t.Helper()
	return newWorldWith(t, j, store, tune, func(*Options) {})
}

func newWorldWith(t *testing.T, j journal.Journal, store segment.Store, tune func(*config.Topic), set func(*Options)) *world {
	t.Helper()
	w := &world{t: t, now: time.UnixMilli(1_700_000_000_000)}
	o := Options{
		Shards: 2, Store: store, CheckEvery: time.Hour, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return w.now }, Full: func() bool { return w.full },
		Fail:   func(err error) { t.Errorf("the store failed: %v", err) },
		Exists: func([16]byte) bool { return !w.deleted },
		Config: func(*cluster.Topic) config.Topic {
			c := config.Topic{Delete: true, RetentionTime: -1, RetentionBytes: -1, SegmentBytes: 4096, SegmentTime: 1 << 40,
				MaxMessageBytes: 1 << 20, TimestampBeforeMax: 1 << 60, TimestampAfterMax: 1 << 60}
			if tune != nil {
				tune(&c)
			}
			return c
		},
	}
	set(&o)
	w.table = NewTable(o)
	w.set = shard.NewSet(j, w.table.States())
	w.table.Attach([]*shard.Log{w.set.Log(0), w.set.Log(1)})
	if err := w.set.Recover(context.Background()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) log() Log {
	l, ok := w.table.Log(orders, 1)
	if !ok {
		w.t.Fatal("no such partition")
	}
	return l
}

func one(value string, at int64) []byte {
	return new(batch.Builder).Add(at, []byte("k"), []byte(value)).Build()
}

func idempotent(id int64, epoch int16, sequence int32, values ...string) []byte {
	b := &batch.Builder{Producer: true, ProducerID: id, ProducerEpoch: epoch, Sequence: sequence}
	for _, v := range values {
		b.Add(1_700_000_000_000, nil, []byte(v))
	}
	return b.Build()
}

func (w *world) append(b []byte) Appended {
	w.t.Helper()
	done := make(chan Appended, 1)
	w.log().Append(b, nil, Append{Now: w.now, Version: 9}, func(a Appended) { done <- a })
	select {
	case a := <-done:
		return a
	case <-time.After(10 * time.Second):
		w.t.Fatal("no answer within 10s")
		return Appended{}
	}
}

func (w *world) must(b []byte) int64 {
	w.t.Helper()
	a := w.append(b)
	if a.Err != nil {
		w.t.Fatal(a.Err)
	}
	return a.Base
}

// values reads the partition from an offset to its end.
func (w *world) values(from int64) []string {
	w.t.Helper()
	var values []string
	for {
		span, err := w.log().Read(context.Background(), from, 1000, true)
		if err != nil {
			w.t.Fatal(err)
		}
		if span.Bytes == 0 {
			return values
		}
		for _, piece := range span.Pieces {
			b := piece.Bytes
			if piece.File != nil {
				b = make([]byte, piece.Length)
				if _, err := piece.File.ReadAt(b, piece.At); err != nil {
					w.t.Fatal(err)
				}
			}
			for run, err := range batch.Walk(b) {
				if err != nil {
					w.t.Fatal(err)
				}
				for r, err := range batch.Records(run, 1<<20) {
					if err != nil {
						w.t.Fatal(err)
					}
					if r.Offset >= from {
						values = append(values, string(r.Value))
					}
				}
			}
		}
		from = span.Next
		if span.Release != nil {
			span.Release()
		}
	}
}

func (w *world) holds(n int) {
	w.t.Helper()
	values := w.values(0)
	if len(values) != n {
		w.t.Fatalf("read %d records, want %d", len(values), n)
	}
	for i, v := range values {
		if v != fmt.Sprint("v", i) {
			w.t.Fatalf("record %d is %q", i, v)
		}
	}
}

func (w *world) checkpoint() {
	w.t.Helper()
	if err := w.set.Checkpoint(context.Background(), w.table.Settle); err != nil {
		w.t.Fatal(err)
	}
}

func TestRecordsAreReadBeforeAndAfterTheySettle(t *testing.T) {
	w := newWorld(t, memory.New(), segmentmemory.New(), nil)
	for i := range 100 {
		if base := w.must(one(fmt.Sprint("v", i), int64(i))); base != int64(i) {
			t.Fatalf("base offset %d, want %d", base, i)
		}
		if i%30 == 29 {
			w.checkpoint()
		}
	}
	w.holds(100)
	if got := w.values(55); len(got) != 45 || got[0] != "v55" {
		t.Errorf("from 55: %d records", len(got))
	}
	for _, from := range []int64{-1, 101} {
		if _, err := w.log().Read(context.Background(), from, 1000, true); !errors.Is(err, kerr.OffsetOutOfRange) {
			t.Errorf("read at %d: %v", from, err)
		}
	}
	b := w.log().Bounds()
	if b.Start != 0 || b.HighWatermark != 100 || b.LastStable != 100 {
		t.Errorf("bounds %+v", b)
	}
	for _, at := range []int64{0, 54, 99} {
		if offset, timestamp, err := w.log().OffsetAt(context.Background(), at); offset != at || timestamp != at || err != nil {
			t.Errorf("at %d: offset %d, timestamp %d, %v", at, offset, timestamp, err)
		}
	}
	if offset, _, _ := w.log().OffsetAt(context.Background(), 100); offset != -1 {
		t.Errorf("at 100: offset %d", offset)
	}
	if offset, timestamp, _ := w.log().MaxTimestamp(context.Background()); offset != 99 || timestamp != 99 {
		t.Errorf("largest timestamp %d at %d", timestamp, offset)
	}
}

func TestAnIdempotentProducerNeverWritesTwice(t *testing.T) {
	j, store := memory.New(), segmentmemory.New()
	w := newWorld(t, j, store, nil)
	for i := range int32(8) {
		w.must(idempotent(7, 0, i, "x"))
	}
	check := func(when string) {
		t.Helper()
		for _, tt := range []struct {
			epoch    int16
			sequence int32
			base     int64
			want     error
		}{
			{0, 7, 7, nil}, {0, 3, 3, nil}, // the last five are remembered
			{0, 2, -1, kerr.OutOfOrderSequenceNumber}, {0, 9, -1, kerr.OutOfOrderSequenceNumber},
			{1, 5, -1, kerr.OutOfOrderSequenceNumber},
		} {
			a := w.append(idempotent(7, tt.epoch, tt.sequence, "x"))
			if a.Base != tt.base || tt.want != nil && !errors.Is(a.Err, tt.want) || tt.want == nil && a.Err != nil {
				t.Errorf("%s: epoch %d sequence %d: base %d, %v; want %d, %v", when, tt.epoch, tt.sequence, a.Base, a.Err, tt.base, tt.want)
			}
		}
	}
	check("at once")
	w.checkpoint()
	w = newWorld(t, j.Reopen(), store, nil)
	check("after a restart")
	if base := w.must(idempotent(7, 1, 0, "x")); base != 8 {
		t.Errorf("a new epoch begins at %d, want 8", base)
	}
	if a := w.append(idempotent(7, 0, 8, "x")); !errors.Is(a.Err, kerr.InvalidProducerEpoch) {
		t.Errorf("an old epoch: %v", a.Err)
	}
	if len(w.values(0)) != 9 {
		t.Errorf("%d records, want 9", len(w.values(0)))
	}
}

func TestADuplicateIsNotAnsweredBeforeItsOriginalIsDurable(t *testing.T) {
	j := &slow{Journal: memory.New(), gate: make(chan struct{})}
	w := newWorld(t, j, segmentmemory.New(), nil)
	answers := make(chan Appended, 2)
	for range 2 {
		w.log().Append(idempotent(7, 0, 0, "x"), nil, Append{Now: w.now, Version: 9}, func(a Appended) { answers <- a })
	}
	select {
	case a := <-answers:
		t.Fatalf("answered %+v before anything was durable", a)
	case <-time.After(100 * time.Millisecond):
	}
	if b := w.log().Bounds(); b.HighWatermark != 0 {
		t.Fatalf("high watermark %d before anything was durable", b.HighWatermark)
	}
	close(j.gate)
	for range 2 {
		if a := <-answers; a.Err != nil || a.Base != 0 {
			t.Errorf("answered %+v", a)
		}
	}
}

// slow is a journal that answers when its gate opens.
type slow struct {
	journal.Journal
	gate chan struct{}
}

func (s *slow) Append(entries []journal.Entry, done func([]journal.Outcome)) {
	s.Journal.Append(entries, func(o []journal.Outcome) { <-s.gate; done(o) })
}

func TestAFullDiskRefusesProduceAndNothingElse(t *testing.T) {
	w := newWorld(t, memory.New(), segmentmemory.New(), nil)
	w.must(one("v0", 0))
	w.full = true
	if a := w.append(one("v1", 0)); !errors.Is(a.Err, kerr.KafkaStorageError) {
		t.Errorf("on a full disk: %v", a.Err)
	}
	w.holds(1)
	w.full = false
	if base := w.must(one("v1", 0)); base != 1 {
		t.Errorf("with room again: offset %d", base)
	}
}

// No room to settle: produce is refused, what is durable is read, a topic can be
// deleted, and all of it settles when there is room, also after a restart.
func TestNoRoomToSettleWaitsAndGoesOn(t *testing.T) {
	memory := disk.NewMemory()
	open := func() (*world, chan bool, func()) {
		j, err := file.Open(memory, "journal", file.Options{Logs: 2, FileBytes: 32 << 20, FirstBytes: 32 << 20})
		if err != nil {
			t.Fatal(err)
		}
		store, err := dir.Open(memory, "topics", dir.Options{})
		if err != nil {
			t.Fatal(err)
		}
		told := make(chan bool, 16)
		w := newWorldWith(t, j, store, func(c *config.Topic) { c.SegmentBytes = 1 << 30 }, func(o *Options) {
			o.UnsettledMax = 8 << 20
			o.NoRoom = func(none bool) { told <- none }
		})
		return w, told, func() { store.Close(); j.Close() }
	}
	hears := func(told chan bool, want bool) {
		t.Helper()
		select {
		case none := <-told:
			if none != want {
				t.Fatalf("told no room: %v, want %v", none, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("nobody told no room: %v", want)
		}
	}
	w, told, end := open()
	w.must(one("v0", 0)) // the journal has its file
	memory.SetSize(36 << 20)
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() { w.table.Run(ctx); close(ran) }()
	n := 1
	for refused := false; !refused; {
		a := w.append(one(fmt.Sprint("v", n)+strings.Repeat(" ", 600<<10), 0))
		if refused = a.Err != nil; !refused {
			n++
		} else if !errors.Is(a.Err, kerr.KafkaStorageError) {
			t.Fatalf("refused with %v", a.Err)
		}
	}
	hears(told, true)
	if err := w.set.Checkpoint(ctx, w.table.Settle); !errors.Is(err, segment.ErrNoRoom) {
		t.Fatalf("a checkpoint without room: %v", err)
	}
	w.holdsPadded(n)
	stop()
	<-ran
	end()

	w, told, end = open() // a start with a full disk
	hears(told, true)
	w.holdsPadded(n)
	ctx, stop = context.WithCancel(context.Background())
	ran = make(chan struct{})
	go func() { w.table.Run(ctx); close(ran) }()
	memory.SetSize(0)
	hears(told, false)
	w.must(one(fmt.Sprint("v", n), 0))
	w.holdsPadded(n + 1)
	w.checkpoint()
	stop()
	<-ran
	end()
	w, _, end = open()
	w.holdsPadded(n + 1)
	end()
}

func (w *world) holdsPadded(n int) {
	w.t.Helper()
	values := w.values(0)
	if len(values) != n {
		w.t.Fatalf("read %d records, want %d", len(values), n)
	}
	for i, v := range values {
		if strings.TrimSpace(v) != fmt.Sprint("v", i) {
			w.t.Fatalf("record %d is %.10q", i, v)
		}
	}
}

func TestRetentionTakesWhatIsOldOrTooMuch(t *testing.T) {
	for name, tune := range map[string]func(*config.Topic){
		"time":  func(c *config.Topic) { c.RetentionTime = 60_000 },
		"bytes": func(c *config.Topic) { c.RetentionBytes = 8192 },
	} {
		t.Run(name, func(t *testing.T) {
			j, store := memory.New(), segmentmemory.New()
			w := newWorld(t, j, store, tune)
			for i := range 300 {
				w.must(one(fmt.Sprint("v", i), w.now.UnixMilli()))
				if i%10 == 9 {
					w.checkpoint()
				}
			}
			w.now = w.now.Add(2 * time.Minute)
			w.table.retain(context.Background())
			start := w.log().Bounds().Start
			if start == 0 || name == "time" && start != 300 {
				t.Fatalf("the log starts at %d", start)
			}
			if _, err := w.log().Read(context.Background(), start-1, 1000, true); !errors.Is(err, kerr.OffsetOutOfRange) {
				t.Errorf("below the start: %v", err)
			}
			if got := len(w.values(start)); got != int(300-start) {
				t.Errorf("%d records from %d on", got, start)
			}
			w = newWorld(t, j.Reopen(), store, tune)
			if got := w.log().Bounds().Start; got != start {
				t.Errorf("after a restart the log starts at %d, want %d", got, start)
			}
			if base := w.must(one("next", 0)); base != 300 {
				t.Errorf("the next offset is %d, want 300", base)
			}
		})
	}
}

// What comes while a checkpoint settles is in its snapshot, but not settled: the
// journal has to keep it.
func TestWhatComesDuringACheckpointSurvives(t *testing.T) {
	j, store := memory.New(), segmentmemory.New()
	w := newWorld(t, j, store, nil)
	n := 0
	put := func() {
		w.must(one(fmt.Sprint("v", n), int64(n)))
		n++
	}
	for range 4 { // the older of two snapshots decides what the journal keeps
		put()
		err := w.set.Checkpoint(context.Background(), func(ctx context.Context) error {
			err := w.table.Settle(ctx)
			put()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	w = newWorld(t, j.Reopen(), store, nil)
	w.holds(n)
}

// A crash between the fact and the files must find either everything or less to
// serve: never a log that names what is gone.
func TestRetentionForgetsNothingBeforeItsFactIsDurable(t *testing.T) {
	j, store := faulty.Wrap(memory.New()), segmentmemory.New()
	defer j.Close()
	w := newWorld(t, j, store, func(c *config.Topic) { c.RetentionTime = 60_000 })
	for i := range 300 {
		w.must(one(fmt.Sprint("v", i), w.now.UnixMilli()))
		if i%10 == 9 {
			w.checkpoint()
		}
	}
	before := len(store.Segments(segment.Partition{Topic: orders.Name, ID: orders.ID, Index: 1}))
	w.now = w.now.Add(2 * time.Minute)
	j.Steer(func(journal.Entry) faulty.Fault { return faulty.Fault{Outcome: journal.Broken} })
	w.table.retain(context.Background())
	if got := len(store.Segments(segment.Partition{Topic: orders.Name, ID: orders.ID, Index: 1})); got != before || before < 2 {
		t.Errorf("%d segments are left of %d, though the journal took no fact", got, before)
	}
	w.holds(300)
}

func TestADroppedTopicIsGone(t *testing.T) {
	w := newWorld(t, memory.New(), segmentmemory.New(), nil)
	w.must(one("v0", 0))
	old := w.log()
	waiter := NewWaiter()
	old.Watch(waiter)
	for range 2 {
		if err := w.table.Drop(context.Background(), orders.ID); err != nil {
			t.Fatal(err)
		}
	}
	<-waiter.C
	if _, err := old.Read(context.Background(), 0, 10, true); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("read of a dropped partition: %v", err)
	}
	done := make(chan Appended, 1)
	old.Append(one("v1", 0), nil, Append{Now: w.now, Version: 9}, func(a Appended) { done <- a })
	if a := <-done; !errors.Is(a.Err, kerr.UnknownTopicOrPartition) {
		t.Errorf("append to a dropped partition: %v", a.Err)
	}
}

func TestWaitersAreWoken(t *testing.T) {
	w := newWorld(t, memory.New(), segmentmemory.New(), nil)
	waiter := NewWaiter()
	w.log().Watch(waiter)
	w.must(one("v0", 0))
	select {
	case <-waiter.C:
	case <-time.After(5 * time.Second):
		t.Fatal("not woken")
	}
	w.log().Unwatch(waiter)
	w.must(one("v1", 0))
	select {
	case <-waiter.C:
		t.Error("woken after it stopped watching")
	default:
	}
}

// A power cut at every file call of a script over the real engines: every
// acknowledged record is there, dense and as it was.
func TestPowerCutAtEveryFileCallOfTheWholePath(t *testing.T) {
	open := func(t *testing.T, fs disk.FS) (*world, func()) {
		j, err := file.Open(fs, "journal", file.Options{Logs: 2, FileBytes: 256 << 10, FirstBytes: 128 << 10, MaxLive: 16 << 20})
		if err != nil {
			return nil, nil
		}
		store, err := dir.Open(fs, "topics", dir.Options{})
		if err != nil {
			j.Close()
			return nil, nil
		}
		w := newWorld(t, j, store, nil)
		return w, func() { store.Close(); j.Close() }
	}
	script := func(t *testing.T, fs disk.FS, told func(int64)) {
		w, end := open(t, fs)
		if w == nil {
			return
		}
		defer end()
		for i := range 40 {
			a := w.append(one(fmt.Sprint("v", i), 0))
			if a.Err != nil {
				return
			}
			told(a.Base)
			if i%9 == 8 && w.set.Checkpoint(context.Background(), w.table.Settle) != nil {
				return
			}
		}
	}
	count := disk.NewFaulty(disk.NewMemory(), func(disk.Call) error { return nil })
	script(t, count, func(int64) {})
	step := 1
	if testing.Short() {
		step = 11
	}
	for at := 1; at <= count.Calls(); at += step {
		fs := disk.NewMemory()
		var mu sync.Mutex
		acked, before := int64(-1), int64(-1)
		var left []*disk.Memory
		faulty := disk.NewFaulty(fs, nil)
		faulty.Hook = func(c disk.Call) error {
			if c.Number < at {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if left == nil {
				before = acked
				left = []*disk.Memory{fs.Crash(1), fs.Crash(2)}
			}
			return errors.New("the power is gone")
		}
		script(t, faulty, func(base int64) { mu.Lock(); acked = base; mu.Unlock() })
		for seed, crashed := range left {
			w, end := open(t, crashed)
			if w == nil {
				t.Fatalf("call %d seed %d: it does not open", at, seed)
			}
			values := w.values(0)
			if int64(len(values)) <= before {
				t.Fatalf("call %d seed %d: %d records, but offset %d was acknowledged", at, seed, len(values), before)
			}
			w.holds(len(values))
			w.must(one(fmt.Sprint("v", len(values)), 0))
			end()
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	w := newWorld(&testing.T{}, memory.New(), segmentmemory.New(), nil)
	l := w.log()
	raw := one(string(make([]byte, 1024)), 0)
	b.ReportAllocs()
	var all sync.WaitGroup
	for b.Loop() {
		all.Add(1)
		l.Append(append([]byte(nil), raw...), nil, Append{Now: w.now, Version: 9}, func(Appended) { all.Done() })
		if w.table.unsettled() > 32<<20 {
			all.Wait()
			w.checkpoint()
		}
	}
	all.Wait()
}
