package partition

import (
	"context"
	"errors"
	"fmt"

	"milena/shard/fact"
	"milena/storage/segment"
)

// settleTurn settles what has gathered, partition by partition, until less
// than a turn is left; after there was no room, until nothing is.
func (t *Table) settleTurn(ctx context.Context) error {
	t.settling.Lock()
	defer t.settling.Unlock()
	for {
		t.tail.Lock()
		if len(t.tail.dirty) == 0 || t.tail.bytes < turnBytes && !t.tail.noRoom {
			t.tail.Unlock()
			t.haveRoom(true)
			return nil
		}
		p := t.takeDirty()
		t.tail.Unlock()
		if err := p.settle(ctx, runBytes); err != nil {
			return t.hindered(err)
		}
	}
}

// hindered notes that there is no room to settle, if it was that.
func (t *Table) hindered(err error) error {
	if errors.Is(err, segment.ErrNoRoom) {
		t.haveRoom(false)
	}
	return err
}

// haveRoom tells when there is no room to settle, and when there is some again.
// Who waits for room in the tails is woken: it is refused while there is none.
func (t *Table) haveRoom(some bool) {
	t.tail.Lock()
	changed := t.tail.noRoom == some
	t.tail.noRoom = !some
	t.tail.Unlock()
	if !changed {
		return
	}
	t.tail.room.Broadcast()
	if !some {
		t.signal() // Run tries again
	}
	if t.o.NoRoom != nil {
		t.o.NoRoom(!some)
	}
}

// takeDirty takes the partition that waits longest. Under the tail's lock.
func (t *Table) takeDirty() *part {
	p := t.tail.dirty[0]
	t.tail.dirty[0] = nil
	if t.tail.dirty = t.tail.dirty[1:]; len(t.tail.dirty) == 0 {
		t.tail.dirty = nil
	}
	p.queued = false
	return p
}

// Settle settles all that is durable now and makes it durable in the store: a
// checkpoint's second and third step.
func (t *Table) Settle(ctx context.Context) error {
	t.settling.Lock()
	defer t.settling.Unlock()
	t.tail.Lock()
	dirty := len(t.tail.dirty)
	t.tail.Unlock()
	for range dirty {
		t.tail.Lock()
		if len(t.tail.dirty) == 0 {
			t.tail.Unlock()
			break
		}
		p := t.takeDirty()
		t.tail.Unlock()
		p.mu.Lock()
		all := p.bytes
		p.mu.Unlock()
		if err := p.settle(ctx, all); err != nil {
			return t.hindered(err)
		}
	}
	t.haveRoom(true)
	settled, err := t.o.Store.Sync(ctx)
	if err != nil {
		return err
	}
	for _, at := range settled {
		t.noteSettled(at)
	}
	return nil
}

func (t *Table) noteSettled(at segment.Settled) {
	k := key{at.ID, at.Index}
	s := t.shardOf(k)
	s.mu.RLock()
	p := s.parts[k]
	s.mu.RUnlock()
	if p == nil {
		return // dropped meanwhile
	}
	s.lock()
	p.settled = at
	s.unlock()
}

// While the logs are recovered there is one goroutine, and the lock is held.
func (s *shardState) lock()   { s.log.Lock() }
func (s *shardState) unlock() { s.log.Unlock() }

// settle moves about n bytes of the tail into the store. Only one goroutine
// settles: who holds table.settling.
func (p *part) settle(ctx context.Context, n int64) error {
	defer p.requeue()
	for n > 0 {
		run, owners, bytes := p.run(min(n, runBytes))
		if len(run) == 0 {
			return nil
		}
		err := p.store(ctx, run, bytes)
		for _, o := range owners {
			o.release()
		}
		if err != nil {
			return err
		}
		if p.active == 0 {
			p.activeAge = p.shard.table.o.Now().UnixMilli()
		}
		p.active += bytes
		p.shorten(run[len(run)-1].Next)
		n -= bytes
	}
	return nil
}

func (p *part) store(ctx context.Context, run []segment.Batch, bytes int64) error {
	if err := p.roll(ctx, bytes); err != nil {
		return err
	}
	if err := p.shard.table.o.Store.Settle(ctx, p.place(), run); err != nil {
		return fmt.Errorf("settle %s-%d: %w", p.name, p.key.index, err)
	}
	return nil
}

// run gives the front of the tail: a run of batches of about n bytes. Their
// owners are to be released: a topic may be dropped while it settles.
func (p *part) run(n int64) (run []segment.Batch, owners []*bytesOwner, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.tail {
		if bytes > 0 && bytes+int64(len(b.bytes)) > n {
			break
		}
		b.owner.retain()
		run, owners = append(run, segment.Batch{Base: b.base, Next: b.next, MaxTimestamp: b.max, Bytes: b.bytes}), append(owners, b.owner)
		bytes += int64(len(b.bytes))
	}
	return run, owners, bytes
}

// roll ends the active segment if the run would make it too large, or if it is
// old enough.
func (p *part) roll(ctx context.Context, bytes int64) error {
	view := p.topic.Load()
	if p.active == 0 || view == nil {
		return nil
	}
	c := &view.config
	old := p.activeAge > 0 && c.SegmentTime > 0 && p.shard.table.o.Now().UnixMilli()-p.activeAge >= c.SegmentTime
	if !old && p.active+bytes <= c.SegmentBytes {
		return nil
	}
	p.active = 0
	return p.shard.table.o.Store.Seal(ctx, p.place())
}

