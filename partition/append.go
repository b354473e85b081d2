package partition

import (
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"milena/batch"
	"milena/machine/producer"
	"milena/shard/fact"
)

// An append walks through here once:
//
//	check    header, CRC, size, records             (no lock)
//	admit    room in the tails                      (no lock)
//	order    producer's window, offset              (shard's lock)
//	write    hand the entry to the journal          (shard's lock; it only queues)
//	publish  high watermark up, tail, wake readers  (when the journal says: durable)
//	answer   to who asked                           (no lock)

// pending is a batch on its way; it is the log's command.
type pending struct {
	part    *part
	header  batch.Header
	bytes   []byte
	owner   *bytesOwner
	done    func(Appended)
	answer  Appended
	refused bool // decided without an entry: a duplicate or an error
	opens   bool
	when    int64 // ms
	head    [96]byte
	body    [2][]byte
}

var pendings = sync.Pool{New: func() any { return new(pending) }}

// Append is part of Log.
func (p *part) Append(b []byte, lease Lease, how Append, done func(Appended)) {
	view := p.topic.Load()
	now := how.Now.UnixMilli()
	c := &view.config
	rules := batch.Rules{
		Version: how.Version, MaxBytes: c.MaxMessageBytes, Now: now,
		BeforeMax: c.TimestampBeforeMax, AfterMax: c.TimestampAfterMax,
		LogAppendTime: c.LogAppendTime, Compact: c.Compact,
	}
	if c.Compact {
		rules.Name = fmt.Sprintf("%s-%d", p.name, p.key.index)
	}
	h, flaws, err := batch.Check(b, rules)
	switch {
	case err != nil:
	case h.Attributes.Transactional() || how.TransactionalID != nil:
		err = fmt.Errorf("%w: transactions are not served yet", kerr.InvalidRequest)
	case p.shard.table.o.Full() || !p.shard.table.admit():
		err = fmt.Errorf("%w: the disk is nearly full", kerr.KafkaStorageError)
	}
	if err != nil {
		done(Appended{Base: -1, AppendTime: -1, LogStart: -1, Err: err, Records: flawsOf(flaws)})
		return
	}
	w := pendings.Get().(*pending)
	*w = pending{part: p, header: h, done: done, when: now, owner: &bytesOwner{}}
	w.answer = Appended{AppendTime: -1}
	w.owner.refs.Store(1)
	w.bytes = b[:h.Size()]
	if c.LogAppendTime {
		batch.StampAppendTime(w.bytes, now)
		w.header.MaxTimestamp, w.answer.AppendTime = now, now
	}
	switch {
	case h.Size() <= smallBatch:
		w.bytes = p.shard.table.slabs.copyOf(w.bytes, w.owner)
	case lease != nil:
		lease.Retain()
		w.owner.lease = lease
	}
	w.decide()
}

// decide takes the lock, and answers at once what needs no entry and no wait.
func (w *pending) decide() {
	if !w.queue() {
		w.refuse()
	}
}

// queue is order, where the log takes anything; a panic leaves no lock behind.
func (w *pending) queue() (waits bool) {
	l := w.part.shard.log
	l.Lock()
	defer l.Unlock()
	if broken := l.Broken(); broken != nil {
		w.answer.Err = fmt.Errorf("%w: %w", kerr.KafkaStorageError, broken)
		return false
	}
	return w.order()
}

// order gives the batch its offset and queues its entry, or refuses it; false:
// the refusal rests on nothing that is under way. Under the log's lock.
func (w *pending) order() (waits bool) {
	p, l := w.part, w.part.shard.log
	if p.ahead.dropped || p.gone() {
		w.answer.Err = kerr.UnknownTopicOrPartition
		return false
	}
	w.refused, w.answer.Err = false, nil
	if w.header.ProducerID >= 0 {
		in := w.incoming()
		window, known := p.window(in.ID)
		base, duplicate, err := producer.Check(window, known, in)
		if duplicate || err != nil {
			w.refused = true
			w.answer.Base, w.answer.Err = base, err
			w.answer.AppendTime = w.header.MaxTimestamp // of a duplicate Kafka tells its time, whoever's it is
			w.answer.LogStart = p.start
			return l.Behind(w)
		}
		p.aheadWindow(in, window, w.base())
	}
	w.answer.Base = w.base()
	w.answer.LogStart = p.start
	batch.Stamp(w.bytes, w.answer.Base, p.topic.Load().topic.Epoch)
	d := fact.Data{
		ID: p.key.id, Partition: p.key.index, Base: w.answer.Base,
		Next: w.answer.Base + int64(w.header.LastOffsetDelta) + 1, MaxTimestamp: w.header.MaxTimestamp,
	}
	if w.opens = !p.opened && !p.ahead.opened; w.opens {
		d.Topic, p.ahead.opened = p.name, true
	}
	p.ahead.entries++
	p.ahead.next = d.Next
	w.body = [2][]byte{fact.AppendData(w.head[:0], d), w.bytes}
	l.Append(w.body[:], w)
	return true
}

