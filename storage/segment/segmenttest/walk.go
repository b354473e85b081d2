package segmenttest

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"milena/batch"
	"milena/storage/segment"
)

const walkSteps = 400

// walk does to a partition whatever may be done to it, in any order, and
// compares it with what was done after every step.
type walk struct {
	t      *testing.T
	store  segment.Store
	random *rand.Rand
	held   []segment.Batch
	next   int64
}

func randomWalk(t *testing.T, s segment.Store) {
	w := &walk{t: t, store: s, random: rand.New(rand.NewPCG(1, 7))}
	steps := walkSteps
	if testing.Short() {
		steps /= 4
	}
	for range steps {
		var err error
		switch n := w.random.IntN(20); {
		case n < 10:
			w.settle()
		case n < 13:
			err = s.Seal(ctx, Partition)
		case n < 16:
			w.sync()
		case n < 18:
			w.forget()
		case n < 19:
			w.restore()
		default:
			if w.random.IntN(4) == 0 {
				err = s.Drop(ctx, Partition)
				w.held, w.next = nil, 0
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		w.compareSegments()
		w.compareReads()
		w.compareFinds()
	}
}

// settle appends batches of any size and time.
func (w *walk) settle() {
	var more []segment.Batch
	for range 1 + w.random.IntN(30) {
		b, at := &batch.Builder{Base: w.next}, int64(w.random.IntN(1_000_000))
		records := 1 + w.random.IntN(3)
		for range records {
			b.Add(at, nil, make([]byte, w.random.IntN(3000)))
		}
		one := segment.Batch{Base: w.next, Next: w.next + int64(records), MaxTimestamp: at, Bytes: b.Build()}
		more, w.next = append(more, one), one.Next
	}
	settle(w.t, w.store, more)
	w.held = append(w.held, more...)
}

func (w *walk) sync() {
	settled, err := w.store.Sync(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, at := range settled {
		infos := w.store.Segments(Partition)
		last := infos[len(infos)-1]
		if at.Next != w.next || at.Segment != last.Base || at.Length != last.Bytes {
			w.t.Fatalf("settled at %d, %d bytes of segment %d; it is at %d, %d bytes of %d", at.Next, at.Length, at.Segment, w.next, last.Bytes, last.Base)
		}
	}
}

// forget lets go of what is below the beginning of some segment.
func (w *walk) forget() {
	infos := w.store.Segments(Partition)
	if len(infos) == 0 {
		return
	}
	below := infos[w.random.IntN(len(infos))].Base
	if err := w.store.Forget(ctx, Partition, below+w.random.Int64N(2)); err != nil { // a part of one stays whole
		w.t.Fatal(err)
	}
	for len(w.held) > 0 && w.held[0].Base < below {
		w.held = w.held[1:]
	}
}

// restore goes back to the end of some batch, as after a crash.
func (w *walk) restore() {
	infos := w.store.Segments(Partition)
	if len(w.held) == 0 {
		return
	}
	keep := 1 + w.random.IntN(len(w.held))
	last := w.held[keep-1]
	at := segment.Settled{Partition: Partition, Start: infos[0].Base, Next: last.Next}
	for _, info := range infos {
		if info.Base <= last.Base {
			at.Segment = info.Base
		}
	}
	for _, b := range w.held[:keep] {
		if b.Base >= at.Segment {
			at.Length += int64(len(b.Bytes))
		}
	}
	if err := w.store.Restore(ctx, at); err != nil {
		w.t.Fatal(err)
	}
	w.held, w.next = w.held[:keep:keep], last.Next
}

// compareSegments: they follow each other, and hold every batch once.
func (w *walk) compareSegments() {
	w.t.Helper()
	rest := w.held
	for _, info := range w.store.Segments(Partition) {
		var size int64
		latest, base, next := int64(-1), info.Base, info.Base
		for len(rest) > 0 && rest[0].Base < info.Next {
			size += int64(len(rest[0].Bytes))
			latest, next = max(latest, rest[0].MaxTimestamp), rest[0].Next
			rest = rest[1:]
		}
		if size != info.Bytes || next != info.Next || latest != info.MaxTimestamp {
			w.t.Fatalf("segment %d: %d bytes to %d, latest %d; it should have %d to %d, latest %d", base, info.Bytes, info.Next, info.MaxTimestamp, size, next, latest)
		}
	}
	if len(rest) > 0 {
		w.t.Fatalf("%d batches from %d on are in no segment", len(rest), rest[0].Base)
	}
}

// from is some offset, and the batches from the one that holds it on.
func (w *walk) from() (offset int64, rest []segment.Batch) {
	if len(w.held) == 0 {
		return w.next, nil
	}
	start := w.held[0].Base
	offset, rest = start+w.random.Int64N(w.next-start+1), w.held
	for len(rest) > 0 && rest[0].Next <= offset {
		rest = rest[1:]
	}
	return offset, rest
}

func (w *walk) compareReads() {
	w.t.Helper()
	from, rest := w.from()
	if got, want := ReadAll(w.t, w.store, from), Join(rest); !bytes.Equal(got, want) {
		w.t.Fatalf("from %d: read %d bytes, want %d", from, len(got), len(want))
	}
	limit := 1 + w.random.IntN(20_000)
	span, err := w.store.Read(ctx, Partition, from, 1<<62, limit)
	if err != nil {
		w.t.Fatal(err)
	}
	next := span.Next
	got := Bytes(w.t, span)
	if !bytes.HasPrefix(Join(rest), got) || (len(got) == 0) != (len(rest) == 0) {
		w.t.Fatalf("from %d, %d bytes at most: read %d other bytes", from, limit, len(got))
	}
	if len(rest) > 0 && len(got) > limit && len(got) != len(rest[0].Bytes) {
		w.t.Fatalf("from %d: read %d bytes, want %d at most", from, len(got), limit)
	}
	if left := len(Join(rest)) - len(got); len(got) > 0 && left != len(w.above(next)) {
		w.t.Fatalf("from %d: %d bytes end at offset %d, behind which %d are left", from, len(got), next, len(w.above(next)))
	}
}

// above is all from an offset on at which a batch begins.
func (w *walk) above(offset int64) []byte {
	for i, b := range w.held {
		if b.Base >= offset {
			return Join(w.held[i:])
		}
	}
	return nil
}

func (w *walk) compareFinds() {
	w.t.Helper()
	from, rest := w.from()
	time := int64(w.random.IntN(1_000_100))
	found, ok, err := w.store.Find(ctx, Partition, from, time)
	if err != nil {
		w.t.Fatal(err)
	}
	for len(rest) > 0 && rest[0].MaxTimestamp < time {
		rest = rest[1:]
	}
	if ok != (len(rest) > 0) || ok && (found.Base != rest[0].Base || found.MaxTimestamp != rest[0].MaxTimestamp) {
		w.t.Fatalf("from %d at %d: found %+v, %t; %d batches qualify", from, time, found, ok, len(rest))
	}
}
