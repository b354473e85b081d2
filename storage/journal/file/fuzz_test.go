package file

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"milena/storage/disk"
	"milena/storage/journal"
	"milena/storage/journal/journaltest"
)

// sound is a journal as it was closed: what lies in which chunk.
type sound struct {
	disk   *disk.Memory
	files  []string
	lives  []*life
	chunks map[uint64]chunkSays
}

type chunkSays struct {
	durable uint64
	entries []journal.Cursor // whose last piece is in it
	begun   []journal.Cursor // of which any piece is
}

// makeSound fills several files, with snapshots, entries of many sizes, and one
// that lies across chunks and files.
func makeSound(t testing.TB, o Options) *sound {
	t.Helper()
	s := &sound{disk: disk.NewMemory(), chunks: make(map[uint64]chunkSays)}
	j, err := Open(s.disk, "journal", o)
	if err != nil {
		t.Fatal(err)
	}
	writers := []*journaltest.Writer{{Log: 0}, {Log: 1}, {Log: 2}}
	for round := range 14 {
		for _, w := range writers {
			told := make(chan journal.Outcome, 1)
			j.Append([]journal.Entry{w.Next(soundBody(w.Log, w.Place+1))}, func(o []journal.Outcome) { told <- o[0] })
			if o := <-told; o != journal.OK {
				t.Fatal(o)
			}
		}
		if round%5 == 4 {
			var snapshots []journal.Snapshot
			for _, w := range writers {
				snapshots = append(snapshots, journal.Snapshot{Log: w.Log, Place: w.Place, Token: w.Token, Keep: w.Place - 2, Body: []byte("state")})
			}
			if err := j.Save(context.Background(), snapshots); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.lives = append(append(s.lives, j.old...), j.cur)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for _, l := range s.lives {
		r := newReader(s.disk, l.name, l.size)
		for _, c := range l.index {
			h, b, ok := r.chunk(c.at, l.generation)
			if !ok {
				t.Fatalf("chunk %d does not verify", c.number)
			}
			says := chunkSays{durable: h.durable}
			for i := range h.rows {
				row := decodeRow(b[chunkFixed+i*rowSize:])
				says.begun = append(says.begun, journal.Cursor{Log: row.log, Place: row.place})
				if row.flags&lastPiece != 0 {
					says.entries = append(says.entries, journal.Cursor{Log: row.log, Place: row.place})
				}
			}
			s.chunks[c.number] = says
		}
		r.close()
	}
	names, err := s.disk.List("journal")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".journal") || strings.HasSuffix(name, ".snapshot") {
			s.files = append(s.files, "journal/"+name)
		}
	}
	return s
}

func soundBody(log uint16, place uint64) string {
	size := int(place*place%11) * 700
	if place == 9 {
		size = 150 << 10
	}
	return fmt.Sprintf("log %d place %d %s", log, place, strings.Repeat("y", size))
}

// mutation is what happens to a file: 8 bytes of the fuzzer's.
type mutation struct {
	file   string
	at     int64
	length int64
	kind   byte
}

func (s *sound) mutations(script []byte) []mutation {
	var all []mutation
	for ; len(script) >= 8 && len(all) < 12; script = script[8:] {
		m := mutation{kind: script[0] % 5, file: s.files[int(script[1])%len(s.files)], length: int64(binary.LittleEndian.Uint16(script[6:])) + 1}
		at := int64(binary.LittleEndian.Uint32(script[2:]))
		if script[0]&0x80 != 0 { // near the beginning of some block, where heads and rows are
			at = at>>8%512*block + at&0xff
			m.length = m.length%64 + 1
		}
		info, err := s.disk.Stat(m.file)
		if err != nil || info.Size == 0 {
			continue
		}
		m.at = at % info.Size
		m.length = min(m.length, info.Size-m.at)
		all = append(all, m)
	}
	return all
}

// apply changes a file, and says which of its bytes may be others now.
func (m mutation) apply(t testing.TB, fs disk.FS) (from, until int64) {
	t.Helper()
	f, err := fs.Open(m.file, disk.Write)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	from, until = m.at, m.at+m.length
	b := make([]byte, m.length)
	f.ReadAt(b, m.at) //nolint:errcheck // an earlier mutation may have cut the file
	switch m.kind {
	case 0: // one bit
		b[0] ^= 1 << (m.length % 8)
		b, until = b[:1], m.at+1
	case 1:
		clear(b)
	case 2:
		for i := range b {
			b[i] ^= 0xff
		}
	case 3: // what stands somewhere else in the file
		f.ReadAt(b, m.at/2) //nolint:errcheck // as above
	case 4:
		if err := f.Truncate(m.at); err != nil {
			t.Fatal(err)
		}
		return m.at &^ (block - 1), 1 << 62 // a part of a block is none
	}
	if _, err := f.WriteAt(b, m.at); err != nil {
		t.Fatal(err)
	}
	return from, until
}

