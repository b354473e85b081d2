package file

import (
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"milena/storage/disk"
	"milena/storage/journal"
)

// An entry walks through here once:
//
//	Append    checked against its log's end, queued            (any goroutine)
//	chunk     copied, with its CRC, into a buffer              (writer, or builder while the disk is busy)
//	write     one at a time; the next begins when it ends      (writer)
//	publish   its outcome goes out, in order                   (publisher)

// write is the writer: it takes what is built, or builds when nothing is.
func (j *Journal) write() {
	defer j.done.Done()
	defer close(j.publish)
	for {
		b := j.takeBuffer()
		if b == nil {
			return
		}
		began := time.Now()
		err := j.flush(b)
		j.mu.Lock()
		j.writing = false
		if err != nil {
			j.breakDown(err)
		} else {
			j.durable = max(j.durable, b.last)
			if !j.o.OSDurability {
				j.synced = j.durable
			}
			j.stats.Writes++
			j.stats.WriteNanos += uint64(time.Since(began))
			j.stats.WrittenBytes += uint64(b.used)
			j.since += int64(b.used)
			if j.since >= j.o.SaveBytes {
				j.want()
			}
		}
		items := b.items
		b.used, b.items = 0, nil
		if n := len(j.lists); n > 0 {
			b.items, j.lists = j.lists[n-1], j.lists[:n-1]
		}
		j.spare = b
		j.mu.Unlock()
		j.publish <- published{items: items, broken: err != nil}
	}
}

// takeBuffer waits for something to write, and takes it. nil: closed, and
// nothing is left.
func (j *Journal) takeBuffer() *buffer {
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		switch {
		case j.building:
		case j.filling.used > 0 || len(j.filling.items) > 0:
			b := j.filling
			j.filling, j.spare = j.spare, nil
			j.writing = true
			if j.queued >= gatherBytes {
				j.ahead.Signal()
			}
			return b
		case len(j.queue) > 0 && j.broken != nil:
			j.refuseQueue()
			continue
		case len(j.queue) > 0:
			if j.roomToBuild() {
				j.build()
			}
			if j.filling.used > 0 || len(j.filling.items) > 0 || j.broken != nil {
				continue
			}
		case j.closed:
			return nil
		}
		j.idle = true
		j.work.Wait()
		j.idle = false
	}
}

// refuseQueue answers Broken to all that waits.
func (j *Journal) refuseQueue() {
	for i := range j.queue {
		j.queue[i].outcome = journal.Broken
	}
	j.filling.items = append(j.filling.items, j.queue...)
	j.queue, j.queued = nil, 0
}

// roomToBuild makes sure that the file has room for a chunk, and begins the
// next file if not: false while there is none. It may let go of the lock.
func (j *Journal) roomToBuild() bool {
	if j.cur != nil && j.cur.size-j.cur.at >= smallest {
		return true
	}
	if len(j.free) == 0 {
		j.recycle() // after a start nothing has been yet
	}
	if len(j.free) == 0 {
		if j.makeFile(); !j.making {
			j.want() // a Save has to free one
		}
		if j.closed && !j.making {
			j.breakDown(journal.ErrNoRoom) // nobody will make room any more
		}
		return false
	}
	s := j.free[0]
	j.free = j.free[1:]
	h := head{generation: newGeneration(), number: j.files + 1, first: j.next, ends: slices.Clone(j.written)}
	if len(j.queue) > 0 && j.queue[0].written > 0 {
		h.going = uint32(j.queue[0].entry.Log) + 1
	}
	var before disk.File // that is not synced with every write
	if j.o.OSDurability && j.cur != nil {
		before = j.cur.file
	}
	j.mu.Unlock()
	l, err := begin(s, h, before, j.direct)
	j.mu.Lock()
	if err != nil {
		j.free = append(j.free, s)
		j.breakDown(fmt.Errorf("begin journal file %s: %w", s.name, err))
		return false
	}
	j.files++
	j.synced = max(j.synced, h.first-1)
	if j.cur != nil {
		j.old = append(j.old, j.cur)
	}
	j.cur = l
	j.recycle()
	return true
}

// begin writes a life's head, when all before it is durable: a head vouches for
// that, and a chunk for its head.
func begin(s *slot, h head, before disk.File, direct bool) (*life, error) {
	if before != nil {
		if err := before.Datasync(); err != nil {
			return nil, err
		}
	}
	b := aligned(headSize(len(h.ends)))
	h.encode(b)
	if _, err := s.file.WriteAt(b, 0); err != nil {
		return nil, err
	}
	if !direct {
		if err := s.file.Datasync(); err != nil {
			return nil, err
		}
	}
	return &life{slot: *s, head: h, at: int64(len(b))}, nil
}

// buildAhead is the builder: while the disk is busy and enough waits, it puts
// chunks into the other buffer.
func (j *Journal) buildAhead() {
	defer j.done.Done()
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		switch {
		case j.closed:
			return
		case j.writing && !j.building && j.broken == nil && j.filling != nil && j.queued >= gatherBytes && j.fits():
			j.build()
			continue
		}
		j.ahead.Wait()
	}
}

