package file

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"milena/storage/disk"
	"milena/storage/journal"
	"milena/storage/journal/journaltest"
)

var errPower = errors.New("the power is gone")

// cut is a disk whose power goes before the first call that matches.
type cut struct {
	*disk.Faulty
	memory *disk.Memory
	seeds  uint64

	mu    sync.Mutex
	acked map[uint16]uint64 // told so far
	saves int               // that returned

	left   []*disk.Memory    // what the cut left, by seed; nil while there is power
	before map[uint16]uint64 // told before it
	saved  int
	at     disk.Call
}

func newCut(memory *disk.Memory, seeds uint64, match func(disk.Call) bool) *cut {
	c := &cut{memory: memory, seeds: seeds, acked: make(map[uint16]uint64)}
	c.Faulty = disk.NewFaulty(memory, func(call disk.Call) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.left == nil && match(call) {
			c.at, c.saved, c.before = call, c.saves, maps.Clone(c.acked)
			for seed := range c.seeds {
				c.left = append(c.left, c.memory.Crash(seed))
			}
		}
		if c.left != nil {
			return errPower
		}
		return nil
	})
	return c
}

func (c *cut) told(log uint16, place uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acked[log] = max(c.acked[log], place)
}

func (c *cut) hasSaved(map[uint16]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.saves++
}

// nth matches the nth call that a test is true of.
func nth(n int, is func(disk.Call) bool) func(disk.Call) bool {
	return func(c disk.Call) bool {
		if is(c) {
			n--
		}
		return n == 0
	}
}

func isCall(op, name string) func(disk.Call) bool {
	return func(c disk.Call) bool { return c.Op == op && strings.HasSuffix(c.Name, name) }
}

// headWrite matches the heads of files, and again says whether the file had one.
func headWrite(again bool) func(disk.Call) bool {
	had := make(map[string]bool)
	return func(c disk.Call) bool {
		if c.Op != "write" || !strings.HasSuffix(c.Name, ".journal") || c.At != 0 || c.Bytes != headSize(3) {
			return false
		}
		defer func() { had[c.Name] = true }()
		return had[c.Name] == again
	}
}

// behind matches the first call that a test is true of, once another has been.
func behind(first, then func(disk.Call) bool) func(disk.Call) bool {
	seen := false
	return func(c disk.Call) bool {
		if seen && then(c) {
			return true
		}
		seen = seen || first(c)
		return false
	}
}

// A power cut at each step of the third Save, as doc.go and Save number them.
func TestPowerCutAtEachStepOfSave(t *testing.T) {
	anyJournal := isCall("write", ".journal")
	for _, step := range []struct {
		name  string
		match func() func(disk.Call) bool
		saved int // Saves that surely count
	}{
		{"1 write: before it begins", func() func(disk.Call) bool { return nth(3, isCall("open", "new.snapshot")) }, 2},
		{"1 write: before it is written", func() func(disk.Call) bool { return nth(3, isCall("write", "new.snapshot")) }, 2},
		{"1 write: before it is synced", func() func(disk.Call) bool { return nth(3, isCall("sync", "new.snapshot")) }, 2},
		{"2 rename: before it", func() func(disk.Call) bool { return nth(3, isCall("rename", "new.snapshot")) }, 2},
		{"2 rename: before it is durable", func() func(disk.Call) bool {
			return behind(nth(3, isCall("rename", "new.snapshot")), isCall("syncdir", "journal"))
		}, 2},
		{"3 remove: before it", func() func(disk.Call) bool { return nth(1, isCall("remove", "00000001.snapshot")) }, 3},
		{"4 recycle: before the file's next head", func() func(disk.Call) bool { return nth(1, headWrite(true)) }, 2},
		{"4 recycle: before its first chunk", func() func(disk.Call) bool { return behind(nth(1, headWrite(true)), anyJournal) }, 2},
	} {
		for name, direct := range map[string]bool{"direct": true, "append": false} {
			t.Run(step.name+", "+name, func(t *testing.T) {
				o := tiny()
				o.NoDirect = !direct
				seeds := uint64(20)
				if testing.Short() {
					seeds = 4
				}
				c := newCut(disk.NewMemory(), seeds, step.match())
				script(c, o, 40, c.told, c.hasSaved)
				if c.left == nil {
					t.Fatal("the step was not reached")
				}
				if c.saved < step.saved-1 {
					t.Fatalf("cut at %+v, after %d Saves only", c.at, c.saved)
				}
				for seed, fs := range c.left {
					check(t, fmt.Sprintf("%+v, seed %d", c.at, seed), fs, o, c.before)
					checkSaves(t, fs, o, max(step.saved, c.saved))
				}
			})
		}
	}
}

