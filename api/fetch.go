package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/machine/cluster"
	"milena/partition"
	"milena/storage/segment"
)

// A Fetch walks through here once:
//
//	resolve  topics and partitions, or what is wrong with them
//	read     every partition, in the request's order, until max_bytes
//	wait     for min_bytes or max_wait: watch, read again when something came
//	encode   heads by hand, batches as they lie: in memory or in files

const fetchWaitMax = 5 * time.Minute // however long a client asks to wait

// fetch gives record batches, and waits for min_bytes or max_wait.
//
// v4-18: v5 answers where the log starts, v7 has sessions (never made here:
// every answer has id 0, so the client asks in full), v9 leader epochs, v11 a
// preferred replica, v12 is flexible and has the last fetched epoch, v13 names
// topics by id, v15 moves the replica's id, v16-18 are for other replicas.
func (h *Handlers) fetch(ctx context.Context, s *Session, req *kmsg.FetchRequest) answer {
	if err := sessionError(req); err != nil {
		return &fetched{version: req.Version, code: h.code(err)}
	}
	f := &fetching{handlers: h, session: s, req: req}
	f.resolve()
	return f.run(ctx)
}

// sessionError refuses to continue a session, for there are none. Epoch 0 asks
// for a new one, and -1 for none.
func sessionError(req *kmsg.FetchRequest) error {
	if req.Version < 7 || req.SessionEpoch == -1 || req.SessionEpoch == 0 {
		return nil
	}
	return kerr.FetchSessionIDNotFound
}

// fetching is a Fetch under way.
type fetching struct {
	handlers *Handlers
	session  *Session
	req      *kmsg.FetchRequest
	topics   []fetchTopic // each once, in the request's order
	parts    int          // in all of them
}

type fetchTopic struct {
	name  string
	id    [16]byte
	parts []fetchPart // each once
}

type fetchPart struct {
	index int32
	log   partition.Log
	from  int64
	max   int
	err   error
}

func (f *fetching) resolve() {
	f.topics = make([]fetchTopic, 0, len(f.req.Topics))
	for i := range f.req.Topics {
		in := &f.req.Topics[i]
		topic, err := f.topic(in)
		out := f.topicOf(in)
		for k := range in.Partitions {
			out.put(f.part(topic, err, &in.Partitions[k]))
		}
	}
	for i := range f.topics {
		f.parts += len(f.topics[i].parts)
	}
}

// topicOf is the answer's topic: one for all that the request names alike.
func (f *fetching) topicOf(in *kmsg.FetchRequestTopic) *fetchTopic {
	if len(f.req.Topics) <= topicsSearched {
		for i := range f.topics {
			if t := &f.topics[i]; t.name == in.Topic && t.id == in.TopicID {
				return t
			}
		}
	}
	f.topics = append(f.topics, fetchTopic{name: in.Topic, id: in.TopicID, parts: make([]fetchPart, 0, len(in.Partitions))})
	return &f.topics[len(f.topics)-1]
}

// topicsSearched is up to how many topics a repeated one is looked for. No
// client repeats one; in a longer request it is answered twice.
const topicsSearched = 64

// put keeps the last of a partition that the request names twice.
func (t *fetchTopic) put(one fetchPart) {
	if n := len(t.parts); n > 0 && one.index <= t.parts[n-1].index && n <= topicsSearched {
		for i := range t.parts {
			if t.parts[i].index == one.index {
				t.parts[i] = one
				return
			}
		}
	}
	t.parts = append(t.parts, one)
}

func (f *fetching) topic(in *kmsg.FetchRequestTopic) (*cluster.Topic, error) {
	if f.req.Version >= 13 {
		if topic, ok := f.handlers.Cluster.TopicByID(in.TopicID); ok {
			return topic, nil
		}
		return nil, kerr.UnknownTopicID
	}
	if topic, ok := f.handlers.Cluster.Topic(in.Topic); ok {
		return topic, nil
	}
	return nil, kerr.UnknownTopicOrPartition
}

