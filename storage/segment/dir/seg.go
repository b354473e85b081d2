package dir

import (
	"fmt"
	"path"
	"sync"

	"milena/batch"
	"milena/storage/segment"
)

// seg is one segment. Its fields are guarded by its partition's mu, if nothing
// else is said; who writes may read length without it.
type seg struct {
	part   *part
	base   int64
	next   int64
	length int64
	first  int64 // wall clock of the first write, ms
	max    int64 // largest timestamp of a sealed segment, if told
	told   bool  // max and first are from its index
	sealed bool
	fresh  bool  // its name is not durable yet
	index  index // the active segment's; a sealed one's is with its open file

	pushed int64      // bytes whose write-back was started; who writes has it
	saved  int64      // bytes that its index file covers; who syncs has it
	making sync.Mutex // one goroutine makes its index at a time; before mu
	handle handle
}

func (g *seg) name(suffix string) string {
	return path.Join(g.part.dir, fmt.Sprintf("%020d%s", g.base, suffix))
}

// view is a segment at one moment. What it covers does not change any more.
type view struct {
	seg    *seg
	base   int64
	next   int64
	length int64
	first  int64
	sealed bool
	index  index
}

// view is taken under mu.
func (g *seg) view() view {
	return view{seg: g, base: g.base, next: g.next, length: g.length, first: g.first, sealed: g.sealed, index: g.index}
}

func (v *view) tail(latest int64) tail {
	return tail{max: latest, next: v.next, length: v.length, first: v.first}
}

// An active segment's index is written when it has grown by so much since, or
// by a quarter: what a restart must go through stays small.
const (
	saveBytes = 16 << 20
	saveRatio = 4
)

// saveIndex writes an active segment's index if it is worth it.
func (v *view) saveIndex() {
	g := v.seg
	if v.sealed || v.index.low > 0 || v.length-g.saved < max(g.part.store.o.SaveIndex, v.length/saveRatio) {
		return
	}
	if err := writeIndex(g.part.store.fs, g.name(".index"), v.index.entries, v.tail(v.index.max)); err != nil {
		g.part.store.o.Log.Warn("could not write an index; it will be made again", "segment", g.name(".log"), "err", err)
		return
	}
	g.saved = v.length
}

// whole gives the complete index.
func (v *view) whole() (index, error) {
	if !v.sealed && v.index.low == 0 {
		return v.index, nil
	}
	h, err := v.seg.part.store.files.take(v.seg)
	if err != nil {
		return index{}, err
	}
	defer h.release()
	return v.indexFor(h, v.base)
}

// indexFor gives an index that is complete from an offset on: what is in
// memory, the file's, or one made by going through the segment's headers.
func (v *view) indexFor(h *openFile, from int64) (index, error) {
	if !v.sealed && (v.index.low == 0 || from >= v.index.lowNext) {
		return v.index, nil
	}
	if x := h.index.Load(); v.sealed && x != nil {
		return *x, nil
	}
	g := v.seg
	g.making.Lock()
	defer g.making.Unlock()
	if x := h.index.Load(); v.sealed && x != nil {
		return *x, nil
	}
	if v.sealed {
		x, err := v.madeWhole(h)
		if err == nil {
			h.index.Store(&x)
		}
		return x, err
	}
	g.part.mu.Lock()
	now := g.index
	g.part.mu.Unlock()
	if now.low == 0 && now.entries != nil {
		return now, nil // somebody was faster
	}
	low, err := v.made(h, v.index.low)
	if err != nil {
		return index{}, err
	}
	g.part.mu.Lock()
	defer g.part.mu.Unlock()
	if g.index.low == v.index.low {
		g.index = g.index.under(low)
	}
	return v.index.under(low), nil
}

