package file

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"milena/storage/disk"
	"milena/storage/journal"
	"milena/storage/journal/journaltest"
)

// tiny makes files so small that a script of a few dozen entries goes through
// several, and recycles some.
func tiny() Options {
	return Options{Logs: 3, FileBytes: 192 << 10, FirstBytes: 128 << 10, MaxLive: 8 << 20, buffer: 512 << 10}
}

// script appends and saves until something fails, and tells what was
// acknowledged. Bodies name their log and place.
func script(fs disk.FS, o Options, rounds int, told func(log uint16, place uint64), saved func(keep map[uint16]uint64)) {
	j, err := Open(fs, "journal", o)
	if err != nil {
		return
	}
	defer j.Close()
	writers := []*journaltest.Writer{{Log: 0}, {Log: 1}, {Log: 2}}
	for round := range rounds {
		var all sync.WaitGroup
		failed := false
		var mu sync.Mutex
		for _, w := range writers {
			for range 2 {
				e := w.Next(bodyOf(w.Log, w.Place+1))
				all.Add(1)
				j.Append([]journal.Entry{e}, func(outcome []journal.Outcome) {
					mu.Lock()
					defer mu.Unlock()
					defer all.Done()
					if outcome[0] == journal.OK {
						told(e.Log, e.Place)
					} else {
						failed = true
					}
				})
			}
		}
		all.Wait()
		if failed {
			return
		}
		if round%3 == 2 {
			var snapshots []journal.Snapshot
			keep := make(map[uint16]uint64)
			for _, w := range writers {
				snapshots = append(snapshots, journal.Snapshot{Log: w.Log, Place: w.Place, Token: w.Token, Keep: w.Place - 1, Body: []byte(bodyOf(w.Log, w.Place))})
				keep[w.Log] = w.Place - 1
			}
			if j.Save(context.Background(), snapshots) != nil {
				return
			}
			saved(keep)
		}
	}
}

func bodyOf(log uint16, place uint64) string {
	return fmt.Sprintf("log %d place %d %s", log, place, strings.Repeat("x", int(place%7)*3000))
}

// check opens what a crash left: everything acknowledged is there, dense and as
// it was written, and more can be appended.
func check(t *testing.T, what string, fs disk.FS, o Options, acked map[uint16]uint64) {
	t.Helper()
	j, err := Open(fs, "journal", o)
	if err != nil {
		t.Fatalf("%s: open: %v", what, err)
	}
	defer j.Close()
	last := make([]uint64, o.Logs)
	tokens := make([]journal.Token, o.Logs)
	var after []journal.Cursor
	snapshots, err := j.Load(context.Background())
	if err != nil {
		t.Fatalf("%s: load: %v", what, err)
	}
	keep := make(map[uint16]uint64)
	for _, s := range snapshots {
		if string(s.Body) != bodyOf(s.Log, s.Place) {
			t.Fatalf("%s: snapshot of log %d at %d is not what was saved", what, s.Log, s.Place)
		}
		keep[s.Log], last[s.Log], tokens[s.Log] = s.Keep, s.Place, s.Token
	}
	for log := range uint16(o.Logs) {
		after = append(after, journal.Cursor{Log: log, Place: keep[log]})
	}
	for e, err := range j.Read(context.Background(), after) {
		if err != nil {
			t.Fatalf("%s: read: %v", what, err)
		}
		keep[e.Log]++
		if e.Place != keep[e.Log] || string(e.Body[0]) != bodyOf(e.Log, e.Place) {
			t.Fatalf("%s: log %d: read place %d of %d bytes, want place %d", what, e.Log, e.Place, len(e.Body[0]), keep[e.Log])
		}
		if e.Place >= last[e.Log] {
			last[e.Log], tokens[e.Log] = e.Place, e.Token
		}
	}
	for log, place := range acked {
		if last[log] < place {
			t.Fatalf("%s: log %d ends at %d, but %d was acknowledged", what, log, last[log], place)
		}
	}
	for log := range uint16(o.Logs) {
		w := &journaltest.Writer{Log: log, Place: last[log], Token: tokens[log]}
		if got := journaltest.Append(t, j, w.Next("more")); got[0] != journal.OK {
			t.Fatalf("%s: log %d: append behind %d: %v", what, log, last[log], got[0])
		}
	}
}