// checkSaves says whether a Save that counts is lost.
func checkSaves(t *testing.T, fs disk.FS, o Options, saves int) {
	t.Helper()
	j := open(t, fs, o)
	defer j.Close()
	if n := len(j.snapshots); saves > 0 && (n == 0 || j.snapshots[n-1].number < uint64(saves)) {
		t.Fatalf("the newest of %d snapshots is older than the %d. Save, which was done", n, saves)
	}
}

// broken makes what a recovery has the most to do with: several files, a torn
// tail, and a newest snapshot that does not verify.
func broken(t *testing.T, o Options) (*disk.Memory, map[uint16]uint64) {
	t.Helper()
	var memory *disk.Memory
	var j *Journal
	var l *life
	acked := make(map[uint16]uint64)
	for rounds := 20; l == nil || l.size-l.at < block; rounds++ { // the tail needs room
		var mu sync.Mutex
		memory = disk.NewMemory()
		clear(acked)
		script(memory, o, rounds, func(log uint16, place uint64) {
			mu.Lock()
			defer mu.Unlock()
			acked[log] = max(acked[log], place)
		}, func(map[uint16]uint64) {})
		j = open(t, memory, o)
		l = j.old[len(j.old)-1]
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	newest := j.snapshots[len(j.snapshots)-1].number
	name, at := j.snapshotName(newest), l.at
	scribble(t, memory, name, snapshotHead+3, 0xee)
	tail := make([]byte, block)
	sealChunk(tail[:2000], l.generation, j.next, j.durable, 4)
	tail[chunkFixed+1] ^= 0xff // its rows are not all there
	write(t, memory, l.name, at, tail)
	return memory, acked
}

func write(t *testing.T, fs disk.FS, name string, at int64, b []byte) {
	t.Helper()
	f, err := fs.Open(name, disk.Write)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// scribble turns bits of one byte.
func scribble(t *testing.T, fs disk.FS, name string, at int64, bits byte) {
	t.Helper()
	f, err := fs.Open(name, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	write(t, fs, name, at, []byte{b[0] ^ bits})
}

// A power cut at every file call of a recovery that has all its steps to do: the
// next one finds the same.
func TestPowerCutAtEachStepOfRecovery(t *testing.T) {
	o := tiny()
	steps := map[string]func(disk.Call) bool{
		"1 snapshots: the damaged one set aside": isCall("rename", ".snapshot"),
		"2 files: a head":                        func(c disk.Call) bool { return c.Op == "read" && c.At == 0 && strings.HasSuffix(c.Name, ".journal") },
		"3 chunks: further on":                   func(c disk.Call) bool { return c.Op == "read" && c.At > 0 },
		"4 end: the torn tail kept":              isCall("write", ".torn"),
		"5 go on: the old files synced":          isCall("sync", ".journal"),
	}
	done := make(map[string]bool)
	memory, acked := broken(t, o)
	seeds := uint64(4)
	if testing.Short() {
		seeds = 1
	}
	for at, over := 1, false; !over; at++ {
		c := newCut(memory.Crash(0), seeds, func(c disk.Call) bool {
			for name, is := range steps {
				done[name] = done[name] || c.Number == at && is(c)
			}
			return c.Number == at
		})
		j, err := Open(c, "journal", o)
		if over = err == nil; over {
			if err := j.Close(); err != nil && !errors.Is(err, errPower) {
				t.Fatal(err)
			}
		}
		for seed, fs := range c.left {
			check(t, fmt.Sprintf("recovery cut at %+v, seed %d", c.at, seed), fs, o, acked)
		}
	}
	for name := range steps {
		if !done[name] {
			t.Errorf("no cut came at: %s", name)
		}
	}
}

// logged catches what a journal tells its log.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) says(t *testing.T, words ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range words {
		if !strings.Contains(l.text.String(), w) {
			t.Errorf("the log does not say %q:\n%s", w, &l.text)
		}
	}
}

func TestATornTailIsKeptAside(t *testing.T) {
	o, told := tiny(), &logged{}
	o.Log = slog.New(slog.NewTextHandler(told, nil))
	memory, acked := broken(t, o)
	check(t, "with a torn tail", memory, o, acked)
	names, err := memory.List("journal/lost")
	if err != nil {
		t.Fatal(err)
	}
	var torn string
	for _, name := range names {
		if strings.HasSuffix(name, ".torn") {
			torn = "journal/lost/" + name
		}
	}
	if torn == "" {
		t.Fatalf("nothing torn among %q", names)
	}
	f, err := memory.Open(torn, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b [chunkFixed]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		t.Fatal(err)
	}
	if c, ok := peekChunk(b[:]); !ok || c.rows != 4 || c.length != 2000 {
		t.Errorf("%s begins with %+v, not with what was torn", torn, c)
	}
	told.says(t, "nobody was told of it", torn, "a snapshot is damaged: using the one before it")
	if damaged, _ := damagedBy(t, open(t, memory, o)); damaged != nil {
		t.Errorf("the next start tells of damage: %v", damaged)
	}
}

// damagedBy reads the whole journal, and gives what was told of damage.
func damagedBy(t *testing.T, j *Journal) (*journal.Damaged, []int) {
	t.Helper()
	var after []journal.Cursor
	snapshots, err := j.Load(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for log := range j.logs {
		after = append(after, journal.Cursor{Log: uint16(log)})
	}
	for _, s := range snapshots {
		after[s.Log].Place = s.Keep
	}
	read := make([]int, len(j.logs))
	for e, err := range j.Read(context.Background(), after) {
		var damaged *journal.Damaged
		if errors.As(err, &damaged) {
			return damaged, read
		}
		if err != nil {
			t.Fatal(err)
		}
		read[e.Log]++
	}
	return nil, read
}

// several fills some files, and gives their lives, oldest first.
func several(t *testing.T, memory *disk.Memory, o Options) ([]*life, []*journaltest.Writer) {
	t.Helper()
	j := open(t, memory, o)
	writers := []*journaltest.Writer{{Log: 0}, {Log: 1}, {Log: 2}}
	for j.lifeCount() < 3 || j.lastAt() < int64(headSize(3))+6*block {
		for _, w := range writers {
			if got := journaltest.Append(t, j, w.Next(strings.Repeat("x", 5000))); got[0] != journal.OK {
				t.Fatal(got)
			}
		}
	}
	j.mu.Lock()
	lives := append(append([]*life(nil), j.old...), j.cur)
	j.mu.Unlock()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return lives, writers
}

func (j *Journal) lifeCount() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.cur == nil {
		return 0
	}
	return len(j.old) + 1
}

func (j *Journal) lastAt() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.cur == nil {
		return 0
	}
	return j.cur.at
}

