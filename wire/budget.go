package wire

import (
	"context"
	"slices"
	"sync"
)

// How many bytes of requests are under way at once.
const (
	inFlightBytes = 64 << 20 // of all connections
	reserveBytes  = 4 << 20  // besides, for small frames alone
	shareBytes    = 16 << 20 // of one connection, so that a slow one holds up nobody
	loginBytes    = 4 << 20  // of frames before a login that are not small
	smallFrame    = 16 << 10
)

// budget bounds the bytes of frames under way. Who finds too little waits in
// line, so a large frame's turn comes however many others there are. Small
// frames have a reserve and a line of their own: a heartbeat passes while
// large ones wait.
type budget struct {
	mu           sync.Mutex
	size         int
	left         int
	reserve      int
	large, small []*claim // who waits, first come first
}

// claim is bytes that were taken, or are waited for.
type claim struct {
	bytes    int
	reserved bool          // they are the reserve's
	granted  chan struct{} // closed when they are taken
}

func newBudget(size, reserve int) *budget { return &budget{size: size, left: size, reserve: reserve} }

// take waits until n bytes are there; false: ctx ended first. A frame larger
// than the whole budget is let in alone.
func (b *budget) take(ctx context.Context, n int) (claim, bool) {
	c := &claim{bytes: n}
	b.mu.Lock()
	if b.admit(c, len(b.large) == 0) {
		b.mu.Unlock()
		return *c, true
	}
	c.granted = make(chan struct{})
	line := b.line(c)
	*line = append(*line, c)
	b.mu.Unlock()
	select {
	case <-c.granted:
		return *c, true
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-c.granted:
		b.add(*c)
	default:
		*line = slices.DeleteFunc(*line, func(other *claim) bool { return other == c })
	}
	b.advance()
	return claim{}, false
}

func (b *budget) line(c *claim) *[]*claim {
	if c.bytes <= smallFrame {
		return &b.small
	}
	return &b.large
}

// admit takes a claim's bytes if they are there. What is no reserve's belongs
// to who is first in the line of large frames, if there is one.
func (b *budget) admit(c *claim, first bool) bool {
	switch {
	case c.bytes <= smallFrame && b.reserve >= c.bytes:
		b.reserve -= c.bytes
		c.reserved = true
	case first && (b.left >= c.bytes || b.left == b.size):
		b.left -= c.bytes
	default:
		return false
	}
	return true
}

// give puts bytes back, and lets in who waits for them.
func (b *budget) give(c claim) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(c)
	b.advance()
}

func (b *budget) add(c claim) {
	if c.reserved {
		b.reserve += c.bytes
		return
	}
	b.left += c.bytes
}

func (b *budget) advance() {
	for len(b.large) > 0 && b.admit(b.large[0], true) {
		close(b.large[0].granted)
		b.large = b.large[1:]
	}
	for len(b.small) > 0 && b.admit(b.small[0], len(b.large) == 0) {
		close(b.small[0].granted)
		b.small = b.small[1:]
	}
}