// A power cut at every file call of a script, by several seeds each: what was
// acknowledged before it is there after it.
func TestPowerCutAtEveryFileCall(t *testing.T) {
	for name, o := range map[string]Options{"direct": tiny(), "append": func() Options { o := tiny(); o.NoDirect = true; return o }()} {
		t.Run(name, func(t *testing.T) {
			count := disk.NewFaulty(disk.NewMemory(), func(disk.Call) error { return nil })
			script(count, o, 30, func(uint16, uint64) {}, func(map[uint16]uint64) {})
			calls, step := count.Calls(), 1
			if testing.Short() {
				step = 7
			}
			for at := 1; at <= calls; at += step {
				memory := disk.NewMemory()
				acked := make(map[uint16]uint64)
				var mu sync.Mutex
				var left []*disk.Memory
				var before map[uint16]uint64
				faulty := disk.NewFaulty(memory, nil)
				faulty.Hook = func(c disk.Call) error {
					if c.Number < at {
						return nil
					}
					mu.Lock()
					defer mu.Unlock()
					if left == nil {
						before = make(map[uint16]uint64)
						for log, place := range acked {
							before[log] = place
						}
						for seed := range uint64(3) {
							left = append(left, memory.Crash(seed))
						}
					}
					return errors.New("the power is gone")
				}
				script(faulty, o, 30, func(log uint16, place uint64) {
					mu.Lock()
					defer mu.Unlock()
					acked[log] = max(acked[log], place)
				}, func(map[uint16]uint64) {})
				for seed, fs := range left {
					check(t, fmt.Sprintf("call %d of %d, seed %d", at, calls, seed), fs, o, before)
				}
			}
		})
	}
}

// The test above must be able to fail: a journal that acknowledges from a
// volatile cache is caught by it.
func TestAPowerCutCatchesAnAcknowledgementFromTheCache(t *testing.T) {
	o := tiny()
	o.OSDurability = true
	lost := false
	for seed := range uint64(20) {
		memory := disk.NewMemory()
		acked := make(map[uint16]uint64)
		var mu sync.Mutex
		script(memory, o, 4, func(log uint16, place uint64) {
			mu.Lock()
			defer mu.Unlock()
			acked[log] = max(acked[log], place)
		}, func(map[uint16]uint64) {})
		j, err := Open(memory.Crash(seed), "journal", o)
		if err != nil {
			lost = true
			continue
		}
		for log, place := range acked {
			if j.logs[log].place < place {
				lost = true
			}
		}
		j.Close()
	}
	if !lost {
		t.Error("nothing was lost in 20 power cuts without a sync: the test can't see a loss")
	}
}