// shorten takes what settled off the tail; from now on the store serves it.
func (p *part) shorten(next int64) {
	p.mu.Lock()
	freed, n := int64(0), 0
	for ; n < len(p.tail) && p.tail[n].next <= next; n++ {
		freed += int64(len(p.tail[n].bytes))
		p.tail[n].owner.release()
	}
	clear(p.tail[:n])
	if p.tail = p.tail[n:]; len(p.tail) == 0 {
		p.tail = nil
	}
	p.bytes -= freed
	p.inStore = max(p.inStore, next)
	p.mu.Unlock()
	p.shard.table.untailed(freed)
}

// requeue puts a partition whose tail is not empty back among the dirty.
func (p *part) requeue() {
	t := p.shard.table
	p.mu.Lock()
	left := len(p.tail) > 0
	p.mu.Unlock()
	t.tail.Lock()
	defer t.tail.Unlock()
	if left && !p.queued {
		p.queued = true
		t.tail.dirty = append(t.tail.dirty, p)
	}
}

// retain lets go of what is too old or too much: the fact first, then the files.
func (t *Table) retain(ctx context.Context) {
	for _, p := range t.all() {
		if ctx.Err() != nil {
			return
		}
		view := p.topic.Load()
		if view == nil || !view.config.Delete || p.gone() || p.Bounds().Start == p.Bounds().HighWatermark {
			continue
		}
		if err := p.retain(ctx, view); err != nil {
			t.o.Log.Error("retention", "topic", p.name, "partition", p.key.index, "err", err)
		}
	}
}

func (p *part) retain(ctx context.Context, view *topicView) error {
	t, c := p.shard.table, &view.config
	now := t.o.Now().UnixMilli()
	segments := t.o.Store.Segments(p.place())
	total := int64(0)
	for _, s := range segments {
		total += s.Bytes
	}
	start := p.Bounds().Start
	for _, s := range segments {
		old := c.RetentionTime >= 0 && now-age(s, now) > c.RetentionTime
		much := c.RetentionBytes >= 0 && total-s.Bytes >= c.RetentionBytes
		if !old && !much {
			break
		}
		if !s.Sealed {
			if !old {
				break
			}
			t.settling.Lock()
			p.active = 0
			err := t.o.Store.Seal(ctx, p.place())
			t.settling.Unlock()
			if err != nil {
				return err
			}
		}
		start = max(start, s.Next)
		total -= s.Bytes
	}
	if start > p.Bounds().Start {
		if err := p.moveStart(start); err != nil {
			return err
		}
		t.o.Log.Info("retention moved a log's start", "topic", p.name, "partition", p.key.index, "start", start)
	}
	return t.o.Store.Forget(ctx, p.place(), p.Bounds().Start)
}

// age is when a segment's newest record was made. A time in the future does not
// keep a segment for ever: then it counts from when it was written.
func age(s segment.Info, now int64) int64 {
	if s.MaxTimestamp < 0 || s.MaxTimestamp > now {
		return s.FirstWrite
	}
	return s.MaxTimestamp
}

// startMove is a new log start on its way.
type startMove struct {
	part  *part
	start int64
	done  chan error
}

func (p *part) moveStart(start int64) error {
	m := &startMove{part: p, start: start, done: make(chan error, 1)}
	l := p.shard.log
	l.Lock()
	m.append()
	l.Unlock()
	return <-m.done
}

func (m *startMove) append() {
	m.part.shard.log.Append([][]byte{fact.AppendLogStart(nil, fact.LogStart{ID: m.part.key.id, Partition: m.part.key.index, Start: m.start})}, m)
}

func (m *startMove) Apply(uint64)     { m.part.begin(m.start) }
func (m *startMove) Again()           { m.append() }
func (m *startMove) Answer(err error) { m.done <- err }

// Drop removes a deleted topic's partitions: the fact in each shard that has
// some, then the files. It may be called again.
func (t *Table) Drop(ctx context.Context, id [16]byte) error {
	for _, s := range t.shards {
		if err := s.drop(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (s *shardState) drop(ctx context.Context, id [16]byte) error {
	s.mu.RLock()
	var parts []*part
	for k, p := range s.parts {
		if k.id == id {
			parts = append(parts, p)
		}
	}
	s.mu.RUnlock()
	if len(parts) == 0 {
		return nil
	}
	d := &topicDrop{shard: s, id: id, done: make(chan error, 1)}
	s.log.Lock()
	d.append()
	s.log.Unlock()
	if err := <-d.done; err != nil {
		return err
	}
	s.table.settling.Lock()
	defer s.table.settling.Unlock()
	for _, p := range parts {
		if err := s.table.o.Store.Drop(ctx, p.place()); err != nil {
			return err
		}
	}
	return nil
}

// topicDrop is a Dropped on its way.
type topicDrop struct {
	shard *shardState
	id    [16]byte
	done  chan error
}

func (d *topicDrop) append() {
	d.shard.dropAhead(d.id)
	d.shard.log.Append([][]byte{fact.AppendDropped(nil, fact.Dropped{ID: d.id})}, d)
}

func (d *topicDrop) Apply(uint64)     { d.shard.dropTopic(d.id) }
func (d *topicDrop) Again()           { d.append() }
func (d *topicDrop) Answer(err error) { d.done <- err }
