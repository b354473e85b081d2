package file

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"slices"
	"strings"

	"milena/storage/disk"
	"milena/storage/journal"
)

const (
	lostDir   = "lost"
	readAhead = 1 << 20
	headAhead = 64 << 10 // where only heads and rows are wanted, and bodies are passed over
	torn      = chunkMax // bytes of a torn tail that are kept, at most
)

// Open opens the journal in a directory, or begins one:
//
//	1 snapshots  those that verify
//	2 files      their heads, in order of number
//	3 chunks     heads and rows of all, pieces of those that nobody vouches for
//	4 end        the first number that no chunk has: torn tail, or damage
//	5 go on      in a new file; the old ones are synced first
func Open(fs disk.FS, dir string, o Options) (*Journal, error) {
	o = o.filled()
	j := &Journal{
		fs: fs, dir: dir, o: o,
		logs:    make([]logEnd, o.Logs),
		written: make([]position, o.Logs),
		keep:    make([]uint64, o.Logs),
		opened:  make([]uint64, o.Logs),
		wants:   make(chan struct{}, 1),
		publish: make(chan published, 2),
		next:    1,
	}
	j.work.L, j.ahead.L = &j.mu, &j.mu
	j.filling, j.spare = newBuffer(o.buffer), newBuffer(o.buffer)
	if err := fs.MakeDir(dir); err != nil {
		return nil, err
	}
	j.direct = !o.NoDirect && !o.OSDurability && j.probe()
	if err := j.findSnapshots(); err != nil {
		return nil, err
	}
	if err := j.findFiles(); err != nil {
		return nil, errors.Join(err, j.closeFiles())
	}
	j.done.Add(3)
	go j.write()
	go j.buildAhead()
	go j.tell()
	j.mu.Lock()
	j.recycle() // what was free before needs no new file: the disk may be full
	if len(j.free) == 0 {
		j.makeFile()
	}
	j.mu.Unlock()
	return j, nil
}

func newBuffer(size int64) *buffer { return &buffer{bytes: aligned(int(size))} }

func (j *Journal) closeFiles() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var errs []error
	for _, l := range j.old {
		errs = append(errs, l.file.Close())
	}
	for _, s := range j.free {
		errs = append(errs, s.file.Close())
	}
	return errors.Join(errs...)
}

// probe says whether this disk takes O_DIRECT.
func (j *Journal) probe() bool {
	name := path.Join(j.dir, "probe")
	f, err := j.fs.Open(name, disk.Write|disk.Create|disk.Direct)
	if err != nil {
		return false
	}
	_, err = f.WriteAt(aligned(block), 0)
	err = errors.Join(err, f.Close(), j.fs.Remove(name))
	return err == nil
}

// findFiles reads what the files hold and decides where the journal ends.
func (j *Journal) findFiles() error {
	names, err := j.fs.List(j.dir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.HasSuffix(name, ".journal") {
			if err := j.findFile(path.Join(j.dir, name)); err != nil {
				return err
			}
		}
	}
	for _, s := range j.headless {
		if err := j.withoutHead(s); err != nil {
			return err
		}
	}
	j.headless = nil
	slices.SortFunc(j.old, func(a, b *life) int { return cmp.Compare(a.number, b.number) })
	s := &scan{j: j}
	if err := s.run(); err != nil {
		return err
	}
	j.loaded = nil
	for _, l := range j.old {
		if err := l.file.Sync(); err != nil {
			return fmt.Errorf("sync %s: %w", l.name, err)
		}
	}
	return nil
}

// findFile opens a file: a life if its head verifies, free room if not.
func (j *Journal) findFile(name string) error {
	flag := disk.Write
	if j.direct {
		flag |= disk.Direct
	}
	f, err := j.fs.Open(name, flag)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	var number int
	if _, err := fmt.Sscanf(path.Base(name), "%d.journal", &number); err == nil {
		j.slots = max(j.slots, number)
	}
	s := slot{file: f, name: name, size: size &^ (block - 1)}
	h, err := j.readHead(name, headSize(len(j.logs)))
	switch {
	case errors.Is(err, errNoHead) && s.size < int64(headSize(len(j.logs))+smallest):
		return errors.Join(f.Close(), j.fs.Remove(name)) // it was being made
	case errors.Is(err, errNoHead):
		j.made += s.size
		j.headless = append(j.headless, s)
		return nil
	case err != nil:
		return errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	case len(h.ends) != len(j.logs):
		return errors.Join(fmt.Errorf("%s has %d logs, this instance %d", name, len(h.ends), len(j.logs)), f.Close())
	}
	j.made += s.size
	j.old = append(j.old, &life{slot: s, head: h, at: int64(headSize(len(j.logs)))})
	j.files = max(j.files, h.number)
	return nil
}

func (j *Journal) readHead(name string, size int) (head, error) {
	f, err := j.fs.Open(name, 0)
	if err != nil {
		return head{}, err
	}
	defer f.Close()
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return head{}, fmt.Errorf("read %s: %w", name, err)
	}
	return decodeHead(b[:n])
}

