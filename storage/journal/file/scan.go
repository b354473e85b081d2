package file

import (
	"fmt"
	"path"

	"milena/storage/disk"
	"milena/storage/journal"
)

// scan finds out, once, what an opened journal holds:
//
//	walk   every file's chunks, by number, and the holes between them
//	vouch  the newest number that a chunk, or a file's head, says was durable
//	end    behind the last whole chunk that nobody vouches for
//	ends   of each log, from the last head and the rows behind it
type scan struct {
	j       *Journal
	vouched uint64
	holes   []hole
}

// hole is numbers that no chunk has, while later ones are there.
type hole struct {
	from, until uint64
	where       string // they should be
	file        string // that ends before them; empty: there is none
}

// lostFile is a file that lost its head, and a chunk that stands in it.
type lostFile struct {
	name  string
	size  int64
	chunk chunkHead
}

func (s *scan) run() error {
	j := s.j
	for i, l := range j.old {
		until := uint64(0)
		if i+1 < len(j.old) {
			until = j.old[i+1].first
		}
		s.vouched = max(s.vouched, l.first-1) // a file is begun when all before it is durable
		s.walk(l, until)
	}
	for _, lost := range j.lostHead { // and a chunk is written when its file's head is
		s.vouched = max(s.vouched, lost.chunk.number)
	}
	end, err := s.end()
	if err != nil {
		return err
	}
	j.next, j.durable, j.synced = end, end-1, end-1
	s.logEnds()
	if s.vouched >= end {
		s.holes = append(s.holes, hole{end, s.vouched + 1, s.where(), s.lastFile()})
		j.next = s.vouched + 1 // those numbers are never used again
	}
	for i := range s.holes {
		for _, lost := range j.lostHead {
			if h := &s.holes[i]; h.from <= lost.chunk.number && lost.chunk.number < h.until {
				h.where, h.file = lost.name+" lost its head, and can't be read", lost.name
			}
		}
	}
	j.holes = s.holes
	return nil
}

// where is the end of what was found.
func (s *scan) where() string {
	if len(s.j.old) == 0 {
		return "no file is left"
	}
	l := s.j.old[len(s.j.old)-1]
	return fmt.Sprintf("%s ends at %d", l.name, l.at)
}

func (s *scan) lastFile() string {
	if len(s.j.old) == 0 {
		return ""
	}
	return s.j.old[len(s.j.old)-1].name
}

// walk indexes a file's chunks up to the next file's first number; 0: it is the
// newest file.
func (s *scan) walk(l *life, until uint64) {
	r := newHeadReader(s.j.fs, l.name, l.size)
	defer r.close()
	expected := l.first
	for at := l.at; until == 0 || expected < until; {
		c, _, ok := r.chunk(at, l.generation)
		if !ok || c.number < expected {
			if at = s.search(r, l, at+block, expected); at < 0 {
				break
			}
			continue
		}
		if until != 0 && c.number >= until {
			break
		}
		s.vouched = max(s.vouched, c.durable)
		if c.number > expected {
			s.holes = append(s.holes, hole{expected, c.number, fmt.Sprintf("%s at %d", l.name, l.at), l.name})
		}
		l.index = append(l.index, chunkAt{at: at, number: c.number, length: c.length})
		expected = c.number + 1
		at += int64(pad(c.length))
		l.at = at
	}
	if expected < until {
		s.holes = append(s.holes, hole{expected, until, fmt.Sprintf("%s at %d", l.name, l.at), l.name})
	}
}

// search looks for the next chunk of this life behind an offset; -1 if there
// is none.
func (s *scan) search(r *reader, l *life, at int64, above uint64) int64 {
	for ; at < l.size; at += block {
		if c, _, ok := r.chunk(at, l.generation); ok && c.number > above {
			return at
		}
	}
	return -1
}

