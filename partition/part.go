package partition

import (
	"slices"
	"sync"
	"sync/atomic"

	"milena/config"
	"milena/machine/cluster"
	"milena/machine/producer"
	"milena/storage/segment"
)

// part is one partition.
type part struct {
	shard *shardState
	key   key
	name  string // the topic's
	topic atomic.Pointer[topicView]

	queued bool // it is among the table's dirty; guarded by table.tail

	// The state of the log, durable and ahead; guarded by the shard's log.
	opened    bool // an entry of it is in the log
	start     int64
	next      int64
	producers producer.Table
	settled   segment.Settled // what is durable in the store
	ahead     ahead

	// What readers see; guarded by mu, a leaf.
	mu       sync.Mutex
	view     Bounds
	inStore  int64 // offset behind what the store has
	tail     []tailBatch
	bytes    int64 // in the tail
	watchers []*Waiter
	dropped  bool

	// How the active segment stands; guarded by table.settling.
	active    int64 // bytes of it
	activeAge int64 // wall clock of its first batch, ms; 0: none
}

type topicView struct {
	topic  *cluster.Topic
	config config.Topic
}

// ahead is what was decided and is not durable.
type ahead struct {
	entries   int
	opened    bool
	dropped   bool
	next      int64
	producers map[int64]aheadProducer
}

type aheadProducer struct {
	window  producer.Window
	entries int
}

// tailBatch is a batch that is durable in the journal and not settled.
type tailBatch struct {
	base, next, max int64
	bytes           []byte
	owner           *bytesOwner
}

func newPart(s *shardState, k key, name string) *part {
	return &part{shard: s, key: k, name: name}
}

func (p *part) place() segment.Partition {
	return segment.Partition{Topic: p.name, ID: p.key.id, Index: p.key.index}
}

// window gives what is known of a producer, ahead first. Under the log's lock.
func (p *part) window(id int64) (producer.Window, bool) {
	if w, ok := p.ahead.producers[id]; ok {
		return w.window, true
	}
	w, ok := p.producers[id]
	return w, ok
}

// Bounds is part of Log.
func (p *part) Bounds() Bounds {
	p.mu.Lock()
	b := p.view
	p.mu.Unlock()
	b.LastStable = b.HighWatermark
	if v := p.topic.Load(); v != nil {
		b.Epoch = v.topic.Epoch
	}
	return b
}

// Watch is part of Log.
func (p *part) Watch(w *Waiter) {
	p.mu.Lock()
	p.watchers = append(p.watchers, w)
	p.mu.Unlock()
}

// Unwatch is part of Log.
func (p *part) Unwatch(w *Waiter) {
	p.mu.Lock()
	if i := slices.Index(p.watchers, w); i >= 0 {
		p.watchers = slices.Delete(p.watchers, i, i+1)
	}
	p.mu.Unlock()
}

// Size is part of Log.
func (p *part) Size() int64 {
	size := int64(0)
	for _, s := range p.shard.table.o.Store.Segments(p.place()) {
		size += s.Bytes
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return size + p.bytes
}

// show publishes what a change of the log makes visible, and wakes who waits.
func (p *part) show(change func()) {
	p.mu.Lock()
	change()
	for _, w := range p.watchers {
		w.Wake()
	}
	p.mu.Unlock()
}
