package partition

import (
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
)

// Batches up to smallBatch are copied out of their frames into slabs outside
// Go's heap, for a frame pinned by a small batch costs its whole capacity, and
// the collector's room on top.
const (
	smallBatch = 16 << 10
	slabBytes  = 1 << 20
	slabsKept  = 48 // unused ones; a slab that is mapped anew costs a fault a page
)

// bytesOwner keeps a batch's bytes alive while anybody needs them.
type bytesOwner struct {
	refs  atomic.Int32
	lease Lease
	slab  *slab
	slabs *slabs
}

func (o *bytesOwner) retain() { o.refs.Add(1) }

func (o *bytesOwner) release() {
	if o.refs.Add(-1) != 0 {
		return
	}
	switch {
	case o.lease != nil:
		o.lease.Release()
	case o.slab != nil:
		o.slabs.release(o.slab)
	}
}

// slab is a piece of memory that several small batches share.
type slab struct {
	bytes []byte
	used  int
	refs  int
}

// slabs hands out room for small batches.
type slabs struct {
	mu     sync.Mutex
	cur    *slab
	free   []*slab
	unused int // the fewest that were free since the last trim
}

// copyOf gives a copy of a small batch, alive until its owner is released.
func (s *slabs) copyOf(b []byte, o *bytesOwner) []byte {
	s.mu.Lock()
	if s.cur == nil || slabBytes-s.cur.used < len(b) {
		s.next()
	}
	room := s.cur.bytes[s.cur.used : s.cur.used+len(b) : s.cur.used+len(b)]
	s.cur.used += len(b)
	s.cur.refs++
	o.slab, o.slabs = s.cur, s
	s.mu.Unlock()
	copy(room, b)
	return room
}

func (s *slabs) next() {
	if s.cur != nil && s.cur.refs == 0 {
		s.cur.used = 0
		return
	}
	if n := len(s.free); n > 0 {
		s.cur, s.free = s.free[n-1], s.free[:n-1]
		s.cur.used = 0
		s.unused = min(s.unused, n-1)
		return
	}
	s.cur = &slab{bytes: newSlab()}
}

func newSlab() []byte {
	b, err := syscall.Mmap(-1, 0, slabBytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return make([]byte, slabBytes) // the heap has it, or nobody
	}
	return b
}

func (s *slabs) release(used *slab) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if used.refs--; used.refs > 0 || used == s.cur {
		return
	}
	if len(s.free) < slabsKept {
		s.free = append(s.free, used)
		return
	}
	used.unmap()
}

// trim gives back the slabs that nobody needed since it was called last.
func (s *slabs) trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, surplus := range s.free[:s.unused] {
		surplus.unmap()
	}
	s.free = slices.Delete(s.free, 0, s.unused)
	s.unused = len(s.free)
}

func (s *slab) unmap() {
	syscall.Munmap(s.bytes) //nolint:errcheck // from the heap it fails, and the collector takes it
}
