package wire

import (
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
	bytes []byte
	refs  atomic.Int32
	pool  *pool
	costs [2]cost
}

// cost is what a frame holds of a budget.
type cost struct {
	budget *budget
	claim  claim
}

func (f *frame) Retain() { f.refs.Add(1) }

func (f *frame) Release() {
	if f.refs.Add(-1) == 0 {
		for _, c := range f.costs {
			c.budget.give(c.claim)
		}
		f.pool.put(f.bytes)
		f.bytes = nil
	}
}
