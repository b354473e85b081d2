// Package segmenttest is the contract of seam 2 as tests: every engine passes
// this suite.
package segmenttest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"

	"milena/batch"
	"milena/storage/segment"
)

var ctx = context.Background()

// Partition is the one that the suite writes to.
var Partition = segment.Partition{Topic: "orders", ID: [16]byte{7}, Index: 3}

// Run runs the suite against fresh stores.
func Run(t *testing.T, open func(*testing.T) segment.Store) {
	for name, test := range map[string]func(*testing.T, segment.Store){
		"what is settled is readable at once":         readable,
		"a read gives whole batches within bounds":    bounds,
		"restore forgets what is above each boundary": restore,
		"sealed segments go when they lie below":      forget,
		"a reader outlives its segment":               readerOutlives,
		"a dropped partition is empty":                drop,
		"batches are found by time":                   find,
		"sync tells what it made durable":             syncs,
		"readers and a writer at once":                together,
		"a random walk":                               randomWalk,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() { s.Close() })
			test(t, s)
		})
	}
}

// Batches makes batches of two records, one after the other, ten bytes of
// value each and a minute apart.
func Batches(from int64, count int) []segment.Batch {
	var batches []segment.Batch
	for range count {
		b := &batch.Builder{Base: from}
		b.Add(from*60_000, nil, fmt.Appendf(nil, "value%05d", from)).Add(from*60_000+1, nil, []byte("second"))
		batches = append(batches, segment.Batch{Base: from, Next: from + 2, MaxTimestamp: from*60_000 + 1, Bytes: b.Build()})
		from += 2
	}
	return batches
}

func settle(t *testing.T, s segment.Store, batches []segment.Batch) {
	t.Helper()
	if err := s.Settle(ctx, Partition, batches); err != nil {
		t.Fatal(err)
	}
}