func (p *part) gone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dropped
}

func (w *pending) base() int64 {
	if w.part.ahead.entries > 0 {
		return w.part.ahead.next
	}
	return w.part.next
}

func (w *pending) incoming() producer.Incoming {
	return producer.Incoming{ID: w.header.ProducerID, Epoch: w.header.ProducerEpoch, Sequence: w.header.BaseSequence, Count: w.header.Count, Time: w.when}
}

func (p *part) aheadWindow(in producer.Incoming, window producer.Window, base int64) {
	if p.ahead.producers == nil {
		p.ahead.producers = make(map[int64]aheadProducer)
	}
	entries := p.ahead.producers[in.ID].entries
	p.ahead.producers[in.ID] = aheadProducer{window: window.With(in, base), entries: entries + 1}
}

// Apply makes the batch part of the log. Under the log's lock.
func (w *pending) Apply(uint64) {
	if w.refused {
		return
	}
	p := w.part
	p.ahead.entries--
	p.apply(w.header, w.incoming(), w.answer.Base)
	if w.header.ProducerID >= 0 {
		if a := p.ahead.producers[w.header.ProducerID]; a.entries > 1 {
			a.entries--
			p.ahead.producers[w.header.ProducerID] = a
		} else {
			delete(p.ahead.producers, w.header.ProducerID)
		}
	}
	w.owner.retain() // the tail's
	p.grow(tailBatch{base: w.answer.Base, next: p.next, max: w.header.MaxTimestamp, bytes: w.bytes, owner: w.owner})
	t := p.shard.table
	t.batches.Add(1)
	t.bytes.Add(uint64(len(w.bytes)))
	t.records.Add(uint64(w.header.Count))
}

// apply moves the durable state behind a batch.
func (p *part) apply(h batch.Header, in producer.Incoming, base int64) {
	p.opened = true
	p.next = base + int64(h.LastOffsetDelta) + 1
	if h.ProducerID >= 0 {
		if p.producers == nil {
			p.producers = make(producer.Table)
		}
		p.producers.Put(h.ProducerID, p.producers[h.ProducerID].With(in, base))
	}
}

// grow puts a durable batch behind the tail and shows it.
func (p *part) grow(b tailBatch) {
	p.show(func() {
		p.tail = append(p.tail, b)
		p.bytes += int64(len(b.bytes))
		p.view.HighWatermark = b.next
	})
	p.shard.table.tailed(p, len(b.bytes))
}

// Again decides anew behind another writer's entries. Under the log's lock.
func (w *pending) Again() {
	if !w.order() {
		go w.refuse()
	}
}

// Answer tells who asked.
func (w *pending) Answer(err error) {
	if err != nil {
		w.answer.Err = fmt.Errorf("%w: %w", kerr.RequestTimedOut, err)
	}
	w.refuse()
}

// refuse answers, whatever the answer is, and lets go.
func (w *pending) refuse() {
	done, answer, owner := w.done, w.answer, w.owner
	if answer.Err != nil {
		answer.Base, answer.AppendTime, answer.LogStart = -1, -1, -1
	}
	*w = pending{}
	pendings.Put(w)
	owner.release()
	done(answer)
}

func flawsOf(flaws []batch.Flaw) []Flaw {
	var out []Flaw
	for _, f := range flaws {
		out = append(out, Flaw{Index: f.Index, Message: f.Message})
	}
	return out
}
