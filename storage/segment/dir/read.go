package dir

import (
	"fmt"
	"sort"

	"milena/batch"
	"milena/storage/segment"
)

// read finds the batch that holds `from`, and as many behind it as fit.
func (p *part) read(from, upTo int64, max int) (segment.Span, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.load(); err != nil {
		return segment.Span{}, err
	}
	g := p.holding(from)
	if g == nil || from >= upTo {
		return segment.Span{}, nil
	}
	h, err := p.store.files.take(g, false)
	if err != nil {
		return segment.Span{}, err
	}
	start, first, err := g.position(h, from)
	if err != nil || start < 0 || first.BaseOffset >= upTo {
		h.release()
		return segment.Span{}, err
	}
	end, next, err := g.run(h, start, first, upTo, max)
	if err != nil {
		h.release()
		return segment.Span{}, err
	}
	return segment.Span{
		Pieces:  []segment.Piece{{File: h.file, At: start, Length: int(end - start)}},
		Bytes:   int(end - start),
		Next:    next,
		Release: h.release,
	}, nil
}

// holding gives the segment with the first batch that ends above an offset.
func (p *part) holding(from int64) *seg {
	i := sort.Search(len(p.segs), func(i int) bool { return p.segs[i].next > from })
	if i == len(p.segs) {
		return nil
	}
	return p.segs[i]
}

// position finds the first batch that ends above an offset: from the index,
// then from header to header. -1: there is none.
func (g *seg) position(h *openFile, from int64) (int64, batch.Header, error) {
	if err := g.loadIndex(); err != nil {
		return -1, batch.Header{}, err
	}
	at := g.index.before(from - g.base)
	for at < g.length {
		header, err := g.header(h, at)
		if err != nil {
			return -1, header, err
		}
		if header.Next() > from {
			return at, header, nil
		}
		at += int64(header.Size())
	}
	return -1, batch.Header{}, nil
}

// run gives where the last batch ends that fits, and the offset behind it. The
// first batch always fits.
func (g *seg) run(h *openFile, start int64, first batch.Header, upTo int64, max int) (end, next int64, err error) {
	end, next = start+int64(first.Size()), first.Next()
	limit := start + int64(max)
	if upTo >= g.next && g.length <= limit {
		return g.length, g.next, nil
	}
	if jump, offset := g.index.last(limit, upTo-g.base); jump > end {
		header, err := g.header(h, jump)
		if err != nil {
			return 0, 0, err
		}
		if header.BaseOffset == g.base+offset {
			end, next = jump, header.BaseOffset
		}
	}
	for end < g.length {
		header, err := g.header(h, end)
		if err != nil {
			return 0, 0, err
		}
		if header.BaseOffset >= upTo || end+int64(header.Size()) > limit {
			break
		}
		end, next = end+int64(header.Size()), header.Next()
	}
	return end, next, nil
}

// header reads the header of the batch at a position, and looks whether it can
// be one.
func (g *seg) header(h *openFile, at int64) (batch.Header, error) {
	var b [batch.HeaderSize]byte
	if _, err := h.file.ReadAt(b[:], at); err != nil {
		return batch.Header{}, fmt.Errorf("read %s at %d: %w", g.name(".log"), at, err)
	}
	header, err := batch.Parse(b[:])
	if err != nil || header.Magic != 2 || header.BaseOffset < g.base || header.LastOffsetDelta < 0 || at+int64(header.Size()) > g.length {
		return header, fmt.Errorf("%s at %d: %w", g.name(".log"), at, segment.ErrCorrupt)
	}
	return header, nil
}

// find gives the first batch at or above an offset whose largest timestamp is
// at least a time.
func (p *part) find(from, time int64) (segment.Found, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.load(); err != nil {
		return segment.Found{}, false, err
	}
	for _, g := range p.segs {
		if g.next <= from || g.length == 0 {
			continue
		}
		if err := g.loadIndex(); err != nil {
			return segment.Found{}, false, err
		}
		if g.max < time {
			continue
		}
		found, ok, err := g.find(from, time)
		if ok || err != nil {
			return found, ok, err
		}
	}
	return segment.Found{}, false, nil
}

func (g *seg) find(from, time int64) (segment.Found, bool, error) {
	h, err := g.part.store.files.take(g, false)
	if err != nil {
		return segment.Found{}, false, err
	}
	defer h.release()
	for at := max(g.index.since(time), g.index.before(from-g.base)); at < g.length; {
		header, err := g.header(h, at)
		if err != nil {
			return segment.Found{}, false, err
		}
		if header.Next() > from && header.MaxTimestamp >= time {
			return segment.Found{Base: header.BaseOffset, Next: header.Next(), MaxTimestamp: header.MaxTimestamp}, true, nil
		}
		at += int64(header.Size())
	}
	return segment.Found{}, false, nil
}
