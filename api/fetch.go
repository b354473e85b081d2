package api

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/machine/cluster"
	"milena/partition"
	"milena/storage/segment"
)

const fetchWaitMax = 5 * time.Minute // however long a client asks to wait

// fetch gives record batches, and waits for min_bytes or max_wait.
//
// v4-18: v7 has sessions (never made here: every answer has id 0), v9 leader
// epochs, v12 is flexible and has diverging epochs, v13 names topics by id.
func (h *Handlers) fetch(ctx context.Context, s *Session, req *kmsg.FetchRequest) answer {
	f := &fetching{handlers: h, req: req}
	if code := f.sessionCode(); code != 0 {
		return &fetched{version: req.Version, code: code}
	}
	f.resolve()
	return f.run(ctx)
}

// fetching is a Fetch under way.
type fetching struct {
	handlers *Handlers
	req      *kmsg.FetchRequest
	parts    []fetchPart // in the request's order, a partition once
}

type fetchPart struct {
	topic     int // in the request
	partition int32
	log       partition.Log
	from      int64
	max       int
	epoch     int32
	lastEpoch int32
	err       error
}

// sessionCode refuses sessions that this broker did not make, which is all.
func (f *fetching) sessionCode() int16 {
	switch req := f.req; {
	case req.Version < 7 || req.SessionEpoch == -1 || req.SessionEpoch == 0:
		return 0
	case req.SessionID != 0:
		return kerr.FetchSessionIDNotFound.Code
	default:
		return kerr.FetchSessionIDNotFound.Code
	}
}

func (f *fetching) resolve() {
	for t := range f.req.Topics {
		in := &f.req.Topics[t]
		topic, err := f.topic(in)
		for i := range in.Partitions {
			p := &in.Partitions[i]
			one := fetchPart{topic: t, partition: p.Partition, from: p.FetchOffset, max: int(p.PartitionMaxBytes), epoch: p.CurrentLeaderEpoch, lastEpoch: p.LastFetchedEpoch, err: err}
			if err == nil {
				var ok bool
				if one.log, ok = f.handlers.Logs.Log(topic, p.Partition); !ok {
					one.err = kerr.UnknownTopicOrPartition
				} else {
					one.err = f.check(&one)
				}
			}
			f.put(one)
		}
	}
}

