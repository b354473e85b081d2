package dir

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"milena/storage/disk"
	"milena/storage/segment"
)

// A settled batch walks through here:
//
//	active   the segment that is written, or a new one
//	write    into the page cache                          (writing)
//	publish  length, next offset, index: readers see it   (mu)
//	push     write-back starts behind every 256 KiB
//	sync     the file, then its name, then it is reported (Store.Sync)

// part is one partition's segments.
type part struct {
	segment.Partition
	store *Store
	dir   string

	writing sync.Mutex // held by who changes files; before mu

	mu        sync.Mutex
	known     bool // Restore said where it stands
	loaded    bool
	restored  segment.Settled // where it stood when it was restored
	segs      []*seg          // oldest first; the last may be active
	made      bool            // its directory is there
	next      int64           // offset behind the last batch
	forgotten int64           // all below is gone, and a .start file says so
}

// restore says where the partition stands. Its files are looked at when they
// are needed first.
func (p *part) restore(at segment.Settled) {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.segs {
		p.leave(g)
		p.store.files.whenUnused(g, func() {})
	}
	p.segs, p.restored, p.known, p.loaded = nil, at, true, false
}

// leave takes a segment out of the store's books.
func (p *part) leave(g *seg) {
	p.store.markClean(g)
	p.store.segments.Add(^uint64(0))
	p.store.stored.Add(-g.length)
}

// settle appends batches to the active segment, or begins one.
func (p *part) settle(batches []segment.Batch) error {
	if len(batches) == 0 {
		return nil
	}
	p.writing.Lock()
	defer p.writing.Unlock()
	g, err := p.active(batches)
	if err != nil {
		return roomless(err)
	}
	if err := p.write(g, batches); err != nil {
		if g.fresh && g.length == 0 {
			p.store.files.whenUnused(g, func() {}) // it is in no list; the next try makes it anew
		}
		return fmt.Errorf("settle %s: %w", g.name(".log"), roomless(err))
	}
	return nil
}

// roomless names a write that found no room, which may be tried again. A sync
// that found none may not: what it should have written is gone from the cache.
func roomless(err error) error {
	if errors.Is(err, disk.ErrNoSpace) && !errors.Is(err, disk.ErrSync) {
		return fmt.Errorf("%w: %w", segment.ErrNoRoom, err)
	}
	return err
}

// active gives the segment that is written, and makes one if there is none.
func (p *part) active(batches []segment.Batch) (*seg, error) {
	p.mu.Lock()
	err := p.load()
	next, made, segs := p.next, p.made, p.segs
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	for _, b := range batches {
		if b.Base < next || b.Next <= b.Base {
			return nil, fmt.Errorf("settle %s: batch [%d, %d) does not stand behind %d", p.dir, b.Base, b.Next, next)
		}
		next = b.Next
	}
	if n := len(segs); n > 0 && !segs[n-1].sealed { // only who holds writing seals
		return segs[n-1], nil
	}
	if !made {
		if err := p.store.fs.MakeDir(p.dir); err != nil {
			return nil, err
		}
	}
	base := batches[0].Base
	g := &seg{part: p, base: base, next: base, fresh: true, first: p.store.o.Now().UnixMilli(), index: index{max: -1}, max: -1}
	if err := p.store.files.create(g); err != nil {
		return nil, err
	}
	return g, nil
}

func (p *part) write(g *seg, batches []segment.Batch) error {
	h, err := p.store.files.takeToWrite(g)
	if err != nil {
		return err
	}
	defer h.release()
	bufs := make([][]byte, len(batches))
	for i, b := range batches {
		bufs[i] = b.Bytes
	}
	if err := h.file.WriteVec(bufs, g.length); err != nil {
		return errors.Join(err, p.undo(g, h))
	}
	if err := h.wrote(); err != nil {
		return err
	}
	p.publish(g, batches)
	if behind := g.length - g.pushed; behind >= writeback {
		if err := h.file.StartWriteback(g.pushed, behind); err != nil {
			return h.lose(err)
		}
		g.pushed = g.length
	}
	return nil
}

// undo cuts off what a failed write left behind: a segment that is sealed next
// is as long as its file.
func (p *part) undo(g *seg, h *openFile) error {
	if err := h.file.Truncate(g.length); err != nil {
		return h.lose(fmt.Errorf("%w: %w", disk.ErrSync, err))
	}
	if g.length > 0 {
		p.store.markDirty(g) // or a power cut brings the bytes back
	}
	return nil
}

// publish shows readers what was written.
func (p *part) publish(g *seg, batches []segment.Batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.segs); n == 0 || p.segs[n-1] != g {
		p.segs = append(p.segs[:n:n], g)
		p.store.segments.Add(1)
	}
	before := g.length
	for _, b := range batches {
		g.index.add(b.Base-g.base, g.length, b.MaxTimestamp, p.store.o.IndexEvery)
		g.length += int64(len(b.Bytes))
	}
	g.next = batches[len(batches)-1].Next
	p.next, p.made = g.next, true
	p.store.settledBytes.Add(uint64(g.length - before))
	p.store.stored.Add(g.length - before)
	p.store.markDirty(g)
}

