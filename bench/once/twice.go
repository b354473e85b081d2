//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"

	"milena/storage/disk"
	"milena/storage/journal"
	"milena/storage/journal/file"
	"milena/storage/segment"
	"milena/storage/segment/dir"
)

const (
	turnBytes    = 4 << 20   // are settled at a time
	unsettledMax = 64 << 20  // then writers wait
	segmentBytes = 256 << 20 // of a segment
	keptBytes    = 10 << 30  // of all partitions together
)

var errNotTaken = errors.New("the journal did not take an entry")

// chain is a log's end, for who appends to it.
type chain struct {
	log   uint16
	place uint64
	token journal.Token
}

func (c *chain) next(body [][]byte) journal.Entry {
	e := journal.Entry{Log: c.log, Place: c.place + 1, Prev: c.token, Token: journal.Token(c.place + 1), Body: body}
	c.place, c.token = e.Place, e.Token
	return e
}

func told(outcomes []journal.Outcome) error {
	if outcomes[0] != journal.OK {
		return errNotTaken
	}
	return nil
}

// twice is the journal, then the segments.
type twice struct {
	j     *file.Journal
	store *dir.Store
	parts []twicePart

	mu            sync.Mutex
	moved         sync.Cond // something settled, or there is something to settle
	gathered      []settling
	gatheredBytes int
	unsettled     int
	closed        bool
	failed        error
	ended         sync.WaitGroup
	stop          context.CancelFunc
}

type twicePart struct {
	chain
	next         int64
	settledPlace uint64
	active       int64
}

type settling struct {
	part  int
	place uint64
	batch segment.Batch
}

func openTwice(fs disk.FS, j *file.Journal, partitions int) (*twice, error) {
	store, err := dir.Open(fs, "topics", dir.Options{})
	if err != nil {
		return nil, err
	}
	w := &twice{j: j, store: store, parts: make([]twicePart, partitions)}
	w.moved.L = &w.mu
	for i := range w.parts {
		w.parts[i].log = uint16(i)
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	w.ended.Go(w.settle)
	w.ended.Go(func() { w.checkpoints(ctx) })
	return w, nil
}

func (w *twice) write(p int, batch []byte, done func(error)) {
	w.mu.Lock()
	for w.unsettled >= unsettledMax && w.failed == nil {
		w.moved.Wait()
	}
	w.unsettled += len(batch)
	part := &w.parts[p]
	// The store looks at a batch's header: offset and length.
	head := make([]byte, 12)
	binary.BigEndian.PutUint64(head, uint64(part.next))
	binary.BigEndian.PutUint32(head[8:], uint32(len(batch)-12))
	copy(batch, head)
	s := settling{part: p, batch: segment.Batch{Base: part.next, Next: part.next + 1, Bytes: batch}}
	part.next++
	e := part.chain.next([][]byte{batch})
	s.place = e.Place
	w.mu.Unlock()
	w.j.Append([]journal.Entry{e}, func(o []journal.Outcome) {
		w.mu.Lock()
		w.gathered = append(w.gathered, s)
		w.gatheredBytes += len(batch)
		w.mu.Unlock()
		w.moved.Broadcast()
		done(told(o))
	})
}

// settle moves what is durable into the segments, turn by turn.
func (w *twice) settle() {
	for {
		w.mu.Lock()
		for w.gatheredBytes < turnBytes && !w.closed {
			w.moved.Wait()
		}
		if w.closed {
			w.mu.Unlock()
			return
		}
		turn := w.gathered
		w.gathered, w.gatheredBytes = nil, 0
		w.mu.Unlock()
		for _, s := range turn {
			err := w.settleOne(s)
			w.mu.Lock()
			w.unsettled -= len(s.batch.Bytes)
			w.parts[s.part].settledPlace = s.place
			if err != nil && w.failed == nil {
				w.failed = err
			}
			w.mu.Unlock()
			w.moved.Broadcast()
		}
	}
}

func (w *twice) settleOne(s settling) error {
	ctx, part := context.Background(), &w.parts[s.part]
	name := segment.Partition{Topic: "t", Index: int32(s.part)}
	if part.active += int64(len(s.batch.Bytes)); part.active > segmentBytes {
		part.active = 0
		if err := w.store.Seal(ctx, name); err != nil {
			return err
		}
		kept := int64(keptBytes) / int64(len(w.parts)) / int64(len(s.batch.Bytes))
		if err := w.store.Forget(ctx, name, s.batch.Base-kept); err != nil {
			return err
		}
	}
	return w.store.Settle(ctx, name, []segment.Batch{s.batch})
}

// checkpoints lets the journal use its files again, as the product does.
func (w *twice) checkpoints(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.j.Wants():
		}
		w.mu.Lock()
		var saved []journal.Snapshot
		for i := range w.parts {
			p := &w.parts[i]
			if p.settledPlace > 0 {
				saved = append(saved, journal.Snapshot{Log: uint16(i), Place: p.settledPlace, Token: journal.Token(p.settledPlace), Keep: p.settledPlace})
			}
		}
		w.mu.Unlock()
		_, err := w.store.Sync(ctx)
		if err == nil {
			err = w.j.Save(ctx, saved)
		}
		if err != nil && ctx.Err() == nil {
			w.mu.Lock()
			w.failed = err
			w.mu.Unlock()
			w.moved.Broadcast()
			return
		}
	}
}

func (w *twice) close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.moved.Broadcast()
	w.stop()
	w.ended.Wait()
	if err := w.store.Close(); w.failed == nil {
		return err
	}
	return w.failed
}