// withoutHead looks at a file without a head, once all other heads are known.
// It is free room, unless a chunk stands in it: then a file in use lost its
// head. It stays where it is, so that every start tells of the damage.
func (j *Journal) withoutHead(s slot) error {
	r := newReader(j.fs, s.name, s.size)
	defer r.close()
	begin := int64(headSize(len(j.logs)))
	for at := begin; at <= begin+chunkMax && at < s.size; at += block {
		c, ok := r.anyChunk(at)
		if !ok {
			continue
		}
		if j.recycled(c) {
			break
		}
		j.lostHead = append(j.lostHead, lostFile{s.name, s.size, c})
		return s.file.Close()
	}
	j.free = append(j.free, &s)
	return nil
}

// recycled says that a chunk is of a life that no snapshot needs any more: its
// file was being begun anew when the power failed.
func (j *Journal) recycled(c chunkHead) bool {
	if len(j.old) == 0 {
		return false
	}
	oldest := slices.MinFunc(j.old, func(a, b *life) int { return cmp.Compare(a.first, b.first) })
	return c.number < oldest.first && j.unneeded(oldest)
}

// reader reads a file through a window.
type reader struct {
	fs   disk.FS
	name string
	size int64
	wide int // bytes of the window, or as many as are asked for
	file disk.File
	at   int64
	have []byte
	buf  []byte
}

func newReader(fs disk.FS, name string, size int64) *reader {
	return &reader{fs: fs, name: name, size: size, wide: readAhead}
}

// newHeadReader is for who looks at heads and rows only.
func newHeadReader(fs disk.FS, name string, size int64) *reader {
	return &reader{fs: fs, name: name, size: size, wide: headAhead}
}

func (r *reader) close() {
	if r.file != nil {
		r.file.Close()
	}
}

// bytes gives n bytes at an offset, until the next call.
func (r *reader) bytes(at int64, n int) ([]byte, error) {
	if at+int64(n) > r.size {
		return nil, io.ErrUnexpectedEOF
	}
	if at >= r.at && at+int64(n) <= r.at+int64(len(r.have)) {
		return r.have[at-r.at : at-r.at+int64(n)], nil
	}
	if r.file == nil {
		f, err := r.fs.Open(r.name, 0)
		if err != nil {
			return nil, err
		}
		r.file = f
	}
	want := int(min(int64(max(n, r.wide)), r.size-at))
	if cap(r.buf) < want {
		r.buf = make([]byte, want)
	}
	got, err := r.file.ReadAt(r.buf[:want], at)
	if got < n {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read %s at %d: %w", r.name, at, err)
	}
	r.at, r.have = at, r.buf[:got]
	return r.have[:n], nil
}

// chunk gives a chunk's head and rows at an offset, if they verify.
func (r *reader) chunk(at int64, generation uint64) (chunkHead, []byte, bool) {
	b, err := r.bytes(at, chunkFixed)
	if err != nil {
		return chunkHead{}, nil, false
	}
	c, ok := peekChunk(b)
	if !ok || c.generation != generation || at+int64(c.length) > r.size {
		return chunkHead{}, nil, false
	}
	rows, err := r.bytes(at, chunkFixed+c.rows*rowSize)
	if err != nil || !c.verified(rows) {
		return chunkHead{}, nil, false
	}
	return c, rows, true
}

// anyChunk gives a chunk's head at an offset, of whatever life.
func (r *reader) anyChunk(at int64) (chunkHead, bool) {
	b, err := r.bytes(at, chunkFixed)
	if err != nil {
		return chunkHead{}, false
	}
	c, ok := peekChunk(b)
	if !ok {
		return chunkHead{}, false
	}
	c, _, ok = r.chunk(at, c.generation)
	return c, ok
}

// whole gives a chunk with its pieces, and which of its rows verify.
func (r *reader) whole(c chunkAt, generation uint64) (rows []row, pieces [][]byte, good []bool, err error) {
	b, err := r.bytes(c.at, c.length)
	if err != nil {
		return nil, nil, nil, err
	}
	h, ok := peekChunk(b)
	if !ok || h.length != len(b) || !h.verified(b) || h.number != c.number || h.generation != generation {
		return nil, nil, nil, fmt.Errorf("%w: chunk %d in %s at %d", journal.ErrDamage, c.number, r.name, c.at)
	}
	start, at := seed(generation), chunkFixed+h.rows*rowSize
	for i := range h.rows {
		row := decodeRow(b[chunkFixed+i*rowSize:])
		end := at + int(row.length)
		if end > len(b) {
			return nil, nil, nil, fmt.Errorf("%w: chunk %d in %s is too short", journal.ErrDamage, c.number, r.name)
		}
		rows = append(rows, row)
		pieces = append(pieces, b[at:end])
		good = append(good, crc32.Update(start, castagnoli, b[at:end]) == row.sum)
		at = end
	}
	return rows, pieces, good, nil
}