// end is the first number that does not count. What nobody vouches for counts
// only while it is whole; the rest was never acknowledged, and is cut off.
func (s *scan) end() (uint64, error) {
	end := uint64(1)
	cut := func(n uint64) bool {
		for _, h := range s.holes {
			if h.from > s.vouched && h.from <= n {
				return true
			}
		}
		return false
	}
	for _, l := range s.j.old {
		end = max(end, l.first)
		r := newReader(s.j.fs, l.name, l.size)
		for i, c := range l.index {
			bad := cut(c.number)
			if !bad && c.number > s.vouched {
				_, _, good, err := r.whole(c, l.generation)
				bad = err != nil || !all(good)
			}
			if bad {
				err := s.keepTorn(l, c.at)
				l.index, l.at = l.index[:i], c.at
				r.close()
				s.forget(end)
				return end, err
			}
			end = c.number + 1
		}
		r.close()
	}
	return end, s.tornTail()
}

// forget drops holes that lie in what was cut off.
func (s *scan) forget(end uint64) {
	var left []hole
	for _, h := range s.holes {
		if h.until <= end {
			left = append(left, h)
		}
	}
	s.holes = left
}

func all(good []bool) bool {
	for _, g := range good {
		if !g {
			return false
		}
	}
	return true
}

// tornTail keeps what a write under way left behind the last whole chunk.
func (s *scan) tornTail() error {
	if len(s.j.old) == 0 {
		return nil
	}
	l := s.j.old[len(s.j.old)-1]
	r := newReader(s.j.fs, l.name, l.size)
	defer r.close()
	b, err := r.bytes(l.at, chunkFixed)
	if err != nil {
		return nil // the file is full
	}
	if c, ok := peekChunk(b); !ok || c.generation != l.generation {
		return nil // zeros, or an earlier life
	}
	return s.keepTorn(l, l.at)
}

// keepTorn copies a torn tail into lost/: nobody was told of it, but somebody
// may want to look.
func (s *scan) keepTorn(l *life, at int64) error {
	r := newReader(s.j.fs, l.name, l.size)
	defer r.close()
	tail, err := r.bytes(at, int(min(torn, l.size-at)))
	if err != nil {
		return err
	}
	lost := path.Join(s.j.dir, lostDir)
	if err := s.j.fs.MakeDir(lost); err != nil {
		return err
	}
	name := path.Join(lost, fmt.Sprintf("%08d-%d.torn", l.number, at))
	f, err := s.j.fs.Open(name, disk.Write|disk.Create)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(tail, 0)
	if err == nil {
		err = f.Sync()
	}
	f.Close()
	s.j.o.Log.Warn("the journal ends in a write that was under way when it stopped; nobody was told of it; kept aside", "file", name)
	return err
}

// logEnds takes each log's end from the newest head and the rows behind it.
func (s *scan) logEnds() {
	j := s.j
	for _, l := range j.old {
		for log, end := range l.ends {
			if end.place > j.written[log].place {
				j.written[log] = end
			}
		}
		r := newHeadReader(j.fs, l.name, l.size)
		for _, c := range l.index {
			h, b, ok := r.chunk(c.at, l.generation)
			if !ok {
				continue
			}
			for i := range h.rows {
				row := decodeRow(b[chunkFixed+i*rowSize:])
				if row.flags&lastPiece != 0 && int(row.log) < len(j.written) && row.place > j.written[row.log].place {
					j.written[row.log] = position{row.place, row.token}
				}
			}
		}
		r.close()
	}
	for log := range j.logs {
		j.setEnd(log, j.written[log])
	}
	for _, snapshot := range j.loaded { // a log whose files are all recycled
		if log := int(snapshot.Log); log < len(j.logs) && snapshot.Place > j.logs[log].place {
			j.setEnd(log, position{snapshot.Place, snapshot.Token})
			j.written[log] = j.logs[log].position
		}
	}
	for log := range j.logs {
		j.opened[log] = j.logs[log].place
	}
}

func (j *Journal) setEnd(log int, end position) {
	j.logs[log].position = end
	if end.place > 0 {
		j.logs[log].recent[end.place%recentMax] = end.token
	}
}

var _ journal.Journal = (*Journal)(nil)
