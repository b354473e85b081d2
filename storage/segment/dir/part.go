package dir

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"milena/storage/disk"
	"milena/storage/segment"
)

// part is one partition's segments.
type part struct {
	segment.Partition
	store *Store
	dir   string

	mu       sync.Mutex
	loaded   bool
	restored segment.Settled // where it stood when it was restored
	segs     []*seg          // oldest first; the last may be active
	made     bool            // its directory is there
	next     int64           // offset behind the last batch
}

// seg is one segment. Its fields are guarded by its partition's lock.
type seg struct {
	part   *part
	base   int64
	next   int64
	length int64
	max    int64 // largest timestamp, -1: none
	first  int64 // wall clock of the first write, ms
	sealed bool
	fresh  bool  // its name is not durable yet
	pushed int64 // bytes whose write-back was started
	index  index
	handle handle
}

func (g *seg) name(suffix string) string {
	return path.Join(g.part.dir, fmt.Sprintf("%020d%s", g.base, suffix))
}

// load looks at the partition's files, once: those above the settled point are
// removed, the last is cut to its settled length. Call it under the lock.
func (p *part) load() error {
	if p.loaded {
		return nil
	}
	at := p.restored
	p.next = at.Next
	names, err := p.store.fs.List(p.dir)
	if errors.Is(err, disk.ErrNotExist) {
		if at.Length > 0 {
			return fmt.Errorf("%s: %w: the directory is gone", p.dir, segment.ErrCorrupt)
		}
		p.loaded = true
		return nil
	}
	if err != nil {
		return err
	}
	p.made = true
	var bases []int64
	for _, name := range names {
		if text, ok := strings.CutSuffix(name, ".log"); ok {
			if base, err := strconv.ParseInt(text, 10, 64); err == nil {
				bases = append(bases, base)
			}
		}
	}
	slices.Sort(bases)
	p.segs = nil
	for _, base := range bases {
		if err := p.loadSegment(base, at); err != nil {
			return err
		}
	}
	p.link()
	if at.Length > 0 && (len(p.segs) == 0 || p.segs[len(p.segs)-1].base != at.Segment) {
		return fmt.Errorf("%s: %w: segment %d is gone", p.dir, segment.ErrCorrupt, at.Segment)
	}
	p.loaded = true
	return nil
}

func (p *part) loadSegment(base int64, at segment.Settled) error {
	g := &seg{part: p, base: base, max: -1}
	above := base > at.Segment || at.Length == 0 && base >= at.Next
	if above || base < at.Start && base != at.Segment {
		return p.removeNow(g)
	}
	info, err := p.store.fs.Stat(g.name(".log"))
	if err != nil {
		return err
	}
	g.length, g.pushed = info.Size, info.Size
	g.first = p.store.o.Now().UnixMilli()
	g.sealed = base != at.Segment
	if !g.sealed {
		if info.Size < at.Length {
			return fmt.Errorf("%s: %w: %d bytes, of which %d were durable", g.name(".log"), segment.ErrCorrupt, info.Size, at.Length)
		}
		if info.Size > at.Length {
			if err := p.cut(g, at.Length); err != nil {
				return err
			}
		}
		g.length, g.pushed = at.Length, at.Length
		g.next = at.Next
	}
	p.segs = append(p.segs, g)
	p.store.segments.Add(1)
	p.store.stored.Add(g.length)
	return nil
}

// link gives sealed segments their end: where the next one begins.
func (p *part) link() {
	for i, g := range p.segs[:max(len(p.segs)-1, 0)] {
		g.next = p.segs[i+1].base
	}
	if n := len(p.segs); n > 0 && p.segs[n-1].sealed {
		p.segs[n-1].next = p.restored.Next
	}
}

func (p *part) cut(g *seg, length int64) error {
	f, err := p.store.fs.Open(g.name(".log"), disk.Write)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(length), f.Datasync(), f.Close())
}

func (p *part) removeNow(g *seg) error {
	for _, suffix := range []string{".log", ".index"} {
		if err := p.store.fs.Remove(g.name(suffix)); err != nil && !errors.Is(err, disk.ErrNotExist) {
			return err
		}
	}
	return nil
}

// forgetSegments lets go of what is known of the files. Under the lock.
func (p *part) forgetSegments() {
	for _, g := range p.segs {
		p.store.markClean(g)
		p.store.files.drop(g)
		p.store.segments.Add(^uint64(0))
		p.store.stored.Add(-g.length)
	}
	p.segs = nil
}

// settle appends batches to the active segment, or begins one.
func (p *part) settle(batches []segment.Batch) error {
	if len(batches) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.load(); err != nil {
		return err
	}
	g, err := p.active(batches[0].Base)
	if err != nil {
		return err
	}
	h, err := p.store.files.take(g, true)
	if err != nil {
		return err
	}
	defer h.release()
	bufs, size := make([][]byte, len(batches)), int64(0)
	for i, b := range batches {
		bufs[i] = b.Bytes
		size += int64(len(b.Bytes))
	}
	if err := h.file.WriteVec(bufs, g.length); err != nil {
		return fmt.Errorf("settle %s: %w", g.name(".log"), err)
	}
	p.store.markDirty(g)
	at := g.length
	for _, b := range batches {
		g.max = max(g.max, b.MaxTimestamp)
		g.index.add(b.Base-g.base, at, g.max, p.store.o.IndexEvery)
		at += int64(len(b.Bytes))
	}
	g.length, g.next = at, batches[len(batches)-1].Next
	p.next = g.next
	p.store.settledBytes.Add(uint64(size))
	p.store.stored.Add(size)
	if behind := g.length - g.pushed; behind >= writeback {
		if err := h.file.StartWriteback(g.pushed, behind); err != nil {
			return fmt.Errorf("settle %s: %w", g.name(".log"), err)
		}
		g.pushed = g.length
	}
	return nil
}

