package partition

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"milena/batch"
	"milena/storage/segment"
)

const openMax = 64 << 20 // bytes that a batch is decompressed to, to find a record in it

// Read is part of Log: first what is settled, then the tail. What settles while
// it looks is in neither of the two that it saw; then it looks again.
func (p *part) Read(ctx context.Context, from int64, max int, atLeastOne bool) (segment.Span, error) {
	for {
		p.mu.Lock()
		view, inStore, dropped := p.view, p.inStore, p.dropped
		p.mu.Unlock()
		switch {
		case dropped:
			return segment.Span{}, kerr.UnknownTopicOrPartition
		case from < view.Start || from > view.HighWatermark:
			return segment.Span{}, fmt.Errorf("%w: offset %d, but the log has %d to %d", kerr.OffsetOutOfRange, from, view.Start, view.HighWatermark)
		case from == view.HighWatermark || max <= 0 && !atLeastOne:
			return segment.Span{}, nil
		}
		span, err := p.readFrom(ctx, from, view.HighWatermark, inStore, max)
		if err != nil || span.Bytes > 0 || !p.settledBeyond(inStore) {
			return p.fitting(span, max, atLeastOne), err
		}
	}
}

// readFrom reads what the store has, and the tail behind it.
func (p *part) readFrom(ctx context.Context, from, upTo, inStore int64, max int) (segment.Span, error) {
	span := segment.Span{Next: from}
	if from < inStore {
		stored, err := p.shard.table.o.Store.Read(ctx, p.place(), from, upTo, max)
		if err != nil {
			return segment.Span{}, fmt.Errorf("%w: %w", kerr.KafkaStorageError, err)
		}
		if stored.Bytes > 0 {
			span = stored
		}
		if stored.Bytes > 0 && stored.Next < inStore {
			return span, nil
		}
	}
	return p.withTail(span, max), nil
}

// settledBeyond says that more is settled than up to an offset.
func (p *part) settledBeyond(inStore int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inStore > inStore
}

// fitting gives nothing instead of a first batch that is too large, where not
// even one must be given.
func (p *part) fitting(span segment.Span, max int, atLeastOne bool) segment.Span {
	if span.Bytes <= max || atLeastOne {
		return span
	}
	if span.Release != nil {
		span.Release()
	}
	return segment.Span{}
}

// withTail puts batches of the tail behind a span, as far as they follow it.
func (p *part) withTail(span segment.Span, max int) segment.Span {
	p.mu.Lock()
	defer p.mu.Unlock()
	var owners []*bytesOwner
	for i := p.tailAt(span.Next); i < len(p.tail); i++ {
		b := &p.tail[i]
		if b.base > span.Next || len(span.Pieces) > 0 && span.Bytes+len(b.bytes) > max {
			break
		}
		b.owner.retain()
		owners = append(owners, b.owner)
		span.Pieces = append(span.Pieces, segment.Piece{Bytes: b.bytes, Length: len(b.bytes)})
		span.Bytes += len(b.bytes)
		span.Next = b.next
	}
	if len(owners) > 0 {
		before := span.Release
		span.Release = func() {
			if before != nil {
				before()
			}
			for _, o := range owners {
				o.release()
			}
		}
	}
	return span
}

// tailAt finds the first batch of the tail that ends above an offset.
func (p *part) tailAt(from int64) int {
	low, high := 0, len(p.tail)
	for low < high {
		mid := (low + high) / 2
		if p.tail[mid].next > from {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// OffsetAt is part of Log.
func (p *part) OffsetAt(ctx context.Context, time int64) (offset, timestamp int64, err error) {
	return p.search(ctx, time, func(r batch.Record) bool { return r.Timestamp >= time })
}

// search finds the first record that matches, among batches whose largest
// timestamp is at least a time.
func (p *part) search(ctx context.Context, time int64, match func(batch.Record) bool) (offset, timestamp int64, err error) {
	for from := p.Bounds().Start; ; {
		base, found, err := p.batchSince(ctx, from, time)
		if err != nil || !found {
			return -1, -1, err
		}
		span, err := p.Read(ctx, base, 1, true)
		if err != nil || span.Bytes == 0 {
			return -1, -1, err
		}
		record, ok, err := firstMatch(span, p.Bounds().Start, match)
		if span.Release != nil {
			span.Release()
		}
		if ok || err != nil {
			return record.Offset, record.Timestamp, err
		}
		from = span.Next
	}
}

// batchSince finds the first batch from an offset on that is late enough. What
// settled behind the store's back while it was asked is asked for again.
func (p *part) batchSince(ctx context.Context, from, time int64) (base int64, found bool, err error) {
	for {
		p.mu.Lock()
		inStore := p.inStore
		p.mu.Unlock()
		if from < inStore {
			f, ok, err := p.shard.table.o.Store.Find(ctx, p.place(), from, time)
			if ok || err != nil {
				return max(f.Base, from), ok, err
			}
		}
		if base, found, all := p.tailSince(from, time, inStore); all {
			return base, found, nil
		}
		from = max(from, inStore)
	}
}

// tailSince finds that batch in the tail; all false: more than up to inStore is
// settled, so the tail is not all that is left.
func (p *part) tailSince(from, time, inStore int64) (base int64, found, all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inStore > inStore {
		return 0, false, false
	}
	for _, b := range p.tail[p.tailAt(from):] {
		if b.max >= time {
			return max(b.base, from), true, true
		}
	}
	return 0, false, true
}

func firstMatch(span segment.Span, from int64, match func(batch.Record) bool) (batch.Record, bool, error) {
	b, err := spanBytes(span)
	if err != nil {
		return batch.Record{Offset: -1, Timestamp: -1}, false, err
	}
	for r, err := range batch.Records(b, openMax) {
		if err != nil {
			return batch.Record{Offset: -1, Timestamp: -1}, false, err
		}
		if r.Offset >= from && match(r) {
			return r, true, nil
		}
	}
	return batch.Record{Offset: -1, Timestamp: -1}, false, nil
}

// spanBytes gives the first piece of a span in memory.
func spanBytes(span segment.Span) ([]byte, error) {
	piece := span.Pieces[0]
	if piece.File == nil {
		return piece.Bytes, nil
	}
	b := make([]byte, piece.Length)
	_, err := piece.File.ReadAt(b, piece.At)
	return b, err
}

// MaxTimestamp is part of Log. It looks at the tail first: batches go from there
// into the store, never back.
func (p *part) MaxTimestamp(ctx context.Context) (offset, timestamp int64, err error) {
	latest := int64(-1)
	p.mu.Lock()
	for _, b := range p.tail {
		latest = max(latest, b.max)
	}
	p.mu.Unlock()
	for _, s := range p.shard.table.o.Store.Segments(p.place()) {
		if s.Next > p.Bounds().Start {
			latest = max(latest, s.MaxTimestamp)
		}
	}
	if latest < 0 {
		return -1, -1, nil
	}
	return p.search(ctx, latest, func(r batch.Record) bool { return r.Timestamp >= latest })
}