// fits says that another chunk fits into the buffer and the file.
func (j *Journal) fits() bool {
	return j.cur != nil && len(j.filling.bytes)-j.filling.used >= gatherBytes && j.cur.size-j.cur.at >= smallest
}

// build puts one chunk of what waits into the filling buffer. The lock is let
// go while bytes are copied.
func (j *Journal) build() {
	b := j.filling
	room := min(len(b.bytes)-b.used, int(j.cur.size-j.cur.at), chunkMax)
	taken, pieces, size := j.take(room, b)
	if pieces == 0 {
		return
	}
	if b.used == 0 {
		b.file, b.at = j.cur, j.cur.at
	}
	j.building = true
	number, durable, generation := j.next, j.synced, j.cur.generation
	j.next++
	j.mu.Unlock()

	chunk := b.bytes[b.used : b.used+size]
	fill(chunk, taken, generation)
	sealChunk(chunk, generation, number, durable, pieces)
	clear(b.bytes[b.used+size : b.used+pad(size)])

	j.mu.Lock()
	for i := range taken {
		if p := &taken[i]; p.last {
			j.written[p.item.entry.Log] = position{p.item.entry.Place, p.item.entry.Token}
			p.item.entry.Body = nil
			b.items = append(b.items, p.item)
		}
	}
	clear(taken)
	j.taken = taken[:0]
	j.cur.index = append(j.cur.index, chunkAt{at: j.cur.at, number: number, length: size})
	j.cur.at += int64(pad(size))
	b.used += pad(size)
	b.last = number
	j.building = false
	if j.idle {
		j.work.Signal()
	}
	if j.cur.at > j.cur.size/4 && len(j.free) == 0 {
		j.makeFile()
	}
}

// piece is a part of an entry that goes into one chunk.
type piece struct {
	item        item
	from, until int
	last        bool
}

// take takes pieces off the queue's front, as many as have room. Items that
// have nothing to write go to the buffer at once, in their order.
func (j *Journal) take(room int, b *buffer) (taken []piece, pieces, size int) {
	taken, size = j.taken[:0], chunkFixed
	n := 0
	for ; n < len(j.queue); n++ {
		it := &j.queue[n]
		if it.outcome != journal.OK || it.written < 0 {
			if pieces > 0 {
				break // it must not overtake those in front of it
			}
			b.items = append(b.items, *it)
			j.queued -= it.size + rowSize
			continue
		}
		left := it.size - it.written
		here := min(left, room-size-rowSize)
		if here < 0 || here < left && (here < block || pieces > 0) {
			break
		}
		p := piece{item: *it, from: it.written, until: it.written + here, last: here == left}
		taken = append(taken, p)
		pieces++
		size += rowSize + here
		it.written += here
		j.queued -= here
		if !p.last {
			break
		}
		j.queued -= rowSize
		j.stats.Entries++
		j.stats.Bytes += uint64(it.size)
	}
	rest := copy(j.queue, j.queue[n:])
	clear(j.queue[rest:])
	j.queue = j.queue[:rest]
	return taken, pieces, size
}

// fill copies rows and pieces into a chunk.
func fill(chunk []byte, taken []piece, generation uint64) {
	start := seed(generation)
	at := chunkFixed + len(taken)*rowSize
	for i := range taken {
		p := &taken[i]
		e := &p.item.entry
		body := chunk[at : at+p.until-p.from]
		gather(body, e.Body, p.from)
		at += len(body)
		r := row{log: e.Log, length: uint32(len(body)), place: e.Place, token: e.Token,
			sum: crc32.Update(start, castagnoli, body)}
		if p.from == 0 {
			r.flags |= firstPiece
		}
		if p.last {
			r.flags |= lastPiece
		}
		r.encode(chunk[chunkFixed+i*rowSize:])
	}
}

// gather copies len(dst) bytes of a body from an offset on.
func gather(dst []byte, body [][]byte, from int) {
	for _, b := range body {
		if from >= len(b) {
			from -= len(b)
			continue
		}
		n := copy(dst, b[from:])
		dst, from = dst[n:], 0
		if len(dst) == 0 {
			return
		}
	}
}

// flush writes a buffer, and returns when it is durable.
func (j *Journal) flush(b *buffer) error {
	if b.used == 0 {
		return nil
	}
	if _, err := b.file.file.WriteAt(b.bytes[:b.used], b.at); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	if j.direct || j.o.OSDurability {
		return nil
	}
	if err := b.file.file.Datasync(); err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	return nil
}

// tell is the publisher.
func (j *Journal) tell() {
	defer j.done.Done()
	one := make([]journal.Outcome, 1)
	for p := range j.publish {
		for i := range p.items {
			it := &p.items[i]
			outcome := it.outcome
			if p.broken {
				outcome = journal.Broken
			}
			if it.call == nil {
				one[0] = outcome
				it.done(one)
				continue
			}
			if it.call.left--; it.call.left >= 0 {
				it.call.outcomes = append(it.call.outcomes, outcome)
			}
			if it.call.left <= 0 {
				it.call.done(it.call.outcomes)
			}
		}
		clear(p.items)
		j.mu.Lock()
		j.lists = append(j.lists, p.items[:0])
		j.mu.Unlock()
	}
}
