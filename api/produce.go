package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"milena/machine/cluster"
	"milena/partition"
)

// A Produce walks through here once:
//
//	read     the request, where it lies in its frame
//	resolve  topics and partitions, or what is wrong with them
//	append   each batch takes its place        (all of this when it is started)
//	wait     until each has its answer         (when its turn to answer has come)
//	encode   the answers, in the request's order
//
// The state of it is pooled with all that hangs on it: a request allocates
// nothing but its topics' names.

// produceVersionMin is the first version with record batches. Versions below
// it are advertised, as Kafka 4 does, for old librdkafka stops compressing
// without them; a request of one closes the connection.
const produceVersionMin = 3

// How long a Produce waits for the disk: as long as its client says, within
// these. A shorter wait would tell clients that what is about to be durable
// failed.
const (
	produceWaitMin = 5 * time.Second
	produceWaitMax = 5 * time.Minute
)

// produceStopWait is how long a Produce still waits when the broker stops, so
// that who is there hears what became of it. It lies within the time of a stop.
const produceStopWait = 5 * time.Second

const produceParts = 100_000 // partitions of one request

// What the pool keeps of a request.
const (
	keptParts     = 1024
	keptBodyBytes = 64 << 10
)

// produce puts batches into partitions. It takes their places when it is
// started, and answers when all of them are durable.
//
// v3-13: v5 answers where the log starts, v8 has texts and the records that are
// wrong, v9 is flexible, v10 may name another leader (there is none), v13 names
// topics by id.
func (h *Handlers) produce(_ *Session, r Request) (Finish, error) {
	if r.Version < produceVersionMin {
		return nil, fmt.Errorf("Produce version %d: %w: its messages are of the formats before Kafka 0.11", r.Version, errNotServed)
	}
	p := h.produces.Get().(*produced)
	p.handlers, p.version = h, r.Version
	if !p.read(r.Body) {
		p.forget()
		return nil, fmt.Errorf("Produce version %d: %w", r.Version, errMalformed)
	}
	p.resolve()
	p.append(r)
	if p.acks == 0 {
		return p.silentFunc, nil
	}
	return p.finishFunc, nil
}

// produced is a Produce under way.
type produced struct {
	handlers *Handlers
	version  int16
	acks     int16
	timeout  time.Duration
	inTxn    bool
	topics   []producedTopic
	parts    []*producedPart // of all topics, in order; beyond its length lie those of earlier requests

	left  atomic.Int32  // appends without an answer, and one for who starts them
	done  chan struct{} // has one signal when none is left
	timer *time.Timer
	seen  map[place]*producedPart
	body  []byte

	// bound once, for a bound method is an allocation
	finishFunc, silentFunc Finish
	forgetFunc             func()
}

// producedTopic is one topic of the request. Name and id lie in the frame.
type producedTopic struct {
	name  []byte
	id    [16]byte
	topic *cluster.Topic
	err   error
	parts int // how many of p.parts are its own
}

// producedPart is one partition of the request, and what became of it.
type producedPart struct {
	of      *produced
	index   int32
	records []byte
	log     partition.Log
	answer  partition.Appended
	is      atomic.Bool // answer is written

	doneFunc func(partition.Appended)
}

type place struct {
	topic *cluster.Topic
	index int32
}

func newProduced() *produced {
	p := &produced{done: make(chan struct{}, 1), timer: time.NewTimer(time.Hour), seen: make(map[place]*producedPart)}
	p.timer.Stop()
	p.finishFunc, p.silentFunc, p.forgetFunc = p.finish, p.silent, p.forget
	return p
}

// forget gives the state back. Nobody may hold on to it: no append is without
// its answer, and what was answered is sent.
func (p *produced) forget() {
	for _, part := range p.parts {
		part.records, part.log, part.answer = nil, nil, partition.Appended{}
		part.is.Store(false)
	}
	clear(p.topics)
	p.topics, p.parts = p.topics[:0], p.parts[:0]
	if cap(p.parts) > keptParts || cap(p.body) > keptBodyBytes {
		return
	}
	p.handlers.produces.Put(p)
}

