// Package producer is what a partition remembers of idempotent producers: the
// epoch of each and its last five batches.
//
// What holds always: a batch that was stored once is answered with the offset
// it has; nothing is stored out of sequence. It never knows where a batch lies.
package producer

import (
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
)

const (
	remembered = 5      // batches of each producer
	max        = 10_000 // producers of a partition; the longest idle goes first
)

// Batch is a stored batch.
type Batch struct {
	First, Last int32 // sequence numbers
	Base        int64 // offset
}

// Window is what is remembered of one producer.
type Window struct {
	Epoch   int16
	Time    int64   // ms, of the newest batch
	Batches []Batch // oldest first
}

// Table is what a partition remembers.
type Table map[int64]Window

// Incoming is a batch that wants in.
type Incoming struct {
	ID       int64
	Epoch    int16
	Sequence int32 // of its first record
	Count    int32
	Time     int64 // ms
}

// last is the sequence number of its last record; it wraps to 0.
func (b Incoming) last() int32 { return after(b.Sequence, b.Count-1) }

func after(sequence, by int32) int32 {
	return int32((int64(sequence) + int64(by)) % (math.MaxInt32 + 1))
}

// Check says whether a batch may be stored behind a window; known false: the
// producer is not known and may begin anywhere (KIP-360). duplicate: it is
// stored already, with this base offset.
func Check(w Window, known bool, b Incoming) (base int64, duplicate bool, err error) {
	if !known {
		return 0, false, nil
	}
	switch {
	case b.Epoch >= 0 && b.Epoch < w.Epoch:
		return 0, false, fmt.Errorf("%w: Epoch of producer %d is %d, which is smaller than the last seen epoch %d", kerr.InvalidProducerEpoch, b.ID, b.Epoch, w.Epoch)
	case b.Epoch > w.Epoch:
		if b.Sequence != 0 {
			return 0, false, outOfOrder(b, 0)
		}
		return 0, false, nil
	}
	for _, old := range w.Batches {
		if old.First == b.Sequence && old.Last == b.last() {
			return old.Base, true, nil
		}
	}
	if n := len(w.Batches); n > 0 {
		if next := after(w.Batches[n-1].Last, 1); next != b.Sequence {
			return 0, false, outOfOrder(b, next)
		}
	}
	return 0, false, nil
}

func outOfOrder(b Incoming, want int32) error {
	return fmt.Errorf("%w: Out of order sequence number for producer %d: %d (incoming seq. number), %d (expected)", kerr.OutOfOrderSequenceNumber, b.ID, b.Sequence, want)
}

// With is the window behind a batch. The old one does not change.
func (w Window) With(b Incoming, base int64) Window {
	batches := w.Batches
	if b.Epoch != w.Epoch {
		batches = nil
	}
	if len(batches) >= remembered {
		batches = batches[len(batches)-remembered+1:]
	}
	kept := make([]Batch, 0, remembered)
	kept = append(append(kept, batches...), Batch{First: b.Sequence, Last: b.last(), Base: base})
	return Window{Epoch: b.Epoch, Time: b.Time, Batches: kept}
}

// Put remembers a window, and forgets the longest idle if there are too many.
func (t Table) Put(id int64, w Window) {
	t[id] = w
	if len(t) <= max {
		return
	}
	oldest, found := int64(math.MaxInt64), int64(-1)
	for id, w := range t {
		if w.Time < oldest {
			oldest, found = w.Time, id
		}
	}
	delete(t, found)
}

// Expire forgets who wrote nothing since a time.
func (t Table) Expire(before int64) {
	for id, w := range t {
		if w.Time < before {
			delete(t, id)
		}
	}
}
