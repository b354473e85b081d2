// Package memory settles batches in memory, for a throw-away instance and for
// tests. It holds what was settled as long as the process lives, and never
// touches a disk.
package memory

import (
	"context"
	"slices"
	"sort"
	"sync"
	"time"

	"milena/storage/segment"
)

// Store keeps segments in memory.
type Store struct {
	mu    sync.RWMutex
	parts map[key]*part
	dirty map[key]bool
	bytes uint64
	now   func() time.Time
}

type key struct {
	id    [16]byte
	index int32
}

type part struct {
	segment.Partition
	segs []*seg
}

type seg struct {
	base, next int64
	bytes      int64
	max        int64
	first      int64
	sealed     bool
	batches    []segment.Batch
}

// New makes an empty store.
func New() *Store { return NewAt(time.Now) }

// NewAt makes an empty store whose segments begin at the times that now gives.
func NewAt(now func() time.Time) *Store {
	return &Store{parts: make(map[key]*part), dirty: make(map[key]bool), now: now}
}

func (s *Store) part(p segment.Partition) *part {
	k := key{p.ID, p.Index}
	if s.parts[k] == nil {
		s.parts[k] = &part{Partition: p}
	}
	return s.parts[k]
}

// Settle is part of segment.Store.
func (s *Store) Settle(_ context.Context, p segment.Partition, batches []segment.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	part := s.part(p)
	if n := len(part.segs); len(batches) > 0 && (n == 0 || part.segs[n-1].sealed) {
		part.segs = append(part.segs, &seg{base: batches[0].Base, next: batches[0].Base, max: -1, first: s.now().UnixMilli()})
	}
	for _, b := range batches {
		g := part.segs[len(part.segs)-1]
		b.Bytes = slices.Clone(b.Bytes)
		g.batches = append(g.batches, b)
		g.next, g.bytes, g.max = b.Next, g.bytes+int64(len(b.Bytes)), max(g.max, b.MaxTimestamp)
		s.bytes += uint64(len(b.Bytes))
	}
	s.dirty[key{p.ID, p.Index}] = true
	return nil
}

// Sync is part of segment.Store.
func (s *Store) Sync(context.Context) ([]segment.Settled, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var settled []segment.Settled
	for k := range s.dirty {
		if part := s.parts[k]; part != nil && len(part.segs) > 0 {
			last := part.segs[len(part.segs)-1]
			settled = append(settled, segment.Settled{Partition: part.Partition, Start: part.segs[0].base, Next: last.next, Segment: last.base, Length: last.bytes})
		}
	}
	clear(s.dirty)
	return settled, nil
}

// Read is part of segment.Store.
func (s *Store) Read(_ context.Context, p segment.Partition, from, upTo int64, max int) (segment.Span, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var span segment.Span
	part := s.parts[key{p.ID, p.Index}]
	if part == nil {
		return span, nil
	}
	for _, g := range part.segs {
		if g.next <= from {
			continue
		}
		i := sort.Search(len(g.batches), func(i int) bool { return g.batches[i].Next > from })
		for _, b := range g.batches[i:] {
			if b.Base >= upTo || span.Bytes > 0 && span.Bytes+len(b.Bytes) > max {
				break
			}
			span.Pieces = append(span.Pieces, segment.Piece{Bytes: b.Bytes, Length: len(b.Bytes)})
			span.Bytes += len(b.Bytes)
			span.Next = b.Next
		}
		break // one segment at a time, as from files
	}
	return span, nil
}

// Restore is part of segment.Store.
func (s *Store) Restore(_ context.Context, at segment.Settled) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	part := s.part(at.Partition)
	var kept []*seg
	for _, g := range part.segs {
		if g.base > at.Segment || at.Length == 0 && g.base >= at.Next {
			continue
		}
		i := sort.Search(len(g.batches), func(i int) bool { return g.batches[i].Next > at.Next })
		g.batches = g.batches[:i]
		g.bytes, g.max, g.next = 0, -1, g.base
		for _, b := range g.batches {
			g.bytes, g.max, g.next = g.bytes+int64(len(b.Bytes)), max(g.max, b.MaxTimestamp), b.Next
		}
		g.sealed = g.base != at.Segment
		kept = append(kept, g)
	}
	part.segs = kept
	return nil
}

// Find is part of segment.Store.
func (s *Store) Find(_ context.Context, p segment.Partition, from, time int64) (segment.Found, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if part := s.parts[key{p.ID, p.Index}]; part != nil {
		for _, g := range part.segs {
			for _, b := range g.batches {
				if b.Next > from && b.MaxTimestamp >= time {
					return segment.Found{Base: b.Base, Next: b.Next, MaxTimestamp: b.MaxTimestamp}, true, nil
				}
			}
		}
	}
	return segment.Found{}, false, nil
}

// Segments is part of segment.Store.
func (s *Store) Segments(p segment.Partition) []segment.Info {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var infos []segment.Info
	if part := s.parts[key{p.ID, p.Index}]; part != nil {
		for _, g := range part.segs {
			infos = append(infos, segment.Info{Base: g.base, Next: g.next, Bytes: g.bytes, MaxTimestamp: g.max, FirstWrite: g.first, Sealed: g.sealed})
		}
	}
	return infos
}

// Seal is part of segment.Store.
func (s *Store) Seal(_ context.Context, p segment.Partition) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if part := s.parts[key{p.ID, p.Index}]; part != nil && len(part.segs) > 0 {
		part.segs[len(part.segs)-1].sealed = true
	}
	return nil
}

// Forget is part of segment.Store.
func (s *Store) Forget(_ context.Context, p segment.Partition, below int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if part := s.parts[key{p.ID, p.Index}]; part != nil {
		for len(part.segs) > 0 && part.segs[0].sealed && part.segs[0].next <= below {
			part.segs = part.segs[1:]
		}
	}
	return nil
}

// Drop is part of segment.Store.
func (s *Store) Drop(_ context.Context, p segment.Partition) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.parts, key{p.ID, p.Index})
	delete(s.dirty, key{p.ID, p.Index})
	return nil
}

// Stats is part of segment.Store.
func (s *Store) Stats() segment.Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	stats := segment.Stats{SettledBytes: s.bytes}
	for _, p := range s.parts {
		for _, g := range p.segs {
			stats.Segments++
			stats.StoredBytes += uint64(g.bytes)
		}
	}
	return stats
}

// Close is part of segment.Store.
func (s *Store) Close() error { return nil }