// next is a partition to fill in.
func (p *produced) next() *producedPart {
	if n := len(p.parts); n < cap(p.parts) {
		p.parts = p.parts[:n+1]
		if part := p.parts[n]; part != nil {
			return part
		}
	} else {
		p.parts = append(p.parts, nil)
	}
	part := &producedPart{of: p}
	part.doneFunc = part.done
	p.parts[len(p.parts)-1] = part
	return part
}

// read takes the request apart:
//
//	transactional id, acks i16, timeout i32, topics: name (v13: id), partitions:
//	index i32, records
func (p *produced) read(body []byte) bool {
	r := reader{b: body, flexible: p.version >= 9}
	p.inTxn = r.string() != nil
	p.acks = r.int16()
	p.timeout = min(max(millis(r.int32()), produceWaitMin), produceWaitMax)
	for range r.count() {
		var t producedTopic
		if p.version >= 13 {
			t.id = r.id()
		} else {
			t.name = r.string()
		}
		t.parts = r.count()
		for range t.parts {
			if r.bad || len(p.parts) == produceParts {
				return false
			}
			part := p.next()
			part.index, part.records = r.int32(), r.bytes()
			r.tags()
		}
		r.tags()
		p.topics = append(p.topics, t)
		if r.bad {
			return false
		}
	}
	r.tags()
	return !r.bad
}

// resolve finds each batch's log, or says what is wrong with it.
func (p *produced) resolve() {
	parts := p.parts
	for i := range p.topics {
		t := &p.topics[i]
		if t.topic, t.err = p.topic(t); t.err == nil {
			p.findDouble(t.topic, parts[:t.parts])
		}
		for _, part := range parts[:t.parts] {
			part.resolve(t)
		}
		parts = parts[t.parts:]
	}
	clear(p.seen)
}

// topic finds a topic, or says why nothing can be written to it.
func (p *produced) topic(t *producedTopic) (*cluster.Topic, error) {
	switch {
	case p.acks < -1 || p.acks > 1:
		return nil, kerr.InvalidRequiredAcks
	case p.inTxn:
		return nil, fmt.Errorf("%w: transactions are not served yet", kerr.InvalidRequest)
	}
	if p.version >= 13 {
		topic, ok := p.handlers.Cluster.TopicByID(t.id)
		if !ok {
			return nil, kerr.UnknownTopicID
		}
		return topic, nil
	}
	name := string(t.name)
	if internalTopic(name) {
		return nil, kerr.InvalidTopicException
	}
	topic, ok := p.handlers.Cluster.Topic(name)
	if !ok {
		return nil, kerr.UnknownTopicOrPartition
	}
	return topic, nil
}

var errTwice = fmt.Errorf("%w: the partition stands in the request twice", kerr.InvalidRequest)

// findDouble refuses both batches of a partition that stands in the request
// twice: Kafka takes the last one and loses the first without a word.
func (p *produced) findDouble(topic *cluster.Topic, parts []*producedPart) {
	if len(p.topics) == 1 && ascend(parts) {
		return
	}
	for _, part := range parts {
		at := place{topic, part.index}
		if earlier := p.seen[at]; earlier != nil {
			earlier.answer.Err, part.answer.Err = errTwice, errTwice
			earlier.is.Store(true)
			part.is.Store(true)
		}
		p.seen[at] = part
	}
}

func ascend(parts []*producedPart) bool {
	for i := 1; i < len(parts); i++ {
		if parts[i].index <= parts[i-1].index {
			return false
		}
	}
	return true
}

func (part *producedPart) resolve(t *producedTopic) {
	ok, err := false, t.err
	switch {
	case part.answer.Err != nil:
		return
	case err != nil:
	case len(part.records) == 0:
		err = fmt.Errorf("%w: there is no record batch", kerr.InvalidRecord)
	default:
		if part.log, ok = part.of.handlers.Logs.Log(t.topic, part.index); !ok {
			err = kerr.UnknownTopicOrPartition
		}
	}
	if err != nil {
		part.answer.Err = err
		part.is.Store(true)
	}
}

// append lets each batch that nothing is wrong with take its place.
func (p *produced) append(r Request) {
	how := partition.Append{Now: r.Received, Version: p.version}
	p.left.Store(1)
	for _, part := range p.parts {
		if !part.is.Load() {
			p.left.Add(1)
			part.log.Append(part.records, r.Lease, how, part.doneFunc)
		}
	}
	p.answered()
}