// Whichever file loses its head, and its first chunk with it: nothing of it goes
// silently, the file is kept, and what is before it can be read.
func TestALostHeadIsDamageAndNeverSilence(t *testing.T) {
	for which, name := range map[int]string{0: "the oldest", 1: "one in the middle", 2: "the newest"} {
		for _, chunk := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, first chunk too: %t", name, chunk), func(t *testing.T) {
				memory, o := disk.NewMemory(), tiny()
				lives, writers := several(t, memory, o)
				lost := lives[which]
				write(t, memory, lost.name, 0, make([]byte, headSize(3)))
				if chunk {
					write(t, memory, lost.name, int64(headSize(3)), make([]byte, block))
				}
				j := open(t, memory, o)
				damaged, read := damagedBy(t, j)
				if damaged == nil {
					t.Fatalf("no damage is told; read %d entries", read)
				}
				if len(damaged.Logs) != 3 {
					t.Errorf("%d logs stop, want all 3: %v", len(damaged.Logs), damaged)
				}
				if which > 0 && read[0] == 0 {
					t.Error("what stands before the damage can't be read")
				}
				for _, w := range writers {
					if got := journaltest.Append(t, j, w.Next("behind a gap")); got[0] != journal.Broken {
						t.Errorf("append behind the gap in log %d: %v", w.Log, got[0])
					}
				}
				j.Close()
				if got := content(t, memory, lost.name); len(bytes.Trim(got, "\x00")) == 0 {
					t.Errorf("%s was emptied", lost.name)
				}
				again, _ := damagedBy(t, open(t, memory, o))
				if again == nil || again.Error() != damaged.Error() {
					t.Errorf("the next start tells %v, want again %v", again, damaged)
				}
				if which == 2 && !strings.Contains(damaged.Error(), lost.name+" lost its head") {
					t.Errorf("told %q, want it to name %s", damaged, lost.name)
				}
			})
		}
	}
}

