package partition

import (
	"context"
	"errors"

	"milena/batch"
	"milena/machine/producer"
	"milena/shard/fact"
	"milena/storage/segment"
)

// Load replaces the shard's partitions by those of a snapshot.
func (s *shardState) Load(body []byte) error {
	states, err := fact.LoadPartitions(body)
	if err != nil {
		return err
	}
	for _, st := range states {
		p := s.met(key{st.ID, st.Index}, st.Topic)
		p.opened, p.start, p.next = true, st.Start, st.Next
		p.settled = segment.Settled{Partition: p.place(), Start: st.SettledStart, Next: st.SettledNext, Segment: st.Segment, Length: st.Length}
		p.producers = make(producer.Table, len(st.Producers))
		for _, w := range st.Producers {
			window := producer.Window{Epoch: w.Epoch, Time: w.Time}
			for _, b := range w.Batches {
				window.Batches = append(window.Batches, producer.Batch(b))
			}
			p.producers[w.ID] = window
		}
		p.active = st.Length
		p.inStore = st.SettledNext
		p.view = Bounds{Start: st.Start, HighWatermark: st.SettledNext}
		if err := s.table.o.Store.Restore(context.Background(), p.settled); err != nil {
			return err
		}
	}
	return nil
}

func (s *shardState) met(k key, name string) *part {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.parts[k]
	if p == nil {
		p = newPart(s, k, name)
		s.parts[k] = p
	}
	return p
}

// Replay applies an entry that was read back. What the store does not surely
// have goes into the tail again.
func (s *shardState) Replay(_ uint64, body []byte, known bool) error {
	f, err := fact.Partition(body)
	if err != nil {
		return err
	}
	switch f := f.(type) {
	case fact.Data:
		return s.replayData(f, known)
	case fact.LogStart:
		s.mu.RLock()
		p := s.parts[key{f.ID, f.Partition}]
		s.mu.RUnlock()
		if !known && p != nil { // else its topic was dropped before
			p.begin(f.Start)
		}
	case fact.Dropped:
		if known {
			return nil
		}
		for _, p := range s.dropTopic(f.ID) {
			if err := s.table.o.Store.Drop(context.Background(), p.place()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *shardState) replayData(d fact.Data, known bool) error {
	k := key{d.ID, d.Partition}
	s.mu.RLock()
	p := s.parts[k]
	s.mu.RUnlock()
	if p == nil {
		if known || d.Topic == "" {
			return nil // its topic was dropped since
		}
		p = s.met(k, d.Topic)
		if err := s.table.o.Store.Restore(context.Background(), segment.Settled{Partition: p.place()}); err != nil {
			return err
		}
	}
	if !known {
		h, err := batch.Parse(d.Batch)
		if err != nil {
			return err
		}
		in := producer.Incoming{ID: h.ProducerID, Epoch: h.ProducerEpoch, Sequence: h.BaseSequence, Count: h.Count, Time: s.table.o.Now().UnixMilli()}
		p.apply(h, in, d.Base)
	}
	if d.Base < p.inStore || d.Base < p.view.HighWatermark {
		return nil
	}
	owner := &bytesOwner{}
	owner.refs.Store(1)
	b := tailBatch{base: d.Base, next: d.Next, max: d.MaxTimestamp, owner: owner}
	if len(d.Batch) <= smallBatch {
		b.bytes = s.table.slabs.copyOf(d.Batch, owner)
	} else {
		b.bytes = append([]byte(nil), d.Batch...)
	}
	p.grow(b)
	return s.table.relieve(int64(len(b.bytes)))
}

// relieve settles while a journal is replayed, when the tails are full. Without
// room on the disk they grow, at most by what the journal holds: an instance
// with a full disk starts, so that somebody can delete a topic.
func (t *Table) relieve(grown int64) error {
	t.tail.Lock()
	bytes, noRoom := t.tail.bytes, t.tail.noRoom
	t.tail.Unlock()
	if bytes < t.o.UnsettledMax || noRoom && bytes/turnBytes == (bytes-grown)/turnBytes {
		return nil
	}
	if err := t.settleTurn(context.Background()); !errors.Is(err, segment.ErrNoRoom) {
		return err
	}
	return nil
}

// begin moves the log's start. Under the log's lock.
func (p *part) begin(start int64) {
	p.start = max(p.start, start)
	p.show(func() { p.view.Start = p.start })
}

// Freeze copies what a snapshot needs.
func (s *shardState) Freeze() func() []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	states := make([]fact.PartitionState, 0, len(s.parts))
	for k, p := range s.parts {
		if !p.opened {
			continue
		}
		st := fact.PartitionState{
			ID: k.id, Index: k.index, Topic: p.name, Start: p.start, Next: p.next,
			SettledStart: p.settled.Start, SettledNext: p.settled.Next, Segment: p.settled.Segment, Length: p.settled.Length,
		}
		for id, w := range p.producers {
			one := fact.ProducerState{ID: id, Epoch: w.Epoch, Time: w.Time}
			for _, b := range w.Batches {
				one.Batches = append(one.Batches, fact.ProducerBatch(b))
			}
			st.Producers = append(st.Producers, one)
		}
		states = append(states, st)
	}
	return func() []byte { return fact.SavePartitions(states) }
}

// Drop forgets what runs ahead.
func (s *shardState) Drop() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, p := range s.parts {
		p.ahead = ahead{}
	}
}

// dropAhead lets nothing into a topic's partitions behind its end. Under the
// log's lock.
func (s *shardState) dropAhead(id [16]byte) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for k, p := range s.parts {
		if k.id == id {
			p.ahead.dropped = true
		}
	}
}

// dropTopic forgets a topic's partitions. Under the log's lock.
func (s *shardState) dropTopic(id [16]byte) []*part {
	s.mu.Lock()
	defer s.mu.Unlock()
	var gone []*part
	for k, p := range s.parts {
		if k.id != id {
			continue
		}
		delete(s.parts, k)
		gone = append(gone, p)
		p.show(func() {
			p.dropped = true
			s.table.untailed(p.bytes)
			for _, b := range p.tail {
				b.owner.release()
			}
			p.tail, p.bytes = nil, 0
		})
	}
	return gone
}