// done takes the answer to one batch.
func (part *producedPart) done(a partition.Appended) {
	part.answer = a
	part.is.Store(true)
	part.of.answered()
}

func (p *produced) answered() {
	if p.left.Add(-1) == 0 {
		p.done <- struct{}{}
	}
}

// wait says whether every batch has its answer. It gives up when its time is
// over; soon, when the client is gone or the broker stops.
func (p *produced) wait(ctx context.Context) bool {
	select {
	case <-p.done:
		return true
	default:
	}
	gone := ctx.Done() // asking for it lets out what is ready
	p.timer.Reset(p.timeout)
	defer p.timer.Stop()
	select {
	case <-p.done:
		return true
	case <-p.timer.C:
		return false
	case <-gone:
	}
	p.timer.Reset(min(p.timeout, produceStopWait))
	select {
	case <-p.done:
		return true
	case <-p.timer.C:
		return false
	}
}

// finish answers. What has no answer in time is told as such, and this state is
// then never used again: an append still holds it.
func (p *produced) finish(ctx context.Context) Answer {
	all := p.wait(ctx)
	p.encode()
	if !all {
		return Answer{Body: p.body}
	}
	return Answer{Body: p.body, Release: p.forgetFunc}
}

var (
	errUnanswered = errors.New("a Produce with acks=0 failed")
	errMalformed  = errors.New("malformed")
)

// silent answers nothing, and closes the connection if anything failed: there
// is no other way to tell.
func (p *produced) silent(ctx context.Context) Answer {
	if !p.wait(ctx) {
		return Answer{Close: fmt.Errorf("%w: %w", errUnanswered, kerr.RequestTimedOut)}
	}
	for _, part := range p.parts {
		if err := part.answer.Err; err != nil {
			return Answer{Close: fmt.Errorf("%w: partition %d: %w", errUnanswered, part.index, err)}
		}
	}
	p.forget()
	return Answer{Silent: true}
}

// encode writes the response:
//
//	topics: name (v13: id), partitions: index i32, error i16, base offset i64,
//	append time i64, [v5: log start i64], [v8: records: index i32, text; text];
//	throttle i32
func (p *produced) encode() {
	w := writer{b: p.body[:0], flexible: p.version >= 9}
	w.length(len(p.topics))
	parts := p.parts
	for i := range p.topics {
		t := &p.topics[i]
		if p.version >= 13 {
			w.b = append(w.b, t.id[:]...)
		} else {
			text(&w, t.name)
		}
		w.length(t.parts)
		for _, part := range parts[:t.parts] {
			part.encode(&w)
		}
		parts = parts[t.parts:]
		w.tags()
	}
	w.int32(0)
	w.tags()
	p.body = w.b
}

// late is the answer to a batch that has none in time.
var late = partition.Appended{Err: fmt.Errorf("%w: it is not durable yet, but may become so", kerr.RequestTimedOut)}

func (part *producedPart) encode(w *writer) {
	a, version := &late, part.of.version
	if part.is.Load() {
		a = &part.answer
	}
	w.int32(part.index)
	if a.Err != nil {
		part.encodeRefusal(w, a)
		return
	}
	w.int16(0)
	w.int64(a.Base)
	w.int64(a.AppendTime)
	if version >= 5 {
		w.int64(a.LogStart)
	}
	if version >= 8 {
		w.length(0)
		w.nullable(nil)
	}
	w.tags()
}

func (part *producedPart) encodeRefusal(w *writer, a *partition.Appended) {
	version := part.of.version
	w.int16(part.of.handlers.code(a.Err))
	w.int64(-1)
	w.int64(-1)
	if version >= 5 {
		w.int64(-1)
	}
	if version >= 8 {
		w.length(len(a.Records))
		for i := range a.Records {
			w.int32(a.Records[i].Index)
			w.nullable(&a.Records[i].Message)
			w.tags()
		}
		w.nullable(detail(a.Err))
	}
	w.tags()
}

// pool keeps the states of earlier Produces.
func newPool() *sync.Pool { return &sync.Pool{New: func() any { return newProduced() }} }