// A turned bit in the middle stops the log it hit, and says where it is.
func TestDamageInTheMiddleIsToldWithFileAndOffset(t *testing.T) {
	memory, o := disk.NewMemory(), tiny()
	lives, _ := several(t, memory, o)
	l := lives[1]
	at := l.index[2].at + chunkFixed + rowSize + 100 // in the only piece of the third chunk
	scribble(t, memory, l.name, at, 1)
	damaged, _ := damagedBy(t, open(t, memory, o))
	if damaged == nil || len(damaged.Logs) != 1 {
		t.Fatalf("told %v, want one log to stop", damaged)
	}
	if want := fmt.Sprintf("%s at %d", l.name, l.index[2].at+chunkFixed+rowSize); !strings.Contains(damaged.Error(), want) {
		t.Errorf("told %q, want it to say %q", damaged, want)
	}

	memory = disk.NewMemory()
	lives, _ = several(t, memory, o)
	l = lives[1]
	scribble(t, memory, l.name, l.index[2].at+5, 1) // in the chunk's head: the whole chunk is gone
	damaged, _ = damagedBy(t, open(t, memory, o))
	if damaged == nil {
		t.Fatal("a lost chunk is not told")
	}
	if want := fmt.Sprintf("chunks %d to %d are missing: %s at %d", l.index[2].number, l.index[2].number, l.name, l.index[2].at); !strings.Contains(damaged.Error(), want) {
		t.Errorf("told %q, want it to say %q", damaged, want)
	}
}

// Without both snapshots what they held is missed, even of a log that no file
// has an entry of any more.
func TestLostSnapshotsAreDamageAndNeverSilence(t *testing.T) {
	memory, o := disk.NewMemory(), tiny()
	j := open(t, memory, o)
	quiet, loud := &journaltest.Writer{Log: 0}, &journaltest.Writer{Log: 1}
	journaltest.Append(t, j, quiet.Next("long ago"))
	name := ""
	for round := range 400 {
		journaltest.Append(t, j, loud.Next(strings.Repeat("x", 5000)))
		if round%20 == 19 {
			snapshots := []journal.Snapshot{
				{Log: 0, Place: quiet.Place, Token: quiet.Token, Keep: quiet.Place},
				{Log: 1, Place: loud.Place, Token: loud.Token, Keep: loud.Place},
			}
			if err := j.Save(context.Background(), snapshots); err != nil {
				t.Fatal(err)
			}
		}
	}
	if j.files < 6 || len(j.old) > 4 {
		t.Fatalf("%d files were begun, %d are in use: nothing was recycled", j.files, len(j.old)+1)
	}
	saved := j.snapshots
	j.Close()
	for _, s := range saved {
		name = j.snapshotName(s.number)
		scribble(t, memory, name, 30, 0xff)
	}
	j = open(t, memory, o)
	damaged, _ := damagedBy(t, j)
	if damaged == nil || len(damaged.Logs) != 2 {
		t.Fatalf("told %v, want both logs to stop", damaged)
	}
	for _, w := range []*journaltest.Writer{quiet, loud} {
		if got := journaltest.Append(t, j, w.Next("no")); got[0] != journal.Broken {
			t.Errorf("append to log %d: %v", w.Log, got[0])
		}
	}
}

