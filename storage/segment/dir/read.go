package dir

import (
	"errors"
	"sort"

	"milena/batch"
	"milena/storage/segment"
)

// read finds the batch that holds `from`, and as many behind it as fit.
func (p *part) read(from, upTo int64, max int) (segment.Span, error) {
	for {
		v, ok, err := p.holding(from)
		if err != nil || !ok || from >= upTo || v.base >= upTo {
			return segment.Span{}, err
		}
		h, err := p.store.files.take(v.seg)
		if errors.Is(err, errDropped) {
			continue // forgotten since; the next look does not see it
		}
		if err != nil {
			return segment.Span{}, err
		}
		span, err := v.span(h, from, upTo, max)
		if err == nil && span.Bytes > 0 {
			span.Release = h.release
			return span, nil
		}
		h.release()
		if err != nil {
			return segment.Span{}, err
		}
		from = v.next // nothing at or above from is in it
	}
}

// holding gives the segment with the first batch that ends above an offset.
func (p *part) holding(from int64) (view, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.load(); err != nil {
		return view{}, false, err
	}
	i := sort.Search(len(p.segs), func(i int) bool { return p.segs[i].next > from })
	if i == len(p.segs) {
		return view{}, false, nil
	}
	return p.segs[i].view(), true, nil
}

// span gives the batches of a segment from an offset on.
func (v *view) span(h *openFile, from, upTo int64, max int) (segment.Span, error) {
	x, err := v.indexFor(h, from)
	if err != nil {
		return segment.Span{}, err
	}
	r := v.headers(h)
	defer r.close()
	at, offset := x.before(from - v.base)
	if !v.sealed && from >= v.index.lowNext && at < x.low {
		at, offset = x.low, v.index.lowNext-v.base
	}
	start, first, err := r.position(at, offset, from)
	if err != nil || start < 0 || first.BaseOffset >= upTo {
		return segment.Span{}, err
	}
	end, next, err := r.run(&x, start, first, upTo, max)
	if err != nil {
		return segment.Span{}, err
	}
	return segment.Span{
		Pieces: []segment.Piece{{File: h.file, At: start, Length: int(end - start)}},
		Bytes:  int(end - start),
		Next:   next,
	}, nil
}

// position finds the first batch that ends above an offset: from the batch that
// the index gave, if it stands there, then from header to header. -1: there is
// none.
func (r *headers) position(at, offset, from int64) (int64, batch.Header, error) {
	if header, err := r.at(at); at > 0 && (err != nil || header.BaseOffset != r.v.base+offset) {
		at = 0 // the index is wrong; the segment may be right
	}
	for at < r.v.length {
		header, err := r.at(at)
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
func (r *headers) run(x *index, start int64, first batch.Header, upTo int64, max int) (end, next int64, err error) {
	end, next = start+int64(first.Size()), first.Next()
	limit := start + min(int64(max), r.v.length-start)
	if upTo >= r.v.next && limit == r.v.length {
		return r.v.length, r.v.next, nil
	}
	if jump, offset := x.last(limit, upTo-r.v.base); jump > end {
		if header, err := r.at(jump); err == nil && header.BaseOffset == r.v.base+offset {
			end, next = jump, header.BaseOffset
		}
	}
	for end < limit {
		header, err := r.at(end)
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

// find gives the first batch at or above an offset whose largest timestamp is
// at least a time.
func (p *part) find(from, time int64) (segment.Found, bool, error) {
	views, err := p.views()
	if err != nil {
		return segment.Found{}, false, err
	}
	for i := range views {
		v := &views[i]
		if v.next <= from || v.length == 0 {
			continue
		}
		found, ok, err := v.find(from, time)
		if ok || err != nil && !errors.Is(err, errDropped) {
			return found, ok, err
		}
	}
	return segment.Found{}, false, nil
}

func (p *part) views() ([]view, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.load(); err != nil {
		return nil, err
	}
	views := make([]view, len(p.segs))
	for i, g := range p.segs {
		views[i] = g.view()
	}
	return views, nil
}

func (v *view) find(from, time int64) (segment.Found, bool, error) {
	latest, err := v.latest()
	if err != nil || latest < time {
		return segment.Found{}, false, err
	}
	h, err := v.seg.part.store.files.take(v.seg)
	if err != nil {
		return segment.Found{}, false, err
	}
	defer h.release()
	x, err := v.indexFor(h, v.base)
	if err != nil {
		return segment.Found{}, false, err
	}
	r := v.headers(h)
	defer r.close()
	at, offset := x.before(from - v.base)
	if later, base := x.since(time); later > at {
		at, offset = later, base
	}
	at, header, err := r.position(at, offset, from)
	for at >= 0 && err == nil {
		if header.MaxTimestamp >= time {
			return segment.Found{Base: header.BaseOffset, Next: header.Next(), MaxTimestamp: header.MaxTimestamp}, true, nil
		}
		if at += int64(header.Size()); at >= v.length {
			break // the latest lies below the offset
		}
		header, err = r.at(at)
	}
	return segment.Found{}, false, err
}

// list tells of the segments.
func (p *part) list() []segment.Info {
	views, err := p.views()
	if err != nil {
		p.store.o.Log.Error("a partition's segments can't be listed", "dir", p.dir, "err", err)
		return nil
	}
	infos := make([]segment.Info, 0, len(views))
	for i := range views {
		v := &views[i]
		latest, err := v.latest()
		if errors.Is(err, errDropped) {
			continue
		}
		if err != nil {
			p.store.o.Log.Error("a segment's newest time is not known", "segment", v.seg.name(".log"), "err", err)
			latest = -1
		}
		p.mu.Lock()
		first := v.seg.first
		p.mu.Unlock()
		infos = append(infos, segment.Info{Base: v.base, Next: v.next, Bytes: v.length, MaxTimestamp: latest, FirstWrite: first, Sealed: v.sealed})
	}
	return infos
}