// sync makes a partition's dirty segments durable, and tells how far it is;
// false: there is nothing left of it.
func (p *part) sync(dirty []*seg) (settled segment.Settled, there bool, err error) {
	sort.Slice(dirty, func(i, k int) bool { return dirty[i].base < dirty[k].base })
	p.mu.Lock()
	if len(p.segs) == 0 {
		p.mu.Unlock()
		return settled, false, nil
	}
	last := p.segs[len(p.segs)-1]
	settled = segment.Settled{Partition: p.Partition, Start: p.segs[0].base, Next: last.next, Segment: last.base, Length: last.length}
	view, fresh := last.view(), false
	for _, g := range dirty {
		fresh = fresh || g.fresh
		p.store.markClean(g) // what is written from here on makes it dirty again
	}
	p.mu.Unlock()
	for _, g := range dirty {
		if err := p.syncOne(g); err != nil {
			return settled, false, fmt.Errorf("sync %s: %w", g.name(".log"), err)
		}
	}
	if fresh {
		if err := p.syncNames(dirty); err != nil {
			return settled, false, err
		}
	}
	view.saveIndex()
	return settled, true, nil
}

func (p *part) syncOne(g *seg) error {
	h, err := p.store.files.take(g)
	if errors.Is(err, errDropped) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.release()
	began := p.store.o.Now()
	err = h.sync()
	p.store.syncs.Add(1)
	p.store.syncNanos.Add(uint64(p.store.o.Now().Sub(began)))
	return err
}

func (p *part) syncNames(fresh []*seg) error {
	err := p.store.fs.SyncDir(p.dir)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.segs) == 0 {
		return nil // dropped meanwhile
	}
	if err != nil {
		return err
	}
	for _, g := range fresh {
		g.fresh = false
	}
	return nil
}

// seal ends the active segment and writes its index.
func (p *part) seal() error {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	if err := p.load(); err != nil {
		p.mu.Unlock()
		return err
	}
	n := len(p.segs)
	if n == 0 || p.segs[n-1].sealed || p.segs[n-1].length == 0 {
		p.mu.Unlock()
		return nil
	}
	view := p.segs[n-1].view()
	p.mu.Unlock()
	whole, err := view.whole()
	if err != nil {
		return err
	}
	p.mu.Lock()
	view.seg.sealed, view.seg.max, view.seg.told = true, whole.max, true
	view.seg.index = index{} // from now on it is the file's, while that is open
	p.mu.Unlock()
	err = writeIndex(p.store.fs, view.seg.name(".index"), whole.entries, view.tail(whole.max))
	if errors.Is(err, disk.ErrNoSpace) {
		p.store.o.Log.Warn("no room to write an index; it will be made again", "segment", view.seg.name(".log"), "err", err)
		return nil
	}
	return err
}

// forget removes the sealed segments below an offset: first it is written down
// that they are gone, then they go.
func (p *part) forget(below int64) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	start, before, err := p.forgettable(below)
	if err != nil || start == 0 {
		return err
	}
	if err := p.markStart(start); err != nil {
		return err
	}
	p.mu.Lock()
	p.forgotten = start
	n := 0
	for n < len(p.segs) && p.segs[n].sealed && p.segs[n].next <= start {
		p.retire(p.segs[n])
		n++
	}
	p.segs = slices.Clone(p.segs[n:])
	p.mu.Unlock()
	if before > 0 && before != start {
		p.store.fs.Remove(p.startName(before)) // if it comes back, the larger one counts
	}
	return nil
}

// forgettable gives the end of the sealed segments below an offset; 0: there is
// none.
func (p *part) forgettable(below int64) (start, before int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.load(); err != nil {
		return 0, 0, err
	}
	for _, g := range p.segs {
		if !g.sealed || g.next > below {
			break
		}
		start = g.next
	}
	return start, p.forgotten, nil
}

func (p *part) startName(start int64) string {
	return path.Join(p.dir, fmt.Sprintf("%020d%s", start, startSuffix))
}

func (p *part) markStart(start int64) error {
	f, err := p.store.fs.Open(p.startName(start), disk.Write|disk.Create)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), p.store.fs.SyncDir(p.dir))
}

// retire hands a segment to the remover once its last reader is done. Under mu.
func (p *part) retire(g *seg) {
	p.leave(g)
	log, index := g.name(".log"), g.name(".index")
	p.store.files.whenUnused(g, func() { p.store.remover.add(log, index) })
}

// drop removes the whole partition: its directory is moved aside first, and
// goes when its last reader is done.
func (p *part) drop() error {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	segs := p.segs
	for _, g := range segs {
		p.leave(g)
	}
	p.segs, p.known, p.loaded, p.made, p.restored = nil, true, true, false, segment.Settled{Partition: p.Partition}
	p.mu.Unlock()

	aside, err := p.moveAside()
	if err != nil {
		return err
	}
	var read atomic.Int64
	read.Store(1)
	done := func() {
		if read.Add(-1) == 0 && aside != "" {
			p.store.remover.add(aside)
		}
	}
	for _, g := range segs {
		read.Add(1)
		p.store.files.whenUnused(g, done)
	}
	done()
	return nil
}

// moveAside moves the partition's directory away, durably. No name: there was
// none.
func (p *part) moveAside() (string, error) {
	if _, err := p.store.fs.Stat(p.dir); errors.Is(err, disk.ErrNotExist) {
		return "", nil
	}
	aside, err := p.store.aside(p.dir)
	if err != nil {
		return "", err
	}
	topic := path.Dir(p.dir)
	if err := errors.Join(p.store.fs.SyncDir(path.Dir(aside)), p.store.fs.SyncDir(topic)); err != nil {
		return "", err
	}
	if err := p.store.fs.Remove(topic); err != nil {
		return aside, nil // other partitions are in it
	}
	return aside, p.store.fs.SyncDir(p.store.dir)
}
