package file

import (
	"context"
	"fmt"
	"iter"
	"math"
	"path"
	"slices"

	"milena/storage/journal"
)

// Read gives what is durable now, in the order in which it was written.
//
// Where chunks are missing or do not verify, the logs they may have held stop:
// those that a readable head names, those with a gap behind, those not seen
// since. They are told by a *journal.Damaged at the end.
func (j *Journal) Read(ctx context.Context, after []journal.Cursor) iter.Seq2[journal.Entry, error] {
	return func(yield func(journal.Entry, error) bool) {
		p := j.newPass(after)
		for _, l := range p.lives {
			if err := p.file(ctx, l, yield); err != nil {
				if err != errStopped {
					yield(journal.Entry{}, err)
				}
				return
			}
		}
		damaged := p.damaged()
		j.judge(damaged, p.hurt, !slices.Contains(p.wanted, false))
		if damaged != nil {
			yield(journal.Entry{}, damaged)
		}
	}
}

var errStopped = fmt.Errorf("the reader wants no more")

// pass is one reading of the journal.
type pass struct {
	j       *Journal
	lives   []*life
	until   uint64 // chunk number, excluded
	wanted  []bool
	last    []uint64 // place of each log that was read or is skipped
	partial [][]byte // of each log, an entry whose last piece is to come
	going   []uint64 // its place; 0: there is none
	suspect []bool   // not seen since a hole
	stopped []bool
	ends    []uint64 // of a log that was stopped before: its last good place
	opened  []uint64 // place at which each log ended when the journal was opened
	holes   []hole
	hurt    map[string]string // files that damage was found in, and the first of it
	reason  string
}

func (j *Journal) newPass(after []journal.Cursor) *pass {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := len(j.logs)
	p := &pass{
		j: j, until: j.durable + 1, holes: j.holes, opened: j.opened,
		wanted: make([]bool, n), last: make([]uint64, n), partial: make([][]byte, n), going: make([]uint64, n),
		suspect: make([]bool, n), stopped: make([]bool, n), ends: make([]uint64, n), hurt: make(map[string]string),
	}
	for log := range p.ends {
		p.ends[log] = math.MaxUint64
		if j.logs[log].stopped {
			p.ends[log] = j.logs[log].until
		}
	}
	for _, c := range after {
		if int(c.Log) < n {
			p.wanted[c.Log], p.last[c.Log] = true, c.Place
		}
	}
	lives := slices.Clone(j.old)
	if j.cur != nil {
		lives = append(lives, j.cur)
	}
	for i, l := range lives {
		if i+1 < len(lives) && p.has(lives[i+1].head) {
			continue // all of it is below the cursors
		}
		p.lives = append(p.lives, &life{slot: l.slot, head: l.head, at: l.at, index: slices.Clone(l.index)})
	}
	return p
}

// has says that nothing of what stands before this file is wanted.
func (p *pass) has(h head) bool {
	for log := range h.ends {
		if p.wanted[log] && h.needs(log) > p.last[log] && p.last[log] < p.ends[log] {
			return false
		}
	}
	return true
}

