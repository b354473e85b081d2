package dir

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"milena/storage/disk"
	"milena/storage/segment"
)

const startSuffix = ".start"

// load looks at the partition's files, once, when it is needed first: what lies
// above the settled point or was forgotten is removed, the segment with the
// settled point is cut to its settled length. Under mu, for nobody can do
// anything with the partition before.
func (p *part) load() error {
	if p.loaded {
		return nil
	}
	bases, forgotten, err := p.look()
	if err != nil {
		return err
	}
	at := p.restored
	if at.Length > 0 && at.Next > forgotten && !slices.Contains(bases, at.Segment) {
		return fmt.Errorf("%s: %w: segment %d is gone", p.dir, segment.ErrCorrupt, at.Segment)
	}
	var segs []*seg
	for i, base := range bases {
		end := at.Next // offset behind it
		if base < at.Segment && i+1 < len(bases) {
			end = bases[i+1]
		}
		g := &seg{part: p, base: base, next: end, max: -1}
		switch {
		case base > at.Segment || base >= at.Next:
			err = p.removeAbove(g)
		case end <= forgotten || base < at.Start && base != at.Segment:
			p.store.remover.add(g.name(".log"), g.name(".index"))
		default:
			segs, err = append(segs, g), g.loadFrom(at)
		}
		if err != nil {
			return err
		}
	}
	p.segs, p.next, p.forgotten, p.loaded = segs, at.Next, forgotten, true
	for _, g := range segs {
		p.store.segments.Add(1)
		p.store.stored.Add(g.length)
	}
	return nil
}

// look lists the partition's directory. A directory of which Restore said
// nothing is left alone.
func (p *part) look() (bases []int64, forgotten int64, err error) {
	names, err := p.store.fs.List(p.dir)
	p.made = err == nil
	switch {
	case errors.Is(err, disk.ErrNotExist) && p.restored.Length > 0:
		return nil, 0, fmt.Errorf("%s: %w: the directory is gone", p.dir, segment.ErrCorrupt)
	case errors.Is(err, disk.ErrNotExist):
		return nil, 0, nil
	case err != nil:
		return nil, 0, err
	case !p.known:
		return nil, 0, fmt.Errorf("%s: %w: it has files, and was not restored", p.dir, segment.ErrUnknown)
	}
	for _, name := range names {
		if base, ok := offsetIn(name, ".log"); ok {
			bases = append(bases, base)
		}
		if start, ok := offsetIn(name, startSuffix); ok {
			forgotten = max(forgotten, start)
		}
	}
	slices.Sort(bases)
	return bases, forgotten, nil
}

// offsetIn reads the offset that a file is named by.
func offsetIn(name, suffix string) (int64, bool) {
	text, ok := strings.CutSuffix(name, suffix)
	if !ok || len(text) != 20 {
		return 0, false
	}
	offset, err := strconv.ParseInt(text, 10, 64)
	return offset, err == nil && offset >= 0
}

// loadFrom opens the books of a segment that was there before.
func (g *seg) loadFrom(at segment.Settled) error {
	info, err := g.part.store.fs.Stat(g.name(".log"))
	if err != nil {
		return err
	}
	g.length, g.first = info.Size, g.part.store.o.Now().UnixMilli()
	if g.sealed = g.base != at.Segment; g.sealed {
		return nil
	}
	if info.Size < at.Length {
		return fmt.Errorf("%s: %w: %d bytes, of which %d were durable", g.name(".log"), segment.ErrCorrupt, info.Size, at.Length)
	}
	if info.Size > at.Length {
		if err := g.cut(at.Length); err != nil {
			return err
		}
	}
	g.length, g.pushed = at.Length, at.Length
	g.index = index{low: at.Length, lowNext: at.Next, max: -1}
	return nil
}

// cut shortens a segment to its settled length. An index that covers more would
// be believed again when the segment has grown.
func (g *seg) cut(length int64) error {
	fs := g.part.store.fs
	if t, err := readTail(fs, g.name(".index")); err == nil && t.length > length {
		if err := fs.Remove(g.name(".index")); err != nil {
			return err
		}
	}
	f, err := fs.Open(g.name(".log"), disk.Write)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(length), f.Datasync(), f.Close())
}

// removeAbove takes away a segment that begins above the settled point, so that
// one of this name can be made again at once.
func (p *part) removeAbove(g *seg) error {
	for _, suffix := range []string{".index", ".log"} {
		name := g.name(suffix)
		info, err := p.store.fs.Stat(name)
		switch {
		case errors.Is(err, disk.ErrNotExist):
		case err != nil:
			return err
		case info.Size <= shrinkBytes:
			err = p.store.fs.Remove(name)
		default:
			var aside string
			if aside, err = p.store.aside(name); err == nil {
				p.store.remover.add(aside)
			}
		}
		if err != nil && !errors.Is(err, disk.ErrNotExist) {
			return err
		}
	}
	return nil
}
