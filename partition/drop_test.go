package partition

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"milena/storage/journal"
	"milena/storage/journal/memory"
	"milena/storage/segment"
	segmentmemory "milena/storage/segment/memory"
)

func TestADeletedTopicIsNotUsedAgain(t *testing.T) {
	w := newWorld(t, memory.New(), segmentmemory.New(), nil)
	w.must(one("v0", 0))
	w.deleted = true
	if err := w.table.Drop(context.Background(), orders.ID); err != nil {
		t.Fatal(err)
	}
	for i := range orders.Partitions { // as a request that looked the topic up before it was deleted
		if _, ok := w.table.Log(orders, i); ok {
			t.Errorf("partition %d of a deleted topic is there", i)
		}
	}
	if n := w.table.Stats().Partitions; n != 0 {
		t.Errorf("%d partitions are kept", n)
	}
}

// What is decided behind the fact that a topic's data goes would be
// acknowledged and lost, and its segment would be nobody's.
func TestNothingIsAppendedBehindATopicsEnd(t *testing.T) {
	j := &slow{Journal: memory.New(), gate: make(chan struct{})}
	store := segmentmemory.New()
	w := newWorld(t, j, store, nil)
	log := w.log()
	before, after := make(chan Appended, 1), make(chan Appended, 1)
	how := Append{Now: w.now, Version: 9}
	log.Append(one("v0", 0), nil, how, func(a Appended) { before <- a })

	dropped := make(chan error, 1)
	go func() { dropped <- w.table.Drop(context.Background(), orders.ID) }()
	l := log.(*part).shard.log
	for decided := false; !decided; { // the drop, behind the batch
		l.Lock()
		decided = log.(*part).ahead.dropped
		l.Unlock()
	}
	log.Append(one("v1", 0), nil, how, func(a Appended) { after <- a })
	close(j.gate)
	if a := <-before; a.Err != nil {
		t.Errorf("the batch before the end: %v", a.Err)
	}
	if a := <-after; !errors.Is(a.Err, kerr.UnknownTopicOrPartition) {
		t.Errorf("the batch behind the end: base %d, %v", a.Base, a.Err)
	}
	if err := <-dropped; err != nil {
		t.Fatal(err)
	}
	if err := w.table.Settle(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s := store.Segments(log.(*part).place()); len(s) != 0 {
		t.Errorf("the dropped partition has %d segments", len(s))
	}
	if n := w.table.Stats().Unsettled; n != 0 {
		t.Errorf("%d bytes of it wait to settle", n)
	}
}

// leased counts who holds a frame.
type leased struct{ held atomic.Int32 }

func (l *leased) Retain()  { l.held.Add(1) }
func (l *leased) Release() { l.held.Add(-1) }

// busy is a store that calls while it settles.
type busy struct {
	segment.Store
	settling func()
}

func (b busy) Settle(ctx context.Context, p segment.Partition, run []segment.Batch) error {
	b.settling()
	return b.Store.Settle(ctx, p, run)
}

func TestBytesStayWhileTheySettleThoughTheirTopicIsDropped(t *testing.T) {
	var p *part
	var w *world
	lease := &leased{}
	dropped := make(chan error, 1)
	w = newWorld(t, memory.New(), busy{segmentmemory.New(), func() {
		go func() { dropped <- w.table.Drop(context.Background(), orders.ID) }()
		for !p.gone() {
			runtime.Gosched()
		}
		if lease.held.Load() != 1 {
			t.Error("the bytes that are being settled were let go of")
		}
	}}, nil)
	p = w.log().(*part)
	done := make(chan Appended, 1)
	p.Append(one(strings.Repeat("x", 2*smallBatch), 0), lease, Append{Now: w.now, Version: 9}, func(a Appended) { done <- a })
	if a := <-done; a.Err != nil {
		t.Fatal(a.Err)
	}
	w.checkpoint()
	if err := <-dropped; err != nil {
		t.Fatal(err)
	}
	if lease.held.Load() != 0 {
		t.Errorf("the frame is held %d times", lease.held.Load())
	}
}

// panics is a journal that is broken in a way that nobody thought of.
type panics struct{ journal.Journal }

func (panics) Append([]journal.Entry, func([]journal.Outcome)) { panic("boom") }

func TestAPanicLeavesNoLockBehind(t *testing.T) {
	w := newWorld(t, panics{memory.New()}, segmentmemory.New(), nil)
	func() {
		defer func() { recover() }() //nolint:errcheck // it is ours
		w.log().Append(one("v0", 0), nil, Append{Now: w.now, Version: 9}, func(Appended) {})
		t.Error("it did not panic")
	}()
	l := w.log().(*part).shard.log
	if !l.TryLock() {
		t.Fatal("the shard's log stays locked")
	}
	l.Unlock()
}
