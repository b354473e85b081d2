package partition

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"milena/config"
	"milena/machine/cluster"
	"milena/shard"
	"milena/storage/segment"
)

// Options of a table.
type Options struct {
	Shards         int
	Store          segment.Store
	Config         func(*cluster.Topic) config.Topic
	Exists         func(id [16]byte) bool // the topic is not deleted
	Full           func() bool            // the disk is nearly full
	NoRoom         func(bool)             // there is none to settle, or there is some again; may be nil
	UnsettledMax   int64                  // bytes in tails; then Append waits
	ProducerExpiry time.Duration
	CheckEvery     time.Duration // of retention, and of idle producers
	Now            func() time.Time
	Log            *slog.Logger
	Fail           func(error) // the store failed
}

const (
	unsettledMax = 64 << 20
	turnBytes    = 4 << 20                // that wait until the settler takes a turn
	runBytes     = 1 << 20                // of one partition in a turn
	settleRetry  = 200 * time.Millisecond // after there was no room
)

// Table holds an instance's partitions.
type Table struct {
	o      Options
	shards []*shardState
	slabs  slabs

	tail struct { // batches that are not settled
		sync.Mutex
		room   sync.Cond
		bytes  int64
		dirty  []*part // in order of their oldest batch, about
		over   bool    // closed or failed: nobody waits any more
		noRoom bool    // to settle, when it was tried last
	}
	wake     chan struct{} // the settler
	settling sync.Mutex    // one settles at a time

	batches, bytes, records atomic.Uint64
}

// shardState is the partitions of one shard log.
type shardState struct {
	table *Table
	log   *shard.Log

	mu    sync.RWMutex // guards parts; a leaf below the log's lock
	parts map[key]*part
}

type key struct {
	id    [16]byte
	index int32
}

// NewTable makes an empty table.
func NewTable(o Options) *Table {
	if o.UnsettledMax == 0 {
		o.UnsettledMax = unsettledMax
	}
	t := &Table{o: o, wake: make(chan struct{}, 1)}
	t.tail.room.L = &t.tail.Mutex
	for range o.Shards {
		t.shards = append(t.shards, &shardState{table: t, parts: make(map[key]*part)})
	}
	return t
}

// States gives the states of the shard logs, in order.
func (t *Table) States() []shard.State {
	states := make([]shard.State, len(t.shards))
	for i, s := range t.shards {
		states[i] = s
	}
	return states
}

// Attach gives the table its logs, before the first call.
func (t *Table) Attach(logs []*shard.Log) {
	for i, l := range logs {
		t.shards[i].log = l
	}
}

// shardOf finds a partition's shard: neighbours lie in different ones.
func (t *Table) shardOf(k key) *shardState {
	h := binary.LittleEndian.Uint32(k.id[:]) + uint32(k.index)
	return t.shards[h%uint32(len(t.shards))]
}

// Log is part of Logs.
func (t *Table) Log(topic *cluster.Topic, partition int32) (Log, bool) {
	if partition < 0 || partition >= topic.Partitions {
		return nil, false
	}
	k := key{topic.ID, partition}
	s := t.shardOf(k)
	s.mu.RLock()
	p := s.parts[k]
	s.mu.RUnlock()
	if p == nil {
		if p = s.use(k, topic.Name); p == nil {
			return nil, false
		}
	}
	if known := p.topic.Load(); known == nil || known.topic != topic {
		p.topic.Store(&topicView{topic: topic, config: t.o.Config(topic)})
	}
	return p, true
}

// use makes a partition that is used for the first time; nil: its topic is
// deleted. It asks under the lock, for who drops the topic looks for its
// partitions afterwards.
func (s *shardState) use(k key, name string) *part {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.parts[k]
	if p == nil && s.table.o.Exists(k.id) {
		p = newPart(s, k, name)
		s.parts[k] = p
	}
	return p
}

// all gives every partition that is known.
func (t *Table) all() []*part {
	var parts []*part
	for _, s := range t.shards {
		s.mu.RLock()
		for _, p := range s.parts {
			parts = append(parts, p)
		}
		s.mu.RUnlock()
	}
	return parts
}

// admit waits until there is room for a batch in the tails; false: there is
// none, and the disk has none to settle them.
func (t *Table) admit() bool {
	t.tail.Lock()
	defer t.tail.Unlock()
	for t.tail.bytes >= t.o.UnsettledMax && !t.tail.over && !t.tail.noRoom {
		t.tail.room.Wait()
	}
	return !t.tail.noRoom
}

// tailed notes bytes that are to settle.
func (t *Table) tailed(p *part, n int) {
	t.tail.Lock()
	before := t.tail.bytes
	t.tail.bytes += int64(n)
	if !p.queued {
		p.queued = true
		t.tail.dirty = append(t.tail.dirty, p)
	}
	turn := t.tail.bytes >= turnBytes && before/turnBytes != t.tail.bytes/turnBytes
	t.tail.Unlock()
	if turn {
		t.signal()
	}
}

func (t *Table) signal() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// untailed notes bytes that settled, or that nobody needs any more.
func (t *Table) untailed(n int64) {
	t.tail.Lock()
	t.tail.bytes -= n
	t.tail.Unlock()
	t.tail.room.Broadcast()
}

func (t *Table) unsettled() int64 {
	t.tail.Lock()
	defer t.tail.Unlock()
	return t.tail.bytes
}

// Stats of a table.
type Stats struct {
	Partitions int
	Unsettled  int64
	Batches    uint64
	Bytes      uint64
	Records    uint64
}

// Stats tells of the table.
func (t *Table) Stats() Stats {
	s := Stats{Unsettled: t.unsettled(), Batches: t.batches.Load(), Bytes: t.bytes.Load(), Records: t.records.Load()}
	for _, shard := range t.shards {
		shard.mu.RLock()
		s.Partitions += len(shard.parts)
		shard.mu.RUnlock()
	}
	return s
}

// Run settles, retains and forgets idle producers until ctx ends.
func (t *Table) Run(ctx context.Context) {
	check := time.NewTimer(t.o.CheckEvery)
	defer check.Stop()
	defer t.over()
	var again <-chan time.Time // to settle, after there was no room
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		case <-again:
		case <-check.C:
			t.expireProducers()
			t.retain(ctx)
			t.slabs.trim()
			check.Reset(t.o.CheckEvery)
			continue
		}
		again = nil
		switch err := t.settleTurn(ctx); {
		case errors.Is(err, segment.ErrNoRoom):
			again = time.After(settleRetry)
		case err != nil:
			t.o.Fail(err)
			return
		}
	}
}

func (t *Table) over() {
	t.tail.Lock()
	t.tail.over = true
	t.tail.Unlock()
	t.tail.room.Broadcast()
}