// Bytes reads a span and releases it.
func Bytes(t *testing.T, span segment.Span) []byte {
	t.Helper()
	var all []byte
	for _, p := range span.Pieces {
		if p.File == nil {
			all = append(all, p.Bytes...)
			continue
		}
		b := make([]byte, p.Length)
		if _, err := p.File.ReadAt(b, p.At); err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	if len(all) != span.Bytes {
		t.Fatalf("a span of %d bytes has %d", span.Bytes, len(all))
	}
	if span.Release != nil {
		span.Release()
	}
	return all
}

// ReadAll reads everything from an offset on, span by span.
func ReadAll(t *testing.T, s segment.Store, from int64) []byte {
	t.Helper()
	var all []byte
	for {
		span, err := s.Read(ctx, Partition, from, 1<<62, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if span.Bytes == 0 {
			return all
		}
		if span.Next <= from {
			t.Fatalf("a span from %d ends at %d", from, span.Next)
		}
		from = span.Next
		all = append(all, Bytes(t, span)...)
	}
}

// Join is the batches' bytes.
func Join(batches []segment.Batch) []byte {
	var all []byte
	for _, b := range batches {
		all = append(all, b.Bytes...)
	}
	return all
}

func readable(t *testing.T, s segment.Store) {
	all := Batches(0, 600)
	for i := 0; i < len(all); i += 100 {
		settle(t, s, all[i:i+100])
		if got, want := ReadAll(t, s, 0), Join(all[:i+100]); !bytes.Equal(got, want) {
			t.Fatalf("after %d batches: read %d bytes, want %d", i+100, len(got), len(want))
		}
	}
	for _, from := range []int64{0, 1, 2, 599, 600, 1001, 1198, 1199} {
		if got, want := ReadAll(t, s, from), Join(all[from/2:]); !bytes.Equal(got, want) {
			t.Errorf("from %d: read %d bytes, want %d", from, len(got), len(want))
		}
	}
}

func bounds(t *testing.T, s segment.Store) {
	all := Batches(0, 500)
	settle(t, s, all)
	size := len(all[0].Bytes)
	for _, tt := range []struct {
		from, upTo int64
		max        int
		want       int // batches
	}{
		{0, 1 << 62, 1, 1}, {0, 1 << 62, size, 1}, {0, 1 << 62, 2*size - 1, 1}, {0, 1 << 62, 2 * size, 2},
		{1, 1 << 62, 3 * size, 3}, {0, 4, 1 << 20, 2}, {0, 0, 1 << 20, 0}, {1000, 1 << 62, 1 << 20, 0},
		{998, 1 << 62, 1 << 20, 1}, {0, 1 << 62, 1 << 20, 500}, {4, 900, 1 << 20, 448}, {300, 1 << 62, 333 * size, 333},
	} {
		span, err := s.Read(ctx, Partition, tt.from, tt.upTo, tt.max)
		if err != nil {
			t.Fatal(err)
		}
		first := tt.from / 2
		if got, want := Bytes(t, span), Join(all[min(first, 500):min(first+int64(tt.want), 500)]); !bytes.Equal(got, want) {
			t.Errorf("read [%d, %d) %d bytes: got %d, want %d batches of %d", tt.from, tt.upTo, tt.max, len(got), tt.want, size)
		}
	}
}

func restore(t *testing.T, s segment.Store) {
	all := Batches(0, 60)
	for i := 0; i < 60; i += 20 {
		settle(t, s, all[i:i+20])
		if i < 40 {
			if err := s.Seal(ctx, Partition); err != nil {
				t.Fatal(err)
			}
		}
	}
	size := int64(len(all[0].Bytes))
	for n := 60; n >= 0; n-- {
		at := segment.Settled{Partition: Partition, Next: int64(2 * n)}
		if n > 0 {
			at.Segment = int64((n - 1) / 20 * 40)
			at.Length = (int64(n) - at.Segment/2) * size
		}
		if err := s.Restore(ctx, at); err != nil {
			t.Fatal(err)
		}
		if got, want := ReadAll(t, s, 0), Join(all[:n]); !bytes.Equal(got, want) {
			t.Fatalf("restored at %d: read %d bytes, want %d", 2*n, len(got), len(want))
		}
	}
	settle(t, s, all[:3])
	if got := ReadAll(t, s, 0); !bytes.Equal(got, Join(all[:3])) {
		t.Errorf("settled after a restore at nothing: read %d bytes", len(got))
	}
}

func forget(t *testing.T, s segment.Store) {
	all := Batches(0, 30)
	for i := 0; i < 30; i += 10 {
		settle(t, s, all[i:i+10])
		if err := s.Seal(ctx, Partition); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ below, first int64 }{{19, 0}, {20, 20}, {39, 20}, {60, 60}} {
		if err := s.Forget(ctx, Partition, tt.below); err != nil {
			t.Fatal(err)
		}
		var want int64 = 60
		if infos := s.Segments(Partition); len(infos) > 0 {
			want = infos[0].Base
		}
		if want != tt.first {
			t.Errorf("forget below %d: the oldest segment begins at %d, want %d", tt.below, want, tt.first)
		}
	}
	settle(t, s, Batches(60, 2))
	if got := ReadAll(t, s, 0); !bytes.Equal(got, Join(Batches(60, 2))) {
		t.Errorf("after all was forgotten: read %d bytes", len(got))
	}
}

func readerOutlives(t *testing.T, s segment.Store) {
	all := Batches(0, 10)
	settle(t, s, all)
	if err := s.Seal(ctx, Partition); err != nil {
		t.Fatal(err)
	}
	span, err := s.Read(ctx, Partition, 0, 1<<62, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Forget(ctx, Partition, 20); err != nil {
		t.Fatal(err)
	}
	if got := ReadAll(t, s, 0); len(got) != 0 {
		t.Errorf("read %d bytes of what was forgotten", len(got))
	}
	if got := Bytes(t, span); !bytes.Equal(got, Join(all)) {
		t.Errorf("a reader from before read %d bytes, want %d", len(got), len(Join(all)))
	}
}

func drop(t *testing.T, s segment.Store) {
	settle(t, s, Batches(0, 10))
	if err := s.Drop(ctx, Partition); err != nil {
		t.Fatal(err)
	}
	if err := s.Drop(ctx, Partition); err != nil {
		t.Fatalf("dropped twice: %v", err)
	}
	if got := ReadAll(t, s, 0); len(got) != 0 {
		t.Errorf("read %d bytes of a dropped partition", len(got))
	}
}

func find(t *testing.T, s segment.Store) {
	all := Batches(0, 400)
	settle(t, s, all[:150])
	if err := s.Seal(ctx, Partition); err != nil {
		t.Fatal(err)
	}
	settle(t, s, all[150:])
	late := &batch.Builder{Base: 800}
	late.Add(1<<40, nil, nil)
	early := &batch.Builder{Base: 801}
	early.Add(5, nil, nil)
	settle(t, s, []segment.Batch{{Base: 800, Next: 801, MaxTimestamp: 1 << 40, Bytes: late.Build()}, {Base: 801, Next: 802, MaxTimestamp: 5, Bytes: early.Build()}})
	for _, tt := range []struct {
		from, time, base int64
		found            bool
	}{
		{801, 1 << 39, 0, false}, {801, 5, 801, true}, {801, 6, 0, false}, {800, 1 << 40, 800, true}, // only one of them is late
		{0, 0, 0, true}, {0, 1, 0, true}, {0, 2, 2, true}, {0, 100 * 60_000, 100, true}, {0, 301 * 60_000, 302, true},
		{310, 0, 310, true}, {0, 798*60_000 + 1, 798, true}, {0, 798*60_000 + 2, 800, true}, {0, 1<<40 + 1, 0, false},
	} {
		found, ok, err := s.Find(ctx, Partition, tt.from, tt.time)
		if err != nil || ok != tt.found || found.Base != tt.base {
			t.Errorf("find %d from %d: %+v, %t, %v; want base %d, %t", tt.time, tt.from, found, ok, err, tt.base, tt.found)
		}
	}
}

func syncs(t *testing.T, s segment.Store) {
	settle(t, s, Batches(0, 5))
	if err := s.Seal(ctx, Partition); err != nil {
		t.Fatal(err)
	}
	more := Batches(10, 3)
	settle(t, s, more)
	settled, err := s.Sync(ctx)
	if err != nil || len(settled) != 1 {
		t.Fatalf("sync: %+v, %v", settled, err)
	}
	want := segment.Settled{Partition: Partition, Next: 16, Segment: 10, Length: int64(len(Join(more)))}
	if settled[0] != want {
		t.Errorf("settled %+v, want %+v", settled[0], want)
	}
	if settled, err = s.Sync(ctx); err != nil || len(settled) != 0 {
		t.Errorf("a sync of nothing: %+v, %v", settled, err)
	}
}

func together(t *testing.T, s segment.Store) {
	all := Batches(0, 2000)
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for {
				if got := ReadAll(t, s, 0); !bytes.HasPrefix(Join(all), got) {
					t.Error("read something that was not settled")
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := 0; i < len(all); i += 50 {
		settle(t, s, all[i:i+50])
		if i%500 == 0 {
			if err := s.Seal(ctx, Partition); err != nil {
				t.Error(err)
			}
		}
		if _, err := s.Sync(ctx); err != nil {
			t.Error(err)
		}
	}
	close(done)
	readers.Wait()
}