func (f *fetching) part(topic *cluster.Topic, err error, in *kmsg.FetchRequestTopicPartition) fetchPart {
	one := fetchPart{index: in.Partition, from: in.FetchOffset, max: int(in.PartitionMaxBytes), err: err}
	if one.err == nil {
		one.err = f.replicaError()
	}
	if one.err != nil {
		return one
	}
	log, ok := f.handlers.Logs.Log(topic, in.Partition)
	if !ok {
		one.err = kerr.UnknownTopicOrPartition
		return one
	}
	one.log, one.err = log, f.epochError(in, log.Bounds().Epoch)
	return one
}

// replicaError refuses other brokers, for nobody follows this one. An isolation
// that is none is refused here, too.
func (f *fetching) replicaError() error {
	replica := f.req.ReplicaID
	if f.req.Version >= 15 {
		replica = f.req.ReplicaState.ID
	}
	switch {
	case replica >= 0 && f.handlers.Cluster.IsSuperuser(f.session.User):
		return kerr.NotLeaderForPartition
	case replica >= 0:
		return kerr.TopicAuthorizationFailed
	case f.req.IsolationLevel < 0 || f.req.IsolationLevel > 1:
		return kerr.InvalidRequest
	}
	return nil
}

// epochError compares what a client knows of the leader with what is.
func (f *fetching) epochError(in *kmsg.FetchRequestTopicPartition, epoch int32) error {
	switch {
	case f.req.Version >= 9 && in.CurrentLeaderEpoch >= 0 && in.CurrentLeaderEpoch < epoch:
		return kerr.FencedLeaderEpoch
	case f.req.Version >= 9 && in.CurrentLeaderEpoch > epoch:
		return kerr.UnknownLeaderEpoch
	case f.req.Version >= 12 && in.LastFetchedEpoch > epoch:
		return kerr.OffsetOutOfRange
	}
	return nil
}

// run reads, and waits and reads again until there is enough.
func (f *fetching) run(ctx context.Context) answer {
	out := f.read(ctx)
	wait := min(time.Duration(f.req.MaxWaitMillis)*time.Millisecond, fetchWaitMax)
	if wait <= 0 || f.enough(out) {
		return out
	}
	w := partition.NewWaiter()
	f.watch(w)
	defer f.unwatch(w)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	gone := ctx.Done() // asking for it lets out what is ready
	for {
		out.release()
		if out = f.read(ctx); f.enough(out) { // what came before the watch began counts, too
			return out
		}
		select {
		case <-w.C:
		case <-timer.C:
			return out
		case <-gone:
			return out
		}
	}
}

func (f *fetching) watch(w *partition.Waiter) {
	for i := range f.topics {
		for _, p := range f.topics[i].parts {
			if p.err == nil {
				p.log.Watch(w)
			}
		}
	}
}

func (f *fetching) unwatch(w *partition.Waiter) {
	for i := range f.topics {
		for _, p := range f.topics[i].parts {
			if p.err == nil {
				p.log.Unwatch(w)
			}
		}
	}
}

// enough says that nothing is worth waiting for: an error is told at once, and
// nobody waits for nothing.
func (f *fetching) enough(out *fetched) bool {
	return f.parts == 0 || out.failed || out.bytes >= min(int(f.req.MinBytes), f.max())
}

func (f *fetching) max() int {
	return min(int(f.req.MaxBytes), int(f.handlers.Configs.Int("fetch.max.bytes")))
}

// read looks at every partition once. The first that has anything gives a whole
// batch, however large; the others what still fits.
func (f *fetching) read(ctx context.Context) *fetched {
	out := &fetched{version: f.req.Version, topics: f.topics, parts: make([]fetchedPart, 0, f.parts)}
	left := f.max()
	for i := range f.topics {
		for _, p := range f.topics[i].parts {
			one := f.readPart(ctx, p, left, out.bytes == 0)
			out.failed = out.failed || one.code != 0
			out.bytes += one.span.Bytes
			left -= one.span.Bytes
			out.parts = append(out.parts, one)
		}
	}
	return out
}

