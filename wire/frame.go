package wire

import (
	"context"
	"math/bits"
	"sync"
	"sync/atomic"
)

// Buffers are pooled by powers of two; above largestClass they are the
// collector's.
const (
	smallestClass = 12 // 4 KiB
	largestClass  = 24 // 16 MiB
	pooledBytes   = 32 << 20
)

// pool keeps buffers that nobody uses, bounded in bytes.
type pool struct {
	mu    sync.Mutex
	free  [largestClass + 1][][]byte
	bytes int
}

func (p *pool) get(n int) []byte {
	class := max(bits.Len(uint(max(n, 1)-1)), smallestClass)
	if class > largestClass {
		return make([]byte, n)
	}
	p.mu.Lock()
	if list := p.free[class]; len(list) > 0 {
		b := list[len(list)-1]
		p.free[class] = list[:len(list)-1]
		p.bytes -= cap(b)
		p.mu.Unlock()
		return b[:n]
	}
	p.mu.Unlock()
	return make([]byte, n, 1<<class)
}

func (p *pool) put(b []byte) {
	class := bits.Len(uint(cap(b) - 1))
	if cap(b) != 1<<class || class > largestClass || class < smallestClass {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bytes+cap(b) <= pooledBytes {
		p.free[class] = append(p.free[class], b)
		p.bytes += cap(b)
	}
}

// frame is one request's bytes; it is a partition.Lease.
type frame struct {
	bytes  []byte
	refs   atomic.Int32
	server *Server
	cost   int
}

func (f *frame) Retain() { f.refs.Add(1) }

func (f *frame) Release() {
	if f.refs.Add(-1) == 0 {
		f.server.budget.give(f.cost)
		f.server.pool.put(f.bytes)
		f.bytes = nil
	}
}

// budget bounds the bytes of requests under way. Small frames have a reserve of
// their own.
type budget struct {
	mu      sync.Mutex
	left    int
	reserve int
	waiters []chan struct{}
}

const (
	inFlightBytes = 64 << 20
	reserveBytes  = 4 << 20
	smallFrame    = 16 << 10
)

// take waits until n bytes are there. A frame larger than the whole budget is
// let in alone.
func (b *budget) take(ctx context.Context, n int) bool {
	for {
		b.mu.Lock()
		switch {
		case b.left >= n || b.left == inFlightBytes:
			b.left -= n
			b.mu.Unlock()
			return true
		case n <= smallFrame && b.reserve >= n:
			// small frames borrow; what they give back fills the reserve first
			b.reserve -= n
			b.mu.Unlock()
			return true
		}
		wait := make(chan struct{})
		b.waiters = append(b.waiters, wait)
		b.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return false
		}
	}
}

func (b *budget) give(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if short := reserveBytes - b.reserve; short > 0 {
		back := min(short, n)
		b.reserve += back
		n -= back
	}
	b.left += n
	for _, w := range b.waiters {
		close(w)
	}
	b.waiters = nil
}