// A failed sync is fatal for good, of whatever file: the kernel may have thrown
// the pages away, and a second sync would say that all is well.
func TestAFailedSyncIsFatalForGood(t *testing.T) {
	for name, match := range map[string]func() func(disk.Call) bool{
		"of a chunk": func() func(disk.Call) bool {
			return behind(func(c disk.Call) bool { return c.Op == "write" && c.At > 0 && c.Bytes == 2*block }, isCall("sync", ".journal"))
		},
		"of a head": func() func(disk.Call) bool {
			return behind(nth(1, headWrite(false)), isCall("sync", ".journal"))
		},
		"of a snapshot": func() func(disk.Call) bool { return isCall("sync", "new.snapshot") },
		"of the directory": func() func(disk.Call) bool {
			return behind(isCall("rename", ".snapshot"), isCall("syncdir", "journal"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			is, failed := match(), false
			faulty := disk.NewFaulty(disk.NewMemory(), func(c disk.Call) error {
				mu.Lock()
				defer mu.Unlock()
				if failed || !is(c) {
					return nil
				}
				failed = true // once: the disk is well again, and the journal is not
				return errors.New("input/output error")
			})
			o, broke := tiny(), make(chan error, 1)
			o.NoDirect = true
			o.Broken = func(err error) { broke <- err }
			j := open(t, faulty, o)
			w := &journaltest.Writer{}
			first := journaltest.Append(t, j, w.Next(strings.Repeat("x", 5000)))[0]
			saved := j.Save(context.Background(), []journal.Snapshot{{Place: w.Place, Token: w.Token, Keep: w.Place}})
			if first == journal.OK && saved == nil {
				t.Fatal("nothing failed")
			}
			select {
			case err := <-broke:
				if !strings.Contains(err.Error(), "input/output error") {
					t.Errorf("told %v", err)
				}
			case <-time.After(5 * time.Second):
				t.Error("nobody was told")
			}
			for i := range 3 {
				if got := journaltest.Append(t, j, w.Next("x")); got[0] != journal.Broken {
					t.Errorf("append %d after the failure: %v, want broken", i, got[0])
				}
			}
			if err := j.Save(context.Background(), nil); err == nil {
				t.Error("a broken journal saved a snapshot")
			}
		})
	}
}

// A Save that finds no room is no end: it is tried again, and the journal goes on.
func TestASaveWithoutRoomIsTriedAgain(t *testing.T) {
	for _, op := range []string{"open", "write", "sync", "rename"} {
		t.Run(op, func(t *testing.T) {
			full := true
			faulty := disk.NewFaulty(disk.NewMemory(), func(c disk.Call) error {
				if full && c.Op == op && strings.HasSuffix(c.Name, "new.snapshot") {
					return disk.ErrNoSpace
				}
				return nil
			})
			j := open(t, faulty, tiny())
			w := &journaltest.Writer{}
			if got := journaltest.Append(t, j, w.Next("1")); got[0] != journal.OK {
				t.Fatal(got)
			}
			snapshot := []journal.Snapshot{{Place: w.Place, Token: w.Token, Keep: w.Place, Body: []byte("one")}}
			for range 3 {
				if err := j.Save(context.Background(), snapshot); !errors.Is(err, journal.ErrNoRoom) {
					t.Fatalf("without room: %v, want %v", err, journal.ErrNoRoom)
				}
				if got := journaltest.Append(t, j, w.Next("x")); got[0] != journal.OK {
					t.Fatalf("append beside it: %v", got)
				}
			}
			full = false
			if err := j.Save(context.Background(), snapshot); err != nil {
				t.Fatal(err)
			}
			if got, err := j.Load(context.Background()); err != nil || len(got) != 1 || string(got[0].Body) != "one" {
				t.Errorf("loaded %+v, %v", got, err)
			}
		})
	}
}

func TestANewerFormatIsRefused(t *testing.T) {
	newer := func(b []byte) { b[4]++ } // both heads have their format there
	for name, change := range map[string]func(t *testing.T, fs disk.FS, j *Journal) string{
		"a file": func(t *testing.T, fs disk.FS, j *Journal) string {
			l := j.old[0]
			b := make([]byte, headSize(3))
			l.head.encode(b)
			newer(b)
			end := headFixed + 3*headPerLog
			putSum(b, end, seed(l.generation))
			write(t, fs, l.name, 0, b)
			return l.name
		},
		"a snapshot": func(t *testing.T, fs disk.FS, j *Journal) string {
			b := encodeSnapshots(9, nil, nil)
			newer(b)
			putSum(b, len(b)-4, 0)
			name := j.snapshotName(9)
			f, err := fs.Open(name, disk.Write|disk.Create)
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
			write(t, fs, name, 0, b)
			return name
		},
	} {
		t.Run(name, func(t *testing.T) {
			memory, o := disk.NewMemory(), tiny()
			several(t, memory, o)
			j := open(t, memory, o)
			j.Close()
			j.old = nil
			again := open(t, memory, o)
			lives := again.old
			again.Close()
			again.old = lives
			file := change(t, memory, again)
			before := content(t, memory, file)
			known := fmt.Sprintf("format %d, this one knows up to %d", format+1, format)
			if strings.HasSuffix(file, snapshotSuffix) {
				known = fmt.Sprintf("format %d, this one knows up to %d", snapshotFormat+1, snapshotFormat)
			}
			_, err := Open(memory, "journal", o)
			if !errors.Is(err, journal.ErrFormat) || !strings.Contains(err.Error(), known) || !strings.Contains(err.Error(), file) {
				t.Errorf("%v; want %v, naming %s", err, journal.ErrFormat, file)
			}
			if !bytes.Equal(content(t, memory, file), before) {
				t.Errorf("%s was changed", file)
			}
		})
	}
}

func content(t *testing.T, fs disk.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// With durability=os a power cut may take what was acknowledged last. What it
// leaves is a beginning: nothing from the middle is missing, all that was saved
// is there, and the journal goes on.
func TestAPowerCutWithOSDurabilityLeavesABeginning(t *testing.T) {
	o := tiny()
	o.OSDurability = true
	lost, step := false, 3
	if testing.Short() {
		step = 37
	}
	for at := 20; at < 400; at += step {
		c := newCut(disk.NewMemory(), 6, func(c disk.Call) bool { return c.Number == at })
		script(c, o, 40, c.told, c.hasSaved)
		for seed, fs := range c.left {
			what := fmt.Sprintf("%+v, seed %d", c.at, seed)
			check(t, what, fs, o, nil)
			checkSaves(t, fs, o, c.saved)
			j := open(t, fs, o)
			for log, place := range c.before {
				lost = lost || j.logs[log].place < place
			}
			j.Close()
		}
	}
	if !lost && !testing.Short() {
		t.Error("no cut took anything: the test can't see a loss")
	}
}

func putSum(b []byte, at int, start uint32) {
	binary.LittleEndian.PutUint32(b[at:], crc32.Update(start, castagnoli, b[:at]))
}

// A file is begun when all before it is durable: what is damaged before it is no
// torn tail, even when no chunk stands behind it to say so.
func TestAHeadVouchesForWhatIsBeforeIt(t *testing.T) {
	memory, o := disk.NewMemory(), tiny()
	lives, _ := several(t, memory, o)
	newest, before := lives[len(lives)-1], lives[len(lives)-2]
	write(t, memory, newest.name, int64(headSize(3)), make([]byte, newest.at-int64(headSize(3))))
	last := before.index[len(before.index)-1]
	scribble(t, memory, before.name, last.at+int64(last.length)-1, 1)
	damaged, _ := damagedBy(t, open(t, memory, o))
	if damaged == nil || !strings.Contains(damaged.Error(), before.name) {
		t.Errorf("told %v, want damage in %s", damaged, before.name)
	}
}

// A log that damage may have hit stays stopped, also when others went on and new
// files know nothing of the damage.
func TestAStoppedLogIsStoppedAtTheNextStartToo(t *testing.T) {
	memory, o := disk.NewMemory(), tiny()
	j := open(t, memory, o)
	quiet, busy := &journaltest.Writer{Log: 0}, &journaltest.Writer{Log: 1}
	journaltest.Append(t, j, quiet.Next("1"))
	journaltest.Append(t, j, busy.Next("1"))
	journaltest.Append(t, j, quiet.Next("the last of its log"))
	for range 3 {
		journaltest.Append(t, j, busy.Next("x"))
	}
	name, at := j.cur.name, j.cur.index[2].at
	j.Close()
	scribble(t, memory, name, at+9, 1) // the head of the third chunk
	for start := range 3 {
		j := open(t, memory, o)
		damaged, _ := damagedBy(t, j)
		if damaged == nil || len(damaged.Logs) != 2 || damaged.Logs[0] != (journal.Cursor{Log: 0, Place: 1}) || damaged.Logs[1].Log != 2 {
			t.Fatalf("start %d: told %+v, want log 0 to stop at 1, and log 2, which may have been hit", start, damaged)
		}
		if got := journaltest.Append(t, j, (&journaltest.Writer{Log: 0, Place: 1, Token: 1}).Next("behind a gap")); got[0] != journal.Broken {
			t.Errorf("start %d: append to the log that was hit: %v", start, got[0])
		}
		for range 60 { // into the next file
			if got := journaltest.Append(t, j, busy.Next(strings.Repeat("x", 3000))); got[0] != journal.OK {
				t.Fatalf("start %d: append to the other log: %v", start, got[0])
			}
		}
		j.Close()
	}
}

// A journal that has all the files it may have goes on after a restart, though
// none of them is free: by what its last Saves gave up, or by new ones.
func TestAFullJournalGoesOnAfterARestart(t *testing.T) {
	for name, saved := range map[string]int{"saved before": 2, "saved behind the restart": 0} {
		t.Run(name, func(t *testing.T) {
			memory, o := disk.NewMemory(), tiny()
			o.MaxLive = o.FirstBytes + 3*o.FileBytes
			j := open(t, memory, o)
			w := &journaltest.Writer{Log: 1}
			save := func(w journaltest.Writer) {
				t.Helper()
				s := []journal.Snapshot{{Log: w.Log, Place: w.Place, Token: w.Token, Keep: w.Place}}
				if err := j.Save(context.Background(), s); err != nil {
					t.Fatal(err)
				}
			}
			for j.lifeCount() < 4 || j.lastAt() < o.FileBytes-2*smallest {
				if got := journaltest.Append(t, j, w.Next(strings.Repeat("x", 5000))); got[0] != journal.OK {
					t.Fatal(got)
				}
			}
			for range saved {
				save(*w)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			j = open(t, memory, o)
			told, end := make(chan journal.Outcome, 1), *w
			j.Append([]journal.Entry{w.Next("behind the restart")}, func(o []journal.Outcome) { told <- o[0] })
			for range snapshotsKept - saved {
				<-j.Wants()
				save(end)
			}
			select {
			case got := <-told:
				if got != journal.OK {
					t.Error(got)
				}
			case <-time.After(time.Minute):
				t.Error("nothing was written for a minute")
			}
		})
	}
}
