package partition

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"milena/shard"
	"milena/storage/journal/faulty"
	"milena/storage/journal/memory"
	segmentmemory "milena/storage/segment/memory"
)

// remembered says how many producers the partition knows.
func (w *world) remembered() int {
	p := w.log().(*part)
	p.shard.lock()
	defer p.shard.unlock()
	return len(p.producers)
}

// A producer that wrote nothing for producer.id.expiration.ms is forgotten, by
// the look that retention takes; one that writes is not.
func TestIdleProducersAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := faulty.Wrap(memory.New())
		defer j.Close()
		w := newWorld(t, j, segmentmemory.New(), nil)
		w.table.o.ProducerExpiry, w.table.o.CheckEvery, w.table.o.Now = time.Hour, 5*time.Minute, time.Now
		w.now = time.Now()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); w.table.Run(ctx) }()
		defer stop()

		w.must(idempotent(1, 0, 0, "idle"))
		w.must(idempotent(2, 0, 0, "busy"))
		time.Sleep(50 * time.Minute)
		w.now = time.Now()
		w.must(idempotent(2, 0, 1, "busy"))
		if n := w.remembered(); n != 2 {
			t.Fatalf("%d producers are remembered within the hour, want 2", n)
		}
		if a := w.append(idempotent(1, 0, 5, "a gap")); !errors.Is(a.Err, kerr.OutOfOrderSequenceNumber) {
			t.Fatalf("a gap: %v, want %v", a.Err, kerr.OutOfOrderSequenceNumber)
		}
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		if n := w.remembered(); n != 1 {
			t.Fatalf("%d producers are remembered after it, want the busy one", n)
		}
		w.now = time.Now()
		if base := w.must(idempotent(1, 0, 5, "unknown again")); base != 3 {
			t.Errorf("who is forgotten begins at offset %d, want 3", base)
		}
		if a := w.append(idempotent(2, 0, 1, "busy")); a.Err != nil || a.Base != 2 {
			t.Errorf("the busy one's repeat: %+v, want offset 2", a)
		}

		// A checkpoint has only who is remembered.
		stop()
		<-ended
		time.Sleep(2 * time.Hour)
		w.table.expireProducers()
		w.checkpoint()
		again := &world{t: t, table: NewTable(w.table.o), now: time.Now()}
		again.set = shard.NewSet(j, again.table.States())
		again.table.Attach([]*shard.Log{again.set.Log(0), again.set.Log(1)})
		if err := again.set.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := again.remembered(); n != 0 {
			t.Errorf("%d producers are in the checkpoint, want none", n)
		}
	})
}

// Whoever has a batch on its way to the disk is not idle, however long it takes.
func TestAProducerWithABatchUnderWayIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := faulty.Wrap(memory.New())
		defer j.Close()
		w := newWorld(t, j, segmentmemory.New(), nil)
		w.table.o.ProducerExpiry, w.table.o.Now = time.Hour, time.Now
		w.now = time.Now()
		w.must(idempotent(1, 0, 0, "v0"))
		j.Hang()
		done := make(chan Appended, 1)
		w.log().Append(idempotent(1, 0, 1, "v1"), nil, Append{Now: time.Now(), Version: 9}, func(a Appended) { done <- a })
		time.Sleep(2 * time.Hour)
		w.table.expireProducers()
		j.Resume()
		if a := <-done; a.Err != nil {
			t.Fatal(a.Err)
		}
		w.now = time.Now()
		if a := w.append(idempotent(1, 0, 0, "v0")); a.Err != nil || a.Base != 0 {
			t.Errorf("a repeat of the batch before: %+v, want offset 0", a)
		}
	})
}