func (p *pass) file(ctx context.Context, l *life, yield func(journal.Entry, error) bool) error {
	p.meet(l.first)
	p.compare(l.ends)
	r := newReader(p.j.fs, l.name, l.size)
	defer r.close()
	for _, c := range l.index {
		if c.number >= p.until {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		p.meet(c.number)
		rows, pieces, good, err := r.whole(c, l.generation)
		if err != nil {
			p.damageIn(l.name, err.Error())
			p.suspectAll()
			continue
		}
		at := c.at + int64(chunkFixed+len(rows)*rowSize)
		for i := range rows {
			if !good[i] && p.misses(rows[i]) {
				p.damageIn(l.name, fmt.Sprintf("%s at %d: a piece of log %d place %d does not verify", l.name, at, rows[i].log, rows[i].place))
				p.halt(int(rows[i].log))
			}
			at += int64(rows[i].length)
			if good[i] && !p.piece(rows[i], pieces[i], yield) {
				return errStopped
			}
		}
	}
	return nil
}

// misses says that a row is of what is to be read.
func (p *pass) misses(r row) bool {
	log := int(r.log)
	return log < len(p.last) && r.place > p.last[log] && r.place <= p.ends[log]
}

// meet notices holes below a number.
func (p *pass) meet(number uint64) {
	for len(p.holes) > 0 && p.holes[0].from < number {
		h := p.holes[0]
		p.holes = p.holes[1:]
		p.damageIn(h.file, fmt.Sprintf("chunks %d to %d are missing: %s", h.from, h.until-1, h.where))
		p.suspectAll()
	}
}

func (p *pass) suspectAll() {
	for log := range p.suspect {
		p.suspect[log] = true
		p.going[log] = 0
	}
}

func (p *pass) damage(reason string) {
	if p.reason == "" {
		p.reason = reason
	}
}

func (p *pass) damageIn(file, reason string) {
	p.damage(reason)
	if p.hurt[file] == "" {
		p.hurt[file] = reason
	}
}

func (p *pass) halt(log int) {
	if log < len(p.stopped) {
		p.stopped[log] = true
	}
}

// compare clears logs that, by a file's head, lost nothing before it.
func (p *pass) compare(ends []position) {
	for log, end := range ends {
		switch {
		case !p.suspect[log]:
		case end.place <= p.last[log]:
			p.suspect[log] = false
		default:
			p.halt(log)
		}
	}
}

// piece takes one row, and yields its entry when it is whole.
func (p *pass) piece(r row, bytes []byte, yield func(journal.Entry, error) bool) bool {
	log := int(r.log)
	switch {
	case log >= len(p.last) || p.stopped[log] || !p.wanted[log] || r.place > p.ends[log]:
		return true
	case r.place <= p.last[log]:
		if r.place == p.last[log] {
			p.suspect[log] = false
		}
		return true
	case r.place != p.last[log]+1:
		p.damage(fmt.Sprintf("log %d jumps from place %d to %d", log, p.last[log], r.place))
		p.halt(log)
		return true
	}
	body := bytes
	if r.flags&(firstPiece|lastPiece) != firstPiece|lastPiece {
		if r.flags&firstPiece != 0 {
			p.partial[log], p.going[log] = p.partial[log][:0], r.place
		} else if p.going[log] != r.place {
			p.damage(fmt.Sprintf("the beginning of log %d place %d is missing", log, r.place))
			p.halt(log)
			return true
		}
		p.partial[log] = append(p.partial[log], bytes...)
		if r.flags&lastPiece == 0 {
			return true
		}
		body, p.going[log] = p.partial[log], 0
	}
	p.suspect[log] = false
	p.last[log] = r.place
	return yield(journal.Entry{Log: r.log, Place: r.place, Token: r.token, Body: [][]byte{body}}, nil)
}

// damaged tells what stopped; nil: nothing did.
func (p *pass) damaged() *journal.Damaged {
	p.meet(^uint64(0))
	for log, wanted := range p.wanted {
		if wanted && !p.stopped[log] && p.last[log] < p.opened[log] {
			p.damage(fmt.Sprintf("log %d ends at place %d, and had %d", log, p.last[log], p.opened[log]))
			p.halt(log)
		}
	}
	for log, wanted := range p.wanted {
		if wanted && p.ends[log] != math.MaxUint64 {
			p.damage(fmt.Sprintf("an earlier start found log %d damaged behind place %d; what is left of it lies in %s", log, p.ends[log], path.Join(p.j.dir, lostDir)))
			p.halt(log)
		}
	}
	var hit []journal.Cursor
	for log := range p.stopped {
		if p.wanted[log] && (p.stopped[log] || p.suspect[log] && p.reason != "") {
			hit = append(hit, journal.Cursor{Log: uint16(log), Place: p.last[log]})
		}
	}
	if len(hit) == 0 {
		return nil
	}
	return &journal.Damaged{Logs: hit, Reason: p.reason}
}

// judge keeps damaged logs from growing: what is appended behind a gap would
// hide it. Heads say from now on that there was more, so the next start knows;
// once two snapshots say it too, the files can go.
func (j *Journal) judge(d *journal.Damaged, hurt map[string]string, all bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.judged = j.judged || all
	if all && d != nil {
		j.hurt = hurt
	}
	if d == nil {
		return
	}
	for _, c := range d.Logs {
		j.logs[c.Log].stopped, j.logs[c.Log].until = true, c.Place
		if end := &j.written[c.Log]; end.place <= c.Place {
			*end = position{place: c.Place + 1}
		}
	}
}

// rememberStopped takes from a snapshot which logs damage had stopped.
func (j *Journal) rememberStopped(snapshots []journal.Snapshot, stopped []bool) {
	for _, s := range snapshots {
		if int(s.Log) < len(j.logs) && stopped[s.Log] {
			j.logs[s.Log].stopped, j.logs[s.Log].until = true, s.Place
		}
	}
}

// stoppedLogs says of each log whether damage stopped it. Under the lock.
func (j *Journal) stoppedLogs() []bool {
	stopped := make([]bool, len(j.logs))
	for log := range j.logs {
		stopped[log] = j.logs[log].stopped
	}
	return stopped
}
