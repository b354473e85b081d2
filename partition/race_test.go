package partition

import (
	"context"
	"fmt"
	"testing"

	"milena/storage/journal/memory"
	"milena/storage/segment"
	segmentmemory "milena/storage/segment/memory"
)

// settles is a store in which something settles right after it was asked.
type settles struct {
	segment.Store
	now func()
}

func (s *settles) settle() {
	if now := s.now; now != nil {
		s.now = nil
		now()
	}
}

func (s *settles) Find(ctx context.Context, p segment.Partition, from, time int64) (segment.Found, bool, error) {
	defer s.settle()
	return s.Store.Find(ctx, p, from, time)
}

func (s *settles) Segments(p segment.Partition) []segment.Info {
	defer s.settle()
	return s.Store.Segments(p)
}

// half is a log of ten records of which the first five are settled; the others
// settle when the store has been asked.
func half(t *testing.T) (*world, *settles) {
	store := &settles{Store: segmentmemory.New()}
	w := newWorld(t, memory.New(), store, nil)
	for i := range 10 {
		w.must(one(fmt.Sprint("v", i), int64(i)))
		if i == 4 {
			w.checkpoint()
		}
	}
	return w, store
}

func TestATimeIsFoundThoughItsBatchSettlesMeanwhile(t *testing.T) {
	for at := int64(5); at < 10; at++ {
		w, store := half(t)
		store.now = w.checkpoint
		offset, timestamp, err := w.log().OffsetAt(context.Background(), at)
		if offset != at || timestamp != at || err != nil {
			t.Errorf("at %d: offset %d, timestamp %d, %v", at, offset, timestamp, err)
		}
		if store.now != nil {
			t.Fatal("the store was not asked")
		}
	}
}

func TestTheLargestTimeIsFoundThoughItsBatchSettlesMeanwhile(t *testing.T) {
	w, store := half(t)
	store.now = w.checkpoint
	offset, timestamp, err := w.log().MaxTimestamp(context.Background())
	if offset != 9 || timestamp != 9 || err != nil {
		t.Errorf("offset %d, timestamp %d, %v", offset, timestamp, err)
	}
}

// A reader that looked at the tail before batches settled must not take what
// follows them for what it asked for.
func TestTheTailGivesNothingAcrossAGap(t *testing.T) {
	w, _ := half(t)
	p := w.log().(*part)
	if span := p.withTail(segment.Span{Next: 4}, 1000); span.Bytes != 0 {
		t.Errorf("at offset 4 the tail, which begins at 5, gave %d bytes up to %d", span.Bytes, span.Next)
	}
	span := p.withTail(segment.Span{Next: 5}, 1000)
	if span.Next != 10 {
		t.Errorf("at offset 5 the tail gave %d bytes up to %d", span.Bytes, span.Next)
	}
	span.Release()
}