// active gives the segment that is written, and begins one if there is none.
func (p *part) active(base int64) (*seg, error) {
	if n := len(p.segs); n > 0 && !p.segs[n-1].sealed {
		return p.segs[n-1], p.segs[n-1].loadIndex()
	}
	if !p.made {
		if err := p.store.fs.MakeDir(p.dir); err != nil {
			return nil, err
		}
		p.made = true
	}
	g := &seg{part: p, base: base, next: base, max: -1, fresh: true, first: p.store.o.Now().UnixMilli()}
	g.index.whole = true
	f, err := p.store.fs.Open(g.name(".log"), disk.Write|disk.Create)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(0), f.Close()); err != nil {
		return nil, err
	}
	p.segs = append(p.segs, g)
	p.store.segments.Add(1)
	return g, nil
}

// sync makes a partition's dirty segments durable, and tells how far it is.
func (p *part) sync(dirty []*seg) (segment.Settled, bool, error) {
	sort.Slice(dirty, func(i, k int) bool { return dirty[i].base < dirty[k].base })
	p.mu.Lock()
	if len(p.segs) == 0 {
		p.mu.Unlock()
		return segment.Settled{}, false, nil
	}
	last := p.segs[len(p.segs)-1]
	settled := segment.Settled{Partition: p.Partition, Start: p.segs[0].base, Next: last.next, Segment: last.base, Length: last.length}
	fresh := false
	for _, g := range dirty {
		fresh = fresh || g.fresh
		p.store.markClean(g) // what is written from here on makes it dirty again
	}
	p.mu.Unlock()
	for _, g := range dirty {
		if err := p.syncOne(g); err != nil {
			p.store.markDirty(g)
			return settled, false, fmt.Errorf("sync %s: %w", g.name(".log"), err)
		}
	}
	if fresh {
		if err := p.store.fs.SyncDir(p.dir); err != nil {
			return settled, false, err
		}
	}
	p.mu.Lock()
	for _, g := range dirty {
		g.fresh = false
	}
	p.mu.Unlock()
	return settled, true, nil
}

func (p *part) syncOne(g *seg) error {
	h, err := p.store.files.take(g, false)
	if errors.Is(err, errDropped) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.release()
	h.clean() // what is written from here on makes it dirty again
	began := time.Now()
	err = h.file.Datasync()
	p.store.syncs.Add(1)
	p.store.syncNanos.Add(uint64(time.Since(began)))
	if err != nil {
		h.soil()
	}
	return err
}

// seal ends the active segment and writes its index.
func (p *part) seal() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.load(); err != nil {
		return err
	}
	n := len(p.segs)
	if n == 0 || p.segs[n-1].sealed || p.segs[n-1].length == 0 {
		return nil
	}
	g := p.segs[n-1]
	if err := g.loadIndex(); err != nil {
		return err
	}
	g.sealed = true
	return g.writeIndex()
}

// list tells of the segments.
func (p *part) list() []segment.Info {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.load() != nil {
		return nil
	}
	infos := make([]segment.Info, len(p.segs))
	for i, g := range p.segs {
		if g.max < 0 && g.length > 0 {
			g.loadIndex() //nolint:errcheck // without an index its newest time is not known yet
		}
		infos[i] = segment.Info{Base: g.base, Next: g.next, Bytes: g.length, MaxTimestamp: g.max, FirstWrite: g.first, Sealed: g.sealed}
	}
	return infos
}

// forget removes the sealed segments below an offset.
func (p *part) forget(below int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.load(); err != nil {
		return err
	}
	for len(p.segs) > 0 && p.segs[0].next <= below && p.segs[0].sealed {
		g := p.segs[0]
		p.segs = p.segs[1:]
		p.retire(g)
	}
	return nil
}

// retire hands a segment to the remover once its last reader is done.
func (p *part) retire(g *seg) {
	p.store.markClean(g)
	p.store.segments.Add(^uint64(0))
	p.store.stored.Add(-g.length)
	log, index := g.name(".log"), g.name(".index")
	p.store.files.whenUnused(g, func() {
		p.store.remover.add(log, index)
	})
}

// drop removes the whole partition: its directory is moved aside first.
func (p *part) drop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.store.fs.Stat(p.dir); errors.Is(err, disk.ErrNotExist) {
		p.loaded = true
		return nil
	}
	if p.loaded {
		for _, g := range p.segs {
			p.store.markClean(g)
			p.store.segments.Add(^uint64(0))
			p.store.stored.Add(-g.length)
			p.store.files.drop(g)
		}
	}
	p.segs, p.loaded, p.restored = nil, true, segment.Settled{Partition: p.Partition}
	removed := path.Join(p.store.dir, removedDir)
	if err := p.store.fs.MakeDir(removed); err != nil {
		return err
	}
	aside := path.Join(removed, strings.ReplaceAll(strings.TrimPrefix(p.dir, p.store.dir+"/"), "/", "-"))
	if err := p.store.fs.Rename(p.dir, aside); err != nil {
		return err
	}
	if err := errors.Join(p.store.fs.SyncDir(removed), p.store.fs.SyncDir(path.Dir(p.dir))); err != nil {
		return err
	}
	if err := p.store.fs.Remove(path.Dir(p.dir)); err == nil { // the topic's, once it is empty
		if err := p.store.fs.SyncDir(p.store.dir); err != nil {
			return err
		}
	}
	p.store.remover.addDir(aside)
	return nil
}