func TestAFailedWriteEndsAcknowledgementForGood(t *testing.T) {
	var mu sync.Mutex
	bad := false
	told := make(chan error, 1)
	faulty := disk.NewFaulty(disk.NewMemory(), nil)
	faulty.Hook = func(c disk.Call) error {
		mu.Lock()
		defer mu.Unlock()
		if bad && c.Op == "write" {
			bad = false // once: the disk is well again, and the journal is not
			return errors.New("input/output error")
		}
		return nil
	}
	o := tiny()
	o.Broken = func(err error) { told <- err }
	j := open(t, faulty, o)
	w := &journaltest.Writer{}
	if got := journaltest.Append(t, j, w.Next("1")); got[0] != journal.OK {
		t.Fatal(got)
	}
	mu.Lock()
	bad = true
	mu.Unlock()
	for i := range 3 {
		if got := journaltest.Append(t, j, w.Next("2")); got[0] != journal.Broken {
			t.Errorf("append %d after the failure: %v, want broken", i, got[0])
		}
	}
	select {
	case err := <-told:
		if !strings.Contains(err.Error(), "input/output error") {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("nobody was told")
	}
}

func TestNoRoomForTheNextFileWaitsAndGoesOn(t *testing.T) {
	var mu sync.Mutex
	full := false
	faulty := disk.NewFaulty(disk.NewMemory(), nil)
	faulty.Hook = func(c disk.Call) error {
		mu.Lock()
		defer mu.Unlock()
		if full && c.Op == "open" && strings.HasSuffix(c.Name, ".journal") {
			return disk.ErrNoSpace
		}
		return nil
	}
	told := make(chan bool, 8)
	o := tiny()
	o.NoRoom = func(none bool) { told <- none }
	j := open(t, faulty, o)
	w := &journaltest.Writer{}
	if got := journaltest.Append(t, j, w.Next("1")); got[0] != journal.OK {
		t.Fatal(got)
	}
	mu.Lock()
	full = true
	mu.Unlock()
	outcomes := make(chan journal.Outcome, 100)
	for range 100 {
		j.Append([]journal.Entry{w.Next(strings.Repeat("x", 8000))}, func(o []journal.Outcome) { outcomes <- o[0] })
	}
	if none := <-told; !none {
		t.Fatal("told that there is room while there is none")
	}
	mu.Lock()
	full = false
	mu.Unlock()
	if none := <-told; none {
		t.Fatal("told that there is no room while there is")
	}
	for i := range 100 {
		select {
		case o := <-outcomes:
			if o != journal.OK {
				t.Fatalf("entry %d: %v", i, o)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("entry %d waits for ever", i)
		}
	}
}

// Where a whole file does not fit, a small one does: entries go on, and those
// who produce hear that there is no room until a whole one fits.
func TestASmallFileServesWhileAWholeOneHasNoRoom(t *testing.T) {
	memory := disk.NewMemory()
	o := tiny()
	o.FileBytes, o.FirstBytes, o.MaxLive = 1<<20, 128<<10, 16<<20
	told := make(chan bool, 8)
	o.NoRoom = func(none bool) { told <- none }
	memory.SetSpace(disk.Space{Free: 512 << 10, Total: 1 << 30})
	j := open(t, memory, o)
	w := &journaltest.Writer{}
	for n := range 40 {
		if got := journaltest.Append(t, j, w.Next(strings.Repeat("x", 8000))); got[0] != journal.OK {
			t.Fatalf("entry %d: %v", n, got)
		}
	}
	if none := <-told; !none {
		t.Fatal("told that there is room while there is none")
	}
	memory.SetSpace(disk.Space{Free: 1 << 30, Total: 1 << 30})
	select {
	case none := <-told:
		if none {
			t.Fatal("told twice that there is no room")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("nobody was told that there is room again")
	}
}

// A flipped byte below the durable end stops the log that it hit, and no other.
func TestDamageStopsTheLogItHit(t *testing.T) {
	memory := disk.NewMemory()
	o := tiny()
	j := open(t, memory, o)
	hit, other := &journaltest.Writer{Log: 0}, &journaltest.Writer{Log: 1}
	for range 5 {
		journaltest.Append(t, j, hit.Next("the one that is hit"))
		journaltest.Append(t, j, other.Next("the other"))
	}
	at := j.cur.index[4] // the third entry of the log that is hit
	name := j.cur.name
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := memory.Open(name, disk.Write)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff}, at.at+chunkFixed+rowSize+3); err != nil {
		t.Fatal(err)
	}
	j = open(t, memory, o)
	read := make(map[uint16]int)
	var damaged *journal.Damaged
	for e, err := range j.Read(context.Background(), []journal.Cursor{{Log: 0}, {Log: 1}}) {
		if errors.As(err, &damaged) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		read[e.Log]++
	}
	if damaged == nil || len(damaged.Logs) != 1 || damaged.Logs[0] != (journal.Cursor{Log: 0, Place: 2}) {
		t.Fatalf("damage told: %+v; want log 0 to stop at place 2", damaged)
	}
	if read[0] != 2 || read[1] != 5 {
		t.Errorf("read %d and %d entries, want 2 and 5", read[0], read[1])
	}
	if got := journaltest.Append(t, j, hit.Next("no")); got[0] != journal.Broken {
		t.Errorf("append to the damaged log: %v", got[0])
	}
	if got := journaltest.Append(t, j, other.Next("yes")); got[0] != journal.OK {
		t.Errorf("append to the other: %v", got[0])
	}
}

func TestAClientsBytesDoNotPassForAChunk(t *testing.T) {
	memory := disk.NewMemory()
	o := tiny()
	j := open(t, memory, o)
	w := &journaltest.Writer{}
	fake := make([]byte, 2*block)
	sealChunk(fake[block:block+chunkFixed], j.curGeneration(), 99, 98, 0)
	journaltest.Append(t, j, w.Next("before"))
	journaltest.Append(t, j, w.Next(string(fake)))
	journaltest.Append(t, j, w.Next("behind"))
	j.Close()
	j = open(t, memory, o)
	if got := journaltest.Bodies(t, j, 0, 0); len(got) != 3 || got[2] != "behind" {
		t.Errorf("read %d entries", len(got))
	}
}

func (j *Journal) curGeneration() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.cur == nil {
		return 7
	}
	return j.cur.generation
}