func (f *fetching) readPart(ctx context.Context, p fetchPart, left int, atLeastOne bool) fetchedPart {
	one, err := fetchedPart{index: p.index}, p.err
	if err == nil {
		one.span, err = p.log.Read(ctx, p.from, max(min(p.max, left), 0), atLeastOne)
	}
	if err != nil {
		one.code, one.bounds = f.handlers.code(err), unknownBounds
		return one
	}
	one.bounds = p.log.Bounds() // after the read: nothing is given that lies above
	return one
}

// unknownBounds is what an answer with an error says.
var unknownBounds = partition.Bounds{Start: -1, HighWatermark: -1, LastStable: -1}

// fetched is an answer to a Fetch.
type fetched struct {
	version int16
	code    int16 // of the whole request
	topics  []fetchTopic
	parts   []fetchedPart // of all topics, in order
	bytes   int
	failed  bool
}

type fetchedPart struct {
	index  int32
	code   int16
	bounds partition.Bounds
	span   segment.Span
}

// release lets go of what was read.
func (f *fetched) release() {
	for i := range f.parts {
		if release := f.parts[i].span.Release; release != nil {
			release()
			f.parts[i].span = segment.Span{}
		}
	}
}

// What heads take about, so that they are written into one piece of memory.
const (
	topicHeadBytes     = 32
	partitionHeadBytes = 48
)

// answer encodes the response:
//
//	throttle i32, [v7: error i16, session i32], topics: name (v13: id),
//	partitions: index i32, error i16, high watermark i64, last stable i64,
//	[v5: start i64], aborted transactions, [v11: preferred replica i32], records
func (f *fetched) answer() Answer {
	e := pieces{writer: writer{flexible: f.version >= 12}}
	e.b = make([]byte, 0, topicHeadBytes*(1+len(f.topics))+partitionHeadBytes*len(f.parts))
	e.int32(0)
	if f.version >= 7 {
		e.int16(f.code)
		e.int32(0)
	}
	e.length(len(f.topics))
	parts := f.parts
	for i := range f.topics {
		t := &f.topics[i]
		if f.version >= 13 {
			e.b = append(e.b, t.id[:]...)
		} else {
			text(&e.writer, t.name)
		}
		e.length(len(t.parts))
		for k := range t.parts {
			f.part(&e, &parts[k])
		}
		parts = parts[len(t.parts):]
		e.tags()
	}
	e.tags()
	e.cut()
	return Answer{Parts: e.parts, Release: f.release}
}

func (f *fetched) part(e *pieces, p *fetchedPart) {
	e.int32(p.index)
	e.int16(p.code)
	e.int64(p.bounds.HighWatermark)
	e.int64(p.bounds.LastStable)
	if f.version >= 5 {
		e.int64(p.bounds.Start)
	}
	e.null() // aborted transactions
	if f.version >= 11 {
		e.int32(-1)
	}
	e.length(p.span.Bytes) // never null: clients of old fall over it
	if len(p.span.Pieces) > 0 {
		e.cut()
	}
	for _, piece := range p.span.Pieces {
		e.parts = append(e.parts, Part(piece))
	}
	e.tags()
}

// pieces is an answer of heads and batches, alternating.
type pieces struct {
	writer
	parts []Part
}

// cut ends a head. What is written next goes behind it in the same memory, or
// into new memory if that is full; either way the head stays as it is.
func (e *pieces) cut() {
	if len(e.b) > 0 {
		e.parts = append(e.parts, Part{Bytes: e.b, Length: len(e.b)})
		e.b = e.b[len(e.b):]
	}
}