// put keeps the last of a partition that stands in the request twice.
func (f *fetching) put(one fetchPart) {
	if len(f.req.Topics[one.topic].Partitions) > 1 {
		for i := len(f.parts) - 1; i >= 0 && f.parts[i].topic == one.topic; i-- {
			if f.parts[i].partition == one.partition {
				f.parts[i] = one
				return
			}
		}
	}
	f.parts = append(f.parts, one)
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

func (f *fetching) check(p *fetchPart) error {
	epoch := p.log.Bounds().Epoch
	switch {
	case f.replica() >= 0:
		return kerr.NotLeaderForPartition // nobody follows this broker
	case p.epoch >= 0 && p.epoch < epoch:
		return kerr.FencedLeaderEpoch
	case p.epoch > epoch:
		return kerr.UnknownLeaderEpoch
	case f.req.IsolationLevel < 0 || f.req.IsolationLevel > 1:
		return kerr.InvalidRequest
	case f.req.Version >= 12 && p.lastEpoch > epoch:
		return kerr.OffsetOutOfRange
	}
	return nil
}

func (f *fetching) replica() int32 {
	if f.req.Version >= 15 {
		return f.req.ReplicaState.ID
	}
	return f.req.ReplicaID
}

// run reads, and waits and reads again until there is enough.
func (f *fetching) run(ctx context.Context) answer {
	deadline := time.Duration(f.req.MaxWaitMillis) * time.Millisecond
	out := f.read(ctx)
	if f.enough(out) || deadline <= 0 {
		return out
	}
	w := partition.NewWaiter()
	for i := range f.parts {
		if l := f.parts[i].log; l != nil {
			l.Watch(w)
			defer l.Unwatch(w)
		}
	}
	timer := time.NewTimer(min(deadline, fetchWaitMax))
	defer timer.Stop()
	gone := ctx.Done()
	for {
		out.release()
		out = f.read(ctx) // what came before the watch began counts, too
		if f.enough(out) {
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

func (f *fetching) enough(out *fetched) bool {
	return len(f.parts) == 0 || out.failed || out.bytes >= int(f.req.MinBytes)
}

// read looks at every partition once. The first that has anything gives a whole
// batch, however large.
func (f *fetching) read(ctx context.Context) *fetched {
	out := &fetched{version: f.req.Version, req: f.req, parts: make([]fetchedPart, len(f.parts))}
	left := int(f.req.MaxBytes)
	for i := range f.parts {
		p, o := &f.parts[i], &out.parts[i]
		*o = fetchedPart{topic: p.topic, partition: p.partition, err: p.err}
		if o.err == nil {
			o.bounds = p.log.Bounds()
			var span segment.Span
			span, o.err = p.log.Read(ctx, p.from, min(p.max, left), out.bytes == 0)
			o.span = span
			out.bytes += span.Bytes
			left -= span.Bytes
		}
		if o.err != nil {
			out.failed = true
			o.code = f.handlers.code(o.err)
			if errors.Is(o.err, kerr.OffsetOutOfRange) && p.lastEpoch > o.bounds.Epoch {
				o.bounds = partition.Bounds{Start: -1, HighWatermark: -1, LastStable: -1}
			}
		}
	}
	return out
}

// fetched is an answer to a Fetch: heads by hand, batches as they lie.
type fetched struct {
	version int16
	code    int16 // of the whole request
	req     *kmsg.FetchRequest
	parts   []fetchedPart
	bytes   int
	failed  bool
}

type fetchedPart struct {
	topic     int
	partition int32
	bounds    partition.Bounds
	span      segment.Span
	err       error
	code      int16
}

func (f *fetched) release() {
	for i := range f.parts {
		if r := f.parts[i].span.Release; r != nil {
			r()
			f.parts[i].span = segment.Span{}
		}
	}
}

// answer encodes the response. Its layout:
//
//	throttle i32, [v7: error i16, session i32], topics: name or id, partitions:
//	index i32, error i16, high watermark i64, last stable i64, [v5: start i64],
//	aborted transactions (none), [v11: preferred replica i32], records
func (f *fetched) answer() Answer {
	e := encoder{flexible: f.version >= 12}
	e.int32(0)
	if f.version >= 7 {
		e.int16(f.code)
		e.int32(0)
	}
	e.count(f.topics())
	for i := 0; i < len(f.parts); {
		n := i
		for n < len(f.parts) && f.parts[n].topic == f.parts[i].topic {
			n++
		}
		topic := &f.req.Topics[f.parts[i].topic]
		if f.version >= 13 {
			e.b = append(e.b, topic.TopicID[:]...)
		} else {
			e.string(topic.Topic)
		}
		e.count(n - i)
		for ; i < n; i++ {
			f.part(&e, &f.parts[i])
		}
		e.tags()
	}
	e.tags()
	return Answer{Parts: e.seal(), Release: f.release}
}

func (f *fetched) topics() int {
	n := 0
	for i := range f.parts {
		if i == 0 || f.parts[i].topic != f.parts[i-1].topic {
			n++
		}
	}
	return n
}

func (f *fetched) part(e *encoder, p *fetchedPart) {
	if p.code != 0 && p.bounds == (partition.Bounds{}) {
		p.bounds = partition.Bounds{Start: -1, HighWatermark: -1, LastStable: -1}
	}
	e.int32(p.partition)
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
	for _, piece := range p.span.Pieces {
		e.piece(piece)
	}
	e.tags()
}

// encoder writes a response in parts.
type encoder struct {
	flexible bool
	b        []byte
	parts    []Part
}

func (e *encoder) int16(v int16) { e.b = binary.BigEndian.AppendUint16(e.b, uint16(v)) }
func (e *encoder) int32(v int32) { e.b = binary.BigEndian.AppendUint32(e.b, uint32(v)) }
func (e *encoder) int64(v int64) { e.b = binary.BigEndian.AppendUint64(e.b, uint64(v)) }

func (e *encoder) count(n int) { e.length(n) }

func (e *encoder) length(n int) {
	if e.flexible {
		e.b = binary.AppendUvarint(e.b, uint64(n)+1)
		return
	}
	e.int32(int32(n))
}

func (e *encoder) null() {
	if e.flexible {
		e.b = append(e.b, 0)
		return
	}
	e.int32(-1)
}

func (e *encoder) string(s string) {
	if e.flexible {
		e.b = binary.AppendUvarint(e.b, uint64(len(s))+1)
	} else {
		e.int16(int16(len(s)))
	}
	e.b = append(e.b, s...)
}

func (e *encoder) tags() {
	if e.flexible {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) piece(p segment.Piece) {
	e.flush()
	e.parts = append(e.parts, Part{Bytes: p.Bytes, File: p.File, At: p.At, Length: p.Length})
}

func (e *encoder) flush() {
	if len(e.b) > 0 {
		e.parts = append(e.parts, Part{Bytes: e.b})
		e.b = nil
	}
}

func (e *encoder) seal() []Part {
	e.flush()
	return e.parts
}