// madeWhole gives a sealed segment's index: its file, if that covers it.
func (v *view) madeWhole(h *openFile) (index, error) {
	g := v.seg
	entries, t, err := readIndex(g.part.store.fs, g.name(".index"))
	x := index{entries: entries, max: t.max}
	if err != nil || t.length != v.length || t.next > v.next {
		if x, err = v.made(h, v.length); err != nil {
			return x, err
		}
		t = v.tail(x.max)
		if err := writeIndex(g.part.store.fs, g.name(".index"), x.entries, t); err != nil {
			g.part.store.o.Log.Warn("could not write an index; it will be made again", "segment", g.name(".log"), "err", err)
		}
	}
	g.note(t)
	return x, nil
}

// note keeps what an index tells of the segment as a whole.
func (g *seg) note(t tail) {
	g.part.mu.Lock()
	defer g.part.mu.Unlock()
	g.max, g.first, g.told = t.max, t.first, true
}

// made makes an index of what lies below a position: from the file, as far as
// that goes and is believed, then from header to header.
func (v *view) made(h *openFile, below int64) (index, error) {
	g := v.seg
	r := v.headers(h)
	defer r.close()
	x, at := index{max: -1}, int64(0)
	if entries, t, err := readIndex(g.part.store.fs, g.name(".index")); err == nil {
		old := index{entries: entries}
		x = old.cut(min(below, t.length))
		if n := len(x.entries); n > 0 {
			last := x.entries[n-1]
			header, err := r.at(int64(last.position))
			if err == nil && header.BaseOffset == v.base+int64(last.offset) {
				at, x.max = int64(last.position), last.max
				g.part.mu.Lock()
				g.first = t.first
				g.part.mu.Unlock()
			} else {
				x = index{max: -1}
			}
		}
	}
	for at < below {
		header, err := r.at(at)
		if err != nil {
			return x, err
		}
		x.add(header.BaseOffset-v.base, at, header.MaxTimestamp, g.part.store.o.IndexEvery)
		at += int64(header.Size())
	}
	return x, nil
}

// latest gives the segment's largest timestamp, -1 if it has none.
func (v *view) latest() (int64, error) {
	g := v.seg
	if !v.sealed {
		x, err := v.whole()
		return x.max, err
	}
	g.part.mu.Lock()
	latest, told := g.max, g.told
	g.part.mu.Unlock()
	if told || v.length == 0 {
		return latest, nil
	}
	if t, err := readTail(g.part.store.fs, g.name(".index")); err == nil && t.length == v.length && t.next <= v.next {
		g.note(t)
		return t.max, nil
	}
	x, err := v.whole()
	return x.max, err
}

// headerRead is how much is read at a time to go through headers: what stands
// between two entries of the index.
const headerRead = indexEvery

var headerBuffers = sync.Pool{New: func() any { return new([headerRead]byte) }}

// headers reads headers of a segment's batches.
type headers struct {
	v    *view
	h    *openFile
	buf  *[headerRead]byte
	from int64 // where buf stands
	n    int64 // bytes in it
}

func (v *view) headers(h *openFile) *headers {
	return &headers{v: v, h: h, buf: headerBuffers.Get().(*[headerRead]byte)}
}

func (r *headers) close() { headerBuffers.Put(r.buf) }

// at reads the header of the batch at a position, and looks whether it can be
// one.
func (r *headers) at(at int64) (batch.Header, error) {
	if at < r.from || at+batch.HeaderSize > r.from+r.n {
		n := min(headerRead, r.v.length-at)
		if n < batch.HeaderSize {
			return batch.Header{}, r.corrupt(at)
		}
		r.n = 0
		if got, err := r.h.file.ReadAt(r.buf[:n], at); int64(got) < n {
			return batch.Header{}, fmt.Errorf("read %s at %d: %w", r.v.seg.name(".log"), at, err)
		}
		r.from, r.n = at, n
	}
	header, err := batch.Parse(r.buf[at-r.from : r.n])
	if err != nil || header.Magic != 2 || header.BaseOffset < r.v.base || header.LastOffsetDelta < 0 || at+int64(header.Size()) > r.v.length {
		return header, r.corrupt(at)
	}
	return header, nil
}

func (r *headers) corrupt(at int64) error {
	return fmt.Errorf("%s at %d: %w", r.v.seg.name(".log"), at, segment.ErrCorrupt)
}