// Whatever becomes of its files, a journal that opens gives only what was
// written, in order; gives all that lies before the damage; and says so if
// anything is missing that what is left can vouch for.
func FuzzOpen(f *testing.F) {
	o := tiny()
	s := makeSound(f, o)
	if len(s.lives) < 3 || len(s.files) < 5 {
		f.Fatalf("%d files were written, %d lie there: too few", len(s.lives), len(s.files))
	}
	f.Add([]byte{})
	for file := range byte(len(s.files)) {
		for kind := range byte(5) {
			f.Add([]byte{kind, file, 0, 0, 0, 0, 40, 0}) // the head
			f.Add([]byte{kind, file, 0x21, 0x33, 1, 0, 0, 0x20})
		}
		f.Add([]byte{file | 0x80, file, 9, 4, 0, 0, 3, 0, file, file + 1, 0, 0x50, 0, 0, 0, 1}) // two of them
	}
	f.Fuzz(func(t *testing.T, script []byte) { s.check(t, o, script) })
}

func (s *sound) check(t *testing.T, o Options, script []byte) {
	fs := s.disk.Crash(0)
	touched := make(map[uint64]bool) // chunks
	headless := make(map[uint64]bool)
	snapshots := false
	for _, m := range s.mutations(script) {
		from, until := m.apply(t, fs)
		snapshots = snapshots || strings.HasSuffix(m.file, ".snapshot")
		for _, l := range s.lives {
			if l.name != m.file {
				continue
			}
			if from < int64(headSize(o.Logs)) {
				headless[l.number] = true
			}
			for _, c := range l.index {
				if from < c.at+int64(c.length) && until > c.at {
					touched[c.number] = true
				}
			}
		}
	}
	first, vouched := uint64(1<<63), uint64(0)
	for number := range touched {
		first = min(first, number)
	}
	for _, l := range s.lives {
		if headless[l.number] {
			first = min(first, l.first)
			continue
		}
		vouched = max(vouched, l.first-1)
		for _, c := range l.index {
			if !touched[c.number] {
				vouched = max(vouched, s.chunks[c.number].durable)
			}
		}
	}

	j, err := Open(fs, "journal", o)
	if err != nil {
		if len(script) < 8 {
			t.Fatalf("nothing was changed, and it does not open: %v", err)
		}
		return // refused, and said so
	}
	defer j.Close()
	after := make([]journal.Cursor, o.Logs)
	for log := range after {
		after[log].Log = uint16(log)
	}
	loaded, err := j.Load(context.Background())
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	for _, snapshot := range loaded {
		if string(snapshot.Body) != "state" {
			t.Fatalf("a snapshot of log %d reads %q", snapshot.Log, snapshot.Body)
		}
		after[snapshot.Log].Place = snapshot.Keep
	}
	read := make([]uint64, o.Logs)
	for log := range read {
		read[log] = after[log].Place
	}
	var damaged *journal.Damaged
	for e, err := range j.Read(context.Background(), after) {
		if errors.As(err, &damaged) {
			break
		}
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		read[e.Log]++
		if e.Place != read[e.Log] || string(e.Body[0]) != soundBody(e.Log, e.Place) {
			t.Fatalf("log %d: read place %d, %.40q (%d bytes); want place %d as it was written", e.Log, e.Place, e.Body[0], len(e.Body[0]), read[e.Log])
		}
	}
	stopped := make([]bool, o.Logs)
	if damaged != nil {
		if first == 1<<63 && !snapshots {
			t.Fatalf("nothing was changed that counts, and damage is told: %v", damaged)
		}
		for _, hit := range damaged.Logs {
			stopped[hit.Log] = true
			if hit.Place != read[hit.Log] {
				t.Fatalf("log %d is said to stop at %d, and stops at %d", hit.Log, hit.Place, read[hit.Log])
			}
		}
	}
	for number, says := range s.chunks {
		for _, e := range says.entries {
			whole := !snapshots || len(loaded) > 0
			switch {
			case read[e.Log] >= e.Place:
			case number < first && whole && s.begun(e) < first:
				t.Fatalf("log %d place %d lies in chunk %d, before the damage at %d, and is not read: %v", e.Log, e.Place, number, first, damaged)
			case number <= vouched && !stopped[e.Log]:
				t.Fatalf("log %d place %d in chunk %d is not read, and nobody says so: %v", e.Log, e.Place, number, damaged)
			}
		}
	}
	s.goesOn(t, fs, j, o, stopped)
}

// begun is the first chunk with a piece of an entry.
func (s *sound) begun(e journal.Cursor) uint64 {
	first := uint64(1 << 63)
	for number, says := range s.chunks {
		for _, b := range says.begun {
			if b == e {
				first = min(first, number)
			}
		}
	}
	return first
}

// goesOn appends to every log: what stopped takes nothing, and what the others
// take is there the next time.
func (s *sound) goesOn(t *testing.T, fs disk.FS, j *Journal, o Options, stopped []bool) {
	ends := make([]position, o.Logs)
	for log := range ends {
		ends[log] = j.logs[log].position
		w := &journaltest.Writer{Log: uint16(log), Place: ends[log].place, Token: ends[log].token}
		want := journal.OK
		if stopped[log] {
			want = journal.Broken
		}
		if got := journaltest.Append(t, j, w.Next("more")); got[0] != want {
			t.Fatalf("append to log %d behind %d: %v, want %v", log, w.Place-1, got[0], want)
		}
		ends[log] = position{w.Place, w.Token}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(fs, "journal", o)
	if err != nil {
		t.Fatalf("open again: %v", err)
	}
	defer again.Close()
	for log := range ends {
		if !stopped[log] && again.logs[log].position != ends[log] {
			t.Fatalf("log %d ends at %+v the next time, want %+v", log, again.logs[log].position, ends[log])
		}
	}
}
